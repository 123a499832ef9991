// SPDX-License-Identifier: Apache-2.0
//
// Owner, mode, extended attributes and times of one tar entry, set with as few system calls as the
// entry needs.
#pragma once

#include <string>

#include "absl/status/status.h"

#include "storage/layer_tree.h"
#include "storage/tar_reader.h"

namespace davit::storage {

// `verb` layer entry 'path': the error's text. Errors of the kernel about a name or a value are the
// archive's fault (InvalidArgument).
absl::Status EntryError(int error, const char* verb, const std::string& path);

// Which of the entry's properties the new file has already.
struct FreshFile {
  bool owner_is_roots = false;  // made by root in a directory of group root
  bool mode_is_set = false;     // made with its permission bits and an empty umask
};

// Of an open file or directory; not the times. A default ACL is left out (see SetDefaultAcl).
absl::Status SetMetadata(int fd, const TarEntry& entry, const std::string& path,
                         const FreshFile& fresh);
absl::Status SetTimes(int fd, const TarEntry& entry, const std::string& path);

// Everything of what cannot be opened: symlinks, devices, FIFOs. Changes the working directory of
// the process if there are attributes to set.
absl::Status SetMetadataByName(const Place& place, const TarEntry& entry, const FreshFile& fresh);

// What a directory hands on to whatever is made in it; so it is set after all of that is made, else
// files would get attributes that the archive does not give them.
inline constexpr char kDefaultAcl[] = "system.posix_acl_default";
// The entry's default ACL; null if it has none.
const std::string* FindDefaultAcl(const TarEntry& entry);
absl::Status SetDefaultAcl(int dir_fd, const std::string& value, const std::string& path);

}  // namespace davit::storage
