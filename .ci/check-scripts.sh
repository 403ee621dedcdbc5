#!/usr/bin/env bash
# Type-checks the console's ES modules by what TypeScript infers and by their JSDoc. Says in one line why it does not, where there is no tsc.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
if ! command -v tsc >/dev/null || ! tsc --version >/dev/null 2>&1; then
  echo "The console's scripts are not type-checked: there is no tsc (Debian: node-typescript)."
  exit 0
fi
tsc -p jsconfig.json
echo "The console's scripts are type-checked by tsc $(tsc --version | grep -o '[0-9.]*')."
