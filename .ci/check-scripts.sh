#!/usr/bin/env bash
# Refuses long lines of shell, then type-checks the console's ES modules by what TypeScript infers and by their JSDoc. Says in one line why it does not,
# where there is no tsc. Long lines of the modules themselves are the build's to refuse (Directory.Build.targets).
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
printf '%s\n' ./*.sh .ci/* deploy/*.sh deploy/debian/p* deploy/test/*.sh deploy/test/systemctl | bash .ci/line-length.sh
if ! command -v tsc >/dev/null || ! tsc --version >/dev/null 2>&1; then
  echo "The console's scripts are not type-checked: there is no tsc (Debian: node-typescript)."
  exit 0
fi
tsc -p jsconfig.json
echo "The console's scripts are type-checked by tsc $(tsc --version | grep -o '[0-9.]*')."
