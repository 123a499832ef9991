// SPDX-License-Identifier: Apache-2.0
//
// A container in memory: an identity that never changes, an immutable record that is swapped, and
// the mutex that lets one lifecycle operation at a time work on it.
#pragma once

#include <memory>
#include <string>

#include "absl/synchronization/mutex.h"

#include "server/recorded.h"
#include "server/state/state.pb.h"

namespace davit::server {

class Container : public Recorded<davit::state::v1::ContainerRecord> {
 public:
  explicit Container(const std::shared_ptr<const Record>& record)
      : Recorded(record),
        id_(record->id()),
        sandbox_id_(record->sandbox_id()),
        name_(record->name()) {}

  [[nodiscard]] const std::string& id() const { return id_; }
  [[nodiscard]] const std::string& sandbox_id() const { return sandbox_id_; }
  [[nodiscard]] const std::string& name() const { return name_; }

  // Held for the whole of Create, Start, Remove, Update and the short parts of Stop (never while
  // Stop waits for the container to end). Order: sandbox.op_mutex before container.op_mutex.
  absl::Mutex op_mutex;

 private:
  const std::string id_;
  const std::string sandbox_id_;
  const std::string name_;
};

}  // namespace davit::server
