# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154  # variables of the files named
#
# Configures and builds as the owner of the source tree, so that a build under sudo leaves no files
# there that the owner cannot remove. Needs $root.

as_owner() {
  local owner
  owner=$(stat -c %U "$root")
  if [[ $EUID -eq 0 && $owner != root && $owner != UNKNOWN ]]; then
    runuser -u "$owner" -- "$@"
  else
    "$@"
  fi
}

# build_setup DIRECTORY BUILDTYPE [MESON_OPTION ...]: does nothing if it is configured already.
build_setup() {
  local dir=$1 type=$2
  shift 2
  [[ -e $dir/build.ninja ]] || as_owner meson setup "$dir" "$root" --buildtype="$type" "$@"
}

# build_targets DIRECTORY [TARGET ...]: all of them without a target.
build_targets() {
  local dir=$1
  shift
  as_owner ninja -C "$dir" "$@"
}
