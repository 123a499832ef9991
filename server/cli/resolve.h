// SPDX-License-Identifier: Apache-2.0
//
// What an operator names: a container or a pod, by ID prefix or by name.
#pragma once

#include <string>

#include "server/cli/client.h"

namespace davit::server::cli {

struct Object {
  bool is_pod = false;
  std::string id;
};

// NotFound or InvalidArgument (ambiguous) with what the name could mean. Of containers with one
// name the newest is meant.
absl::StatusOr<Object> Resolve(Client& client, const std::string& name);
absl::StatusOr<std::string> ResolveContainer(Client& client, const std::string& name);

}  // namespace davit::server::cli
