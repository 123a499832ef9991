// SPDX-License-Identifier: Apache-2.0
#include "storage/recipe/recipe_reader.h"

#include <fcntl.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/file.h"
#include "base/status.h"
#include "base/text.h"
#include "storage/recipe/content_file.h"
#include "storage/recipe/crc32.h"
#include "storage/recipe/recipe_format.h"
#include "storage/recipe/tar_framing.h"

namespace davit::storage {
namespace {

constexpr size_t kPortion = size_t{256} << 10U;
constexpr size_t kInBytes = size_t{32} << 10U;
constexpr size_t kRawBytes = size_t{64} << 10U;

struct DecompressorFree {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

uint64_t LittleEndian(std::span<const uint8_t> bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i > 0; --i) {
    value = value << 8U | bytes[i - 1];
  }
  return value;
}

// The decompressed frame, a portion at a time.
class RawBytes {
 public:
  RawBytes(UniqueFd fd, std::string path)
      : fd_(std::move(fd)), path_(std::move(path)), in_(kInBytes), raw_(kRawBytes) {}

  absl::Status Start() {
    zstd_.reset(ZSTD_createDCtx());
    if (zstd_ == nullptr || ZSTD_isError(ZSTD_DCtx_setParameter(zstd_.get(), ZSTD_d_windowLogMax,
                                                                kRecipeWindowLog)) != 0) {
      return ResourceExhausted("no memory to read {}", path_);
    }
    return absl::OkStatus();
  }

  // What is there; empty at the end of the frame.
  absl::StatusOr<std::span<const uint8_t>> Peek() {
    while (begin_ == end_ && !ended_) {
      RETURN_IF_ERROR(Refill());
    }
    return std::span<const uint8_t>(raw_).subspan(begin_, end_ - begin_);
  }
  void Consume(size_t count) { begin_ += count; }

 private:
  absl::Status Refill() {
    if (in_buffer_.pos == in_buffer_.size) {
      const ssize_t count = read(fd_.get(), in_.data(), in_.size());
      if (count <= 0) {
        return count < 0 ? ErrnoStatus(errno, "read " + path_)
                         : DataLoss("{} ends too early", path_);
      }
      in_buffer_ = {in_.data(), static_cast<size_t>(count), 0};
    }
    ZSTD_outBuffer out{raw_.data(), raw_.size(), 0};
    const size_t left = ZSTD_decompressStream(zstd_.get(), &out, &in_buffer_);
    if (ZSTD_isError(left) != 0) {
      return DataLoss("{} is damaged: {}", path_, ZSTD_getErrorName(left));
    }
    begin_ = 0;
    end_ = out.pos;
    ended_ = left == 0;
    return absl::OkStatus();
  }

  UniqueFd fd_;
  const std::string path_;
  std::unique_ptr<ZSTD_DCtx, DecompressorFree> zstd_;
  std::vector<uint8_t> in_;
  ZSTD_inBuffer in_buffer_ = {nullptr, 0, 0};
  std::vector<uint8_t> raw_;
  size_t begin_ = 0;
  size_t end_ = 0;
  bool ended_ = false;
};

class RecipeReaderImpl : public RecipeReader {
 public:
  RecipeReaderImpl(UniqueFd diff, UniqueFd kept, RawBytes raw, uint64_t tar_size,
                   OnDamage on_damage)
      : diff_(std::move(diff)),
        kept_(std::move(kept)),
        raw_(std::move(raw)),
        tar_size_(tar_size),
        on_damage_(std::move(on_damage)),
        out_(kPortion) {}

  absl::Status Start() { return raw_.Start(); }
  [[nodiscard]] uint64_t tar_size() const override { return tar_size_; }

  absl::StatusOr<std::span<const uint8_t>> Next() override {
    size_t used = 0;
    while (used < out_.size()) {
      const std::span<uint8_t> room = std::span<uint8_t>(out_).subspan(used);
      ASSIGN_OR_RETURN(const size_t count, payload_ ? CopyContent(room) : CopyRaw(room));
      if (count == 0 && !payload_) {
        break;
      }
      used += count;
    }
    given_ += used;
    if (used == 0 && given_ != tar_size_) {
      return DataLoss("the recipe makes {} bytes of tar instead of {}", given_, tar_size_);
    }
    return std::span<const uint8_t>(out_).first(used);
  }

  absl::Status ForEachContent(const std::function<absl::Status(const Content&)>& each) override {
    while (true) {
      ASSIGN_OR_RETURN(const size_t count, CopyRaw(out_));
      if (payload_) {
        ASSIGN_OR_RETURN(const uint32_t crc, ReadCrc());
        RETURN_IF_ERROR(
            each({.number = number_, .path = payload_->path, .size = payload_->size, .crc = crc}));
        ++number_;
        payload_.reset();
      } else if (count == 0) {
        return absl::OkStatus();
      }
    }
  }

 private:
  // Bytes that are no content. Stops where content begins.
  absl::StatusOr<size_t> CopyRaw(std::span<uint8_t> room) {
    ASSIGN_OR_RETURN(std::span<const uint8_t> raw, raw_.Peek());
    raw = raw.first(std::min(raw.size(), room.size()));
    if (raw.empty()) {
      return 0;
    }
    TarFraming::Step step = framing_.Feed(raw);
    if (framing_.lost()) {
      return DataLoss("the recipe of the layer is damaged: no tar begins like this");
    }
    std::copy_n(raw.begin(), step.used, room.begin());
    raw_.Consume(step.used);
    payload_ = std::move(step.payload);
    if (payload_) {
      left_ = payload_->size;
      crc_ = 0;
      begun_ = false;
    }
    return step.used;
  }

  absl::StatusOr<size_t> CopyContent(std::span<uint8_t> room) {
    if (!begun_) {
      begun_ = true;
      RETURN_IF_ERROR(OpenContent());
    }
    const std::span<uint8_t> part = room.first(std::min<uint64_t>(room.size(), left_));
    RETURN_IF_ERROR(ReadContent(part));
    left_ -= part.size();
    if (left_ == 0) {
      RETURN_IF_ERROR(ContentDone());
    }
    return part.size();
  }

  absl::Status OpenContent() {
    const std::string kept = std::to_string(number_);
    absl::StatusOr<ContentFile> file =
        kept_.valid() ? OpenContentFile(kept_.get(), kept) : absl::NotFoundError("");
    if (absl::IsNotFound(file.status())) {
      file = OpenContentFile(diff_.get(), payload_->path);
    }
    file_.Reset();
    if (absl::IsNotFound(file.status())) {
      return Damaged("is missing");
    }
    if (!file.ok()) {
      return Damaged(Message(file.status()));
    }
    if (file->size != payload_->size) {
      return Damaged(fmt::format("has {} bytes instead of {}", file->size, payload_->size));
    }
    file_ = std::move(file->fd);
    return absl::OkStatus();
  }

  absl::Status ReadContent(std::span<uint8_t> part) {
    size_t done = 0;
    while (file_.valid() && done < part.size()) {
      const ssize_t count = read(file_.get(), part.data() + done, part.size() - done);
      if (count < 0 && errno == EINTR) {
        continue;
      }
      if (count <= 0) {
        file_.Reset();
        RETURN_IF_ERROR(Damaged(count < 0 ? "cannot be read: " + ErrnoText(errno)
                                          : std::string("became shorter while it was read")));
        break;
      }
      done += static_cast<size_t>(count);
    }
    std::fill(part.begin() + static_cast<ptrdiff_t>(done), part.end(), 0);
    crc_ = file_.valid() ? Crc32(crc_, part) : crc_;
    return absl::OkStatus();
  }

  absl::Status ContentDone() {
    ASSIGN_OR_RETURN(const uint32_t crc, ReadCrc());
    const bool changed = file_.valid() && crc != crc_;
    file_.Reset();
    ++number_;
    const absl::Status status = changed ? Damaged("has other content") : absl::OkStatus();
    payload_.reset();
    return status;
  }

  absl::StatusOr<uint32_t> ReadCrc() {
    uint8_t bytes[kRecipeCrc];
    for (size_t used = 0; used < kRecipeCrc;) {
      ASSIGN_OR_RETURN(const std::span<const uint8_t> raw, raw_.Peek());
      if (raw.empty()) {
        return DataLoss("the recipe of the layer ends too early");
      }
      const size_t count = std::min(raw.size(), kRecipeCrc - used);
      std::copy_n(raw.begin(), count, bytes + used);
      raw_.Consume(count);
      used += count;
    }
    return static_cast<uint32_t>(LittleEndian(bytes));
  }

  absl::Status Damaged(const std::string& what) {
    return on_damage_ ? on_damage_(payload_->path, what)
                      : DataLoss("layer file '{}' {}", Printable(payload_->path), what);
  }

  UniqueFd diff_;
  UniqueFd kept_;  // none in most layers
  RawBytes raw_;
  const uint64_t tar_size_;
  const OnDamage on_damage_;
  std::vector<uint8_t> out_;
  TarFraming framing_;
  uint64_t given_ = 0;

  // The content that is being copied.
  std::optional<TarPayload> payload_;
  uint64_t number_ = 0;
  uint64_t left_ = 0;
  uint32_t crc_ = 0;
  bool begun_ = false;
  UniqueFd file_;  // none where there is nothing (more) to read
};

}  // namespace

absl::StatusOr<std::unique_ptr<RecipeReader>> RecipeReader::Open(const std::string& directory,
                                                                 OnDamage on_damage) {
  const std::string path = JoinPath(directory, "recipe");
  ASSIGN_OR_RETURN(UniqueFd fd, davit::Open(path, O_RDONLY | O_NOFOLLOW));
  uint8_t header[kRecipeHeader];
  if (read(fd.get(), header, sizeof header) != static_cast<ssize_t>(sizeof header) ||
      std::memcmp(header, kRecipeMagic.data(), kRecipeMagic.size()) != 0) {
    return DataLoss("{} is damaged: it does not begin like a recipe", path);
  }
  ASSIGN_OR_RETURN(UniqueFd diff,
                   davit::Open(JoinPath(directory, "diff"), O_PATH | O_DIRECTORY | O_NOFOLLOW));
  UniqueFd kept;
  if (const std::string kept_path = JoinPath(directory, "kept"); PathExists(kept_path)) {
    ASSIGN_OR_RETURN(kept, davit::Open(kept_path, O_PATH | O_DIRECTORY | O_NOFOLLOW));
  }
  auto reader = std::make_unique<RecipeReaderImpl>(
      std::move(diff), std::move(kept), RawBytes(std::move(fd), path),
      LittleEndian(std::span<const uint8_t>(header).subspan(kRecipeMagic.size())),
      std::move(on_damage));
  RETURN_IF_ERROR(reader->Start());
  return reader;
}

}  // namespace davit::storage
