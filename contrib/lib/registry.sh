# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Debian's docker-registry on loopback, on a port that the kernel chooses, with its data in a directory
# of the caller's. Needs ui.sh and process.sh.

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

# registry_push OCI_LAYOUT NAME: 127.0.0.1:PORT/NAME
registry_push() {
  skopeo copy --quiet --insecure-policy --dest-tls-verify=false \
    "oci:$1" "docker://$registry_address/$2"
}
