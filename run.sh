#!/usr/bin/env bash
# Builds Codo when that is needed and runs it; arguments go to the host (./run.sh token --user me, ./run.sh --urls http://0.0.0.0:9900).
set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
. "$here/.ci/packages.sh"

missing=()
[ -n "${ConnectionStrings__Postgres:-}" ] || has_postgres || missing+=(postgresql)
[ -e /usr/share/zoneinfo/UTC ] || missing+=(tzdata)
command -v setpriv >/dev/null && command -v setsid >/dev/null || missing+=(util-linux)
install_missing "${missing[@]}"

# Commands do not run as root unless somebody says so.
. "$here/deploy/users.sh"
[ "$(id -u)" -ne 0 ] || make_command_user

if ! command -v dotnet >/dev/null && [ -x "$HOME/.dotnet/dotnet" ]; then
  PATH=$HOME/.dotnet:$PATH
fi

# Where this user cannot write into the source, for example because another user built there, the build goes to the user's cache.
output=$here/Codo.Host/bin/Release/net10.0
place=()
if [ ! -w "$here/Codo.Host" ] || { [ -e "$here/Codo.Host/obj" ] && [ ! -w "$here/Codo.Host/obj" ]; } ||
  { [ -e "$here/Codo.Platform/obj" ] && [ ! -w "$here/Codo.Platform/obj" ]; }; then
  cache=${XDG_CACHE_HOME:-$HOME/.cache}/codo/build
  output=$cache/bin/Codo.Host/release
  place=(--artifacts-path "$cache")
fi

# progress LOG: shows what the build is at, from its own lines: "Codo.Platform -> …/Codo.Platform.dll" when a project is done.
progress() {
  local all done now said= since=$SECONDS
  all=$(find "$here"/Codo.Host "$here"/Codo.Platform "$here"/Codo.Modules.* -maxdepth 1 -name '*.csproj' | wc -l)
  while kill -0 "$2" 2>/dev/null; do
    done=$(grep -c ' -> ' "$1") || true
    if ! grep -qE '(Restored|up-to-date)' "$1"; then now="getting packages"; else now="project $((done < all ? done + 1 : all)) of $all"; fi
    if [ -t 2 ]; then
      printf '\rBuilding: %s (%s s) ' "$now" $((SECONDS - since)) >&2
    elif [ "$now" != "$said" ]; then
      echo "Building: $now" >&2
    fi
    said=$now
    sleep 0.5
  done
  [ ! -t 2 ] || printf '\rBuilt in %s s.%20s\n' $((SECONDS - since)) "" >&2
}

# The stamp is older than any source that changed while or after it was built.
stamp=$output/.built
if [ ! -e "$stamp" ] || [ -n "$(cd "$here" && find Codo.Host Codo.Platform Codo.Modules.* ./*.props global.json appsettings.json \
    \( -name bin -o -name obj \) -prune -o -newer "$stamp" -type f -print -quit)" ]; then
  if ! (cd "$here" && dotnet --version) >/dev/null 2>&1; then
    echo "The .NET 10 SDK is not there. https://learn.microsoft.com/dotnet/core/install/linux says how to install it." >&2
    exit 2
  fi
  if [ -e "$stamp" ]; then echo "The source has changed since the last build." >&2; else echo "First build: a minute or two." >&2; fi
  log=$(mktemp)
  started=$(mktemp)
  # No build server stays behind: it would take as much memory as the host.
  (cd "$here" && DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 exec dotnet build Codo.Host -c Release -v minimal -nodeReuse:false \
      -p:UseSharedCompilation=false -tl:off "${place[@]}") >"$log" 2>&1 </dev/null &
  building=$!
  trap 'kill $building 2>/dev/null || true' EXIT
  progress "$log" "$building"
  trap - EXIT
  if ! wait "$building"; then
    cat "$log" >&2
    exit 1
  fi
  mv "$started" "$stamp"
  rm -f "$log"
fi

command -v dotnet >/dev/null ||
  { echo "The .NET 10 runtime is not there. https://learn.microsoft.com/dotnet/core/install/linux says how to install it." >&2; exit 2; }
[ ! -t 2 ] || [ $# -gt 0 ] || echo "Starting Codo …" >&2
export DOTNET_ROOT=${DOTNET_ROOT:-$(dirname "$(readlink -f "$(command -v dotnet)")")}
export Codo__ShowToken=${Codo__ShowToken:-true}
# The host refuses settings that happen to lie where it is started; those of this checkout are meant. The client's commands have none.
case ${1---} in
  --help | -h | -\? | --version) ;;
  --* | serve | migrate | token | user | audit | backup | restore) [ "$(pwd -P)" != "$here" ] || set -- "$@" --config "$here/appsettings.json" ;;
esac
exec "$output/codo" "$@"
