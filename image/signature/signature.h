// SPDX-License-Identifier: Apache-2.0
//
// A signature as it was found beside an image: foreign bytes, of which nothing is believed before a
// key of the policy has made it believable. Plain values.
#pragma once

#include <cstddef>
#include <string>

namespace davit::image {

inline constexpr size_t kMaxSignatures = 64;  // of one manifest, of each kind
inline constexpr size_t kMaxSignatureBytes = size_t{1} << 20U;

struct Signature {
  enum class Kind {
    kSimpleSigning = 1,  // an OpenPGP message that holds its payload
    kSigstore = 2,
  };
  Kind kind = Kind::kSimpleSigning;
  std::string origin = {};   // for messages: the URL, or the layer of the attachment
  std::string message = {};  // the OpenPGP message; of sigstore the payload
  // Of sigstore alone, each as its annotation has it, "" if there is none:
  std::string signature = {};    // dev.cosignproject.cosign/signature: base64
  std::string certificate = {};  // dev.sigstore.cosign/certificate: PEM
  std::string chain = {};        // dev.sigstore.cosign/chain: PEM
  std::string bundle = {};       // dev.sigstore.cosign/bundle: the entry of a Rekor log, JSON

  friend bool operator==(const Signature&, const Signature&) = default;
};

}  // namespace davit::image
