# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# The Debian 12 packages that Davit needs, by purpose. Sourced by contrib/install-deps.

# shellcheck disable=SC2034  # looked up by name
packages_build=(
  g++ meson ninja-build pkg-config ccache git
  libabsl-dev libarchive-dev libbenchmark-dev libboost1.81-dev libcap-dev libcli11-dev
  libcurl4-openssl-dev libfmt-dev libgmock-dev libgrpc++-dev libgtest-dev libisal-dev libmnl-dev
  libnetfilter-conntrack-dev libprotobuf-dev libre2-dev libseccomp-dev
  libsqlite3-dev libssl-dev libsystemd-dev libtomlplusplus-dev libyaml-cpp-dev libzstd-dev musl-tools
  nlohmann-json3-dev protobuf-compiler protobuf-compiler-grpc zlib1g-dev
)
# shellcheck disable=SC2034
packages_run=(crun runc containernetworking-plugins gpg iptables iproute2 nftables procps util-linux)
# shellcheck disable=SC2034
packages_demo=(busybox-static ca-certificates curl docker-registry jq)
# shellcheck disable=SC2034
packages_test=(clang-format-16 gpg-agent gpgconf openssl skopeo sqlite3 umoci)
# shellcheck disable=SC2034
packages_bench=(containerd)
# What test/vm makes and runs a virtual machine with.
# shellcheck disable=SC2034
packages_vm=(debootstrap qemu-system-x86 qemu-utils e2fsprogs jq binutils)
# What is in it: a kernel, systemd, and what Davit and its tests are linked with and run.
# shellcheck disable=SC2034
packages_vm_guest=(
  linux-image-cloud-amd64 initramfs-tools zstd systemd-sysv dbus udev kmod apparmor ca-certificates
  "${packages_run[@]}"
  busybox-static curl docker-registry jq gpg-agent gpgconf openssl skopeo sqlite3 umoci
  libarchive13 libcap2 libcurl4 libfmt9 libgrpc++1.51 libisal2 libmnl0 libnetfilter-conntrack3
  libprotobuf32 libre2-9 libseccomp2
  libsqlite3-0 libssl3 libsystemd0 libtomlplusplus3 libyaml-cpp0.7 libzstd1 zlib1g
)
