#!/usr/bin/env bash
# Installs what the tests need, builds and runs them. Arguments go to the runner: ./test.sh --filter-class '*MigratorTests'
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
. .ci/packages.sh

missing=()
has_postgres || missing+=(postgresql)
for pair in redis-server:redis-server sshd:openssh-server ssh:openssh-client dropbear:dropbear-bin zsh:zsh tcsh:tcsh fish:fish ksh:ksh93u+m \
  python3:python3 chromium:chromium setpriv:util-linux systemd-analyze:systemd promtool:prometheus; do
  PATH=$PATH:/usr/sbin command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
done
# For tests that only root can run.
[ "$(id -u)" -ne 0 ] || command -v sudo >/dev/null || missing+=(sudo)
[ -e /usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc ] || missing+=(fonts-noto-cjk)
[ -e /usr/share/zoneinfo/UTC ] || missing+=(tzdata)
ls /usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1 || missing+=(faketime)
PATH=$PATH:/usr/sbin command -v zic >/dev/null || missing+=(libc-bin)
install_missing "${missing[@]}"

export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1
dotnet build Codo.sln -v quiet -clp:NoSummary </dev/null
rm -f TestResults/codo.ctrf.json
exec dotnet Codo.Tests/bin/Debug/net10.0/Codo.Tests.dll --results-directory TestResults --report-xunit-ctrf --report-xunit-ctrf-filename codo.ctrf.json \
  "$@" </dev/null
