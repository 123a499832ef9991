// SPDX-License-Identifier: Apache-2.0
//
// The SELinux policy of the machine, as far as containers go: which labels it has for them, and
// which labels it knows at all. Read once; the kernel is asked by its files (no library: it would
// keep one machine for the whole process, and a test needs another).
#pragma once

#include <string>

#include "absl/status/statusor.h"

#include "server/selinux/label.h"

namespace davit::server::selinux {

struct Roots {
  std::string sys = "/sys";
  std::string etc = "/etc";
};

class Policy {
 public:
  // NotFound where the kernel has no SELinux (or has it off); FailedPrecondition where the machine
  // has no policy for it, or the policy's lxc_contexts cannot be read.
  static absl::StatusOr<Policy> Load(const Roots& roots);

  // Of lxc_contexts(5): `process`, `init_process`, `kvm_process` and `file`, `ro_file`.
  [[nodiscard]] const Label& process() const { return process_; }
  [[nodiscard]] const Label& init_process() const { return init_process_; }
  [[nodiscard]] const Label& kvm_process() const { return kvm_process_; }
  [[nodiscard]] const Label& file() const { return file_; }
  [[nodiscard]] const Label& read_only_file() const { return read_only_file_; }

  // InvalidArgument for a label that the kernel's policy does not know.
  [[nodiscard]] absl::Status Check(const Label& label) const;

 private:
  std::string kernel_;
  Label process_;
  Label init_process_;
  Label kvm_process_;
  Label file_;
  Label read_only_file_;
};

}  // namespace davit::server::selinux
