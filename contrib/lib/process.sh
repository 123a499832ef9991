# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Processes that a script starts are ended by their own ID, and by nothing else.

# What the kernel says of a process after its name, which may hold anything: state, parent, …
process_stat() {
  local stat=''
  # read is at the end of the file, which is no failure here. Not $(<…): that ends a shell on an error.
  { IFS= read -r -d '' stat <"/proc/$1/stat"; } 2>/dev/null || [[ -n $stat ]] || return 1
  printf '%s' "${stat##*) }"
}

# The moment a process started, in clock ticks: with its ID it names a process for good.
start_time() {
  local stat
  stat=$(process_stat "$1") || return 1
  # shellcheck disable=SC2086
  set -- $stat
  printf '%s' "${20}"
}

is_alive() { kill -0 "$1" 2>/dev/null; }

# end_process PID [SECONDS]: SIGTERM, then SIGKILL; waits until it is gone.
end_process() {
  local pid=$1 seconds=${2:-10}
  is_alive "$pid" || return 0
  kill -TERM "$pid" 2>/dev/null || return 0
  if ! wait_until "$seconds" is_gone "$pid"; then
    kill -KILL "$pid" 2>/dev/null || true
    wait_until 5 is_gone "$pid"
  fi
  wait "$pid" 2>/dev/null || true
}

# Gone, or dead and not yet waited for.
is_gone() {
  local stat
  stat=$(process_stat "$1") || return 0
  [[ ${stat%% *} == [ZX] ]]
}
