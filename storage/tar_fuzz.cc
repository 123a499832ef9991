// SPDX-License-Identifier: Apache-2.0
//
// Reads and applies a tar, in a directory in memory. Whatever the bytes say, nothing may appear
// beside the layer's directory. Without root only the parsing is fed.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "base/file.h"
#include "storage/layer_tree.h"
#include "storage/tar_applier.h"
#include "storage/tar_reader.h"

namespace {

using davit::storage::ByteSource;

class MemorySource : public ByteSource {
 public:
  MemorySource(const uint8_t* data, size_t size) : rest_(data, size) {}
  absl::StatusOr<std::span<const uint8_t>> Next() override {
    const std::span<const uint8_t> portion = rest_.first(std::min<size_t>(rest_.size(), 700));
    rest_ = rest_.subspan(portion.size());
    return portion;
  }

 private:
  std::span<const uint8_t> rest_;
};

// A tmpfs that only this process sees; -1 without the power to make one.
int MakeScratch() {
  char path[] = "/tmp/davit-tar-fuzz-XXXXXX";
  if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0 ||
      mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 || mkdtemp(path) == nullptr) {
    return -1;
  }
  if (mount("none", path, "tmpfs", MS_NODEV | MS_NOSUID | MS_NOEXEC, "size=64m") != 0) {
    rmdir(path);
    return -1;
  }
  const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  umount2(path, MNT_DETACH);  // it lives as long as the descriptor
  rmdir(path);
  return fd;
}

void Read(const uint8_t* data, size_t size) {
  MemorySource source(data, size);
  auto reader = davit::storage::TarReader::Create(source);
  while (reader.ok()) {
    const auto entry = (*reader)->Next();
    if (!entry.ok() || !*entry) {
      return;
    }
    while (true) {
      const auto block = (*reader)->NextBlock();
      if (!block.ok() || !*block) {
        break;
      }
    }
  }
}

void Apply(int scratch, const uint8_t* data, size_t size) {
  const std::string root = "/proc/self/fd/" + std::to_string(scratch);
  if (mkdirat(scratch, "layer", 0700) != 0) {
    abort();
  }
  const int layer = openat(scratch, "layer", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  MemorySource source(data, size);
  (void)davit::storage::ApplyTar(source, layer, {.max_bytes = 1U << 20U, .max_files = 1000},
                                 &davit::storage::LayerTree::SetOpaque);
  close(layer);
  if (!davit::RemoveTree(root + "/layer").ok() || !davit::ListDir(root)->empty()) {
    abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const int scratch = MakeScratch();
  Read(data, size);
  if (scratch >= 0) {
    Apply(scratch, data, size);
  }
  return 0;
}
