# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154  # variables of the files named
#
# What stands on this machine: mounts, namespaces, cgroups, links, firewall rules, processes and files,
# one line each, so that two listings can be compared. Reads only. Needs ui.sh and process.sh.

machine_kinds=(mounts namespaces cgroups links rules settings processes files)

# machine_list DIRECTORY: one sorted file for each kind.
machine_list() {
  local dir=$1 kind
  mkdir -p "$dir"
  for kind in "${machine_kinds[@]}"; do
    # Not a pipeline: no helper of ours shall run while processes are listed.
    "list_$kind" >"$dir/$kind.raw" 2>/dev/null || true
    LC_ALL=C sort -u "$dir/$kind.raw" -o "$dir/$kind"
    rm "$dir/$kind.raw"
  done
}

# Mount point, type and source; the numbers of a mount are of no interest.
list_mounts() { awk '{ for (i = 7; $i != "-"; i++); print $5, $(i+1), $(i+2) }' /proc/self/mountinfo; }

# Every namespace that a process is in, or that a mount keeps.
list_namespaces() {
  # A process that ends meanwhile is no error.
  readlink /proc/[0-9]*/ns/{cgroup,ipc,mnt,net,pid,user,uts} || true
  awk '$0 ~ / - nsfs / { print $4 }' /proc/self/mountinfo
}

list_cgroups() { find /sys/fs/cgroup -mindepth 1 -type d; }

list_links() { ip -o link show | awk -F': ' '{ sub(/@.*/, "", $2); print $2 }'; }

# Rules and chains; the empty tables that come with the first use of iptables are the kernel's.
list_rules() {
  local tool
  for tool in iptables-save ip6tables-save; do
    "$tool" | sed -n -e "s/^-A /$tool: -A /p" \
      -e "/^:[^ ]* - /s/^:\([^ ]*\) .*/$tool: -N \1/p" || true
  done
}

list_settings() { printf 'net.ipv4.ip_forward=%s\n' "$(cat /proc/sys/net/ipv4/ip_forward)"; }

# ID, start time and name of all processes but kernel threads.
list_processes() {
  local dir pid stat name
  for dir in /proc/[0-9]*; do
    pid=${dir#/proc/}
    stat=$(process_stat "$pid") || continue
    IFS= read -r name 2>/dev/null <"$dir/comm" || continue
    # shellcheck disable=SC2086
    set -- $stat
    # $1: state, $7: flags (0x00200000: kernel thread), $20: start time
    [[ $1 == [ZX] ]] || (($7 & 0x200000)) && continue
    printf '%s %s %s\n' "$pid" "${20}" "$name"
  done
}

list_files() {
  local dir
  for dir in /run/davit /run/crun /run/runc /var/lib/davit /var/lib/cni /var/log/pods /etc/cni; do
    [[ ! -e $dir ]] || find "$dir" -printf '%p\n'
  done
}

# machine_compare BEFORE AFTER: prints what is new and what is gone, of each kind. What other software
# on the machine did meanwhile is told apart by the caller's function `is_foreign KIND SIGN LINE`.
# Fails if anything of ours is left.
machine_compare() {
  local before=$1 after=$2 kind line sign ours foreign failed=0
  for kind in "${machine_kinds[@]}"; do
    ours=0 foreign=0
    while IFS= read -r line; do
      sign=${line:0:1} line=${line:1}
      if is_foreign "$kind" "$sign" "$line"; then
        foreign=$((foreign + 1))
        continue
      fi
      bad "  $([[ $sign == '+' ]] && echo 'left behind' || echo 'gone') ($kind): $line"
      ours=$((ours + 1))
    done < <(LC_ALL=C comm -3 --output-delimiter=$'\t' "$before/$kind" "$after/$kind" |
      sed -e 's/^\t/+/;t' -e 's/^/-/')
    printf '  %-11s %6d before  %6d after  ' "$kind" "$(wc -l <"$before/$kind")" \
      "$(wc -l <"$after/$kind")"
    if ((ours > 0)); then
      printf '%s%d differ%s\n' "$ui_red" "$ours" "$ui_off"
      failed=1
    elif ((foreign > 0)); then
      printf 'nothing of ours (%d changed by other software)\n' "$foreign"
    else
      printf '%sthe same%s\n' "$ui_green" "$ui_off"
    fi
  done
  return "$failed"
}
