# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154  # variables of the files named
#
# What is tested in the machine of test/vm beside the test programs: Davit as its systemd unit, and a
# power cut. Sourced by guest. Needs $build, $source, $logs and say.

for part in ui process registry; do
  # shellcheck source=/dev/null
  . "$vm/source/contrib/lib/$part.sh"
done

# expect NAME COMMAND ...: one case. What the command says of a failure is in the logs.
expect() {
  local name=$1
  shift
  if "$@" >>"$logs/$name.log" 2>&1; then
    say "case $name passed"
  else
    say "case $name failed $*: $(tail -1 "$logs/$name.log")"
  fi
}

# As README.md says, but for the configuration's one line.
install_davit() {
  local manager=$1
  mkdir -p /usr/local/sbin /usr/local/libexec/davit /etc/davit
  install "$build/server/davit" /usr/local/sbin/
  install "$build/conmon/davit-conmon" "$build/storage/davit-unpack" /usr/local/sbin/
  install -m 644 "$source/contrib/systemd/davit.service" /etc/systemd/system/
  printf 'runtime:\n  cgroup_manager: %s\n' "$manager" >/etc/davit/davit.yaml
  systemctl daemon-reload
}

fill_registry() {
  "$build/test/images/davit-make-images" --out /var/tmp/images --name busybox >/dev/null || return 1
  [[ -n $registry_pid ]] || registry_start /var/tmp/registry || return 1
  registry_push /var/tmp/images/busybox davit/busybox latest
}

in_container() { [[ $(davit exec sleeper "${@:2}") == "$1" ]]; }
pid_of() { davit -o json inspect sleeper | jq -er '[.. | .pid? | numbers][0]'; }

cgroup_is_right() {
  local cgroup
  cgroup=$(sed 's/^0:://' "/proc/$(pid_of)/cgroup")
  echo "$cgroup"
  case $1 in
    systemd) [[ $cgroup =~ ^/davit\.slice/davit-pod[0-9a-f]+\.slice/davit-[0-9a-f]+\.scope(/container)?$ ]] ;;
    cgroupfs) [[ $cgroup =~ ^/davit/pod[0-9a-f]+/[0-9a-f]+$ ]] ;;
  esac
}

same_after_restart() {
  local before
  before=$(pid_of) || return 1
  systemctl restart davit || return 1
  [[ $(pid_of) == "$before" ]] && davit exec sleeper true
}

nothing_left() {
  local left
  left=$(
    find /sys/fs/cgroup -type d -path '*davit*pod*'
    systemctl list-units --all --plain --no-legend 'davit-*.scope' 'davit-pod*.slice'
    find /run/davit/containers /run/davit/sandboxes -mindepth 1 -maxdepth 1
    pgrep -a davit-conmon
  )
  echo "$left"
  [[ -z $left ]]
}

scenario_boot() {
  local manager image
  for manager in cgroupfs systemd; do
    install_davit "$manager"
    expect "boot-$manager-start" systemctl start davit
    expect "boot-$manager-registry" fill_registry
    image=$registry_address/davit/busybox
    expect "boot-$manager-pull" davit pull "$image"
    expect "boot-$manager-run" davit run --detach --name sleeper "$image" sleep 10000
    expect "boot-$manager-cgroup" cgroup_is_right "$manager"
    expect "boot-$manager-apparmor" in_container 'davit-default (enforce)' cat /proc/self/attr/current
    expect "boot-$manager-own-cgroup-only" in_container '0::/' cat /proc/self/cgroup
    expect "boot-$manager-restart" same_after_restart
    expect "boot-$manager-remove" bash -c 'davit rm --force $(davit pods -q)'
    expect "boot-$manager-nothing-left" nothing_left
    expect "boot-$manager-stop" systemctl stop davit
  done
  registry_stop
}

# Layers of files that do not shrink, many and few.
make_image() {
  local dir=$1 layer digest diff_id layers='[]' diff_ids='[]' tree=/var/tmp/tree n
  mkdir -p "$dir/blobs/sha256"
  add_blob() {
    digest=$(sha256sum "$1" | cut -d' ' -f1)
    mv "$1" "$dir/blobs/sha256/$digest"
  }
  for layer in 1 2 3 4; do
    rm -rf "$tree" && mkdir -p "$tree/layer$layer"
    head -c 3000000 /dev/urandom >"$tree/layer$layer/large"
    for n in {1..200}; do head -c 2000 /dev/urandom >"$tree/layer$layer/$n"; done
    tar -C "$tree" -cf /var/tmp/layer.tar "layer$layer"
    diff_id=$(sha256sum /var/tmp/layer.tar | cut -d' ' -f1)
    gzip -1 -f /var/tmp/layer.tar
    add_blob /var/tmp/layer.tar.gz
    diff_ids=$(jq -c --arg d "sha256:$diff_id" '. + [$d]' <<<"$diff_ids")
    layers=$(jq -c --arg d "sha256:$digest" --argjson s "$(stat -c %s "$dir/blobs/sha256/$digest")" \
      '. + [{mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest: $d, size: $s}]' <<<"$layers")
  done
  jq -n --argjson d "$diff_ids" '{architecture: "amd64", os: "linux", config: {},
    rootfs: {type: "layers", diff_ids: $d}}' >/var/tmp/config
  add_blob /var/tmp/config
  jq -n --arg d "sha256:$digest" --argjson s "$(stat -c %s "$dir/blobs/sha256/$digest")" \
    --argjson l "$layers" '{schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: {mediaType: "application/vnd.oci.image.config.v1+json", digest: $d, size: $s}, layers: $l}' \
    >/var/tmp/manifest
  add_blob /var/tmp/manifest
  jq -n --arg d "sha256:$digest" '{manifests: [{digest: $d}]}' >"$dir/index.json"
}

# Until the power is cut.
scenario_powercut() {
  install_davit systemd
  systemctl enable --now davit
  make_image /var/tmp/images/large
  fill_registry && registry_push /var/tmp/images/large davit/large latest || return
  davit pull "$registry_address/davit/busybox" || return
  davit run --detach --name sleeper "$registry_address/davit/busybox" sleep 10000 || return
  sync
  say 'said pulling'
  while davit pull "$registry_address/davit/large" && davit rmi "$registry_address/davit/large"; do :; done
  say 'said a pull failed before the power was cut'
}

sleeper_is_exited() { davit ps -a | grep sleeper | grep -qi exited; }

# systemd has started Davit at the boot.
scenario_powercut_after() {
  expect powercut-starts bash -c 'for n in {1..600}; do davit status && exit 0; sleep 0.5; done; exit 1'
  expect powercut-check davit check --full
  expect powercut-says-that-containers-ended sleeper_is_exited
  expect powercut-registry fill_registry
  expect powercut-pulls-again davit pull "$registry_address/davit/large"
  expect powercut-runs-again davit run --rm "$registry_address/davit/busybox" true
  expect powercut-removes bash -c 'davit rm --force $(davit pods -q)'
  expect powercut-check-again davit check --full
  registry_stop
}
