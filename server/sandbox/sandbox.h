// SPDX-License-Identifier: Apache-2.0
//
// A pod sandbox in memory: an identity that never changes, an immutable record that is swapped, and
// the mutex that lets one lifecycle operation at a time work on it.
#pragma once

#include <memory>
#include <string>

#include "absl/synchronization/mutex.h"

#include "server/recorded.h"
#include "server/state/state.pb.h"

namespace davit::server {

class Sandbox : public Recorded<davit::state::v1::SandboxRecord> {
 public:
  explicit Sandbox(const std::shared_ptr<const Record>& record)
      : Recorded(record), id_(record->id()), name_(record->name()) {}

  [[nodiscard]] const std::string& id() const { return id_; }
  [[nodiscard]] const std::string& name() const { return name_; }

  // Held for the whole of Run, Stop, Remove. Order: sandbox.op_mutex before container.op_mutex.
  absl::Mutex op_mutex;

 private:
  const std::string id_;
  const std::string name_;
};

}  // namespace davit::server
