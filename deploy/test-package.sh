#!/usr/bin/env bash
# Installs the package in a fresh Debian, starts it there without .NET, upgrades it with a job under way, removes and purges it, takes over an installation that ran as root; --oci: also
# makes the image and starts it in a chroot. As root, with debootstrap: ./publish.sh --arch x64 && deploy/test-package.sh [--oci] [dist/codo-linux-x64]
# Takes two minutes and the package source, so CI does not run it. No systemd runs in it: deploy/test/systemctl starts what the unit says.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
oci=
[ "${1:-}" != --oci ] || { oci=1; shift; }
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

if [ -n "$oci" ]; then
  "$here/image.sh" "$file" x64 "$staging/oci" >/dev/null
  cd "$staging/oci"
  for blob in blobs/sha256/*; do [ "$(sha256sum "$blob" | cut -d' ' -f1)" = "$(basename "$blob")" ] || { echo "FAILED: $blob is not what its name says" >&2; exit 1; }; done
  digest() { grep -o "\"digest\": \"sha256:[0-9a-f]*\"" "$1" | cut -d: -f3 | tr -d '"'; }
  manifest=blobs/sha256/$(digest index.json)
  mkdir "$staging/image"
  # The first digest is the configuration; the layers follow in their order.
  for layer in $(digest "$manifest" | tail -n +2); do
    tar -C "$staging/image" -xpzf "blobs/sha256/$layer"
    find "$staging/image" -name '.wh.*' -printf '%h/%f\n' | while read -r mark; do rm -rf "$mark" "$(dirname "$mark")/$(basename "$mark" | cut -c5-)"; done
  done
  config=blobs/sha256/$(digest "$manifest" | head -n 1)
  user=$(grep -o '"User": "[0-9:]*"' "$config" | cut -d'"' -f4)
  mkdir -p "$staging/image/proc" "$staging/image/dev"
  in_root "$staging/image" setpriv --reuid="${user%:*}" --regid="${user#*:}" --clear-groups --inh-caps=-all env -i PATH=/usr/bin:/bin Codo__DataDirectory=/var/lib/codo Codo__MinFreeDisk=0 \
    DOTNET_BUNDLE_EXTRACT_BASE_DIR=/var/cache/codo ASPNETCORE_URLS="http://0.0.0.0:$port" bash -c '
      /usr/bin/codo >/tmp/log 2>&1 & main=$!
      for _ in $(seq 300); do ! grep -q "^Codo is up" /tmp/log || break; sleep 0.1; done
      exec 3<>/dev/tcp/127.0.0.1/'"$port"' && printf "GET /are_you_ok/ HTTP/1.0\r\n\r\n" >&3 && grep -q "I.m OK" <&3 || { cat /tmp/log >&2; exit 1; }
      kill -TERM $main && wait $main' </dev/null || { echo "FAILED: the image does not start" >&2; exit 1; }
  echo "ok: the image's blobs are what their names say; its root starts as user $user, answers and stops"
fi
echo "The package is good."
