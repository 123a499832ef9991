// SPDX-License-Identifier: Apache-2.0
#include "test/bench/exec_stream.h"

#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>

#include <fmt/format.h>

#include "base/status.h"
#include "test/streaming/connection.h"
#include "test/streaming/spdy_client.h"

namespace davit::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint32_t kWindow = 0x7fffffff;
// Of what came, how much is given back to the server at a time.
constexpr size_t kUpdate = size_t{1} << 20U;

// Errors throw, as the clients of test/streaming do.
uint64_t ReadOutput(const std::string& text) {
  const auto url = test_streaming::ParseUrl(text);
  test_streaming::Connection connection(url);
  const std::string head = test_streaming::UpgradeToSpdy(connection, url, "v4.channel.k8s.io");
  if (head.find(" 101 ") == std::string::npos) {
    throw std::runtime_error("no upgrade: " + head);
  }
  const auto spdy = test_streaming::SpdyOver(connection);
  spdy->InitialWindow(kWindow);
  spdy->WindowUpdate(0, kWindow - 65536);  // of the session, which begins with 64 KiB
  const uint32_t error = spdy->Open({{"streamtype", "error"}});
  const uint32_t out = spdy->Open({{"streamtype", "stdout"}});
  size_t owed = 0;
  while (!spdy->stream(out).ended || !spdy->stream(error).ended) {
    if (!spdy->Step()) {
      break;
    }
    auto& stream = spdy->stream(out);
    owed += stream.data.size();
    stream.data.clear();
    if (owed >= kUpdate) {
      spdy->WindowUpdate(0, static_cast<uint32_t>(owed));
      spdy->WindowUpdate(out, static_cast<uint32_t>(owed));
      owed = 0;
    }
  }
  return spdy->stream(out).received;
}

}  // namespace

absl::StatusOr<StreamResult> StreamFromExec(NodeClient& client, const PodAndContainer& pod,
                                            int mib) {
  const std::string command =
      fmt::format("dd if=/dev/zero bs=65536 count={} 2>/dev/null", mib * 16);
  ASSIGN_OR_RETURN(const std::string url, client.ExecUrl(pod, {"/bin/sh", "-c", command}));
  const auto begin = Clock::now();
  uint64_t bytes = 0;
  try {
    bytes = ReadOutput(url);
  } catch (const std::exception& error) {
    return Internal("{}: {}", url, error.what());
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  const uint64_t wanted = static_cast<uint64_t>(mib) << 20U;
  if (bytes != wanted) {
    return Internal("{} gave {} bytes of {}", url, bytes, wanted);
  }
  return StreamResult{.seconds = seconds, .bytes = bytes};
}

}  // namespace davit::bench
