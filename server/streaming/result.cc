// SPDX-License-Identifier: Apache-2.0
#include "server/streaming/result.h"

#include "base/json.h"
#include "base/status.h"

namespace davit::server::streaming {
namespace {

constexpr int kJsonVersion = 4;

std::string NonZeroExit(int code) {
  return fmt::format("command terminated with non-zero exit code: exit status {}", code);
}

nlohmann::json Failure(const std::string& message, const char* reason, nlohmann::json cause) {
  return {{"metadata", nlohmann::json::object()},
          {"status", "Failure"},
          {"message", message},
          {"reason", reason},
          {"details", {{"causes", nlohmann::json::array({std::move(cause)})}}}};
}

std::string Json(const absl::StatusOr<int>& result) {
  if (!result.ok()) {
    const std::string message = Message(result.status());
    nlohmann::json status =
        Failure("Internal error occurred: " + message, "InternalError", {{"message", message}});
    status["code"] = 500;
    return DumpJson(status);
  }
  if (*result != 0) {
    return DumpJson(Failure(NonZeroExit(*result), "NonZeroExitCode",
                            {{"reason", "ExitCode"}, {"message", std::to_string(*result)}}));
  }
  return R"({"metadata":{},"status":"Success"})";
}

}  // namespace

std::string ResultText(const absl::StatusOr<int>& result, int version) {
  if (version >= kJsonVersion) {
    return Json(result);
  }
  if (!result.ok()) {
    return Message(result.status());
  }
  return *result == 0 ? "" : NonZeroExit(*result);
}

}  // namespace davit::server::streaming
