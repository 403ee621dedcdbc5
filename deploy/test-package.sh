#!/usr/bin/env bash
# Installs the package in a fresh Debian, starts it there without .NET, upgrades it with a job under way, removes and purges it, takes over an
# installation that ran as root.
# As root, with debootstrap: ./publish.sh --arch x64 && deploy/test-package.sh [dist/codo-linux-x64]
# Takes two minutes and the package source, so CI does not run it. No systemd runs in it: deploy/test/systemctl starts what the unit says.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
file=$(readlink -f "${1:-$here/../dist/codo-linux-x64}")
[ "$(id -u)" -eq 0 ] && command -v debootstrap >/dev/null || { echo "This needs root and debootstrap." >&2; exit 2; }
[ -x "$file" ] || { echo "There is no $file: ./publish.sh --arch x64 makes it." >&2; exit 2; }
. "$here/root.sh"
staging=$(mktemp -d)
trap 'rm -rf --one-file-system "$staging"' EXIT
root=$staging/root
fresh_root "$root"
version=$(sed -n 's|.*<Version>\(.*\)</Version>.*|\1|p' "$here/../Directory.Build.props")
mkdir "$root/packages"
# The version before: the same binary under an older number, since none was released as a package yet.
before=$(CODO_PACKAGE_VERSION="$version~before" "$here/package.sh" "$file" x64 "$root/packages")
after=$("$here/package.sh" "$file" x64 "$root/packages")
install -m 755 "$here/test/systemctl" "$root/usr/bin/systemctl"
install -m 755 "$here/test/inside.sh" "$root/packages/inside.sh"
port=$((20000 + RANDOM % 10000))
in_root "$root" /packages/inside.sh "$before" "$after" "$port" </dev/null
echo "The package is good."
