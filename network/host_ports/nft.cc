// SPDX-License-Identifier: Apache-2.0
#include "network/host_ports/nft.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <chrono>
#include <vector>

#include <libmnl/libmnl.h>

#include "base/status.h"
#include "base/subprocess.h"
#include "base/text.h"
#include "network/netlink.h"

namespace davit::network::nft {
namespace {

constexpr std::chrono::seconds kTimeout{20};
constexpr size_t kMaxOutput = 32U << 20U;
constexpr char kRemedy[] =
    "use a CNI plugin with the capability portMappings, or set network.host_ports to \"off\"";

absl::StatusOr<RunResult> RunNft(Context& ctx, std::vector<std::string> arguments,
                                 const std::string& input) {
  const absl::StatusOr<std::string> path = FindProgram("nft");
  if (!path.ok()) {
    return FailedPrecondition("host ports need nft(8): install the package nftables, or {}",
                              kRemedy);
  }
  SpawnOptions spawn;
  spawn.argv = std::move(arguments);
  spawn.argv.insert(spawn.argv.begin(), *path);
  spawn.env = MinimalEnv();
  spawn.new_session = true;
  Context limited(ctx, kTimeout);
  return davit::Run(limited, spawn, {.input = input, .max_output = kMaxOutput});
}

uint16_t TypeOf(int message) {
  return static_cast<uint16_t>((NFNL_SUBSYS_NFTABLES << 8) | message);
}

void PutFamily(nlmsghdr* header, uint8_t family) {
  auto* const extra = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(nfgenmsg)));
  extra->nfgen_family = family;
  extra->version = NFNETLINK_V0;
  extra->res_id = 0;
}

}  // namespace

// Without netlink for netfilter there is no such socket; with it, a subsystem that is neither built
// in nor a module that can be loaded is EINVAL (nfnetlink_rcv_msg), which GETGEN never is of its
// own.
absl::Status CheckKernel() {
  const absl::Status status = Generation().status();
  if (absl::IsUnimplemented(status) || absl::IsInvalidArgument(status)) {
    return FailedPrecondition(
        "host ports need nftables, which this kernel does not have (CONFIG_NF_TABLES, module "
        "nf_tables: {}): load the module, or {}",
        Message(status), kRemedy);
  }
  return status;
}

absl::Status Apply(Context& ctx, const std::string& script) {
  RETURN_IF_ERROR(CheckKernel());
  ASSIGN_OR_RETURN(const RunResult run, RunNft(ctx, {"-f", "-"}, script));
  if (run.exit.code != 0) {
    return Internal("nft could not set the host ports: {}", Printable(Trim(run.err)));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ListTable(Context& ctx, const std::string& name) {
  ASSIGN_OR_RETURN(const bool exists, TableExists(name));
  if (!exists) {
    return NotFound("table inet {} does not exist", name);
  }
  ASSIGN_OR_RETURN(RunResult run, RunNft(ctx, {"-j", "list", "table", "inet", name}, ""));
  if (run.exit.code != 0 || run.truncated) {
    return Internal("nft could not list the table {}: {}", name, Printable(Trim(run.err)));
  }
  return std::move(run.out);
}

absl::StatusOr<bool> TableExists(const std::string& name) {
  const absl::Status status =
      AskNetlink({.bus = NETLINK_NETFILTER,
                  .type = TypeOf(NFT_MSG_GETTABLE),
                  .flags = 0,
                  .build =
                      [&name](nlmsghdr* header) {
                        PutFamily(header, NFPROTO_INET);
                        mnl_attr_put_strz(header, NFTA_TABLE_NAME, name.c_str());
                      }},
                 [](const nlmsghdr*) {});
  if (absl::IsNotFound(status)) {
    return false;
  }
  RETURN_IF_ERROR(status);
  return true;
}

absl::StatusOr<uint32_t> Generation() {
  uint32_t generation = 0;
  RETURN_IF_ERROR(AskNetlink({.bus = NETLINK_NETFILTER,
                              .type = TypeOf(NFT_MSG_GETGEN),
                              .flags = 0,
                              .build = [](nlmsghdr* header) { PutFamily(header, NFPROTO_UNSPEC); }},
                             [&generation](const nlmsghdr* reply) {
                               generation = ntohl(NumberIn(reply, sizeof(nfgenmsg), NFTA_GEN_ID));
                             }));
  return generation;
}

}  // namespace davit::network::nft
