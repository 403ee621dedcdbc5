#!/usr/bin/env bash
# Checks an image that ./publish.sh --oci has made, and starts it in a chroot: as codo, with its state in a volume that the next container takes up;
# then as root.
# As root: deploy/test-image.sh [dist/codo-oci]. It is no container: no runtime of containers, no network and no limits of its own.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
[ "$(id -u)" -eq 0 ] || { echo "This needs root." >&2; exit 2; }
cd "${1:-$here/../dist/codo-oci}"
. "$here/root.sh"
staging=$(mktemp -d)
trap 'rm -rf --one-file-system "$staging"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }
is() { [ "$1" = "$2" ] || fail "$3: '$1', not '$2'"; }
say() { echo "ok: $*"; }

for blob in blobs/sha256/*; do is "$(sha256sum "$blob" | cut -d' ' -f1)" "$(basename "$blob")" "a blob's digest"; done
digests() { grep -o '"digest": "sha256:[0-9a-f]*"' "$1" | cut -d: -f3 | tr -d '"'; }
manifest=blobs/sha256/$(digests index.json)
# The configuration is the first; the layers follow in their order.
config=blobs/sha256/$(digests "$manifest" | head -n 1)
layers=$(digests "$manifest" | tail -n +2)
is "$(for layer in $layers; do gzip -dc "blobs/sha256/$layer" | sha256sum | cut -d' ' -f1; done | tr '\n' ' ')" \
  "$(grep -o '"diff_ids": \[[^]]*' "$config" | grep -o 'sha256:[0-9a-f]*' | cut -d: -f2 | tr '\n' ' ')" "the layers' contents"
is "$(find blobs -type f | wc -l)" "$(($(wc -w <<<"$layers") + 2))" "blobs"
user=$(grep -o '"User": "[0-9:]*"' "$config" | cut -d'"' -f4)
mapfile -t environment < <(sed -n '/^"Env"/,/^\]/s/^"\(.*\)",\{0,1\}$/\1/p' "$config")
say "the blobs are what their names say: $(du -shL . | cut -f1), $(wc -w <<<"$layers") layers"

# container: a fresh root of the image.
container() {
  local layer
  rm -rf --one-file-system "$staging/root"
  mkdir "$staging/root"
  for layer in $layers; do tar -C "$staging/root" -xpzf "blobs/sha256/$layer"; done
}
# run USER:GROUP VOLUME SCRIPT: as a container runtime starts it; the capabilities of root are those that Docker leaves it.
run() {
  local caps=-all
  [ "$1" != 0:0 ] || caps=-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+net_bind_service,+sys_chroot,+mknod,+audit_write,+setfcap
  mount --bind "$2" "$staging/root/var/lib/codo"
  in_root "$staging/root" setpriv --reuid="${1%:*}" --regid="${1#*:}" --clear-groups --inh-caps=-all --bounding-set="$caps" \
    env -i "${environment[@]}" HOME=/var/lib/codo Codo__MinFreeDisk=0 ASPNETCORE_URLS="http://127.0.0.1:$port" port="$port" bash -ec '
    fail() { echo "FAILED: $*" >&2; cat /tmp/log >&2; exit 1; }
    is() { [ "$1" = "$2" ] || fail "$3: $1, not $2"; }
    # As the image starts it; a chroot has no process 1 of its own.
    /usr/bin/tini -s -- /usr/bin/codo >/tmp/log 2>&1 </dev/null & main=$!
    for _ in $(seq 600); do ! grep -qs "^Codo is up" /tmp/log && kill -0 $main 2>/dev/null || break; sleep 0.1; done
    answer() { exec 3<>"/dev/tcp/127.0.0.1/$port" && printf "GET $1 HTTP/1.0\r\n\r\n" >&3 && head -n 1 <&3 | tr -d "\r"; }
    is "$(answer /healthz/ready)" "HTTP/1.1 200 OK" /healthz/ready
    export CODO_URL=http://127.0.0.1:$port CODO_CONFIG_DIR=/tmp/login CODO_TOKEN
    CODO_TOKEN=$(codo token --user admin --superuser | tail -n 1)
    '"$3"'
    kill -TERM $main
    wait $main || fail "it ended with $?"' </dev/null || { umount "$staging/root/var/lib/codo"; exit 1; }
  umount "$staging/root/var/lib/codo"
}
port=$((20000 + RANDOM % 10000))

container
is "$(stat -c '%u:%g %a' "$staging/root/var/cache/codo" "$staging/root/var/lib/codo" | sort -u)" "$user 700" "the directories that codo writes to"
[ ! -e "$staging/root/var/lib/codo/ran-as" ] || fail "the image says that commands ran as somebody before"
[ ! -e "$staging/root/etc/ssl/private/ssl-cert-snakeoil.key" ] && [ ! -e "$staging/root/etc/apt/sources.list" ] || fail "a key or a package source in the image"
# A volume that is new has the owner and mode of the directory in the image.
volume=$staging/volume
install -d -m 700 -o "${user%:*}" -g "${user#*:}" "$volume"
run "$user" "$volume" '
  is "$(id -un)" codo "the user of the image"
  mkdir -p /tmp/files/jobs
  printf "kind: job\njob_id: who\ncmd: id -un\ncron: 0 0 0 29 2 *\n" >/tmp/files/jobs/who.yaml
  codo apply /tmp/files --yes >/dev/null 2>&1
  is "$(codo job run who --follow)" codo "the user of a command"'
say "starts as codo without a capability, is ready, runs a command, stops"
container
run "$user" "$volume" '
  is "$(codo job list -o name)" who "the jobs of the container before"
  codo job show who | grep -q success || fail "the ledger of the container before"'
say "its state is in the volume: a new container goes on with it"

container
install -d -m 700 -o "${user%:*}" -g "${user#*:}" "$staging/rootly"
run 0:0 "$staging/rootly" '
  mkdir -p /tmp/files/jobs
  printf "kind: job\njob_id: who\ncmd: id -un\ncron: 0 0 0 29 2 *\n" >/tmp/files/jobs/who.yaml
  codo apply /tmp/files --yes >/dev/null 2>&1
  is "$(codo job run who --follow)" codo-run "the user of a command under a host that is root"'
say "starts as root, and commands run as codo-run"
echo "The image is good."
