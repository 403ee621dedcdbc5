#!/usr/bin/env bash
# Makes dist/codo-linux-x64 and dist/codo-linux-arm64: the whole product as one file for each, with the runtime inside and the code compiled for the
# processor; .cdx.json beside each, what it is made of (CycloneDX); and SHA256SUMS. dist/codo is a link to the one for this machine.
#   ./publish.sh [--arch x64|arm64|all] [--deb] [--oci] [--quick] [DIRECTORY]
# --deb makes a package of each (deploy/package.sh), --oci a container image for this machine's processor (deploy/image.sh). --quick leaves the compiling
# to each start, which takes twice as long then: for tests.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
usage() { sed -n '4s/^# *//p' publish.sh >&2; exit 2; }
architectures=(x64 arm64) deb= oci= ahead=true dist=dist
while [ $# -gt 0 ]; do
  case $1 in
    --arch) case ${2:-} in x64 | arm64) architectures=("$2") ;; all) ;; *) usage ;; esac; shift ;;
    --deb) deb=1 ;;
    --oci) oci=1 ;;
    --quick) ahead=false ;;
    -*) usage ;;
    *) dist=$1 ;;
  esac
  shift
done
dist=$(mkdir -p "$dist" && cd "$dist" && pwd)
staging=$(mktemp -d)
trap 'rm -rf "$staging"' EXIT

export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1
version=$(sed -n 's|.*<Version>\(.*\)</Version>.*|\1|p' Directory.Build.props)
packages=${NUGET_PACKAGES:-$HOME/.nuget/packages}
made=()

# one_file ARCH
one_file() {
  local rid=linux-$1 out=$staging/out-$1 rest
  # No trimming: Hangfire and Dapper find types by reflection. The analyser would put a package of the SDK's own version into the lock files. No
  # composite: one image of all assemblies takes a compiler more than 8 minutes.
  # Code that was compiled ahead is optimised; what is left (generics across assemblies) may begin unoptimised, else it costs each start a third of a second.
  if ! dotnet publish Codo.Host -c Release -r "$rid" --self-contained -v quiet -nodeReuse:false --artifacts-path "$staging/build" -o "$out" \
    -p:RunAnalyzers=false -p:PublishSingleFile=true -p:PublishReadyToRun=$ahead -p:PublishReadyToRunComposite=false \
    -p:TieredCompilationQuickJit=$ahead -p:TieredPGO=false -p:IncludeNativeLibrariesForSelfExtract=true \
    -p:EnableSingleFileAnalyzer=false -p:UseSharedCompilation=false \
    -p:DebugType=none -p:PublishDocumentationFiles=false -p:PublishReferencesDocumentationFiles=false </dev/null >"$staging/publish.log" 2>&1; then
    cat "$staging/publish.log" >&2
    if grep -qE 'NU110[0-9].*(Runtime|Host|Crossgen2)\.' "$staging/publish.log"; then
      echo "codo-$rid was not made: the packages above hold the runtime for $rid or its compiler, and the package source does not have them." >&2
    fi
    exit 1
  fi
  # Left out on purpose is the list for MapStaticAssets, which does not work from within one file.
  rest=$(find "$out" -type f ! -name codo ! -name '*.staticwebassets.endpoints.json')
  if [ -n "$rest" ]; then
    echo "These files did not go into the one file: $rest" >&2
    exit 1
  fi
}

# bill ARCH: what went in, by the very restore that the file was made of: packages with versions and hashes. The tool does not know of the two packs of
# the runtime, which the SDK brings.
bill() {
  local rid=linux-$1 bill=codo-linux-$1.cdx.json packs= name version_of folder hash purl
  dotnet tool run dotnet-CycloneDX Codo.Host/Codo.Host.csproj --output "$staging" --filename "$bill" --output-format Json --spec-version 1.6 \
    --base-intermediate-output-path "$staging/build/obj" --disable-package-restore --exclude-dev \
    --set-name codo --set-version "$version" --set-type Application \
    >"$staging/cyclonedx.log" </dev/null || { cat "$staging/cyclonedx.log" >&2; exit 1; }
  while read -r name version_of; do
    folder=$packages/${name,,}/$version_of
    hash=$(base64 -d "$folder/${name,,}.$version_of.nupkg.sha512" | od -An -v -tx1 | tr -d ' \n')
    purl=pkg:nuget/$name@$version_of
    packs+="{\"type\": \"framework\", \"bom-ref\": \"$purl\", \"name\": \"$name\", \"version\": \"$version_of\", \"scope\": \"required\", "
    packs+="\"hashes\": [{\"alg\": \"SHA-512\", \"content\": \"${hash^^}\"}], \"licenses\": [{\"license\": {\"id\": \"MIT\"}}], \"purl\": \"$purl\"}, "
  done < <(grep -A1 -E "\"name\": \"Microsoft\\.(NETCore|AspNetCore)\\.App\\.Runtime\\.$rid\"" "$staging/build/obj/Codo.Host/project.assets.json" |
    sed -n 's/.*"name": "\(.*\)",/\1/p; s/.*"version": "\[\([^,]*\),.*/\1/p' | paste -d' ' - -)
  sed -i "s|^  \"components\": \[\$|&\n    $packs|" "$staging/$bill"
}

dotnet tool restore >/dev/null </dev/null
for architecture in "${architectures[@]}"; do
  one_file "$architecture"
  bill "$architecture"
  name=codo-linux-$architecture
  mv -f "$staging/out-$architecture/codo" "$dist/$name"
  mv -f "$staging/$name.cdx.json" "$dist/"
  made+=("$name" "$name.cdx.json")
done
# After both: what an architecture's package is made of, the next one's build does not touch.
for architecture in "${architectures[@]}"; do
  [ -z "$deb" ] || made+=("$(deploy/package.sh "$dist/codo-linux-$architecture" "$architecture" "$dist")")
done

case $(uname -m) in aarch64) own=arm64 ;; *) own=x64 ;; esac
if [ -n "$oci" ]; then
  case " ${architectures[*]} " in
    *" $own "*)
      deploy/image.sh "$dist/codo-linux-$own" "$own" "$dist/codo-oci" >/dev/null
      # It names all that the image is made of, by digest.
      made+=(codo-oci/index.json)
      ;;
    *) echo "No image: $own is not among what was made." >&2 ;;
  esac
fi
[ ! -e "$dist/codo-linux-$own" ] || ln -sfn "codo-linux-$own" "$dist/codo"
(cd "$dist" && sha256sum "${made[@]}" >SHA256SUMS)
printf '%s\n' "${made[@]/#/$dist/}"
