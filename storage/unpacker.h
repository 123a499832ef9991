// SPDX-License-Identifier: Apache-2.0
//
// Applies one layer in a process of its own, davit-unpack, which has no power over anything but the
// layer's directory (storage/unpack/confine.h). One thread; the process is killed when the object
// goes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/status/statusor.h"

#include "base/fd.h"
#include "base/helper_program.h"
#include "base/subprocess.h"
#include "storage/tar_applier.h"

namespace davit::storage {

inline constexpr HelperProgram kUnpackProgram = {
    .name = "davit-unpack", .folder = "storage", .key = "storage.unpack_path"};

class Unpacker {
 public:
  // `program` is davit-unpack; `directory` is empty.
  static absl::StatusOr<std::unique_ptr<Unpacker>> Start(const std::string& program,
                                                         const std::string& directory,
                                                         const ApplyLimits& limits);
  ~Unpacker();
  Unpacker(const Unpacker&) = delete;
  Unpacker& operator=(const Unpacker&) = delete;

  // Blocks while the process is behind. The applier's error if it has given up; bytes after the
  // archive's end are dropped.
  absl::Status Push(std::span<const uint8_t> bytes);
  // End of the stream: waits for the outcome.
  absl::StatusOr<ApplyResult> Finish();

  [[nodiscard]] pid_t pid() const { return process_.pid(); }

 private:
  struct Ring;
  Unpacker(std::unique_ptr<Ring> ring, UniqueFd control, Process process);

  absl::Status Send(const void* packet, size_t size);
  absl::Status SendFilled();
  // Handles one packet; true if there was one.
  absl::StatusOr<bool> Receive(bool wait);
  absl::Status Handle(std::span<const uint8_t> packet, const UniqueFd& attached);
  absl::Status Ended();

  std::unique_ptr<Ring> ring_;
  UniqueFd control_;
  Process process_;
  bool running_ = true;
  size_t tail_ = 0;         // where the next byte goes
  size_t used_ = 0;         // bytes that may not be overwritten
  size_t unannounced_ = 0;  // of those, what the process does not know of
  bool done_ = false;
  absl::StatusOr<ApplyResult> result_;
};

}  // namespace davit::storage
