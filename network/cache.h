// SPDX-License-Identifier: Apache-2.0
//
// What was attached to which network, kept so that it can be detached whatever becomes of the
// configuration, the namespace or the machine. One file for each attachment, in libcni's layout:
// <cache_dir>/results/<network>-<container>-<interface>, JSON of kind "cniCacheV1". Others keep
// their files there too: ours carry the member "davit" with the owner. Written by atomic rename.
// Thread-safe.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

#include "network/runtime_args.h"

namespace davit::network {

// All that DEL needs.
struct Attachment {
  std::string container_id;
  std::string network;
  std::string netns;        // where it was at ADD
  std::string config_json;  // the plugin list at ADD
  CniArgs args;
  std::map<std::string, std::string> capability_args;  // values are JSON text
  std::string result_json;                             // "" until ADD has succeeded
};

class Cache {
 public:
  // `owner` tells the attachments of several daemons that share the directory apart.
  Cache(const std::string& cache_dir, std::string owner);

  // Survives the end of the daemon at once; a power loss if Sync() follows. A record that replaces
  // a synced one needs no Sync: file systems put the new data on disk before they put the rename
  // there (where one does not, Find() gives the names).
  [[nodiscard]] absl::Status Write(const Attachment& attachment) const;
  [[nodiscard]] absl::Status Sync(const Attachment& attachment) const;
  [[nodiscard]] absl::Status Remove(const Attachment& attachment) const;
  // Of one container, in all networks. A file that cannot be read back (cut short by a power loss)
  // gives an attachment with no more than its names: config_json is empty.
  [[nodiscard]] absl::StatusOr<std::vector<Attachment>> Find(std::string_view container_id) const;
  // Containers with attachments of this owner, sorted.
  [[nodiscard]] absl::StatusOr<std::vector<std::string>> Containers() const;
  // Of all owners, by the names of the files: whoever made an attachment, its record says that it
  // is there.
  struct Name {
    std::string container_id;
    std::string interface;
  };
  [[nodiscard]] absl::StatusOr<std::vector<Name>> AttachmentsOf(const std::string& network) const;

 private:
  [[nodiscard]] std::string PathOf(const Attachment& attachment) const;
  // The names in the directory; none if it is missing.
  [[nodiscard]] absl::StatusOr<std::vector<std::string>> Names() const;

  const std::string dir_;
  const std::string owner_;
};

}  // namespace davit::network
