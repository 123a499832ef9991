// SPDX-License-Identifier: Apache-2.0
//
// What a name means that a user wrote. A full name means itself. A short one ("busybox",
// "team/app") means its alias, else the name in each of the registries to search.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "config/config.h"
#include "image/reference.h"
#include "image/registries/registries_conf.h"

namespace davit::image {

// All that `name` may mean, for looking at what is here; may be empty. InvalidArgument: it is no
// reference.
absl::StatusOr<std::vector<Reference>> CandidatesOf(const std::string& name,
                                                    const RegistriesConf& conf,
                                                    const config::Image& config);

// What to pull. Never empty; to be tried in their order. InvalidArgument: it is no reference.
// FailedPrecondition: several registries could have it, and short names are enforced.
absl::StatusOr<std::vector<Reference>> ResolveName(const std::string& name,
                                                   const RegistriesConf& conf,
                                                   const config::Image& config);

}  // namespace davit::image
