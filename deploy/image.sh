#!/usr/bin/env bash
# Makes an OCI image layout without Docker: deploy/image.sh dist/codo-linux-x64 x64 dist/codo-oci. As root, with debootstrap, for the processor of this machine.
# Two layers: Debian with PostgreSQL's server, and Codo's package on it. The same commit, binary and package source give the same digests.
set -euo pipefail
[ $# -eq 3 ] || { sed -n '2s/^# *//p' "$0" >&2; exit 2; }
file=$(readlink -f "$1") architecture=$2
here=$(dirname "$(readlink -f "$0")")
case $architecture in x64) oci=amd64 ;; arm64) oci=arm64 ;; *) echo "There is no image for $architecture." >&2; exit 2 ;; esac
[ "$(id -u)" -eq 0 ] && command -v debootstrap dpkg >/dev/null || { echo "The image needs root, debootstrap and dpkg." >&2; exit 1; }
[ "$(dpkg --print-architecture)" = "$oci" ] ||
  { echo "The image for $architecture is made on $oci: its root is put together by its own programs." >&2; exit 1; }
. "$here/root.sh"
mkdir -p "$3"
image=$(readlink -f "$3")
staging=$(mktemp -d)
trap 'rm -rf --one-file-system "$staging"' EXIT
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$here" log -1 --format=%ct 2>/dev/null || date +%s)}
root=$staging/root blobs=$staging/image/blobs/sha256
mkdir -p "$blobs"
umask 022
export LC_ALL=C

fresh_root "$root"
package=$("$here/package.sh" "$file" "$architecture" "$staging")
# Without manuals and translations, and without LLVM, which is more than all the rest: Codo's PostgreSQL has jit off.
cat >"$root/etc/dpkg/dpkg.cfg.d/codo-image" <<'DPKG'
path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
path-include=/usr/share/doc/codo/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/man/*
path-exclude=/usr/lib/postgresql/*/lib/bitcode/*
path-exclude=/usr/lib/postgresql/*/lib/llvmjit*
path-exclude=/usr/lib/*/libLLVM*
path-exclude=/usr/lib/*/libz3*
path-exclude=/usr/lib/llvm-*
DPKG
# Directories stay: update-alternatives makes links in them.
find "$root/usr/share/doc" "$root/usr/share/info" "$root/usr/share/locale" "$root/usr/share/man" ! -type d ! -name copyright -delete
install -D -m 644 /dev/stdin "$root/etc/postgresql-common/createcluster.d/codo.conf" <<<"create_main_cluster = false"
echo "Installing PostgreSQL's server into the image …" >&2
# tini: process 1 waits for what a command leaves behind; Codo waits for its own children alone. The rest is what Codo's package depends on, and
# certificates for alerts and sign-in.
apt='apt-get -qq -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold -o APT::Install-Recommends=false -y'
in_root "$root" env DEBIAN_FRONTEND=noninteractive sh -ec "$apt update; $apt upgrade; \
  $apt install ca-certificates debconf init-system-helpers libgcc-s1 libssl3 libstdc++6 passwd \
  postgresql postgresql-common tini tzdata util-linux" >"$staging/apt.log" 2>&1 </dev/null || { tail -n 20 "$staging/apt.log" >&2; exit 1; }
# A key that everybody would have.
rm -f "$root"/etc/ssl/private/ssl-cert-snakeoil.key "$root"/etc/ssl/certs/ssl-cert-snakeoil.pem
in_root "$root" find /etc/ssl/certs -xtype l -delete
clean() {
  forget_machine "$root"
  # The day on which a user was made.
  awk -F: -v OFS=: -v day=$((SOURCE_DATE_EPOCH / 86400)) '{ $3 = day; print }' "$root/etc/shadow" >"$staging/shadow"
  cmp -s "$staging/shadow" "$root/etc/shadow" || cat "$staging/shadow" >"$root/etc/shadow"
}
# listed FIND…: what stands in the root, one a line, with what changes when it is written.
listed() { (cd "$root" && find . -xdev -mindepth 1 "$@" | sort); }
clean
listed ! -type d -printf '%P\t%i\t%T@\t%C@\n' >"$staging/before"
listed -type d -printf '%P\t%m\t%U\t%G\n' >"$staging/folders-before"

# blob FILE TYPE: puts it under its digest and prints the descriptor.
blob() {
  local digest size
  digest=$(sha256sum "$1" | cut -d' ' -f1) size=$(stat -c %s "$1")
  mv "$1" "$blobs/$digest"
  printf '{"mediaType": "%s", "digest": "sha256:%s", "size": %s}' "$2" "$digest" "$size"
}
# layer: a tar of the paths on standard input, the same for the same content; sets layer_descriptor and layer_id.
layer() {
  tr '\n' '\0' | tar -C "$root" --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" --no-recursion --null --verbatim-files-from --format=pax \
    --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime -cf "$staging/layer.tar" -T -
  layer_id=$(sha256sum "$staging/layer.tar" | cut -d' ' -f1)
  gzip -6n "$staging/layer.tar"
  layer_descriptor=$(blob "$staging/layer.tar.gz" application/vnd.oci.image.layer.v1.tar+gzip)
}
layer < <(listed -printf '%P\n')
base=$layer_descriptor base_id=$layer_id

cp "$staging/$package" "$root/tmp/"
in_root "$root" env DEBIAN_FRONTEND=noninteractive dpkg --force-confold -i "/tmp/$package" >"$staging/apt.log" 2>&1 </dev/null ||
  { tail -n 20 "$staging/apt.log" >&2; exit 1; }
# Where the one file unpacks its native libraries; under systemd the unit makes it.
in_root "$root" install -d -m 700 -o codo -g codo /var/cache/codo
user=$(in_root "$root" sh -c 'echo "$(id -u codo):$(id -g codo)"')
clean
listed ! -type d -printf '%P\t%i\t%T@\t%C@\n' >"$staging/after"
listed -type d -printf '%P\t%m\t%U\t%G\n' >"$staging/folders-after"
gone=$(comm -23 <(cut -f1 "$staging/before" | sort) <(cut -f1 "$staging/after" | sort))
[ -z "$gone" ] || { echo "The package took away what the layer below has: $gone" >&2; exit 1; }
# New and changed files and folders, and the folders that they lie in.
layer < <({
  comm -13 "$staging/before" "$staging/after"
  comm -13 "$staging/folders-before" "$staging/folders-after"
} | cut -f1 | awk '{ n = split($0, parts, "/"); at = ""; for (i = 1; i <= n; i++) { at = at (i > 1 ? "/" : "") parts[i]; print at } }' | sort -u)

created=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
version=$(sed -n 's|.*<Version>\(.*\)</Version>.*|\1|p' "$here/../Directory.Build.props")
cat >"$staging/config.json" <<JSON
{"created": "$created", "architecture": "$oci", "os": "linux",
"config": {"User": "$user", "ExposedPorts": {"9900/tcp": {}}, "WorkingDir": "/", "Volumes": {"/var/lib/codo": {}}, "StopSignal": "SIGTERM",
"Entrypoint": ["/usr/bin/tini", "--", "/usr/bin/codo"],
"Env": [
"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
"LANG=C.UTF-8",
"Codo__DataDirectory=/var/lib/codo",
"DOTNET_BUNDLE_EXTRACT_BASE_DIR=/var/cache/codo",
"ASPNETCORE_URLS=http://0.0.0.0:9900"
],
"Labels": {"org.opencontainers.image.title": "codo", "org.opencontainers.image.version": "$version"}},
"rootfs": {"type": "layers", "diff_ids": ["sha256:$base_id", "sha256:$layer_id"]},
"history": [{"created": "$created", "created_by": "Debian with PostgreSQL's server"}, {"created": "$created", "created_by": "$package"}]}
JSON
config=$(blob "$staging/config.json" application/vnd.oci.image.config.v1+json)
echo "{\"schemaVersion\": 2, \"mediaType\": \"application/vnd.oci.image.manifest.v1+json\", \"config\": $config, \"layers\": [$base, $layer_descriptor]}" \
  >"$staging/manifest.json"
manifest=$(blob "$staging/manifest.json" application/vnd.oci.image.manifest.v1+json)
platform="\"platform\": {\"architecture\": \"$oci\", \"os\": \"linux\"}, \"annotations\": {\"org.opencontainers.image.ref.name\": \"$version\"}"
echo "{\"schemaVersion\": 2, \"mediaType\": \"application/vnd.oci.image.index.v1+json\", \"manifests\": [${manifest%\}}, $platform}]}" \
  >"$staging/image/index.json"
echo '{"imageLayoutVersion": "1.0.0"}' >"$staging/image/oci-layout"
rm -rf "$image"
mv "$staging/image" "$image"
chmod -R a+rX "$image"
echo "$image"
