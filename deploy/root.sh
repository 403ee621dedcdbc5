# Sourced by image.sh and test-package.sh.

# Where roots are kept, so that the second one takes a second.
root_cache=${CODO_ROOT_CACHE:-${TMPDIR:-/tmp}/codo-root-cache} root_suite=bookworm
root_tar=$root_cache/$root_suite-$(dpkg --print-architecture).tar

# fresh_root DIRECTORY: a Debian with apt and little else, from the package source of this machine.
fresh_root() {
  if [ ! -e "$root_tar" ]; then
    mkdir -p "$root_cache"
    echo "Making a root of Debian $root_suite (a minute) …" >&2
    debootstrap --variant=minbase "$root_suite" "$root_cache/new" ${CODO_MIRROR:+"$CODO_MIRROR"} >"$root_cache/debootstrap.log" ||
      { tail -n 5 "$root_cache/debootstrap.log" "$root_cache/new/debootstrap/debootstrap.log" >&2; return 1; }
    tar -C "$root_cache/new" --one-file-system -cf "$root_tar.new" .
    mv "$root_tar.new" "$root_tar"
    rm -rf --one-file-system "$root_cache/new"
  fi
  mkdir -p "$1"
  tar -C "$1" -xpf "$root_tar"
  # How this machine reaches packages: sources, keys and a proxy.
  rm -rf "$1/etc/apt/sources.list" "$1/etc/apt/sources.list.d"
  cp -a /etc/apt/sources.list* "$1/etc/apt/" 2>/dev/null || true
  cp -a /etc/apt/apt.conf* "$1/etc/apt/" 2>/dev/null || true
  cp -a /usr/share/keyrings/. "$1/usr/share/keyrings/" 2>/dev/null || true
  cp /etc/resolv.conf "$1/etc/resolv.conf" 2>/dev/null || true
}

# forget_machine ROOT: takes out what a root has of this machine, and what apt keeps between two runs. No package source is left in it.
forget_machine() {
  rm -rf "$1/etc/apt" "$1/usr/share/keyrings"
  tar -C "$1" -xpf "$root_tar" ./etc/apt ./usr/share/keyrings
  rm -rf "$1"/etc/apt/sources.list* "$1"/etc/hostname "$1"/etc/machine-id "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* "$1"/var/cache/ldconfig \
    "$1"/var/cache/debconf/*-old "$1"/var/lib/dpkg/*-old "$1"/etc/*- "$1"/tmp/* "$1"/dev/*
  find "$1/var/log" "$1/run" -type f -delete
  [ ! -s "$1/etc/resolv.conf" ] || : >"$1/etc/resolv.conf"
}

# in_root ROOT COMMAND…: in a process namespace of its own that ends with the command, with /proc; the network is this machine's.
in_root() {
  local root=$1
  shift
  unshare --mount --pid --fork --kill-child -- sh -ec '
    root=$1; shift
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    # What this machine calls its folder for temporary files is not in there.
    exec env -u TMPDIR chroot "$root" "$@"' sh "$root" "$@"
}
