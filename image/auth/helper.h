// SPDX-License-Identifier: Apache-2.0
//
// Credential helpers: `docker-credential-NAME get` reads a registry's address and prints
// {"Username": …, "Secret": …}. Source: docker/docker-credential-helpers, README. What a helper
// prints never appears in an error or a log.
#pragma once

#include <string>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "image/puller.h"

namespace davit::image {

// Empty if the helper knows none. FailedPrecondition: there is no such helper, or it fails;
// DeadlineExceeded: it takes over half a minute.
absl::StatusOr<Credentials> AskHelper(Context& ctx, const std::string& name,
                                      const std::string& server);

// What a helper has printed; InvalidArgument if that is not credentials.
absl::StatusOr<Credentials> ParseHelperAnswer(const std::string& text);

}  // namespace davit::image
