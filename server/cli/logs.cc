// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <cstdio>
#include <deque>
#include <limits>
#include <thread>

#include <fmt/format.h>

#include "base/time.h"
#include "config/duration.h"
#include "server/cli/client.h"
#include "server/cli/commands.h"
#include "server/cli/follow.h"
#include "server/cli/log_reader.h"
#include "server/cli/resolve.h"

namespace davit::server::cli {
namespace {

using namespace std::chrono_literals;
constexpr auto kFollowInterval = 100ms;

// Prints entries as kubectl does: those of one line in a row, with the time of the first.
class Printer {
 public:
  explicit Printer(bool timestamps) : timestamps_(timestamps) {}

  void Show(const std::string& raw) {
    const auto line = ParseLogLine(raw);
    if (!line) {
      fmt::print("{}\n", raw);
      return;
    }
    FILE* out = line->is_stderr ? stderr : stdout;
    if (timestamps_ && !within_line_) {
      fmt::print(out, "{} ", line->time_text);
    }
    fmt::print(out, "{}{}", line->text, line->partial ? "" : "\n");
    within_line_ = line->partial;
  }

 private:
  const bool timestamps_;
  bool within_line_ = false;
};

bool Since(const std::string& raw, int64_t since_ns) {
  const auto line = ParseLogLine(raw);
  return !line || line->time_ns >= since_ns;
}

absl::StatusOr<int64_t> ParseSince(const std::string& text) {
  if (text.empty()) {
    return std::numeric_limits<int64_t>::min();
  }
  if (const auto duration = config::ParseDuration(text)) {
    return NowNanos() - std::chrono::nanoseconds(*duration).count();
  }
  auto moment = ParseRfc3339(text);
  if (!moment.ok()) {
    return InvalidArgument("--since must be a duration such as 10m or an RFC 3339 time, not {}",
                           text);
  }
  return moment;
}

absl::StatusOr<runtime::v1::ContainerStatus> StatusOf(Client& client, const std::string& id) {
  runtime::v1::ContainerStatusRequest request;
  request.set_container_id(id);
  ASSIGN_OR_RETURN(auto response, DAVIT_RUNTIME_CALL(client, ContainerStatus, request));
  return response.status();
}

// What is there now: the last `tail` lines, or all.
absl::Status ShowExisting(LogReader& reader, const LogOptions& options, int64_t since_ns) {
  Printer printer(options.timestamps);
  std::deque<std::string> last;
  while (true) {
    ASSIGN_OR_RETURN(const auto lines, reader.Next());
    if (lines.empty()) {
      break;
    }
    for (const auto& line : lines) {
      if (!Since(line, since_ns)) {
        continue;
      }
      if (options.tail < 0) {
        printer.Show(line);
        continue;
      }
      last.push_back(line);
      if (last.size() > static_cast<size_t>(options.tail)) {
        last.pop_front();
      }
    }
  }
  for (const auto& line : last) {
    printer.Show(line);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<runtime::v1::ContainerStatus> FollowLog(Client& client, const std::string& id,
                                                       LogReader& reader, bool timestamps) {
  Printer printer(timestamps);
  while (true) {
    // The state is asked for before the last read: what an ended container wrote is then complete.
    ASSIGN_OR_RETURN(const auto status, StatusOf(client, id));
    bool quiet = true;
    do {
      ASSIGN_OR_RETURN(const auto lines, reader.Next());
      for (const auto& line : lines) {
        printer.Show(line);
      }
      quiet = lines.empty();
    } while (!quiet || reader.Reopen());
    std::fflush(stdout);
    if (status.state() != runtime::v1::CONTAINER_RUNNING &&
        status.state() != runtime::v1::CONTAINER_CREATED) {
      return status;
    }
    std::this_thread::sleep_for(kFollowInterval);
  }
}

absl::Status RunLogs(const Globals& globals, const LogOptions& options) {
  Client client(globals.socket);
  ASSIGN_OR_RETURN(const int64_t since_ns, ParseSince(options.since));
  ASSIGN_OR_RETURN(const std::string id, ResolveContainer(client, options.container));
  ASSIGN_OR_RETURN(const auto status, StatusOf(client, id));
  if (status.log_path().empty()) {
    return FailedPrecondition("container {} has no log: its request named no log path",
                              options.container);
  }
  ASSIGN_OR_RETURN(LogReader reader, LogReader::Open(status.log_path()));
  RETURN_IF_ERROR(ShowExisting(reader, options, since_ns));
  return options.follow ? FollowLog(client, id, reader, options.timestamps).status()
                        : absl::OkStatus();
}

}  // namespace davit::server::cli
