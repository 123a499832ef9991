// SPDX-License-Identifier: Apache-2.0
//
// Signatures that were found good at a pull, kept in davit.db by the digest of the manifest they
// are about, so that the start of a container can be checked without a registry. They prove what
// they say by themselves: a lost row costs a request, a wrong one is refused when it is verified.
// Thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "base/digest.h"
#include "image/signature/signature.h"

namespace davit {
class Db;
}

namespace davit::image {

class SignatureStore {
 public:
  // Makes or migrates the table. The Db outlives the store.
  static absl::StatusOr<std::unique_ptr<SignatureStore>> Open(Db& db);

  // In the place of what there was of this manifest.
  absl::Status Put(const Digest& manifest, const std::vector<Signature>& signatures);
  // None is no error.
  [[nodiscard]] absl::StatusOr<std::vector<Signature>> Get(const Digest& manifest) const;

  // Removes those whose manifest nothing uses. Those of the last day stay: their image may be on
  // its way.
  absl::Status Sweep(const std::function<bool(const std::string& manifest)>& in_use);

 private:
  explicit SignatureStore(Db& db) : db_(db) {}
  Db& db_;
};

}  // namespace davit::image
