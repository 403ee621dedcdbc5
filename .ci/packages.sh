# Sourced by run.sh and test.sh. Installs Debian packages that are missing, and says nothing when none is.

has_postgres() {
  for bin in /usr/lib/postgresql/*/bin; do
    [ -x "$bin/postgres" ] && [ -x "$bin/initdb" ] && return 0
  done
  command -v postgres >/dev/null && command -v initdb >/dev/null
}

# install_missing PACKAGE...: as root, or through sudo; without either it names the one command to run.
install_missing() {
  [ $# -eq 0 ] && return 0
  local as_root=
  if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
      as_root=sudo
    else
      echo "Missing: $*. Install with: su -c 'apt-get update && apt-get install -y $*'" >&2
      return 2
    fi
  fi
  if ! command -v apt-get >/dev/null; then
    echo "Missing: $* (Debian's names). There is no apt-get here; install them in this system's way." >&2
    return 2
  fi

  echo "Installing $* with apt-get (a minute or so) …" >&2
  local output
  output=$(mktemp)
  # Debian starts a server of its own with the package; Codo brings its own cluster, so that one would only take the port and memory.
  if ! $as_root sh -ec '
      export DEBIAN_FRONTEND=noninteractive
      apt-get update -q
      case " $* " in *" postgresql "*)
        apt-get install -qy --no-install-recommends postgresql-common
        mkdir -p /etc/postgresql-common/createcluster.d
        echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.d/codo.conf ;;
      esac
      # For its promtool alone: no server is to listen on this machine.
      case " $* " in *" prometheus "*)
        mkdir -p /etc/systemd/system
        [ -e /etc/systemd/system/prometheus.service ] || ln -s /dev/null /etc/systemd/system/prometheus.service ;;
      esac
      apt-get install -qy --no-install-recommends "$@"' sh "$@" >"$output" 2>&1 </dev/null; then
    tail -n 20 "$output" >&2
    rm -f "$output"
    echo "apt-get could not install $*." >&2
    return 2
  fi
  rm -f "$output"
}
