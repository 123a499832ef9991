// SPDX-License-Identifier: Apache-2.0
//
// One layer of a test image as tar bytes, built entry by entry. The same calls give the same bytes:
// times are 0 and owners are numbers. Errors are kept and told by Finish(). Not thread-safe.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace davit::test {

struct Owner {
  int64_t uid = 0;
  int64_t gid = 0;
};

class TarLayer {
 public:
  TarLayer();
  ~TarLayer();
  TarLayer(const TarLayer&) = delete;
  TarLayer& operator=(const TarLayer&) = delete;

  // Paths are relative ("bin/busybox") and their parents are not made.
  TarLayer& Dir(const std::string& path, mode_t mode = 0755, Owner owner = {});
  TarLayer& File(const std::string& path, std::string_view content, mode_t mode = 0644,
                 Owner owner = {});
  TarLayer& Symlink(const std::string& path, const std::string& target);
  TarLayer& Hardlink(const std::string& path, const std::string& target);
  // Hides what a lower layer has at the path.
  TarLayer& Whiteout(const std::string& path);
  // Hides what lower layers have in the directory.
  TarLayer& Opaque(const std::string& directory);

  // Once.
  absl::StatusOr<std::string> Finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace davit::test
