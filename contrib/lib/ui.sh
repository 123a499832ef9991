# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the scripts say: headings, colours on a terminal only, and a table of how long each step took.

ui_bold='' ui_red='' ui_green='' ui_dim='' ui_off=''
if [[ -t 1 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
  ui_bold=$'\e[1m' ui_red=$'\e[31m' ui_green=$'\e[32m' ui_dim=$'\e[2m' ui_off=$'\e[0m'
fi

heading() { printf '\n%s== %s%s\n' "$ui_bold" "$*" "$ui_off"; }
note() { printf '%s%s%s\n' "$ui_dim" "$*" "$ui_off"; }
good() { printf '%s%s%s\n' "$ui_green" "$*" "$ui_off"; }
bad() { printf '%s%s%s\n' "$ui_red" "$*" "$ui_off" >&2; }
die() {
  bad "$(basename "$0"): $*"
  exit 1
}

now_us() { printf '%s' "${EPOCHREALTIME//[.,]/}"; }

# timed TITLE COMMAND ...: runs the command as it is and remembers how long it took. A failure is the
# caller's, as if the command stood there alone.
step_titles=() step_us=()
timed() {
  local title=$1 begun
  shift
  begun=$(now_us)
  "$@"
  step_titles+=("$title")
  step_us+=($(($(now_us) - begun)))
}

# The command as a person would type it.
say_command() { printf '%s$ %s%s\n' "$ui_dim" "$(shown "$@")" "$ui_off"; }

# Both.
show_timed() {
  local title=$1
  shift
  say_command "$@"
  timed "$title" "$@"
}

# Words quoted where they need it; the program without its directory.
shown() {
  local word text
  text=$(basename "$1")
  shift
  for word in "$@"; do
    if [[ $word =~ ^[A-Za-z0-9_./:=@,%+-]+$ ]]; then
      text+=" $word"
    else
      text+=" '${word//\'/\'\\\'\'}'"
    fi
  done
  printf '%s' "$text"
}

duration() {
  local us=$1
  if ((us < 1000000)); then
    printf '%d.%d ms' $((us / 1000)) $((us % 1000 / 100))
  else
    printf '%d.%02d s' $((us / 1000000)) $((us % 1000000 / 10000))
  fi
}

step_table() {
  local i
  for i in "${!step_titles[@]}"; do
    printf '  %-44s %12s\n' "${step_titles[i]}" "$(duration "${step_us[i]}")"
  done
}

# wait_until SECONDS COMMAND ...: polls until the command succeeds.
wait_until() {
  local deadline=$(($(now_us) + $1 * 1000000))
  shift
  until "$@"; do
    (($(now_us) < deadline)) || return 1
    sleep 0.02
  done
}
