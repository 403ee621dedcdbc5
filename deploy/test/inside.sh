#!/bin/bash
# Runs inside a fresh root: deploy/test-package.sh has put the packages, the stand-in for systemctl and a port there.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive HOME=/root
before=$1 after=$2 port=$3
apt() { apt-get -qq -o Dpkg::Use-Pty=0 "$@" >/tmp/apt.log 2>&1 </dev/null || { cat /tmp/apt.log >&2; return 1; }; }
say() { echo "ok: $*"; }
fail() { echo "FAILED: $*" >&2; tail -n 20 /var/log/codo-test.log >&2 2>/dev/null || true; exit 1; }
is() { [ "$1" = "$2" ] || fail "$3: '$1', not '$2'"; }
main() { cat /run/codo-test.pid; }
owner_of_main() { stat -c %U "/proc/$(main)"; }
# leaves_out: whether this root leaves files of packages out, documents and pages for one.
leaves_out() { grep -rqs '^path-exclude' /etc/dpkg/dpkg.cfg /etc/dpkg/dpkg.cfg.d; }
export CODO_URL=http://127.0.0.1:$port
# as_host BINARY ARGUMENTS…: as the user that the host runs as, with its data.
as_host() {
  setpriv --reuid=codo --regid=codo --init-groups env HOME=/var/lib/codo DOTNET_BUNDLE_EXTRACT_BASE_DIR=/var/cache/codo \
    Codo__DataDirectory=/var/lib/codo "$@"
}
sign_in() { CODO_TOKEN=$("$@" token --user admin --superuser | tail -n 1); export CODO_TOKEN; }
jobs() {
  mkdir -p /tmp/files/jobs
  cat >/tmp/files/jobs/all.yaml
  codo apply /tmp/files --yes >/dev/null
}

mkdir -p /run/systemd/system
! command -v dotnet >/dev/null && [ ! -e /usr/share/dotnet ] || fail "there is a .NET here"

# A fresh install.
mkdir -p /etc/codo
printf 'ASPNETCORE_URLS=http://127.0.0.1:%s\nCodo__MinFreeDisk=0\n' "$port" >/etc/codo/codo.env
apt update
apt install "/packages/$before"
[ ! -e /var/lib/postgresql/*/main ] || fail "Debian made a PostgreSQL server of its own"
is "$(owner_of_main)" codo "the host's user"
is "$(stat -c '%U %a' /var/lib/codo)" "codo 700" "the data directory"
[ ! -e /var/lib/codo/ran-as ] || fail "a first install says that commands ran as $(cat /var/lib/codo/ran-as)"
is "$(stat -c '%U:%G %a' /etc/codo/appsettings.json)" "root:codo 640" "the settings"
sign_in as_host codo
jobs <<'YAML'
kind: job
job_id: who
cmd: id -un
cron: 0 0 0 29 2 *
---
kind: job
job_id: long
cmd: sleep 4; echo whole
cron: 0 0 0 29 2 *
YAML
is "$(codo job run who --follow)" codo-run "the user of commands"
is "$(codo why --help >/dev/null && echo yes)" yes "the client"
for told in man/man1/codo.1.gz bash-completion/completions/codo zsh/vendor-completions/_codo fish/vendor_completions.d/codo.fish; do
  [ -s "/usr/share/$told" ] || leaves_out || fail "no /usr/share/$told"
done
say "installs into a fresh root without .NET, starts as codo, and runs commands as codo-run"

# The documents lead to nothing that the package does not have. A root that leaves documents out has none of them.
if [ -e /usr/share/doc/codo/README.md ]; then
  links=0
  while IFS=: read -r page target; do
    target=${target#*](} target=${target%)} target=${target%%#*}
    case $target in '' | *:* ) continue ;; esac
    links=$((links + 1))
    [ -e "$(dirname "$page")/$target" ] || fail "$page leads to $target, which the package does not have"
  done < <(grep -rHo --include='*.md' '][(][^)]*)' /usr/share/doc/codo)
  [ "$links" -gt 100 ] || fail "only $links links were found in the documents"
  say "has what its documents lead to ($links links)"
else
  leaves_out || fail "no documents"
fi

# An upgrade with a job under way, and settings that somebody has changed.
dpkg-query -W -f '${Conffiles}\n' codo | grep -q ' /etc/codo/appsettings.json ' || fail "the settings are no conffile"
sed -i 's|"DataDirectory"|"Cron": { "MaxParallel": 77 }, &|' /etc/codo/appsettings.json
old=$(main)
run=$(codo job run long)
apt install "/packages/$after"
is "$(dpkg-query -W -f '${Version}' codo)" "$(echo "$after" | cut -d_ -f2)" "the version"
[ "$(main)" != "$old" ] || fail "the host was not restarted"
is "$(codo job logs long --follow)" whole "the output of the job that ran over the upgrade"
codo job show long | grep -q success || fail "the ledger: $(codo job show long)"
grep -q '"MaxParallel": 77' /etc/codo/appsettings.json || fail "the upgrade overwrote the settings"
is "$(stat -c '%U:%G %a' /etc/codo/appsettings.json)" "root:codo 640" "the settings after the upgrade"
say "an upgrade drains: the job that ran has ended well ($run), and keeps the settings that were changed"

# A unit that a drop-in runs as root keeps its data; without the drop-in they are given to codo again.
systemctl stop codo.service
mkdir -p /etc/systemd/system/codo.service.d
printf '[Service]\nUser=root\n' >/etc/systemd/system/codo.service.d/root.conf
chown root /var/lib/codo
systemctl daemon-reload
systemctl start codo.service
is "$(owner_of_main)" root "the host's user under the drop-in"
apt install --reinstall "/packages/$after"
is "$(owner_of_main)" root "the host's user after an upgrade under the drop-in"
is "$(stat -c %U /var/lib/codo /var/lib/codo/postgres | tr '\n' ' ')" "root codo-db " "whose the data are after an upgrade under the drop-in"
systemctl stop codo.service
rm -r /etc/systemd/system/codo.service.d
apt install --reinstall "/packages/$after"
is "$(owner_of_main)" codo "the host's user without the drop-in"
is "$(find /var/lib/codo ! -user codo | wc -l)" 0 "files of others without the drop-in"
say "an upgrade leaves an installation whose unit runs as root by a drop-in alone"

# Removed and purged without an answer: the data stay.
main=$(main)
apt remove codo
! kill -0 "$main" 2>/dev/null || fail "the host runs on"
[ -d /var/lib/codo/postgres ] || fail "the data went with the package"
apt purge codo
[ -d /var/lib/codo/secrets ] || fail "a purge that nobody answered deleted the data"
grep -q 'stays: the database' /tmp/apt.log || fail "the purge says nothing of the data"
apt install "/packages/$after"
is "$(codo job run who --follow)" codo-run "a command after the package came back"
say "remove stops it, purge without an answer keeps the data, which the next install takes up"
echo 'codo codo/purge_data boolean true' | debconf-set-selections
apt purge codo
[ ! -e /var/lib/codo ] && [ ! -e /etc/codo ] || fail "purge left $(ls -d /var/lib/codo /etc/codo 2>/dev/null)"
say "purge with a yes deletes data and settings"

# An installation that was made by hand and ran as root, with the unit of before, as 0.1.0's documents had it: its settings are in a file of another name.
mkdir -p /etc/systemd/system /usr/local/bin
printf 'ASPNETCORE_URLS=http://127.0.0.1:%s\nCodo__AllowRunAs=root\n' "$port" >/etc/codo.env
chmod 600 /etc/codo.env
cat >/etc/systemd/system/codo.service <<'UNIT'
[Service]
ExecStart=/usr/local/bin/codo
EnvironmentFile=-/etc/codo.env
Environment=DOTNET_BUNDLE_EXTRACT_BASE_DIR=/var/cache/codo
Environment=Codo__Cron__MaxParallel=66 \
  Codo__MinFreeDisk=0
Environment=
CacheDirectory=codo
UNIT
dpkg-deb -x "/packages/$before" /tmp/before
cp /tmp/before/usr/bin/codo /usr/local/bin/codo
hash -r
env -i PATH="$PATH" HOME=/root Codo__AllowRunAs=root Codo__MinFreeDisk=0 ASPNETCORE_URLS="$CODO_URL" /usr/local/bin/codo \
  >/var/log/codo-test.log 2>&1 </dev/null &
byhand=$!
for _ in $(seq 300); do ! grep -q '^Codo is up' /var/log/codo-test.log || break; sleep 0.1; done
sign_in /usr/local/bin/codo
jobs <<'YAML'
kind: job
job_id: root
cmd: id -un
cron: 0 0 0 29 2 *
run_as: root
---
kind: job
job_id: who
cmd: id -un
cron: 0 0 0 29 2 *
YAML
is "$(codo job run root --follow)" root "a command of the installation that ran as root"
is "$(stat -c %U /var/lib/codo/postgres)" codo-db "its PostgreSQL's user"
! apt install "/packages/$after" 2>/dev/null || fail "it was installed under a host that runs"
grep -q 'Stop it, then install again' /tmp/apt.log || fail "the refusal does not say what to do"
kill -TERM $byhand
wait $byhand || true
rm /usr/local/bin/codo
hash -r
# PostgreSQL's log of changes lies elsewhere, beside what is not PostgreSQL's.
mv /var/lib/codo/postgres/pg_wal /srv/wal
ln -s /srv/wal /var/lib/codo/postgres/pg_wal
touch /srv/wal/of-root
apt install "/packages/$after"
is "$(owner_of_main)" codo "the host's user after the take-over"
is "$(find /var/lib/codo ! -user codo | wc -l)" 0 "files of others"
is "$(find /srv/wal ! -user codo)" /srv/wal/of-root "what codo did not get of the place that a link of PostgreSQL's leads to"
is "$(cat /var/lib/codo/ran-as)" root "the user of before, for what names nobody"
[ -e /etc/systemd/system/codo.service.before-package ] && [ ! -e /etc/systemd/system/codo.service ] || fail "the unit of before hides the package's"
# That it answers, here and below, is by the settings of /etc/codo.env.
is "$(tr -s ' \n' '  ' </etc/systemd/system/codo.service.d/before-package.conf)" \
  "[Service] EnvironmentFile=-/etc/codo.env Environment=Codo__Cron__MaxParallel=66 Codo__MinFreeDisk=0 EnvironmentFile=-/etc/codo/codo.env " \
  "the settings of the unit of before"
grep -q 'stay in force through /etc/systemd/system/codo.service.d/before-package.conf' /tmp/apt.log || fail "it does not say where the settings are"
sign_in as_host codo
is "$(codo job run root --follow)" root "a job of root's after the take-over"
is "$(codo job run who --follow)" codo-run "another job after the take-over"
is "$(codo job list -o name | sort | tr '\n' ' ')" "root who " "the jobs"
say "takes over an installation that ran as root: files, unit, settings, jobs and who they run as"

# One that had its data elsewhere does not start as an empty one, nor over files that it cannot open.
apt purge codo
mkdir /srv/elsewhere
printf '[Service]\nExecStart=/usr/local/bin/codo\nEnvironment="Codo__DataDirectory=/srv/elsewhere"\n' >/etc/systemd/system/codo.service
apt install "/packages/$after"
! /usr/bin/systemctl is-active codo.service || fail "it started beside its data"
grep -q 'not started: its data are in /srv/elsewhere,' /tmp/apt.log || fail "it does not say that the data lie elsewhere"
is "$(stat -c %U /srv/elsewhere)" root "whose the data elsewhere are"
say "does not start where the unit of before had its data in another place"

# Nor without the arguments and the file of settings that the unit of before had.
apt purge codo
rm -r /etc/systemd/system/codo.service.d
mkdir /srv/codo
echo '{}' >/srv/codo/appsettings.json
printf '[Service]\nWorkingDirectory=/srv/codo\nExecStart=/usr/local/bin/codo --Codo:DataDirectory=/srv/elsewhere\n' >/etc/systemd/system/codo.service
apt install "/packages/$after"
! /usr/bin/systemctl is-active codo.service || fail "it started without its arguments"
[ ! -e /etc/systemd/system/multi-user.target.wants/codo.service ] || fail "it would start with the machine without its arguments"
grep -q 'not started: the package does not take these settings along' /tmp/apt.log || fail "it does not say that settings are lost"
grep -qx 'ExecStart=/usr/local/bin/codo --Codo:DataDirectory=/srv/elsewhere' /tmp/apt.log || fail "it does not name the arguments"
grep -qx '/srv/codo/appsettings.json' /tmp/apt.log || fail "it does not name the file of settings"
say "does not start without the arguments and the file of settings of the unit of before"
