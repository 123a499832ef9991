# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Processes that a script starts are ended by their own ID, and by nothing else.

# The moment a process started, in clock ticks: with its ID it names a process for good.
start_time() {
  local stat
  { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
  stat=${stat##*) }
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
  { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 0
  stat=${stat##*) }
  [[ ${stat%% *} == [ZX] ]]
}
