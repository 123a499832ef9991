// SPDX-License-Identifier: Apache-2.0
//
// Units of systemd, asked for over the system bus (org.freedesktop.systemd1(5)). Each call makes a
// connection of its own, which costs about a millisecond and leaves nothing to mend when the bus or
// systemd is restarted. Every call ends within kBusTimeout. Thread-safe. Errors name the unit and
// what systemd says of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"

namespace davit::server::systemd {

inline constexpr std::chrono::seconds kBusTimeout{30};

// A property of a unit; the alternatives are the D-Bus types b, t, s, ay and au.
struct Property {
  std::string name;
  std::variant<bool, uint64_t, std::string, std::vector<uint8_t>, std::vector<uint32_t>> value;
};

// Makes a transient unit and waits until it is there. AlreadyExists if it is: it stays as it is.
absl::Status Start(const std::string& unit, const std::vector<Property>& properties);
// Waits until all in it has ended. A unit that systemd does not know is success.
absl::Status Stop(const std::string& unit);
// Of a unit that has failed, and would be kept for that. One that is not known is success.
absl::Status ResetFailed(const std::string& unit);
// Until the next boot. A unit that systemd does not know is success: its processes have ended.
absl::Status SetProperties(const std::string& unit, const std::vector<Property>& properties);
// By a glob.
absl::StatusOr<std::vector<std::string>> FailedUnits(const std::string& pattern);

}  // namespace davit::server::systemd
