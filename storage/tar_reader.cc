// SPDX-License-Identifier: Apache-2.0
#include "storage/tar_reader.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <cstdlib>
#include <limits>
#include <string_view>

#include "base/status.h"
#include "base/text.h"

namespace davit::storage {
namespace {

struct ArchiveFree {
  void operator()(archive* a) const { archive_read_free(a); }
};

// libarchive converts pax names to the charset of the thread's locale; in "C" it keeps the bytes.
class CLocale {
 public:
  CLocale() {
    static const locale_t kC = newlocale(LC_ALL_MASK, "C", nullptr);
    old_ = uselocale(kC);
  }
  ~CLocale() { uselocale(old_); }
  CLocale(const CLocale&) = delete;
  CLocale& operator=(const CLocale&) = delete;

 private:
  locale_t old_ = nullptr;
};

absl::StatusOr<uint32_t> OwnerId(int64_t id, const std::string& path, const char* what) {
  if (id < 0 || id >= std::numeric_limits<uint32_t>::max()) {
    return InvalidArgument("tar entry '{}' has {} {}, out of range", Printable(path), what, id);
  }
  return static_cast<uint32_t>(id);
}

absl::StatusOr<TarEntry::Type> TypeOf(archive_entry* entry, const std::string& path) {
  if (archive_entry_hardlink(entry) != nullptr) {
    return TarEntry::Type::kHardLink;
  }
  switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
      return TarEntry::Type::kFile;
    case AE_IFDIR:
      return TarEntry::Type::kDirectory;
    case AE_IFLNK:
      return TarEntry::Type::kSymlink;
    case AE_IFCHR:
      return TarEntry::Type::kCharDevice;
    case AE_IFBLK:
      return TarEntry::Type::kBlockDevice;
    case AE_IFIFO:
      return TarEntry::Type::kFifo;
    default:
      return InvalidArgument("tar entry '{}' has unknown file type {:o}", Printable(path),
                             archive_entry_filetype(entry));
  }
}

std::string OrEmpty(const char* text) {
  return text == nullptr ? std::string() : text;
}

void CopyXattrs(archive_entry* from, TarEntry& to) {
  const char* name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  archive_entry_xattr_reset(from);
  while (archive_entry_xattr_next(from, &name, &value, &size) == ARCHIVE_OK) {
    if (name != nullptr) {
      to.xattrs.emplace_back(name, std::string(static_cast<const char*>(value), size));
    }
  }
}

absl::StatusOr<TarEntry> Convert(archive_entry* from) {
  TarEntry to;
  const char* path = archive_entry_pathname(from);
  if (path == nullptr) {
    return InvalidArgument("tar entry without a name");
  }
  to.path = path;
  ASSIGN_OR_RETURN(to.type, TypeOf(from, to.path));
  if (to.type == TarEntry::Type::kHardLink) {
    to.link = OrEmpty(archive_entry_hardlink(from));
  } else if (to.type == TarEntry::Type::kSymlink) {
    to.link = OrEmpty(archive_entry_symlink(from));
  }
  to.mode = archive_entry_perm(from);
  ASSIGN_OR_RETURN(to.uid, OwnerId(archive_entry_uid(from), to.path, "user ID"));
  ASSIGN_OR_RETURN(to.gid, OwnerId(archive_entry_gid(from), to.path, "group ID"));
  const int64_t size = archive_entry_size(from);
  if (size < 0) {
    return InvalidArgument("tar entry '{}' has a negative size", Printable(to.path));
  }
  to.size = static_cast<uint64_t>(size);
  to.device = makedev(major(archive_entry_rdev(from)), minor(archive_entry_rdev(from)));
  to.mtime = {.tv_sec = archive_entry_mtime(from), .tv_nsec = archive_entry_mtime_nsec(from)};
  if (to.mtime.tv_nsec < 0 || to.mtime.tv_nsec >= 1'000'000'000) {
    to.mtime.tv_nsec = 0;
  }
  CopyXattrs(from, to);
  return to;
}

}  // namespace

// libarchive loses a "linkpath" of an extended header if the link field of the entry's own header
// is empty, as writers leave it that put nothing but ASCII there: a symlink comes without a target,
// a hard link as an empty file. This reads it from the bytes of the headers.
namespace {

constexpr size_t kBlock = 512;
constexpr size_t kSizeField = 124;
constexpr size_t kTypeField = 156;
constexpr size_t kRemembered = size_t{64} << 10U;  // headers larger than that are not looked into

std::string_view PaxValue(std::string_view records, std::string_view wanted) {
  std::string_view value;
  while (!records.empty()) {  // "LENGTH key=value\n", LENGTH counts itself
    const size_t space = records.find(' ');
    const auto length = ParseUint(records.substr(0, space));
    if (space == std::string_view::npos || !length || *length <= space + 1 ||
        *length > records.size()) {
      break;
    }
    const std::string_view record = records.substr(space + 1, *length - space - 2);
    if (record.starts_with(wanted) && record.substr(wanted.size()).starts_with('=')) {
      value = record.substr(wanted.size() + 1);
    }
    records.remove_prefix(*length);
  }
  return value;
}

void RestoreLink(std::string_view headers, TarEntry& entry) {
  std::string_view link;
  while (headers.size() >= kBlock) {
    const char type = headers[kTypeField];
    if (type == '1' || type == '2') {
      entry.type = type == '1' ? TarEntry::Type::kHardLink : TarEntry::Type::kSymlink;
      entry.link = link;
      return;
    }
    if (type != 'x' && type != 'g' && type != 'L' && type != 'K') {
      return;
    }
    // The parser has accepted the header: an octal number, as nobody has extended headers of 8 GB.
    const std::string octal(headers.substr(kSizeField, 12));
    const uint64_t size = strtoull(octal.c_str(), nullptr, 8);
    headers.remove_prefix(kBlock);
    if (size > headers.size()) {
      return;
    }
    if (type == 'x') {
      link = PaxValue(headers.substr(0, size), "linkpath");
    }
    headers.remove_prefix(std::min<size_t>((size + kBlock - 1) / kBlock * kBlock, headers.size()));
  }
}

bool MayLackLink(const TarEntry& entry) {
  return entry.link.empty() &&
         (entry.type == TarEntry::Type::kSymlink || entry.type == TarEntry::Type::kHardLink ||
          (entry.type == TarEntry::Type::kFile && entry.size == 0));
}

}  // namespace

struct TarReader::Impl {
  explicit Impl(ByteSource& from) : source(from) {}

  // The stream from the current entry's first header on, as far as it was read; empty if that
  // header is too far back (its extended headers are larger than what is remembered).
  std::string_view Headers() {
    const la_int64_t position = archive_read_header_position(handle.get());
    const uint64_t back = given - std::min(given, static_cast<uint64_t>(position));
    const std::string_view now(reinterpret_cast<const char*>(current.data()), current.size());
    if (back <= now.size()) {
      return now.substr(now.size() - back);
    }
    const uint64_t before = back - now.size();
    if (before > earlier.size()) {
      return "";
    }
    joined = earlier.substr(earlier.size() - before);
    joined += now.substr(0, kRemembered);
    return joined;
  }

  // Keeps the end of the portion that is about to go.
  void Remember() {
    const size_t count = std::min(current.size(), kRemembered);
    earlier.append(reinterpret_cast<const char*>(current.data()) + current.size() - count, count);
    if (earlier.size() > 4 * kRemembered) {
      earlier.erase(0, earlier.size() - kRemembered);
    }
  }

  static la_ssize_t Read(archive* a, void* self, const void** buffer) {
    auto* impl = static_cast<Impl*>(self);
    impl->Remember();
    absl::StatusOr<std::span<const uint8_t>> bytes = impl->source.Next();
    impl->current = bytes.ok() ? *bytes : std::span<const uint8_t>();
    impl->given += impl->current.size();
    if (!bytes.ok()) {
      impl->source_status = bytes.status();
      archive_set_error(a, EIO, "source failed");
      return -1;
    }
    *buffer = bytes->data();
    return static_cast<la_ssize_t>(bytes->size());
  }

  // The error that the last call of libarchive ended with.
  absl::Status Error() const {
    if (!source_status.ok()) {
      return source_status;
    }
    const std::string text = OrEmpty(archive_error_string(handle.get()));
    if (archive_errno(handle.get()) == ENOMEM) {
      return ResourceExhausted("read tar: {}", text);
    }
    if (text.starts_with("Truncated")) {
      return DataLoss("tar stream ends too early: {}", text);
    }
    return InvalidArgument("malformed tar: {}", text.empty() ? "unknown error" : text);
  }

  ByteSource& source;
  absl::Status source_status;
  std::span<const uint8_t> current;  // the last portion
  std::string earlier;               // the end of those before
  std::string joined;                // headers that lie across portions
  uint64_t given = 0;                // bytes up to the end of the last portion
  std::unique_ptr<archive, ArchiveFree> handle;
};

TarReader::TarReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TarReader::~TarReader() = default;

absl::StatusOr<std::unique_ptr<TarReader>> TarReader::Create(ByteSource& source) {
  const CLocale locale;
  auto impl = std::make_unique<Impl>(source);
  impl->handle.reset(archive_read_new());
  archive* a = impl->handle.get();
  if (a == nullptr) {
    return ResourceExhausted("no memory for a tar reader");
  }
  if (archive_read_support_format_tar(a) != ARCHIVE_OK ||
      archive_read_support_format_empty(a) != ARCHIVE_OK) {
    return Internal("set up the tar reader: {}", OrEmpty(archive_error_string(a)));
  }
  if (archive_read_open(a, impl.get(), nullptr, &Impl::Read, nullptr) != ARCHIVE_OK) {
    return impl->Error();
  }
  return std::unique_ptr<TarReader>(new TarReader(std::move(impl)));
}

absl::StatusOr<std::optional<TarEntry>> TarReader::Next() {
  const CLocale locale;
  archive_entry* entry = nullptr;
  const int result = archive_read_next_header(impl_->handle.get(), &entry);
  if (result == ARCHIVE_EOF) {
    return std::nullopt;
  }
  // A warning is about what we do not use (a name that is not of this locale, an unknown keyword).
  if (result != ARCHIVE_OK && result != ARCHIVE_WARN) {
    return impl_->Error();
  }
  ASSIGN_OR_RETURN(TarEntry converted, Convert(entry));
  if (MayLackLink(converted)) {
    RestoreLink(impl_->Headers(), converted);
  }
  return converted;
}

absl::StatusOr<std::optional<TarBlock>> TarReader::NextBlock() {
  const void* data = nullptr;
  size_t size = 0;
  la_int64_t offset = 0;
  const int result = archive_read_data_block(impl_->handle.get(), &data, &size, &offset);
  if (result == ARCHIVE_EOF) {
    return std::nullopt;
  }
  if (result != ARCHIVE_OK && result != ARCHIVE_WARN) {
    return impl_->Error();
  }
  if (offset < 0) {
    return InvalidArgument("malformed tar: data at a negative offset");
  }
  return TarBlock{.offset = static_cast<uint64_t>(offset),
                  .bytes = {static_cast<const uint8_t*>(data), size}};
}

}  // namespace davit::storage
