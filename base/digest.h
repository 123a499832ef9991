// SPDX-License-Identifier: Apache-2.0
//
// Content digests `algorithm:hex` (OCI image-spec, "Descriptors: Digests"), validated before any
// use as a name. sha256 and sha512.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace davit {

class Digest {
 public:
  Digest() = default;
  // InvalidArgument unless it is a known algorithm and exactly its number of lower-case hex digits.
  static absl::StatusOr<Digest> Parse(std::string_view text);
  static Digest Sha256Of(std::string_view bytes);

  [[nodiscard]] bool empty() const { return text_.empty(); }
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] std::string algorithm() const;
  [[nodiscard]] std::string hex() const;

  friend auto operator<=>(const Digest&, const Digest&) = default;

 private:
  explicit Digest(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

// Incremental hash; not thread-safe.
class Hasher {
 public:
  // "sha256" or "sha512".
  explicit Hasher(std::string_view algorithm = "sha256");
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;

  void Update(std::span<const uint8_t> bytes);
  [[nodiscard]] Digest Finish();  // once

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace davit
