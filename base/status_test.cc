// SPDX-License-Identifier: Apache-2.0
#include "base/status.h"

#include <cerrno>

#include "base/test_util.h"

namespace davit {
namespace {

absl::StatusOr<int> Half(int value) {
  if (value % 2 != 0) {
    return InvalidArgument("{} is odd", value);
  }
  return value / 2;
}

absl::StatusOr<int> Quarter(int value) {
  ASSIGN_OR_RETURN(const int half, Half(value));
  RETURN_IF_ERROR(Half(half).status());
  return half / 2;
}

TEST(Status, ErrnoChoosesTheCode) {
  EXPECT_EQ(ErrnoStatus(ENOENT, "open x").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ErrnoStatus(EEXIST, "").code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(ErrnoStatus(EPERM, "").code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(ErrnoStatus(ENOSPC, "").code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ErrnoStatus(EINVAL, "").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ErrnoStatus(ETIMEDOUT, "").code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(ErrnoStatus(EIO, "").code(), absl::StatusCode::kInternal);
  EXPECT_EQ(Message(ErrnoStatus(ENOENT, "open x")), "open x: No such file or directory");
}

TEST(Status, MacrosPassErrorsOn) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(Message(Quarter(3).status()), "3 is odd");
  EXPECT_EQ(Message(Quarter(6).status()), "3 is odd");
}

TEST(Status, AnnotateAndWithCodeKeepOkOk) {
  EXPECT_OK(Annotate(absl::OkStatus(), "x"));
  EXPECT_OK(WithCode(absl::StatusCode::kInternal, absl::OkStatus()));
  const absl::Status status = Annotate(NotFound("b"), "a");
  EXPECT_EQ(status, NotFound("a: b"));
  EXPECT_EQ(WithCode(absl::StatusCode::kUnavailable, status), Unavailable("a: b"));
}

}  // namespace
}  // namespace davit
