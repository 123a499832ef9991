// SPDX-License-Identifier: Apache-2.0
//
// What a signature says, and what a log says about it: both come from strangers.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "image/policy/identity.h"
#include "image/signature/gpg_status.h"
#include "image/signature/payload.h"
#include "image/signature/rekor.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace davit::image;
  static const Reference& name = *new Reference(Reference::Parse("busybox:1").value());
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const char* type : {kSimpleSigningType, kSigstoreType}) {
    const auto claim = ParseClaim(text, type);
    if (claim.ok() && claim->manifest.empty()) {
      std::abort();
    }
    if (claim.ok()) {
      (void)CheckIdentity({}, name, claim->reference).ok();
    }
  }
  (void)CheckGoodSignature(text, {"AA"}).ok();
  Signature signature{.kind = Signature::Kind::kSigstore, .message = "m", .bundle = text};
  if (CheckRekorBundle({}, signature, "").ok()) {
    std::abort();  // no key was given
  }
  return 0;
}
