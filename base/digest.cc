// SPDX-License-Identifier: Apache-2.0
#include "base/digest.h"

#include <array>
#include <cstdio>
#include <cstdlib>

#include <openssl/evp.h>

#include "base/id.h"
#include "base/status.h"
#include "base/text.h"

namespace davit {
namespace {

struct Algorithm {
  std::string_view name;
  size_t digits;
};
constexpr std::array<Algorithm, 2> kAlgorithms = {{{"sha256", 64}, {"sha512", 128}}};

[[noreturn]] void Die(const char* what) {
  // Out of memory, or a crypto library without SHA-2: there is no sound way on.
  std::fprintf(stderr, "davit: %s fails in libcrypto\n", what);
  std::abort();
}

}  // namespace

absl::StatusOr<Digest> Digest::Parse(std::string_view text) {
  const size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  const std::string_view hex =
      colon == std::string_view::npos ? std::string_view() : text.substr(colon + 1);
  for (const Algorithm& algorithm : kAlgorithms) {
    if (name == algorithm.name && hex.size() == algorithm.digits && IsLowerHex(hex)) {
      return Digest(std::string(text));
    }
  }
  return InvalidArgument(
      "digest '{}' is not of the form sha256:<64 hex digits> or sha512:<128 hex digits>",
      Printable(text, 160));
}

Digest Digest::Sha256Of(std::string_view bytes) {
  Hasher hasher;
  hasher.Update({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  return hasher.Finish();
}

std::string Digest::algorithm() const {
  return empty() ? std::string() : text_.substr(0, text_.find(':'));
}

std::string Digest::hex() const {
  return empty() ? std::string() : text_.substr(text_.find(':') + 1);
}

struct Hasher::Impl {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  std::string name;

  Impl() = default;
  ~Impl() { EVP_MD_CTX_free(context); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
};

Hasher::Hasher(std::string_view algorithm) : impl_(std::make_unique<Impl>()) {
  const bool is_sha512 = algorithm == "sha512";
  impl_->name = is_sha512 ? "sha512" : "sha256";
  if (impl_->context == nullptr ||
      EVP_DigestInit_ex(impl_->context, is_sha512 ? EVP_sha512() : EVP_sha256(), nullptr) != 1) {
    Die("the start of a hash");
  }
}

Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

void Hasher::Update(std::span<const uint8_t> bytes) {
  if (EVP_DigestUpdate(impl_->context, bytes.data(), bytes.size()) != 1) {
    Die("a hash");
  }
}

Digest Hasher::Finish() {
  std::array<uint8_t, EVP_MAX_MD_SIZE> bytes = {};
  unsigned size = 0;
  if (EVP_DigestFinal_ex(impl_->context, bytes.data(), &size) != 1) {
    Die("the end of a hash");
  }
  absl::StatusOr<Digest> digest =
      Digest::Parse(impl_->name + ":" + HexEncode(std::span(bytes).first(size)));
  return digest.ok() ? *std::move(digest) : Digest();
}

}  // namespace davit
