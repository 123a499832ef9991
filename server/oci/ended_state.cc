// SPDX-License-Identifier: Apache-2.0
#include "server/oci/ended_state.h"

#include <vector>

#include "base/file.h"
#include "base/id.h"
#include "base/json.h"
#include "base/proc.h"
#include "base/status.h"
#include "base/text.h"

namespace davit::server::oci {
namespace {

using Json = nlohmann::json;
using Names = std::vector<std::string>;

constexpr size_t kMaxState = 4U << 20U;
// Requests to crun in annotations: other kinds of containers, and their own remains.
constexpr std::string_view kCrunAnnotation = "run.oci.";

absl::StatusOr<Json> ReadState(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxState));
  return ParseJson(text, path);
}

bool IsThere(const Json& object, const char* key) {
  return object.is_object() && object.contains(key) && !object[key].empty();
}

absl::Status CheckProcess(const EndedContainer& container, int64_t pid, int64_t start_time) {
  if (pid != container.pid || start_time != static_cast<int64_t>(container.start_time)) {
    return FailedPrecondition("the state is of process {}, not of {}", pid, container.pid);
  }
  return absl::OkStatus();
}

absl::Status CheckHooks(const Json& hooks) {
  return IsThere(hooks, "poststop") ? FailedPrecondition("it has poststop hooks")
                                    : absl::OkStatus();
}

absl::Status CheckRunc(const std::string& directory, const EndedContainer& container) {
  ASSIGN_OR_RETURN(const Json state, ReadState(JoinPath(directory, "state.json")));
  if (JsonString(state, "id") != container.id || !IsThere(state, "config")) {
    return FailedPrecondition("the state is not in the form of runc");
  }
  RETURN_IF_ERROR(CheckProcess(container, JsonInt(state, "init_process_pid"),
                               JsonInt(state, "init_process_start")));
  const Json& config = state["config"];
  // The Go structure's own name up to 1.1; whatever later ones choose.
  RETURN_IF_ERROR(CheckHooks(JsonChild(config, "Hooks")));
  RETURN_IF_ERROR(CheckHooks(JsonChild(config, "hooks")));
  if (JsonString(state, "intel_rdt_path", "?") != "" || IsThere(config, "intel_rdt")) {
    return FailedPrecondition("it has a class of Intel RDT");
  }
  return absl::OkStatus();
}

absl::Status CheckCrun(const std::string& directory, const EndedContainer& container) {
  ASSIGN_OR_RETURN(const Json status, ReadState(JoinPath(directory, "status")));
  RETURN_IF_ERROR(
      CheckProcess(container, JsonInt(status, "pid"), JsonInt(status, "process-start-time")));
  ASSIGN_OR_RETURN(const Json config, ReadState(JoinPath(directory, "config.json")));
  if (!IsThere(config, "linux")) {
    return FailedPrecondition("the state is not in the form of crun");
  }
  RETURN_IF_ERROR(CheckHooks(JsonChild(config, "hooks")));
  if (IsThere(config["linux"], "intelRdt")) {
    return FailedPrecondition("it has a class of Intel RDT");
  }
  for (const auto& [name, value] : JsonChild(config, "annotations").items()) {
    if (name.starts_with(kCrunAnnotation)) {
      return FailedPrecondition("it has the annotation {}", Printable(name));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckEnded(const EndedContainer& container) {
  if (container.pid > 0) {
    const auto start_time = ProcessStartTime(container.pid);
    if (start_time.ok() && *start_time == container.start_time) {
      return FailedPrecondition("its process {} is still there", container.pid);
    }
  }
  return absl::OkStatus();
}

bool IsKnown(const Runtime& runtime) {
  return runtime.program() == "runc" || runtime.program() == "crun";
}

}  // namespace

std::string StateDirectory(const Runtime& runtime, const std::string& id) {
  return JoinPath(runtime.root(), id);
}

bool MayKnow(const Runtime& runtime, const std::string& id) {
  return !IsKnown(runtime) || PathExists(StateDirectory(runtime, id));
}

absl::Status CheckRemovable(const Runtime& runtime, const EndedContainer& container) {
  if (!IsKnown(runtime)) {
    return FailedPrecondition("it is unknown what {} keeps of containers",
                              Printable(runtime.program(), 100));
  }
  RETURN_IF_ERROR(CheckEnded(container));
  const std::string directory = StateDirectory(runtime, container.id);
  const auto names = ListDir(directory);
  // Gone, or emptied by one who did not get further.
  if (absl::IsNotFound(names.status()) || (names.ok() && names->empty())) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(names.status());
  if (runtime.program() == "runc" && *names == Names{"state.json"}) {
    return CheckRunc(directory, container);
  }
  if (runtime.program() == "crun" && *names == Names{"config.json", "status"}) {
    return CheckCrun(directory, container);
  }
  return FailedPrecondition("{} holds {}", directory, Printable(Join(*names, ", "), 300));
}

}  // namespace davit::server::oci
