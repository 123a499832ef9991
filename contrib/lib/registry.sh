# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Debian's docker-registry on loopback, on a port that the kernel chooses, with its data in a directory
# of the caller's. Images are pushed with curl: what skopeo remembers of them would be left behind.
# Needs ui.sh and process.sh.

registry_pid='' registry_address=''

# Runs in a session of its own: it may have to outlive the terminal.
registry_start() {
  local dir=$1
  mkdir -p "$dir/data"
  cat >"$dir/config.yml" <<YAML
version: 0.1
log:
  level: info
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: $dir/data
  delete:
    enabled: true
http:
  addr: 127.0.0.1:0
YAML
  setsid docker-registry serve "$dir/config.yml" >"$dir/log" 2>&1 </dev/null &
  registry_pid=$!
  if ! wait_until 20 registry_listens "$dir/log"; then
    bad "docker-registry did not start; its last words:"
    tail -5 "$dir/log" >&2
    return 1
  fi
}

# It logs the address that it was given.
registry_listens() {
  registry_address=$(sed -n 's/.*listening on \(127\.0\.0\.1:[0-9]*\).*/\1/p' "$1" | head -1)
  [[ -n $registry_address ]]
}

registry_stop() {
  [[ -z $registry_pid ]] || end_process "$registry_pid"
  registry_pid=''
}

# registry_push OCI_LAYOUT NAME TAG: 127.0.0.1:PORT/NAME:TAG
registry_push() {
  local layout=$1 name=$2 tag=$3 manifest digest
  manifest=$(jq -er '.manifests[0].digest' "$layout/index.json")
  while IFS= read -r digest; do
    registry_put_blob "$name" "$digest" "$layout/blobs/${digest/://}"
  done < <(jq -er '.config.digest, .layers[].digest' "$layout/blobs/${manifest/://}")
  registry_curl -X PUT -H 'Content-Type: application/vnd.oci.image.manifest.v1+json' \
    --data-binary "@$layout/blobs/${manifest/://}" \
    "http://$registry_address/v2/$name/manifests/$tag"
}

registry_put_blob() {
  local name=$1 digest=$2 file=$3 location
  location=$(registry_curl -X POST -D - "http://$registry_address/v2/$name/blobs/uploads/" |
    sed -n 's/\r$//; s/^[Ll]ocation: //p')
  registry_curl -X PUT -H 'Content-Type: application/octet-stream' --data-binary "@$file" \
    "$location&digest=$digest"
}

registry_curl() { curl -fsS --noproxy '*' "$@"; }
