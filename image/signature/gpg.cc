// SPDX-License-Identifier: Apache-2.0
#include "image/signature/gpg.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/log.h"
#include "base/status.h"
#include "base/subprocess.h"
#include "base/text.h"
#include "image/signature/gpg_status.h"
#include "image/signature/signature.h"

namespace davit::image {
namespace {

constexpr unsigned char kOpenPgpPacket = 0x80;  // every packet begins with this bit (RFC 4880, 4.2)

absl::StatusOr<std::string> FindGpg(const std::string& program) {
  auto gpg = FindProgram(program);
  if (!gpg.ok()) {
    return FailedPrecondition(
        "gpg, which verifies signatures of GPG keys, is not installed: on Debian, "
        "apt-get install gpg");
  }
  return gpg;
}

absl::StatusOr<std::string> MakeHome(const std::string& scratch) {
  std::string home = JoinPath(scratch, "gnupg-XXXXXX");
  if (mkdtemp(home.data()) == nullptr) {
    return ErrnoStatus(errno, "make a home directory for gpg in " + scratch);
  }
  return home;
}

// The last of gpg's own words, for a message.
std::string LastWords(const RunResult& result) {
  const auto lines = Split(Trim(result.err), '\n');
  return Printable(lines.back());
}

}  // namespace

GpgKeyring::~GpgKeyring() {
  if (!home_.empty()) {
    log::IfError(RemoveTree(home_), "remove " + home_);
  }
}

GpgKeyring::GpgKeyring(GpgKeyring&& other) noexcept
    : gpg_(std::move(other.gpg_)),
      home_(std::exchange(other.home_, "")),
      keys_(std::move(other.keys_)) {}

absl::StatusOr<GpgKeyring> GpgKeyring::Create(Context& ctx, const std::string& scratch,
                                              const std::vector<std::string>& keyrings,
                                              const std::string& program) {
  ASSIGN_OR_RETURN(std::string gpg, FindGpg(program));
  ASSIGN_OR_RETURN(std::string home, MakeHome(scratch));
  GpgKeyring keyring(std::move(gpg), std::move(home));
  for (const std::string& bytes : keyrings) {
    RETURN_IF_ERROR(keyring.Import(ctx, bytes));
  }
  return keyring;
}

std::vector<std::string> GpgKeyring::Command(const std::vector<std::string>& arguments) const {
  // The keyring holds whom the policy trusts, so gpg's own web of trust has no say.
  std::vector<std::string> command = {gpg_,
                                      "--homedir",
                                      home_,
                                      "--no-options",
                                      "--batch",
                                      "--no-tty",
                                      "--quiet",
                                      "--no-autostart",
                                      "--disable-dirmngr",
                                      "--no-auto-key-locate",
                                      "--no-auto-key-retrieve",
                                      "--trust-model",
                                      "always",
                                      "--status-fd",
                                      "1"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

absl::Status GpgKeyring::Import(Context& ctx, const std::string& keyring) {
  ASSIGN_OR_RETURN(const RunResult result,
                   Run(ctx, {.argv = Command({"--import"}), .env = MinimalEnv(), .cwd = home_},
                       {.input = keyring}));
  const std::vector<std::string> imported = ImportedKeys(result.out);
  if (imported.empty()) {
    return InvalidArgument("the keyring holds no usable OpenPGP key ({})", LastWords(result));
  }
  keys_.insert(imported.begin(), imported.end());
  return absl::OkStatus();
}

absl::StatusOr<std::string> GpgKeyring::Verify(Context& ctx, const std::string& message) const {
  // gpg would also read armor and cleartext signatures, where text around the signed part is not
  // signed. Signatures of images are binary.
  if (message.empty() || (static_cast<unsigned char>(message.front()) & kOpenPgpPacket) == 0) {
    return PermissionDenied("it is no binary OpenPGP message");
  }
  if (message.size() > kMaxSignatureBytes) {
    return PermissionDenied("it has {} bytes, at most {} are accepted", message.size(),
                            kMaxSignatureBytes);
  }
  // The content goes to a file and gpg's words to stderr, so that neither can pass for a status.
  const std::string payload = JoinPath(home_, "payload");
  RETURN_IF_ERROR(RemoveFile(payload));
  ASSIGN_OR_RETURN(const RunResult result,
                   Run(ctx,
                       {.argv = Command({"--max-output", std::to_string(kMaxSignatureBytes),
                                         "--output", payload, "--verify", "-"}),
                        .env = MinimalEnv(),
                        .cwd = home_},
                       {.input = message}));
  RETURN_IF_ERROR(CheckGoodSignature(result.out, keys_));
  if (result.exit.code != 0 || result.truncated) {
    return PermissionDenied("gpg refuses it ({})", LastWords(result));
  }
  return ReadFile(payload, kMaxSignatureBytes);
}

}  // namespace davit::image
