// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <chrono>
#include <cstdio>
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
    bool& within_line = within_line_[line->is_stderr ? 1 : 0];
    if (timestamps_ && !within_line) {
      fmt::print(out, "{} ", line->time_text);
    }
    fmt::print(out, "{}{}", line->text, line->partial ? "" : "\n");
    within_line = line->partial;
  }

 private:
  const bool timestamps_;
  std::array<bool, 2> within_line_ = {};  // of stdout, of stderr
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
absl::Status ShowExisting(LogReader& reader, Printer& printer, int64_t since_ns) {
  while (true) {
    ASSIGN_OR_RETURN(const auto lines, reader.Next());
    if (lines.empty()) {
      return absl::OkStatus();
    }
    for (const auto& line : lines) {
      if (Since(line, since_ns)) {
        printer.Show(line);
      }
    }
  }
}

// The state is asked for before the last read: what an ended container wrote is then complete.
absl::StatusOr<runtime::v1::ContainerStatus> Follow(Client& client, const std::string& id,
                                                    LogReader& reader, Printer& printer) {
  while (true) {
    ASSIGN_OR_RETURN(const auto status, StatusOf(client, id));
    RETURN_IF_ERROR(ShowExisting(reader, printer, std::numeric_limits<int64_t>::min()));
    std::fflush(stdout);
    if (status.state() != runtime::v1::CONTAINER_RUNNING &&
        status.state() != runtime::v1::CONTAINER_CREATED) {
      return status;
    }
    std::this_thread::sleep_for(kFollowInterval);
  }
}

}  // namespace

absl::StatusOr<runtime::v1::ContainerStatus> FollowLog(Client& client, const std::string& id,
                                                       LogReader& reader, bool timestamps) {
  Printer printer(timestamps);
  return Follow(client, id, reader, printer);
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
  ASSIGN_OR_RETURN(LogReader reader,
                   options.tail < 0 ? LogReader::Open(status.log_path(), since_ns)
                                    : LogReader::OpenTail(status.log_path(),
                                                          static_cast<uint64_t>(options.tail)));
  Printer printer(options.timestamps);
  RETURN_IF_ERROR(ShowExisting(reader, printer, since_ns));
  return options.follow ? Follow(client, id, reader, printer).status() : absl::OkStatus();
}

}  // namespace davit::server::cli
