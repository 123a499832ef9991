// SPDX-License-Identifier: Apache-2.0
//
// Rekor's promise, carried by a signature, that it is in a public log: the "signed entry timestamp"
// over a hashedrekord entry, verified without asking the log.
#pragma once

#include <ctime>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "image/signature/public_key.h"
#include "image/signature/signature.h"

namespace davit::image {

// When the log took the entry, if the bundle of `signature` is signed by one of `log_keys` and is
// about this signature of this payload by `key_der` (a public key or certificate, DER).
// PermissionDenied says what is wrong with it.
absl::StatusOr<std::time_t> CheckRekorBundle(const std::vector<PublicKey>& log_keys,
                                             const Signature& signature,
                                             const std::string& key_der);

}  // namespace davit::image
