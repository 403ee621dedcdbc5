# Sourced by test-package.sh.

# fresh_root DIRECTORY: a Debian with apt and little else, from the package source of this machine. It is kept in CODO_ROOT_CACHE (a directory), so that the second one takes a second.
fresh_root() {
  local cache=${CODO_ROOT_CACHE:-${TMPDIR:-/tmp}/codo-root-cache} suite=bookworm tar
  tar=$cache/$suite-$(dpkg --print-architecture).tar
  if [ ! -e "$tar" ]; then
    mkdir -p "$cache"
    echo "Making a root of Debian $suite (a minute) …" >&2
    debootstrap --variant=minbase "$suite" "$cache/new" ${CODO_MIRROR:+"$CODO_MIRROR"} >"$cache/debootstrap.log" || { tail -n 5 "$cache/debootstrap.log" "$cache/new/debootstrap/debootstrap.log" >&2; return 1; }
    tar -C "$cache/new" --one-file-system -cf "$tar.new" .
    mv "$tar.new" "$tar"
    rm -rf --one-file-system "$cache/new"
  fi
  mkdir -p "$1"
  tar -C "$1" -xpf "$tar"
  # How this machine reaches packages: sources, keys and a proxy.
  rm -rf "$1/etc/apt/sources.list" "$1/etc/apt/sources.list.d"
  cp -a /etc/apt/sources.list* "$1/etc/apt/" 2>/dev/null || true
  cp -a /etc/apt/apt.conf* "$1/etc/apt/" 2>/dev/null || true
  cp -aL /etc/apt/trusted.gpg.d /usr/share/keyrings "$1/tmp/" 2>/dev/null || true
  cp -a "$1/tmp/keyrings/." "$1/usr/share/keyrings/" 2>/dev/null || true
  rm -rf "$1/tmp/trusted.gpg.d" "$1/tmp/keyrings"
  cp /etc/resolv.conf "$1/etc/resolv.conf" 2>/dev/null || true
}

# in_root ROOT COMMAND…: in a process namespace of its own that ends with the command, with /proc; the network is this machine's.
in_root() {
  local root=$1
  shift
  unshare --mount --pid --fork --kill-child -- sh -ec '
    root=$1; shift
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    exec chroot "$root" "$@"' sh "$root" "$@"
}
