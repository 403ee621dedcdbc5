#!/usr/bin/env bash
# Makes dist/codo: the whole product as one file for linux-x64, with the runtime inside. ./publish.sh [DIRECTORY] puts it elsewhere.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
dist=$(mkdir -p "${1:-dist}" && cd "${1:-dist}" && pwd)
staging=$(mktemp -d)
trap 'rm -rf "$staging"' EXIT

export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1
# No trimming: Hangfire and Dapper find types by reflection. The analyser would put a package of the SDK's own version into the lock files.
dotnet publish Codo.Host -c Release -r linux-x64 --self-contained -v quiet -nodeReuse:false --artifacts-path "$staging/build" -o "$staging/out" \
  -p:PublishSingleFile=true -p:IncludeNativeLibrariesForSelfExtract=true -p:EnableSingleFileAnalyzer=false -p:UseSharedCompilation=false \
  -p:DebugType=none -p:PublishDocumentationFiles=false -p:PublishReferencesDocumentationFiles=false </dev/null
# Left out on purpose is the list for MapStaticAssets, which does not work from within one file.
rest=$(find "$staging/out" -type f ! -name codo ! -name '*.staticwebassets.endpoints.json')
if [ -n "$rest" ]; then
  echo "These files did not go into the one file: $rest" >&2
  exit 1
fi
mv -f "$staging/out/codo" "$dist/codo"
echo "$dist/codo"
