# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154  # variables of the files named
#
# The virtual machine: one at a time, a process of its own that only its ID ends. Needs $vm, $base,
# ui.sh and process.sh.

machine_pid='' machine_dir='' machine_deadline=0

kvm_works() { [[ -w /dev/kvm ]] && grep -Eq '\b(vmx|svm)\b' /proc/cpuinfo; }

# machine_start NAME WORD ...: the words go to the kernel's command line, but for "same-disk", which
# boots what the machine before left on its disk.
machine_start() {
  local name=$1 word words=() fresh=1
  shift
  for word in "$@"; do
    if [[ $word == same-disk ]]; then fresh=''; else words+=("$word"); fi
  done
  machine_dir=$vm/logs/$name
  rm -rf "$machine_dir"
  mkdir -p "$machine_dir"
  if [[ -n $fresh ]]; then
    rm -f "$vm/disk.qcow2"
    qemu-img create -q -f qcow2 -F raw -b "$base/root.img" "$vm/disk.qcow2"
  fi
  rm -f "$vm/swap.img"
  truncate -s 256M "$vm/swap.img"
  local accel=(-accel 'tcg,thread=multi' -cpu max)
  ! kvm_works || accel=(-accel kvm -cpu host)
  # The disk is written through: what the guest flushes is on it, and nothing else has to be.
  nice -n 5 qemu-system-x86_64 "${accel[@]}" -smp 2 -m 3G -nodefaults -no-reboot -display none \
    -kernel "$base/vmlinuz" -initrd "$base/initrd.img" \
    -append "root=/dev/vda rw console=ttyS0 net.ifnames=0 no_timer_check panic=-1 psi=1 swapaccount=1 apparmor=1 security=apparmor quiet loglevel=4 systemd.show_status=0 ${words[*]}" \
    -drive "file=$vm/disk.qcow2,if=virtio,cache=none" \
    -drive "file=$vm/tests.img,format=raw,if=virtio,readonly=on" \
    -drive "file=$vm/swap.img,format=raw,if=virtio,cache=unsafe" \
    -device virtio-rng-pci -device virtio-serial-pci \
    -chardev "file,id=results,path=$machine_dir/results" -device virtserialport,chardev=results,name=davit.results \
    -chardev "file,id=logs,path=$machine_dir/logs.tar" -device virtserialport,chardev=logs,name=davit.logs \
    -chardev "socket,id=shell,path=$vm/shell.sock,server=on,wait=off" -device virtconsole,chardev=shell \
    -serial "file:$machine_dir/console" </dev/null >"$machine_dir/qemu" 2>&1 &
  machine_pid=$!
  machine_deadline=$((SECONDS + 60 * ${DAVIT_VM_MINUTES:-240}))
}

machine_said() { grep -Eq "$1" "$machine_dir/results" 2>/dev/null; }

# machine_await PATTERN: until a line says so; false if the machine ends before, or its time.
machine_await() {
  until machine_said "$1"; do
    ! is_gone "$machine_pid" && ((SECONDS < machine_deadline)) || return 1
    sleep 0.2
  done
}

# Shows what it says until its end.
machine_wait() {
  local shown=0 line count
  while true; do
    local gone=''
    ! is_gone "$machine_pid" || gone=1
    count=$(grep -c '' "$machine_dir/results" 2>/dev/null || true)
    if ((${count:-0} > shown)); then
      while IFS= read -r line; do show_line "$line"; done \
        < <(sed -n "$((shown + 1)),${count}p" "$machine_dir/results")
      shown=$count
    fi
    [[ -z $gone ]] || break
    if ((SECONDS > machine_deadline)); then
      bad 'it takes too long: the machine is ended'
      machine_kill
      break
    fi
    ! { machine_said '^end$' && [[ -n $keep ]]; } || return 0
    sleep 0.5
  done
  unpack_logs
  machine_pid=''
}

show_line() {
  case $1 in
    'case '*' passed' | end) ;;
    'case '*' skipped '*) note "${1#case }" ;;
    'case '*) bad "${1#case }" ;;
    *) echo "${1#said }" ;;
  esac
}

unpack_logs() {
  tar -C "$machine_dir" -xf "$machine_dir/logs.tar" 2>/dev/null || true
  rm -f "$machine_dir/logs.tar"
}

machine_kill() {
  [[ -n $machine_pid ]] || return 0
  kill -KILL "$machine_pid" 2>/dev/null || true
  wait "$machine_pid" 2>/dev/null || true
  machine_pid=''
}

# Leaves it to the user.
keep_it() {
  unpack_logs
  echo "the machine runs on as process $machine_pid; a shell:"
  echo "  socat -,raw,echo=0,escape=0x1d UNIX-CONNECT:$vm/shell.sock   (ctrl-] leaves)"
  disown "$machine_pid"
  machine_pid=''
}
