// SPDX-License-Identifier: Apache-2.0
#include "server/oci/sealed_program.h"

#include <fcntl.h>
#include <stdlib.h>

#include <chrono>
#include <filesystem>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/status.h"
#include "base/subprocess.h"

namespace davit::server::oci {
namespace {

class SealedProgramTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/sealed.XXXXXX";
    dir_ = mkdtemp(pattern);
    path_ = dir_ + "/program";
  }
  void TearDown() override { EXPECT_EQ(RemoveTree(dir_), absl::OkStatus()); }

  // As a package manager does.
  void Install(const std::string& program) {
    std::filesystem::copy(program, path_ + ".new");
    std::filesystem::rename(path_ + ".new", path_);
  }
  int ExitCode(const UniqueFd& program) {
    Context ctx(std::chrono::seconds(10));
    const auto result = davit::Run(
        ctx, {.argv = {path_, "nothing"}, .env = MinimalEnv(), .program = program.get()});
    return result.ok() ? result->exit.code : -1;
  }

  std::string dir_;
  std::string path_;
};

TEST_F(SealedProgramTest, NobodyCanChangeTheCopy) {
  Install("/bin/true");
  const SealedProgram program(path_);
  const auto copy = program.Get();
  ASSERT_NE(copy, nullptr);
  EXPECT_EQ(fcntl(copy->get(), F_GET_SEALS),
            F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
  EXPECT_FALSE(Open("/proc/self/fd/" + std::to_string(copy->get()), O_RDWR | O_TRUNC).ok());
  EXPECT_EQ(ExitCode(*copy), 0);
  EXPECT_EQ(program.Get(), copy) << "made once";
}

TEST_F(SealedProgramTest, AReplacedFileIsCopiedAnew) {
  Install("/bin/true");
  const SealedProgram program(path_);
  const auto before = program.Get();
  Install("/bin/false");
  const auto after = program.Get();
  ASSERT_NE(after, nullptr);
  EXPECT_EQ(ExitCode(*after), 1);
  EXPECT_EQ(ExitCode(*before), 0) << "who still has it can use it";
  std::filesystem::remove(path_);
  EXPECT_EQ(program.Get(), nullptr) << "a runtime that was removed is not run";
}

TEST_F(SealedProgramTest, AScriptIsExecutedByItsPath) {
  EXPECT_EQ(WriteFileAtomic(path_, "#!/bin/sh\n", 0755), absl::OkStatus());
  EXPECT_EQ(SealedProgram(path_).Get(), nullptr);
  EXPECT_EQ(WriteFileAtomic(path_, "", 0755), absl::OkStatus());
  EXPECT_EQ(SealedProgram(path_).Get(), nullptr);
}

}  // namespace
}  // namespace davit::server::oci
