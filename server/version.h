// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace davit::server {

inline constexpr char kVersion[] = DAVIT_VERSION;  // of the project, set by meson

}  // namespace davit::server
