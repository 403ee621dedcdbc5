#!/usr/bin/env bash
# Makes an OCI image layout without Docker: deploy/image.sh dist/codo-linux-x64 x64 dist/codo-oci. As root, with debootstrap, for the machine's own architecture. "skopeo copy
# oci:dist/codo-oci docker-archive:codo.tar" and the like take it from there. Two layers: Debian with PostgreSQL's server, and Codo's package on it.
set -euo pipefail
[ $# -eq 3 ] || { sed -n '2s/^# *//p' "$0" >&2; exit 2; }
file=$(readlink -f "$1") architecture=$2
here=$(dirname "$(readlink -f "$0")")
case $architecture in x64) oci=amd64 ;; arm64) oci=arm64 ;; *) echo "There is no image for $architecture." >&2; exit 2 ;; esac
if [ "$(dpkg --print-architecture 2>/dev/null)" != "$oci" ]; then
  echo "No image for $architecture: its root is made by its own programs, which run on $oci alone." >&2
  exit 0
fi
[ "$(id -u)" -eq 0 ] && command -v debootstrap >/dev/null || { echo "The image needs root and debootstrap." >&2; exit 1; }
. "$here/root.sh"
mkdir -p "$3"
image=$(readlink -f "$3")
staging=$(mktemp -d)
trap 'rm -rf "$staging"' EXIT
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$here" log -1 --format=%ct 2>/dev/null || date +%s)}
root=$staging/root blobs=$staging/image/blobs/sha256
mkdir -p "$blobs"

fresh_root "$root"
package=$("$here/package.sh" "$file" "$architecture" "$staging")
# Nothing starts while it is put together.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
echo "Installing PostgreSQL's server into the image …" >&2
install -D -m 644 /dev/stdin "$root/etc/postgresql-common/createcluster.d/codo.conf" <<<"create_main_cluster = false"
apt='DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold'
in_root "$root" sh -ec "$apt update; $apt install --no-install-recommends -y postgresql-common postgresql ca-certificates tzdata >/dev/null" >"$staging/apt.log" 2>&1 </dev/null ||
  { tail -n 20 "$staging/apt.log" >&2; exit 1; }
clean() {
  rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb "$root"/var/log/*.log "$root"/var/log/apt "$root"/var/cache/debconf/*-old \
    "$root"/var/cache/ldconfig "$root"/tmp/* "$root"/dev/* "$root"/etc/machine-id
  : >"$root/etc/resolv.conf"
}
clean
find "$root" -xdev ! -type d -printf '%P\t%i\t%T@\t%C@\n' | LC_ALL=C sort >"$staging/before"
find "$root" -xdev -type d -printf '%P\n' | LC_ALL=C sort >"$staging/folders-before"

# blob FILE TYPE: puts it under its digest and prints the descriptor.
blob() {
  local digest size
  digest=$(sha256sum "$1" | cut -d' ' -f1) size=$(stat -c %s "$1")
  mv "$1" "$blobs/$digest"
  printf '{"mediaType": "%s", "digest": "sha256:%s", "size": %s}' "$2" "$digest" "$size"
}
# layer LIST: a tar of the paths in LIST, the same for the same content; sets layer_descriptor and layer_id.
layer() {
  tar -C "$root" --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" --no-recursion --null --verbatim-files-from --format=pax \
    --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime -cf "$staging/layer.tar" -T "$1"
  layer_id=$(sha256sum "$staging/layer.tar" | cut -d' ' -f1)
  gzip -6n "$staging/layer.tar"
  layer_descriptor=$(blob "$staging/layer.tar.gz" application/vnd.oci.image.layer.v1.tar+gzip)
}
(cd "$root" && find . -xdev -mindepth 1 -print0 | LC_ALL=C sort -z) >"$staging/list"
layer "$staging/list"
base=$layer_descriptor base_id=$layer_id

cp "$staging/$package" "$root/tmp/"
in_root "$root" sh -ec "DEBIAN_FRONTEND=noninteractive dpkg --force-confold -i /tmp/$package" >"$staging/apt.log" 2>&1 </dev/null || { tail -n 20 "$staging/apt.log" >&2; exit 1; }
rm -f "$root/usr/sbin/policy-rc.d"
clean
find "$root" -xdev ! -type d -printf '%P\t%i\t%T@\t%C@\n' | LC_ALL=C sort >"$staging/after"
find "$root" -xdev -type d -printf '%P\n' | LC_ALL=C sort >"$staging/folders-after"
# New and changed files, the folders that they lie in, new folders; what has gone is a whiteout.
gone=$(comm -23 <(cut -f1 "$staging/before") <(cut -f1 "$staging/after"))
while read -r path; do [ -z "$path" ] || : >"$root/$(dirname "$path")/.wh.$(basename "$path")"; done <<<"$gone"
{
  comm -13 "$staging/before" "$staging/after" | cut -f1
  comm -13 "$staging/folders-before" "$staging/folders-after"
  while read -r path; do [ -z "$path" ] || echo "$(dirname "$path")/.wh.$(basename "$path")"; done <<<"$gone"
} | grep -v '^$' | awk '{ n = split($0, parts, "/"); at = ""; for (i = 1; i <= n; i++) { at = at (i > 1 ? "/" : "") parts[i]; print at } }' | LC_ALL=C sort -u | tr '\n' '\0' >"$staging/list"
layer "$staging/list"

user=$(in_root "$root" sh -c 'echo "$(id -u codo):$(id -g codo)"')
created=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
version=$(sed -n 's|.*<Version>\(.*\)</Version>.*|\1|p' "$here/../Directory.Build.props")
cat >"$staging/config.json" <<JSON
{"created": "$created", "architecture": "$oci", "os": "linux", "config": {"User": "$user", "ExposedPorts": {"9900/tcp": {}}, "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
"LANG=C.UTF-8", "Codo__DataDirectory=/var/lib/codo", "DOTNET_BUNDLE_EXTRACT_BASE_DIR=/var/cache/codo", "ASPNETCORE_URLS=http://0.0.0.0:9900"], "Entrypoint": ["/usr/bin/codo"], "WorkingDir": "/",
"Volumes": {"/var/lib/codo": {}}, "StopSignal": "SIGTERM", "Labels": {"org.opencontainers.image.title": "codo", "org.opencontainers.image.version": "$version"}},
"rootfs": {"type": "layers", "diff_ids": ["sha256:$base_id", "sha256:$layer_id"]}, "history": [{"created": "$created", "created_by": "Debian with PostgreSQL's server"}, {"created": "$created", "created_by": "$package"}]}
JSON
config=$(blob "$staging/config.json" application/vnd.oci.image.config.v1+json)
echo "{\"schemaVersion\": 2, \"mediaType\": \"application/vnd.oci.image.manifest.v1+json\", \"config\": $config, \"layers\": [$base, $layer_descriptor]}" >"$staging/manifest.json"
manifest=$(blob "$staging/manifest.json" application/vnd.oci.image.manifest.v1+json)
platform="\"platform\": {\"architecture\": \"$oci\", \"os\": \"linux\"}, \"annotations\": {\"org.opencontainers.image.ref.name\": \"$version\"}"
echo "{\"schemaVersion\": 2, \"mediaType\": \"application/vnd.oci.image.index.v1+json\", \"manifests\": [${manifest%\}}, $platform}]}" >"$staging/image/index.json"
echo '{"imageLayoutVersion": "1.0.0"}' >"$staging/image/oci-layout"
rm -rf "$image"
mv "$staging/image" "$image"
chmod -R a+rX "$image"
echo "$image"
