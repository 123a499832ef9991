// SPDX-License-Identifier: Apache-2.0
#include "image/artifact/file_tar.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/types.h>

#include "base/status.h"

namespace davit::image {

struct FileTar::Output {
  ByteSink sink;
  absl::Status status;

  static la_ssize_t Take(archive* /*archive*/, void* self, const void* bytes, size_t size) {
    auto& output = *static_cast<Output*>(self);
    if (output.status.ok()) {
      output.status = output.sink({static_cast<const uint8_t*>(bytes), size});
    }
    return output.status.ok() ? static_cast<la_ssize_t>(size) : -1;
  }
};

FileTar::FileTar(ByteSink sink)
    : output_(std::make_unique<Output>(Output{.sink = std::move(sink), .status = {}})),
      archive_(archive_write_new()) {}

FileTar::~FileTar() {
  if (output_->status.ok()) {
    output_->status = Cancelled("the tar was not finished");  // it must not be ended now
  }
  archive_write_close(
      archive_);                 // archive_write_free of libarchive 3.6 leaves this out, and leaks,
  archive_write_free(archive_);  // where a write has failed
}

absl::Status FileTar::Failure(const char* what) const {
  if (!output_->status.ok()) {
    return output_->status;
  }
  const char* words = archive_error_string(archive_);
  return Internal("{}: {}", what, words != nullptr ? words : "unknown error");
}

absl::Status FileTar::Begin(const std::string& path, uint64_t size) {
  if (archive_write_set_format_pax_restricted(archive_) != ARCHIVE_OK ||
      archive_write_set_bytes_per_block(archive_, 0) != ARCHIVE_OK ||
      archive_write_open(archive_, output_.get(), nullptr, &Output::Take, nullptr) != ARCHIVE_OK) {
    return Failure("begin a tar");
  }
  const std::unique_ptr<archive_entry, decltype(&archive_entry_free)> entry(archive_entry_new(),
                                                                            &archive_entry_free);
  archive_entry_set_pathname(entry.get(), path.c_str());
  archive_entry_set_size(entry.get(), static_cast<la_int64_t>(size));
  archive_entry_set_filetype(entry.get(), AE_IFREG);
  archive_entry_set_perm(entry.get(), 0644);
  archive_entry_set_mtime(entry.get(), 0, 0);
  left_ = size;
  // A warning is about a name that is not in the locale's character set: it is written as it is.
  return archive_write_header(archive_, entry.get()) >= ARCHIVE_WARN
             ? absl::OkStatus()
             : Failure("write the header of a tar");
}

absl::Status FileTar::Write(std::span<const uint8_t> bytes) {
  if (bytes.size() > left_) {
    return DataLoss("a file has {} bytes more than its descriptor says", bytes.size() - left_);
  }
  while (!bytes.empty()) {
    const la_ssize_t written = archive_write_data(archive_, bytes.data(), bytes.size());
    if (written <= 0) {
      return Failure("write a tar");
    }
    bytes = bytes.subspan(static_cast<size_t>(written));
    left_ -= static_cast<uint64_t>(written);
  }
  return absl::OkStatus();
}

absl::Status FileTar::Finish() {
  if (left_ > 0) {
    return DataLoss("a file ends {} bytes before its descriptor says", left_);
  }
  return archive_write_close(archive_) == ARCHIVE_OK ? absl::OkStatus() : Failure("end a tar");
}

}  // namespace davit::image
