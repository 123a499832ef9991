// SPDX-License-Identifier: Apache-2.0
//
// OpenPGP signatures, verified by gpg(1) as a child process with a home directory of its own that
// holds the given keys and nothing else: no agent, no network, no configuration of the host. Why
// not by a library: gpgme forks the threaded daemon and waits without a deadline; gpg's
// machine-readable status (doc/DETAILS of GnuPG) is all that it reads, too.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "base/context.h"

namespace davit::image {

// Not thread-safe; movable. The home directory goes with the object.
class GpgKeyring {
 public:
  // Imports keyrings (binary or armored) into a new directory (0700) beneath `scratch`, which
  // exists. FailedPrecondition if gpg is not installed; InvalidArgument if the keyrings hold no
  // key.
  static absl::StatusOr<GpgKeyring> Create(Context& ctx, const std::string& scratch,
                                           const std::vector<std::string>& keyrings,
                                           const std::string& program = "gpg");
  ~GpgKeyring();
  GpgKeyring(GpgKeyring&& other) noexcept;
  GpgKeyring& operator=(GpgKeyring&&) = delete;

  // What the message signs, if it is a binary signed message (RFC 4880, 11.3) with exactly one
  // signature, that is good, of a key in the keyring, and neither it nor the key has expired or was
  // revoked. PermissionDenied says what is wrong with it.
  absl::StatusOr<std::string> Verify(Context& ctx, const std::string& message) const;

 private:
  GpgKeyring(std::string gpg, std::string home) : gpg_(std::move(gpg)), home_(std::move(home)) {}
  [[nodiscard]] std::vector<std::string> Command(const std::vector<std::string>& arguments) const;
  absl::Status Import(Context& ctx, const std::string& keyring);

  std::string gpg_;
  std::string home_;            // "" after a move
  std::set<std::string> keys_;  // fingerprints of the primary keys
};

}  // namespace davit::image
