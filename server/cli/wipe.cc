// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <cstdio>
#include <iostream>

#include <fmt/format.h>

#include "base/id.h"
#include "base/time.h"
#include "server/cli/client.h"
#include "server/cli/commands.h"
#include "server/cli/table.h"
#include "server/image/image_view.h"

namespace davit::server::cli {
namespace {

namespace v1 = runtime::v1;

struct Victims {
  v1::ListPodSandboxResponse pods;
  v1::ListContainersResponse containers;
  v1::ListImagesResponse images;
  uint64_t image_bytes = 0;
};

absl::StatusOr<Victims> Find(Client& client, const WipeOptions& options) {
  Victims victims;
  if (options.containers) {
    ASSIGN_OR_RETURN(victims.pods,
                     DAVIT_RUNTIME_CALL(client, ListPodSandbox, v1::ListPodSandboxRequest()));
  }
  ASSIGN_OR_RETURN(victims.containers,
                   DAVIT_RUNTIME_CALL(client, ListContainers, v1::ListContainersRequest()));
  if (options.images) {
    ASSIGN_OR_RETURN(const auto all, DAVIT_IMAGE_CALL(client, ListImages, v1::ListImagesRequest()));
    for (const auto& image : all.images()) {
      if (!image.spec().annotations().contains(kStoreAnnotation)) {  // that is not ours
        *victims.images.add_images() = image;
        victims.image_bytes += image.size();
      }
    }
  }
  return victims;
}

// Whatever the flags: nobody means to pull the ground from under what runs.
absl::Status RefuseWhatRuns(const Victims& victims, const WipeOptions& options) {
  for (const auto& container : victims.containers.containers()) {
    if (container.state() == v1::CONTAINER_RUNNING) {
      return FailedPrecondition(
          "container {} ({}) runs; drain the node, or stop it with `davit stop {}`, before a wipe",
          container.metadata().name(), ShortId(container.id()), ShortId(container.id()));
    }
  }
  if (!options.containers && !victims.containers.containers().empty()) {
    return FailedPrecondition(
        "{} containers use images; wipe them too (--all), or remove them with `davit rm`",
        victims.containers.containers_size());
  }
  return absl::OkStatus();
}

absl::Status Ask(const Victims& victims, const WipeOptions& options) {
  if (options.containers) {
    fmt::print("removes {} pods with {} containers\n", victims.pods.items_size(),
               victims.containers.containers_size());
  }
  if (options.images) {
    fmt::print("removes {} images, {} (pinned ones too)\n", victims.images.images_size(),
               HumanBytes(victims.image_bytes));
  }
  if (options.force) {
    return absl::OkStatus();
  }
  if (isatty(STDIN_FILENO) != 1) {
    return FailedPrecondition("nobody is there to be asked; use --force");
  }
  fmt::print("Go on? [y/N] ");
  std::fflush(stdout);
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" ? absl::OkStatus()
                                        : absl::CancelledError("nothing was removed");
}

absl::Status WipePods(Client& client, const Victims& victims) {
  for (const auto& pod : victims.pods.items()) {
    v1::StopPodSandboxRequest stop;
    stop.set_pod_sandbox_id(pod.id());
    RETURN_IF_ERROR(DAVIT_RUNTIME_CALL(client, StopPodSandbox, stop, kLong).status());
    v1::RemovePodSandboxRequest remove;
    remove.set_pod_sandbox_id(pod.id());
    RETURN_IF_ERROR(DAVIT_RUNTIME_CALL(client, RemovePodSandbox, remove, kLong).status());
  }
  return absl::OkStatus();
}

absl::Status WipeImages(Client& client, const Victims& victims) {
  for (const auto& image : victims.images.images()) {
    v1::RemoveImageRequest remove;
    remove.mutable_image()->set_image(image.id());
    RETURN_IF_ERROR(DAVIT_IMAGE_CALL(client, RemoveImage, remove, kLong).status());
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status RunWipe(const Globals& globals, const WipeOptions& options) {
  if (!options.containers && !options.images) {
    return InvalidArgument("say what to wipe: --containers, --images or --all");
  }
  Client client(globals.socket);
  ASSIGN_OR_RETURN(const Victims victims, Find(client, options));
  RETURN_IF_ERROR(RefuseWhatRuns(victims, options));
  RETURN_IF_ERROR(Ask(victims, options));
  RETURN_IF_ERROR(WipePods(client, victims));
  RETURN_IF_ERROR(WipeImages(client, victims));
  // What deleted images leave besides.
  RETURN_IF_ERROR(client
                      .Call(client.davit(), &davit::v1::Davit::Stub::CollectGarbage,
                            davit::v1::CollectGarbageRequest(), kLong)
                      .status());
  fmt::print("done\n");
  return absl::OkStatus();
}

}  // namespace davit::server::cli
