// SPDX-License-Identifier: Apache-2.0
//
// containers-certs.d(5), which Docker has too: DIR/HOST[:PORT]/ holds *.crt (CAs that are accepted
// besides the system's) and NAME.cert with NAME.key (shown to the server). Read at each pull, so
// that a renewed certificate counts at once.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "image/tls.h"

namespace davit::image {

// From the first of `directories` that has one for `host`; null if none has. FailedPrecondition
// names a file that is missing or cannot be read. Of several pairs the first by name is shown.
absl::StatusOr<TlsPtr> FindCerts(const std::vector<std::string>& directories,
                                 const std::string& host);

// The same for the host of a URL, which always has a port: with it, or without if it is 443.
absl::StatusOr<TlsPtr> FindCertsOfUrl(const std::vector<std::string>& directories,
                                      const std::string& host);

// The directory DIR/HOST[:PORT] itself. An empty one: null.
absl::StatusOr<TlsPtr> ReadCerts(const std::string& directory);

}  // namespace davit::image
