#!/usr/bin/env bash
# Makes dist/codo: the whole product as one file for linux-x64, with the runtime inside; codo.cdx.json, what it is made of (CycloneDX), and SHA256SUMS. ./publish.sh [DIRECTORY] puts them elsewhere.
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

# What went in, by the very restore that the file was made of: packages with versions and hashes. The tool does not know of the two packs of the runtime, which the SDK brings.
dotnet tool restore >/dev/null </dev/null
dotnet tool run dotnet-CycloneDX Codo.Host/Codo.Host.csproj --output "$staging" --filename codo.cdx.json --output-format Json --spec-version 1.6 --base-intermediate-output-path "$staging/build/obj" \
  --disable-package-restore --exclude-dev --set-name codo --set-version "$("$staging/out/codo" --version | cut -d+ -f1)" --set-type Application >"$staging/cyclonedx.log" </dev/null || { cat "$staging/cyclonedx.log" >&2; exit 1; }
packages=${NUGET_PACKAGES:-$HOME/.nuget/packages}
packs=
while read -r name version; do
  folder=$packages/${name,,}/$version
  hash=$(base64 -d "$folder/${name,,}.$version.nupkg.sha512" | od -An -v -tx1 | tr -d ' \n')
  purl=pkg:nuget/$name@$version
  packs+="{\"type\": \"framework\", \"bom-ref\": \"$purl\", \"name\": \"$name\", \"version\": \"$version\", \"scope\": \"required\", \"hashes\": [{\"alg\": \"SHA-512\", \"content\": \"${hash^^}\"}], \"licenses\": [{\"license\": {\"id\": \"MIT\"}}], \"purl\": \"$purl\"}, "
done < <(grep -A1 -E '"name": "Microsoft\.(NETCore|AspNetCore)\.App\.Runtime\.linux-x64"' "$staging/build/obj/Codo.Host/project.assets.json" | sed -n 's/.*"name": "\(.*\)",/\1/p; s/.*"version": "\[\([^,]*\),.*/\1/p' | paste -d' ' - -)
sed -i "s|^  \"components\": \[\$|&\n    $packs|" "$staging/codo.cdx.json"

mv -f "$staging/out/codo" "$staging/codo.cdx.json" "$dist/"
(cd "$dist" && sha256sum codo codo.cdx.json >SHA256SUMS)
echo "$dist/codo"
