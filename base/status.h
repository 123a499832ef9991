// SPDX-License-Identifier: Apache-2.0
//
// Errors. Every fallible function below the gRPC boundary returns absl::Status or absl::StatusOr;
// the code is the gRPC code that the kubelet acts on. A message says what was attempted, on which
// object, why it failed and, where the reader can do something, what: lower case, no full stop.
// Debian's absl::string_view is not std::string_view, so messages travel as std::string.
#pragma once

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <fmt/format.h>

namespace davit {

#define DAVIT_STATUS_FACTORY(Name, Code)                                                           \
  template <typename... Args>                                                                      \
  [[nodiscard]] absl::Status Name(fmt::format_string<Args...> format, Args&&... args) {            \
    return absl::Status(absl::StatusCode::Code, fmt::format(format, std::forward<Args>(args)...)); \
  }
DAVIT_STATUS_FACTORY(InvalidArgument, kInvalidArgument)
DAVIT_STATUS_FACTORY(NotFound, kNotFound)
DAVIT_STATUS_FACTORY(AlreadyExists, kAlreadyExists)
DAVIT_STATUS_FACTORY(FailedPrecondition, kFailedPrecondition)
DAVIT_STATUS_FACTORY(Unavailable, kUnavailable)
DAVIT_STATUS_FACTORY(DeadlineExceeded, kDeadlineExceeded)
DAVIT_STATUS_FACTORY(Cancelled, kCancelled)
DAVIT_STATUS_FACTORY(ResourceExhausted, kResourceExhausted)
DAVIT_STATUS_FACTORY(Unimplemented, kUnimplemented)
DAVIT_STATUS_FACTORY(PermissionDenied, kPermissionDenied)
DAVIT_STATUS_FACTORY(Unauthenticated, kUnauthenticated)
DAVIT_STATUS_FACTORY(DataLoss, kDataLoss)
DAVIT_STATUS_FACTORY(Unknown, kUnknown)
DAVIT_STATUS_FACTORY(Internal, kInternal)
#undef DAVIT_STATUS_FACTORY

// `what: strerror(error)`, with the code that fits the errno (ENOENT -> NotFound, EEXIST ->
// AlreadyExists, EACCES/EPERM -> PermissionDenied, ENOSPC/EDQUOT/EMFILE/ENOMEM ->
// ResourceExhausted, EINVAL -> InvalidArgument, ETIMEDOUT -> DeadlineExceeded, else Internal).
[[nodiscard]] absl::Status ErrnoStatus(int error, std::string what);

// The same status with `prefix: ` before its message; OK stays OK.
[[nodiscard]] absl::Status Annotate(const absl::Status& status, const std::string& prefix);

// The same message under another code; OK stays OK.
[[nodiscard]] absl::Status WithCode(absl::StatusCode code, const absl::Status& status);

// The message as std::string.
[[nodiscard]] std::string Message(const absl::Status& status);

// The text of an errno, thread-safe.
[[nodiscard]] std::string ErrnoText(int error);

}  // namespace davit

#define DAVIT_CONCAT_INNER(a, b) a##b
#define DAVIT_CONCAT(a, b) DAVIT_CONCAT_INNER(a, b)

#define RETURN_IF_ERROR(expr)                           \
  do {                                                  \
    if (absl::Status status_ = (expr); !status_.ok()) { \
      return status_;                                   \
    }                                                   \
  } while (false)

#define ASSIGN_OR_RETURN(lhs, expr) \
  ASSIGN_OR_RETURN_IMPL(DAVIT_CONCAT(status_or_, __LINE__), lhs, expr)
#define ASSIGN_OR_RETURN_IMPL(tmp, lhs, expr) \
  auto tmp = (expr);                          \
  if (!tmp.ok()) {                            \
    return tmp.status();                      \
  }                                           \
  lhs = std::move(tmp).value()
