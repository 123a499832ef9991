# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154  # variables of the files named
#
# The disks of the machine. The base image (Debian 12 with systemd and Davit's dependencies) is made
# once for each list of packages and each state of this file, and kept. The disk with what is tested
# is made for each run. Neither needs a loop device or a mount. Needs $root, $vm and ui.sh.

mirror=${DAVIT_VM_MIRROR:-http://deb.debian.org/debian}
base_size=3G

# base_key: changes with whatever the base image is made of.
base_key() {
  { printf '%s\n' "$mirror" "$base_size" "${packages_vm_guest[@]}"; cat "$here/image.sh" "$here/vm-test.service"; } |
    sha256sum | cut -c1-12
}

# base_image: sets $base to a directory with root.img, vmlinuz and initrd.img.
base_image() {
  base=$vm/base-$(base_key)
  if [[ -e $base/root.img ]]; then
    echo "the base image is there: $base"
    return
  fi
  rm -rf --one-file-system "$vm"/base-*
  local fresh=$vm/base-new
  mkdir -p "$fresh"
  local list
  list=$(IFS=,; echo "${packages_vm_guest[*]}")
  # In a mount namespace: what debootstrap mounts goes with it.
  unshare --mount debootstrap --variant=minbase --include="$list" bookworm "$fresh/root" "$mirror" \
    >"$vm/debootstrap.log" 2>&1 || {
    tail -5 "$vm/debootstrap.log" >&2
    die "debootstrap failed; its log: $vm/debootstrap.log"
  }
  configure_root "$fresh/root"
  cp "$fresh"/root/boot/vmlinuz-* "$fresh/vmlinuz"
  cp "$fresh"/root/boot/initrd.img-* "$fresh/initrd.img"
  mke2fs -q -t ext4 -E lazy_itable_init=0,nodiscard -d "$fresh/root" "$fresh/root.img" "$base_size"
  rm -rf --one-file-system "$fresh/root"
  mv "$fresh" "$base"
}

configure_root() {
  local tree=$1
  rm -rf "$tree"/var/cache/apt/archives/*.deb "$tree"/var/lib/apt/lists/* "$tree"/usr/share/{doc,man,locale}
  echo davit-vm >"$tree/etc/hostname"
  echo '127.0.0.1 localhost davit-vm' >"$tree/etc/hosts"
  echo '/dev/vda / ext4 defaults 0 1' >"$tree/etc/fstab"
  : >"$tree/etc/machine-id"
  install -m 644 "$here/vm-test.service" "$tree/etc/systemd/system/davit-vm-test.service"
  local wants=$tree/etc/systemd/system/multi-user.target.wants unit
  ln -s ../davit-vm-test.service "$wants/davit-vm-test.service"
  # A shell without a password on both consoles: nobody but the one who started it reaches this machine.
  for unit in serial-getty@ttyS0 serial-getty@hvc0; do
    mkdir -p "$tree/etc/systemd/system/$unit.service.d"
    printf '[Service]\nExecStart=\nExecStart=-/sbin/agetty -o "-f root" --autologin root --noclear %%I 115200 vt100\n' \
      >"$tree/etc/systemd/system/$unit.service.d/autologin.conf"
  done
  for unit in docker-registry.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
    e2scrub_all.timer e2scrub_reap.service fstrim.timer; do
    ln -sf /dev/null "$tree/etc/systemd/system/$unit"
  done
}

# tests_image BUILD_DIRECTORY: $vm/tests.img with the programs of the build, stripped, the scripts of
# this folder and what of the source tree the tests read.
tests_image() {
  local build=$1 tree=$vm/tests program source
  mkdir -p "$tree/build" "$tree/source"
  while IFS= read -r program; do
    strip_into "$build/$program" "$tree/build/$program"
  done < <(guest_programs "$build")
  source=$(jq -r .directories.source "$build/meson-info/meson-info.json")
  rm -rf "$tree/source" && mkdir -p "$tree/source/test"
  cp -r "$root/contrib" "$tree/source/"
  cp -r "$here" "$tree/source/test/"
  # e2e_failpoint looks for the names of failpoints.
  (cd "$source" && cp -r --parents server storage image "$tree/source/")
  printf 'build=%q\nsource=%q\n' "$build" "$source" >"$tree/where"
  rm -f "$vm/tests.img"
  local size
  size=$(du -sm "$tree" | cut -f1)
  mke2fs -q -t ext4 -O ^has_journal -E nodiscard -d "$tree" "$vm/tests.img" "$((size * 5 / 4 + 16))M"
}

# What is not built is not tested; the guest names it.
guest_programs() {
  local build=$1 program
  printf '%s\n' server/davit conmon/davit-conmon storage/davit-unpack test/images/davit-make-images
  for program in $(test_programs "$build"); do
    [[ ! -x $build/$program ]] || echo "$program"
  done
}

strip_into() {
  if [[ ! -e $2 || $1 -nt $2 ]]; then
    mkdir -p "$(dirname "$2")"
    strip --strip-all -o "$2" "$1"
    touch -r "$1" "$2"
  fi
}

# Programs of the suites root and e2e, relative to the build directory.
test_programs() {
  meson introspect --tests "$1" |
    jq -r --arg build "$1/" '.[] | select(.suite[] | endswith(":root") or endswith(":e2e")) |
      .cmd[0] | ltrimstr($build)' | sort -u
}
