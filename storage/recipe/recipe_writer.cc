// SPDX-License-Identifier: Apache-2.0
#include "storage/recipe/recipe_writer.h"

#include <fcntl.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/status.h"
#include "storage/recipe/crc32.h"
#include "storage/recipe/displaced.h"
#include "storage/recipe/recipe_format.h"
#include "storage/recipe/tar_framing.h"

namespace davit::storage {
namespace {

// A tar whose headers compress to more than this is not worth its disk.
constexpr uint64_t kMaxRecipe = uint64_t{256} << 20U;
constexpr size_t kOutBytes = size_t{64} << 10U;

// Whether a later entry of the tar has replaced an earlier one, or turned a directory on the way to
// it into something else: only then is a file's content not found under the name of its entry.
class NameLog {
 public:
  void Add(const TarFraming::Entry& entry) {
    if (entry.whiteout || entry.path.empty()) {
      return;
    }
    AddParents(entry.path);
    const size_t hash = Hash(entry.path);
    if (entry.kind == TarFraming::Kind::kDirectory) {
      directories_.insert(hash);
      replaced_ = replaced_ || files_.contains(hash);
    } else {
      replaced_ = !files_.insert(hash).second || directories_.contains(hash) || replaced_;
    }
  }
  [[nodiscard]] bool replaced() const { return replaced_; }

 private:
  static size_t Hash(std::string_view path) { return std::hash<std::string_view>()(path); }

  void AddParents(std::string_view path) {
    const size_t slash = path.rfind('/');
    if (slash == std::string_view::npos || path.substr(0, slash) == parent_) {
      return;
    }
    parent_ = path.substr(0, slash);
    for (size_t end = slash; end != std::string_view::npos && end > 0;
         end = path.rfind('/', end - 1)) {
      const size_t hash = Hash(path.substr(0, end));
      if (!directories_.insert(hash).second) {
        break;  // and those above it
      }
      replaced_ = replaced_ || files_.contains(hash);
    }
  }

  absl::flat_hash_set<size_t> files_;
  absl::flat_hash_set<size_t> directories_;
  std::string parent_;
  bool replaced_ = false;
};

struct CompressorFree {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};

class RecipeWriterImpl : public RecipeWriter {
 public:
  explicit RecipeWriterImpl(std::string directory)
      : directory_(std::move(directory)), path_(JoinPath(directory_, "recipe")) {}

  absl::Status Write(std::span<const uint8_t> bytes) override {
    tar_size_ += bytes.size();
    while (!bytes.empty() && !hopeless_) {
      if (payload_left_ > 0) {
        const size_t count = std::min<uint64_t>(bytes.size(), payload_left_);
        crc_ = Crc32(crc_, bytes.first(count));
        payload_left_ -= count;
        bytes = bytes.subspan(count);
        if (payload_left_ == 0) {
          RETURN_IF_ERROR(PayloadDone());
        }
        continue;
      }
      const TarFraming::Step step = framing_.Feed(bytes);
      RETURN_IF_ERROR(Compress(bytes.first(step.used), ZSTD_e_continue));
      bytes = bytes.subspan(step.used);
      Note(step);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<bool> Finish() override {
    if (!hopeless_ && payload_left_ == 0) {
      RETURN_IF_ERROR(Compress({}, ZSTD_e_end));
      RETURN_IF_ERROR(WriteHeader());
      fd_.Reset();
    }
    if (hopeless_ || payload_left_ > 0) {
      fd_.Reset();
      RETURN_IF_ERROR(RemoveFile(path_));
      return false;
    }
    if (!names_.replaced()) {
      return true;
    }
    ASSIGN_OR_RETURN(const bool whole, KeepDisplaced(directory_));
    if (!whole) {
      RETURN_IF_ERROR(RemoveFile(path_));
    }
    return whole;
  }

 private:
  void Note(const TarFraming::Step& step) {
    hopeless_ = hopeless_ || framing_.lost();
    if (step.entry) {
      names_.Add(*step.entry);
    }
    if (step.payload) {
      payload_left_ = step.payload->size;
      crc_ = 0;
    }
  }

  absl::Status PayloadDone() {
    uint8_t bytes[kRecipeCrc];
    for (size_t i = 0; i < kRecipeCrc; ++i) {
      bytes[i] = static_cast<uint8_t>(crc_ >> (8 * i));
    }
    return Compress(bytes, ZSTD_e_continue);
  }

  absl::Status Open() {
    ASSIGN_OR_RETURN(fd_, davit::Open(path_, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    zstd_.reset(ZSTD_createCCtx());
    if (zstd_ == nullptr ||
        ZSTD_isError(ZSTD_CCtx_setParameter(zstd_.get(), ZSTD_c_compressionLevel, 1)) != 0 ||
        ZSTD_isError(ZSTD_CCtx_setParameter(zstd_.get(), ZSTD_c_windowLog, kRecipeWindowLog)) !=
            0 ||
        ZSTD_isError(ZSTD_CCtx_setParameter(zstd_.get(), ZSTD_c_checksumFlag, 1)) != 0) {
      return ResourceExhausted("no memory to compress the recipe of a layer");
    }
    out_.resize(kOutBytes);
    return WriteFd(fd_.get(), std::string(kRecipeHeader, '\0'), path_);
  }

  absl::Status Compress(std::span<const uint8_t> bytes, ZSTD_EndDirective directive) {
    if (!fd_.valid()) {
      RETURN_IF_ERROR(Open());
    }
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    while (true) {
      ZSTD_outBuffer out{out_.data() + out_used_, out_.size() - out_used_, 0};
      const size_t left = ZSTD_compressStream2(zstd_.get(), &out, &in, directive);
      if (ZSTD_isError(left) != 0) {
        return Internal("compress the recipe of a layer: {}", ZSTD_getErrorName(left));
      }
      out_used_ += out.pos;
      const bool done = directive == ZSTD_e_end ? left == 0 : in.pos == in.size;
      if (out_used_ == out_.size() || (done && directive == ZSTD_e_end)) {
        RETURN_IF_ERROR(Flush());
      }
      if (done) {
        return absl::OkStatus();
      }
    }
  }

  absl::Status Flush() {
    written_ += out_used_;
    hopeless_ = hopeless_ || written_ > kMaxRecipe;
    const std::string_view bytes(out_.data(), std::exchange(out_used_, 0));
    return hopeless_ ? absl::OkStatus() : WriteFd(fd_.get(), bytes, path_);
  }

  absl::Status WriteHeader() {
    std::string header(kRecipeMagic);
    for (size_t i = 0; i < 8; ++i) {
      header += static_cast<char>(tar_size_ >> (8 * i) & 0xffU);
    }
    if (pwrite(fd_.get(), header.data(), header.size(), 0) != static_cast<ssize_t>(header.size())) {
      return ErrnoStatus(errno, "write " + path_);
    }
    return absl::OkStatus();
  }

  const std::string directory_;
  const std::string path_;
  UniqueFd fd_;
  std::unique_ptr<ZSTD_CCtx, CompressorFree> zstd_;
  std::vector<char> out_;
  size_t out_used_ = 0;
  uint64_t written_ = 0;
  uint64_t tar_size_ = 0;
  TarFraming framing_;
  NameLog names_;
  uint64_t payload_left_ = 0;
  uint32_t crc_ = 0;
  bool hopeless_ = false;  // there will be no recipe
};

}  // namespace

absl::StatusOr<std::unique_ptr<RecipeWriter>> RecipeWriter::Create(const std::string& directory) {
  return std::make_unique<RecipeWriterImpl>(directory);
}

}  // namespace davit::storage
