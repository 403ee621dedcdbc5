#!/usr/bin/env bash
# Upgrades a cluster one node at a time with binaries of three versions, which it builds: this source as it is, and twice with a higher version and one
# more migration.
# Two hosts on one PostgreSQL run jobs every second; none is lost and none runs twice. Takes minutes and the .NET SDK, so CI does not run it:
# deploy/test-upgrade.sh
# CODO_OLD=dist/codo-linux-x64 takes the binary of a release as the oldest one; CODO_BUILDS=DIRECTORY keeps the builds for the next time.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
postgres=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
staging=$(mktemp -d)
chmod 755 "$staging"
declare -A pids=() urls=()
stop_all() {
  for pid in "${pids[@]}"; do kill -CONT "$pid" 2>/dev/null && kill -TERM "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  [ ! -e "$staging/cluster/postmaster.pid" ] || kill -INT "$(head -n 1 "$staging/cluster/postmaster.pid")" || true
  wait 2>/dev/null || true
  rm -rf "$staging"
}
trap stop_all EXIT
say() { echo "ok: $*"; }
fail() { echo "FAILED: $*" >&2; tail -n 15 "$staging"/*.log >&2 || true; exit 1; }
is() { [ "$1" = "$2" ] || fail "$3: '$1', not '$2'"; }
# until_true SECONDS WHAT COMMAND…: waits until the command succeeds.
until_true() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do [ $SECONDS -lt $deadline ] || fail "not in time: $what"; sleep 0.3; done
}

# build NAME VERSION: with the migrations of $staging/sql. The version is the assemblies' alone, so that no lock file changes.
build() {
  [ ! -e "$builds/$1/codo" ] || return 0
  echo "Building $2 …" >&2
  dotnet build Codo.Host -c Release -v quiet -nodeReuse:false --artifacts-path "$staging/build" \
    -p:RunAnalyzers=false -p:UseSharedCompilation=false -clp:NoSummary \
    -p:AssemblyVersion="$2.0" -p:FileVersion="$2.0" -p:InformationalVersion="$2" \
    -p:CustomAfterMicrosoftCommonTargets="$PWD/deploy/test/upgrade.targets" -p:UpgradeMigrations="$staging/sql" \
    </dev/null >"$staging/build.log" 2>&1 || fail "the build of $2"
  cp -r "$staging/build/bin/Codo.Host/release" "$builds/$1"
}
version=$(sed -n 's|.*<Version>\(.*\)</Version>.*|\1|p' Directory.Build.props)
IFS=. read -r major minor _ <<<"$version"
next=$major.$((minor + 1)).0 after=$major.$((minor + 2)).0
builds=${CODO_BUILDS:-$staging/builds}
mkdir -p "$staging/sql" "$builds"
builds=$(readlink -f "$builds")
if [ -n "${CODO_OLD:-}" ]; then
  install -D "$CODO_OLD" "$builds/old/codo"
else
  build old "$version"
fi
printf -- '-- runs beside: %s\nALTER TABLE cron.job ADD COLUMN upgrade_test int NOT NULL DEFAULT 1;\n' "$version" >"$staging/sql/9998-next.sql"
build next "$next"
printf -- '-- runs beside: %s\nCREATE TABLE platform.upgrade_test ();\n' "$next" >"$staging/sql/9999-after.sql"
build after "$after"
# A host refuses settings that happen to lie where it is started.
cd /
export DOTNET_ROOT=${DOTNET_ROOT:-$(dirname "$(readlink -f "$(command -v dotnet)")")}

# One PostgreSQL for all, as a server somewhere is.
as_postgres() { if [ "$(id -u)" -eq 0 ]; then setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; else "$@"; fi; }
install -d -m 700 "$staging/cluster"
[ "$(id -u)" -ne 0 ] || chown postgres: "$staging/cluster"
as_postgres "$postgres/initdb" -D "$staging/cluster" -U codo -A trust -E UTF8 --locale=C.UTF-8 --no-sync --no-instructions >"$staging/postgres.log" 2>&1
as_postgres "$postgres/postgres" -D "$staging/cluster" -k "$staging/cluster" -c listen_addresses= -c fsync=off -c max_connections=200 \
  >>"$staging/postgres.log" 2>&1 </dev/null &
sql() { psql -XAtq -h "$staging/cluster" -U codo -d "${2:-codo}" -c "$1"; }
ready() { sql 'SELECT 1' postgres >/dev/null 2>&1; }
until_true 20 "PostgreSQL answers" ready
sql 'CREATE DATABASE codo' postgres

# Settings that the nodes of a cluster share.
me=$(id -un) base=$((20000 + RANDOM % 10000))
export ConnectionStrings__Postgres="Host=$staging/cluster;Username=codo;Database=codo" Codo__MinFreeDisk=0 Codo__RunAs=$me Codo__AllowRunAs=$me
export Codo__MasterKey=upgrade-test-master-key-of-more-than-32-bytes Codo__Auth__TokenSecret=upgrade-test-token-secret-of-more-than-32-bytes
# start NODE BINARY: in the background.
start() {
  local port=$((base + $(printf %d "'$1") % 100))
  mkdir -p "$staging/data-$1"
  : >"$staging/$1.log"
  Codo__NodeName=$1 Codo__DataDirectory="$staging/data-$1" ASPNETCORE_URLS="http://127.0.0.1:$port" LANG=C.UTF-8 "$builds/$2/codo" \
    >"$staging/$1.log" 2>&1 </dev/null &
  pids[$1]=$!
  urls[$1]=http://127.0.0.1:$port
}
is_up() { kill -0 "${pids[$1]}" 2>/dev/null || fail "$1 ended"; grep -q '^Codo is up' "$staging/$1.log"; }
# ends NODE CODE: it ends by itself, with that exit code.
ends() {
  local code=0
  until_true 60 "$1 ends" eval "! kill -0 ${pids[$1]} 2>/dev/null"
  wait "${pids[$1]}" || code=$?
  unset "pids[$1]"
  is "$code" "$2" "the exit code of $1"
}
ran_on() {
  [ "$(sql "SELECT count(*) FROM cron.cron_log l JOIN cron.attempt a USING (log_id)
    WHERE a.node = '$1' AND l.status = 'success' AND l.nominal_at > '$2'")" -gt 3 ]
}
now() { sql 'SELECT clock_timestamp()'; }

start a old
until_true 60 "a is up" is_up a
export CODO_URL=${urls[a]}
CODO_TOKEN=$(Codo__DataDirectory=$staging/data-a "$builds/old/codo" token --user admin --superuser | tail -n 1)
export CODO_TOKEN
mkdir -p "$staging/files/jobs" "$staging/ran"
for job in 1 2 3 4 5; do
  printf 'kind: job\njob_id: j%s\ncmd: echo $CODO_NOMINAL_TIME >>%s/j%s\ncron: "* * * * * *"\noverlap: allow\n---\n' $job "$staging/ran" $job
done >"$staging/files/jobs/all.yaml"
"$builds/old/codo" apply "$staging/files" --yes >/dev/null 2>&1
until_true 20 "a runs jobs" ran_on a 2000-01-01
say "$version runs five jobs every second"

start b next
until_true 60 "b is up" is_up b
is "$(sql 'SELECT min(upgrade_test) FROM cron.job')" 1 "the schema of $next"
is "$(sql "SELECT string_agg(name || ' ' || version, ', ' ORDER BY name) FROM platform.node WHERE stopped_at IS NULL")" "a $version, b $next" "the nodes"
since=$(now)
until_true 30 "a runs jobs beside b" ran_on a "$since"
until_true 30 "b runs jobs beside a" ran_on b "$since"
say "$next migrates while $version runs, and both run jobs"

start c after
ends c 2
grep -q "Older nodes run: a ($version). Codo.Platform.Data.Migrations.9999-after.sql does not go with versions before $next: stop these nodes first" \
  "$staging/c.log" || fail "what c says"
is "$(sql "SELECT to_regclass('platform.upgrade_test') IS NULL")" t "the schema after the refusal"
say "$after, which does not go with $version, names the node and changes nothing"

export CODO_URL=${urls[b]}
codo() { "$builds/next/codo" "$@" >/dev/null; }
codo node drain a
kill -TERM "${pids[a]}"
ends a 0
since=$(now)
until_true 30 "b runs jobs alone" ran_on b "$since"
say "$version is drained and stopped, $next goes on"

codo node undrain a
start a old
until_true 60 "a is up again" is_up a
grep -q "The schema is a newer version's" "$staging/a.log" || fail "the start of a on the newer schema"
since=$(now)
until_true 30 "a runs jobs on the newer schema" ran_on a "$since"
say "$version starts again on the schema of $next"

# As a machine that is suspended, with nothing under way: the node is dead for the others, and knows nothing of it.
codo node drain a
idle_on() { [ "$(sql "SELECT count(*) FROM cron.attempt WHERE node = '$1' AND ended_at IS NULL")" = 0 ]; }
until_true 30 "a is idle" idle_on a
kill -STOP "${pids[a]}"
codo node undrain a
start c after
until_true 90 "c is up" is_up c
since=$(now)
kill -CONT "${pids[a]}"
ends a 2
grep -q "it has Codo.Platform.Data.Migrations.9999-after.sql, beside which $next or newer runs" "$staging/a.log" || fail "what a says"
start a old
ends a 2
grep -q "beside which $next or newer runs" "$staging/a.log" || fail "what a says at its start"
until_true 30 "b runs jobs beside c" ran_on b "$since"
until_true 30 "c runs jobs" ran_on c "$since"
is "$(sql "SELECT count(*) FROM cron.attempt WHERE node = 'a' AND nominal_at > '$since'")" 0 "runs of a after the migration"
say "$version that slept over a migration that it does not go with ends with a sentence, and does not start again"

for job in 1 2 3 4 5; do codo job pause j$job; done
idle() { [ "$(sql "SELECT count(*) FROM cron.cron_log WHERE status IN ('queued', 'running')")" = 0 ]; }
until_true 60 "nothing runs" idle
is "$(sql "SELECT count(*) FROM (
    SELECT job_id, generate_series(min(nominal_at), max(nominal_until), interval '1 second') AS due FROM cron.cron_log GROUP BY job_id) d
  WHERE NOT EXISTS (SELECT FROM cron.cron_log l WHERE l.job_id = d.job_id AND d.due BETWEEN l.nominal_at AND l.nominal_until)")" 0 "due times without a row"
is "$(sql "SELECT status || ' ' || cause_en, sum(times) FROM cron.cron_log WHERE status <> 'success' GROUP BY 1")" "" "what did not run"
for job in 1 2 3 4 5; do
  is "$(sort "$staging/ran/j$job" | uniq -d)" "" "what ran twice of j$job"
  is "$(wc -l <"$staging/ran/j$job")" "$(sql "SELECT count(*) FROM cron.cron_log WHERE job_id = 'j$job' AND status = 'success'")" "runs of j$job"
done
say "$(sql 'SELECT count(*) FROM cron.cron_log') runs in $(
  sql 'SELECT date_trunc($$second$$, max(nominal_at) - min(nominal_at)) FROM cron.cron_log'): none lost, none twice"
echo "The upgrade is good."
