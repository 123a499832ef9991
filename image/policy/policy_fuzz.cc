// SPDX-License-Identifier: Apache-2.0
//
// policy.json: whatever it holds, it is read or refused, and what is read can be asked.
#include <cstdint>
#include <cstdlib>

#include "image/policy/identity.h"
#include "image/policy/policy.h"
#include "image/policy/scope.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace davit::image;
  static const Reference& name =
      *new Reference(Reference::Parse("registry.example.com:5000/team/app:1").value());
  const auto policy = ParsePolicy({reinterpret_cast<const char*>(data), size});
  if (!policy.ok()) {
    return 0;
  }
  const ScopeMatch matches[] = {MatchDocker(*policy, name), MatchPath(*policy, "oci", "/a/b")};
  for (const ScopeMatch& match : matches) {
    if (match.requirements == nullptr || match.requirements->empty()) {
      std::abort();  // nothing asked would be everything accepted
    }
    for (const Requirement& requirement : *match.requirements) {
      (void)CheckIdentity(requirement.identity, name, name.canonical()).ok();
    }
  }
  return 0;
}
