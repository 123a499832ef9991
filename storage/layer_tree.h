// SPDX-License-Identifier: Apache-2.0
//
// The directory of one layer while it is being written: every name of the archive is resolved
// beneath an open directory (an absolute symlink among its parents stays inside), the last
// component is acted on through its parent's descriptor and never followed. Whatever the archive
// holds, nothing outside the directory is read or written. One thread.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

#include "base/fd.h"

namespace davit::storage {

// "./a//b/" -> "a/b"; the root itself is "". An absolute name means "from the root of the layer".
// InvalidArgument for "..", an embedded NUL or a name too long for the kernel.
absl::StatusOr<std::string> NormalizeTarPath(std::string_view path);

// Where an entry goes.
struct Place {
  int parent =
      -1;  // descriptor of the directory; the tree's, valid until its next Find or Displace
  std::string name;         // one component, never empty, "." or ".."
  std::string path;         // the whole normalised path
  bool root_group = false;  // the directory is of group 0, and so is what root makes in it
};

class LayerTree {
 public:
  using OpaqueFunction = std::function<absl::Status(int dir_fd, const std::string& path)>;

  // Makes diff (0755) and trash in the directory.
  static absl::StatusOr<LayerTree> Create(int directory_fd, OpaqueFunction set_opaque);

  // Descriptor of diff/.
  [[nodiscard]] int root() const { return root_.get(); }

  // Resolves the parents of a normalised, non-empty path. Missing ones are made (root's, 0755).
  absl::StatusOr<Place> Find(const std::string& path);
  // The same without making anything: NotFound if a parent is missing.
  absl::StatusOr<Place> FindExisting(const std::string& path);

  // What stands at the place; nothing if it is free.
  static absl::StatusOr<std::optional<struct stat>> Stat(const Place& place);
  // Frees the place; a directory goes to the trash with all that is in it. Returns what stood
  // there.
  absl::StatusOr<struct stat> Displace(const Place& place);

  struct MadeDirectory {
    int fd = -1;  // the tree's, valid until its next Find or Displace
    bool fresh = false;
  };
  // mkdir and open; the next Find below it needs no resolution. A file that was there is displaced;
  // a directory stays as it is; a whiteout makes the new directory opaque.
  absl::StatusOr<MadeDirectory> MakeDirectory(const Place& place);
  // Owner of the directory that MakeDirectory returned last may have changed.
  void ForgetGroup() { cached_group_.reset(); }

  // Overlay's marks.
  static absl::Status MakeWhiteout(const Place& place);
  static absl::Status SetOpaque(int dir_fd, const std::string& path);
  static bool IsWhiteout(const struct stat& st);

  absl::Status MarkOpaque(int dir_fd, const std::string& path) const {
    return set_opaque_(dir_fd, path);
  }

  [[nodiscard]] uint64_t directories_made() const { return directories_made_; }
  // Paths of directories made as parents that no entry has been about so far.
  [[nodiscard]] const std::set<std::string>& implied() const { return implied_; }

 private:
  LayerTree(UniqueFd root, UniqueFd trash, OpaqueFunction set_opaque)
      : root_(std::move(root)), trash_(std::move(trash)), set_opaque_(std::move(set_opaque)) {}
  absl::StatusOr<Place> Resolve(const std::string& path, bool make_parents);
  absl::StatusOr<UniqueFd> MakeParents(const std::string& path);
  absl::StatusOr<UniqueFd> StepInto(int parent, const std::string& name, const std::string& path);
  absl::StatusOr<UniqueFd> NewParent(int parent, const std::string& name, const std::string& path);
  absl::StatusOr<bool> IsRootGroup(int dir_fd);
  void ForgetImplied(const std::string& path);

  UniqueFd root_;
  UniqueFd trash_;
  OpaqueFunction set_opaque_;
  std::set<std::string> implied_;
  // The directory of the last entry: most entries follow one of the same directory.
  std::string cached_path_;
  UniqueFd cached_;
  std::optional<bool> cached_group_;  // is it of group 0
  uint64_t trashed_ = 0;
  uint64_t directories_made_ = 0;
};

}  // namespace davit::storage
