// SPDX-License-Identifier: Apache-2.0
#include "test/bench/first_answer.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <thread>

#include <fmt/format.h>

#include "base/fd.h"
#include "base/status.h"

namespace davit::bench {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono_literals::operator""min;
using std::chrono_literals::operator""ms;

// Asked before gRPC is, which would wait a second after a refusal.
bool Listens(const std::string& path) {
  const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  return connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

}  // namespace

absl::Status AwaitFirstAnswer(const Target& target, size_t containers) {
  fmt::print("ready\n");
  std::fflush(stdout);
  const auto deadline = Clock::now() + 10min;
  absl::Status last = absl::UnavailableError("nobody listens on " + target.socket);
  while (Clock::now() < deadline) {
    if (Listens(target.socket)) {
      Samples ignored;
      const auto client = NodeClient::Create(target);
      const auto listed = client->ListContainers(ignored);
      const auto at = Clock::now().time_since_epoch();
      last = listed.status();
      if (listed.ok() && *listed >= containers) {
        ASSIGN_OR_RETURN(const std::string version, client->Version(ignored));
        fmt::print("{{\"monotonic\": {:.6f}, \"containers\": {}, \"version\": \"{}\"}}\n",
                   std::chrono::duration<double>(at).count(), *listed, version);
        return absl::OkStatus();
      }
    }
    std::this_thread::sleep_for(1ms);
  }
  return Annotate(last, fmt::format("no list of {} containers", containers));
}

}  // namespace davit::bench
