// SPDX-License-Identifier: Apache-2.0
//
// What registries do wrong, by name: each is a state that a FakeRegistry with the image
// "app:1" is put into, and what a pull of that image has to make of it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"

#include "image/fake_registry.h"

namespace davit::test {

struct RegistryFault {
  std::string name;
  std::string what;
  absl::StatusCode code = absl::StatusCode::kOk;  // of the pull; OK: it has to get over it
  std::string says = {};                          // in the error
  std::function<void(image::FakeRegistry&, const image::FakeImage&)> apply;
};

// With `progress_timeout` of the daemon at one second none takes longer than half a minute.
[[nodiscard]] const std::vector<RegistryFault>& RegistryFaults();

// The image of the faults: a layer large enough for ranges, and two small ones.
[[nodiscard]] image::FakeImage FaultImage();

}  // namespace davit::test
