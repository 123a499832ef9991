// SPDX-License-Identifier: Apache-2.0
//
// The node's word on an image: may it be pulled, may it be used. Asked at every pull once the
// manifest is known and before any layer is fetched, again before a container is made of an image
// or an image is mounted as a volume, so that a policy that became stricter counts for what is here
// already. Thread-safe.
//
// A refusal has the code Unknown and begins with "SignatureValidationFailed: ": the kubelet looks
// at the start of the message, and sees it there with no other code. It names the image, the
// requirement and the policy file. A policy that cannot be read refuses everything.
//
// Signatures are asked for only where the policy needs them. Good ones are kept with the image;
// those of an image that is here are asked for again only if what is kept does not do.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "config/config.h"
#include "image/policy/policy_files.h"
#include "image/policy/requirements.h"
#include "image/policy/scope.h"
#include "image/puller.h"
#include "image/signature/signature_store.h"
#include "storage/storage.h"

namespace davit::image {

class Source;

class PolicyChecker {
 public:
  // `scratch`: a directory for temporary files of its own, emptied here; best on a tmpfs. `store`
  // may be null: nothing is kept. All references outlive the checker.
  static absl::StatusOr<std::unique_ptr<PolicyChecker>> Create(
      const config::Image& config, const std::string& scratch,
      std::unique_ptr<SignatureStore> store);

  // For an image that is being pulled under `claim.name` from `source`, which signatures that are
  // attached to it come from too.
  absl::Status CheckPull(Context& ctx, const ImageClaim& claim, const PullRequest& request,
                         Source& source) const;

  // For an image that is here. `source`: of the pull that asks; without one, attached signatures
  // are fetched with the credentials of the request. `request.name`: what the pod calls it
  // (ImageSpec.user_specified_image) in its full form; "" or an image ID: any of the image's own
  // names may pass. An error that is no refusal (signatures are needed and not to be had now) keeps
  // its own code.
  absl::Status CheckPresent(Context& ctx, const storage::ImageRecord& image,
                            const PullRequest& request, Source* source = nullptr) const;

  // For an image from a file or directory: "docker-archive", "oci-archive", "oci"; `path` absolute
  // and without symlinks. Such images bring no signatures that are looked at.
  absl::Status CheckFile(Context& ctx, const std::string& transport, const std::string& path) const;

  // For the operator: "/etc/containers/policy.json", or that there is none, or what is wrong.
  [[nodiscard]] std::string Describe() const;
  // Which requirements are asked of an image, by whom: for messages.
  absl::StatusOr<std::string> Explain(const Reference& name,
                                      const std::string& pod_namespace) const;

  // Forgets the signatures of images that are gone.
  absl::Status Sweep(const storage::Storage& storage) const;

 private:
  PolicyChecker(const config::Image& config, std::string scratch,
                std::unique_ptr<SignatureStore> store);

  // What signatures are fetched from: `given`, or one made of the request when it is needed.
  struct Origin {
    const PullRequest& request;
    Source* given;
  };
  absl::Status Check(Context& ctx, const ImageClaim& claim, const Origin& origin) const;
  absl::Status Verify(Context& ctx, const Requirements& requirements, const ImageClaim& claim,
                      const Origin& origin) const;
  absl::StatusOr<std::vector<Signature>> Kept(const ImageClaim& claim) const;
  absl::StatusOr<std::vector<Signature>> Fetch(Context& ctx, const ImageClaim& claim,
                                               const Origin& origin) const;
  absl::Status Keep(const ImageClaim& claim, const std::vector<Signature>& kept,
                    std::vector<Signature> good) const;

  const config::Image& config_;
  const std::string scratch_;
  const std::unique_ptr<SignatureStore> store_;
  const PolicyFiles files_;
};

}  // namespace davit::image
