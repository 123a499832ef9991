// SPDX-License-Identifier: Apache-2.0
#include "base/status.h"

#include <cerrno>
#include <cstring>

namespace davit {
namespace {

absl::StatusCode CodeOfErrno(int error) {
  switch (error) {
    case ENOENT:
    case ESRCH:
    case ENODEV:  // so a cgroup says that it was removed between open and read or write
      return absl::StatusCode::kNotFound;
    case EEXIST:
      return absl::StatusCode::kAlreadyExists;
    case EACCES:
    case EPERM:
      return absl::StatusCode::kPermissionDenied;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return absl::StatusCode::kResourceExhausted;
    case EINVAL:
      return absl::StatusCode::kInvalidArgument;
    case ETIMEDOUT:
      return absl::StatusCode::kDeadlineExceeded;
    default:
      return absl::StatusCode::kInternal;
  }
}

}  // namespace

std::string ErrnoText(int error) {
  char buffer[128] = {};
  // The GNU variant, which may return a constant instead of filling the buffer.
  return strerror_r(error, buffer, sizeof buffer);
}

absl::Status ErrnoStatus(int error, std::string what) {
  what += ": ";
  what += ErrnoText(error);
  return absl::Status(CodeOfErrno(error), what);
}

absl::Status Annotate(const absl::Status& status, const std::string& prefix) {
  if (status.ok()) {
    return status;
  }
  return absl::Status(status.code(), prefix + ": " + Message(status));
}

absl::Status WithCode(absl::StatusCode code, const absl::Status& status) {
  if (status.ok()) {
    return status;
  }
  return absl::Status(code, status.message());
}

std::string Message(const absl::Status& status) {
  return std::string(status.message());
}

}  // namespace davit
