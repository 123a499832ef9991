// SPDX-License-Identifier: Apache-2.0
#include "test/images/tar_layer.h"

#include <archive.h>
#include <archive_entry.h>

#include "base/status.h"

namespace davit::test {
namespace {

struct FreeArchive {
  void operator()(struct archive* a) const { archive_write_free(a); }
};
struct FreeEntry {
  void operator()(struct archive_entry* e) const { archive_entry_free(e); }
};
using Entry = std::unique_ptr<struct archive_entry, FreeEntry>;

constexpr mode_t kSymlinkMode = 0777;

la_ssize_t Append(struct archive* /*a*/, void* out, const void* data, size_t size) {
  static_cast<std::string*>(out)->append(static_cast<const char*>(data), size);
  return static_cast<la_ssize_t>(size);
}

Entry NewEntry(const std::string& path, mode_t type, mode_t mode, Owner owner) {
  Entry entry(archive_entry_new());
  archive_entry_set_pathname(entry.get(), path.c_str());
  archive_entry_set_filetype(entry.get(), type);
  archive_entry_set_perm(entry.get(), mode);
  archive_entry_set_uid(entry.get(), owner.uid);
  archive_entry_set_gid(entry.get(), owner.gid);
  archive_entry_set_mtime(entry.get(), 0, 0);
  archive_entry_set_size(entry.get(), 0);
  return entry;
}

// Directory and name of the marker file that OCI layers use for what is gone.
std::string Marker(const std::string& path, const std::string& name) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? name : path.substr(0, slash + 1) + name;
}

}  // namespace

struct TarLayer::Impl {
  std::string bytes;
  absl::Status status;
  std::unique_ptr<struct archive, FreeArchive> writer{archive_write_new()};

  void Check(int result, const std::string& what) {
    if (status.ok() && result < ARCHIVE_OK) {
      status = Internal("{}: {}", what, archive_error_string(writer.get()));
    }
  }

  void Put(const Entry& entry, std::string_view content = {}) {
    const std::string path = archive_entry_pathname(entry.get());
    Check(archive_write_header(writer.get(), entry.get()), path);
    if (!content.empty() && status.ok()) {
      const la_ssize_t written = archive_write_data(writer.get(), content.data(), content.size());
      Check(written == static_cast<la_ssize_t>(content.size()) ? ARCHIVE_OK : ARCHIVE_FATAL, path);
    }
  }
};

TarLayer::TarLayer() : impl_(std::make_unique<Impl>()) {
  impl_->Check(archive_write_set_format_pax_restricted(impl_->writer.get()), "tar format");
  impl_->Check(archive_write_set_bytes_in_last_block(impl_->writer.get(), 1), "tar padding");
  impl_->Check(archive_write_open(impl_->writer.get(), &impl_->bytes, nullptr, Append, nullptr),
               "tar");
}

TarLayer::~TarLayer() = default;

TarLayer& TarLayer::Dir(const std::string& path, mode_t mode, Owner owner) {
  impl_->Put(NewEntry(path + "/", AE_IFDIR, mode, owner));
  return *this;
}

TarLayer& TarLayer::File(const std::string& path, std::string_view content, mode_t mode,
                         Owner owner) {
  const Entry entry = NewEntry(path, AE_IFREG, mode, owner);
  archive_entry_set_size(entry.get(), static_cast<la_int64_t>(content.size()));
  impl_->Put(entry, content);
  return *this;
}

TarLayer& TarLayer::Symlink(const std::string& path, const std::string& target) {
  const Entry entry = NewEntry(path, AE_IFLNK, kSymlinkMode, {});
  archive_entry_set_symlink(entry.get(), target.c_str());
  impl_->Put(entry);
  return *this;
}

TarLayer& TarLayer::Hardlink(const std::string& path, const std::string& target) {
  const Entry entry = NewEntry(path, AE_IFREG, 0644, {});
  archive_entry_set_hardlink(entry.get(), target.c_str());
  impl_->Put(entry);
  return *this;
}

TarLayer& TarLayer::Whiteout(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  return File(Marker(path, ".wh." + name), "");
}

TarLayer& TarLayer::Opaque(const std::string& directory) {
  return File(directory + "/.wh..wh..opq", "");
}

absl::StatusOr<std::string> TarLayer::Finish() {
  impl_->Check(archive_write_close(impl_->writer.get()), "end of tar");
  RETURN_IF_ERROR(impl_->status);
  return std::move(impl_->bytes);
}

}  // namespace davit::test
