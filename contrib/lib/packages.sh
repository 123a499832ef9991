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
