#!/usr/bin/env bash
# Makes a Debian package of a published file: deploy/package.sh dist/codo-linux-x64 x64 dist. Prints the package's name.
# Needs dpkg-deb; nothing is compiled and nothing runs as root.
# CODO_PACKAGE_VERSION gives it another version (deploy/test-package.sh upgrades from one to the other).
set -euo pipefail
[ $# -eq 3 ] || { sed -n '2,3s/^# *//p' "$0" >&2; exit 2; }
command -v dpkg-deb >/dev/null || { echo "dpkg-deb is not here (package dpkg): no .deb is made." >&2; exit 1; }
file=$(readlink -f "$1") architecture=$2 dist=$(readlink -f "$3")
cd "$(dirname "$(readlink -f "$0")")/.."
case $architecture in x64) debian=amd64 ;; arm64) debian=arm64 ;; *) echo "There is no package for $architecture." >&2; exit 2 ;; esac
here=$(sed -n 's|.*<Version>\(.*\)</Version>.*|\1|p' Directory.Build.props)
version=${CODO_PACKAGE_VERSION:-$here}
staging=$(mktemp -d)
trap 'rm -rf "$staging"' EXIT
root=$staging/root
umask 022
# Times of the last commit, so that the same source gives the same package.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}

install -D -m 755 "$file" "$root/usr/bin/codo"
install -d "$root/usr/lib/systemd/system"
sed 's|^ExecStart=/usr/local/bin/codo|ExecStart=/usr/bin/codo|' deploy/codo.service >"$root/usr/lib/systemd/system/codo.service"
install -D -m 640 deploy/debian/appsettings.json "$root/etc/codo/appsettings.json"
# Debian starts a PostgreSQL of its own with the server's package; Codo brings its own cluster, so that one would only take the port and memory.
install -d "$root/etc/postgresql-common/createcluster.d"
echo "create_main_cluster = false" >"$root/etc/postgresql-common/createcluster.d/codo.conf"
doc=$root/usr/share/doc/codo
install -d "$doc"
cp LICENSE "$doc/copyright"
# As they lie in the repository: their links lead to each other.
cp NOTICE README.md README.zh-CN.md CHANGELOG.md CONTRIBUTING.md SECURITY.md "$doc/"
for folder in docs docs/zh docs/adr; do install -D -m 644 -t "$doc/$folder" "$folder"/*.md; done
install -D -m 644 -t "$doc/docs/images" docs/images/*.png
install -D -m 644 -t "$doc/deploy" deploy/codo.service deploy/users.sh deploy/alerts.yml deploy/grafana-codo.json
gzip -9n <CHANGELOG.md >"$doc/changelog.gz"
[ ! -e "$file.cdx.json" ] || gzip -9n <"$file.cdx.json" >"$doc/codo.cdx.json.gz"
# What the binary prints of itself; the one for another processor cannot be asked, and has the same commands as the one beside it, if that is not of before.
version_of() { { "$1" --version 2>/dev/null || true; } | cut -d+ -f1; }
speaks=$file
[ -n "$(version_of "$speaks")" ] || speaks=${file%-arm64}-x64
if [ "$(version_of "$speaks")" = "$here" ]; then
  install -d "$root/usr/share/man/man1" "$root/usr/share/bash-completion/completions" "$root/usr/share/zsh/vendor-completions" \
    "$root/usr/share/fish/vendor_completions.d"
  "$speaks" help --roff | gzip -9n >"$root/usr/share/man/man1/codo.1.gz"
  "$speaks" completion bash >"$root/usr/share/bash-completion/completions/codo"
  "$speaks" completion zsh >"$root/usr/share/zsh/vendor-completions/_codo"
  "$speaks" completion fish >"$root/usr/share/fish/vendor_completions.d/codo.fish"
else
  echo "The package for $debian has no manual page and no completions: $speaks, which would print them, is not there or not $here." >&2
fi

install -d "$root/DEBIAN"
for script in preinst postinst prerm postrm; do
  sed -e '/^# @users@$/{r deploy/users.sh' -e 'd}' "deploy/debian/$script" >"$root/DEBIAN/$script"
  chmod 755 "$root/DEBIAN/$script"
done
install -m 644 deploy/debian/templates "$root/DEBIAN/templates"
printf '%s\n' /etc/codo/appsettings.json /etc/postgresql-common/createcluster.d/codo.conf >"$root/DEBIAN/conffiles"
(cd "$root" && find etc usr -type f -exec md5sum {} + | LC_ALL=C sort -k2 >DEBIAN/md5sums)
# PostgreSQL is recommended: a node of a cluster uses a server somewhere else. Redis and SSH are inside the binary. libssl: .NET's cryptography.
depends='debconf (>= 0.5) | debconf-2.0, init-system-helpers (>= 1.54), libc6 (>= 2.28), libgcc-s1, libssl3 | libssl3t64 | libssl1.1'
depends+=', libstdc++6, passwd, tzdata, util-linux'
cat >"$root/DEBIAN/control" <<CONTROL
Package: codo
Version: $version
Architecture: $debian
Maintainer: Codo <codo@localhost>
Installed-Size: $(du -sk --exclude DEBIAN "$root" | cut -f1)
Depends: $depends
Recommends: ca-certificates, postgresql
Suggests: redis-server
Section: admin
Priority: optional
Description: cron jobs, orders of tasks over SSH, and alerts
 Codo runs jobs at their times on one machine or several and keeps an account of each
 time, runs templates of steps on many hosts over SSH with approvals, and tells people
 when something is wrong. One binary is server, console and client; the .NET runtime is
 inside. It runs its own PostgreSQL from the binaries of the package postgresql, or
 uses a server somewhere else.
CONTROL
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
name=codo_${version}_$debian.deb
# gzip: xz would take minutes for some megabytes less.
dpkg-deb --root-owner-group -Zgzip --build "$root" "$dist/$name" >/dev/null
echo "$name"
