// SPDX-License-Identifier: Apache-2.0
#include "storage/recipe/tar_framing.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/text.h"
#include "storage/layer_tree.h"

namespace davit::storage {
namespace {

// Where a header keeps what (POSIX.1-2017 pax, "ustar Interchange Format"; GNU tar's tar.h).
constexpr size_t kNameLength = 100;
constexpr size_t kSizeOffset = 124;
constexpr size_t kSizeLength = 12;
constexpr size_t kTypeOffset = 156;
constexpr size_t kMagicOffset = 257;
constexpr size_t kPrefixOffset = 345;
constexpr size_t kPrefixLength = 155;
constexpr size_t kGnuSparseMore = 482;    // the header's map goes on in a block of its own
constexpr size_t kSparseBlockMore = 504;  // and that one's in another
constexpr size_t kMaxExtension = size_t{1} << 20U;

uint64_t Padding(uint64_t size) {
  return (512 - size % 512) % 512;
}

// Calls `each(key, value)` for the records "LENGTH key=value\n"; false if they are malformed.
template <typename Each>
bool ForEachPaxRecord(std::string_view records, const Each& each) {
  while (!records.empty()) {
    const size_t space = records.find(' ');
    const auto length = ParseUint(records.substr(0, space));
    if (space == std::string_view::npos || !length || *length <= space + 1 ||
        *length > records.size()) {
      return false;
    }
    const std::string_view record = records.substr(space + 1, *length - space - 2);
    const size_t equals = record.find('=');
    if (equals == std::string_view::npos) {
      return false;
    }
    each(record.substr(0, equals), record.substr(equals + 1));
    records.remove_prefix(*length);
  }
  return true;
}

bool IsWhiteoutName(std::string_view path) {
  // Also of a directory above: such entries are bookkeeping that is never written.
  return path.starts_with(".wh.") || path.find("/.wh.") != std::string_view::npos;
}

}  // namespace

std::string_view TarFraming::Field(size_t offset, size_t length) const {
  const char* begin = reinterpret_cast<const char*>(header_.data()) + offset;
  return {begin, strnlen(begin, length)};
}

std::optional<uint64_t> TarFraming::Size() const {
  const uint8_t* field = header_.data() + kSizeOffset;
  if ((field[0] & 0x80U) != 0) {  // GNU's big-endian binary number
    uint64_t value = field[0] & 0x3fU;
    if ((field[0] & 0x40U) != 0 || value != 0) {
      return std::nullopt;
    }
    for (size_t i = 1; i < kSizeLength; ++i) {
      if ((value >> 55U) != 0) {
        return std::nullopt;
      }
      value = value << 8U | field[i];
    }
    return value;
  }
  uint64_t value = 0;
  size_t i = 0;
  while (i < kSizeLength && field[i] == ' ') {
    ++i;
  }
  for (; i < kSizeLength && field[i] >= '0' && field[i] <= '7'; ++i) {
    value = value * 8 + (field[i] - '0');
  }
  return i < kSizeLength && field[i] != 0 && field[i] != ' ' ? std::nullopt : std::optional(value);
}

std::string TarFraming::Name() const {
  if (pax_path_) {
    return *pax_path_;
  }
  if (long_name_) {
    return *long_name_;
  }
  std::string name(Field(0, kNameLength));
  // GNU's magic is "ustar  ", and it has other things in the place of the prefix.
  if (std::memcmp(header_.data() + kMagicOffset, "ustar\0", 6) == 0 &&
      header_[kPrefixOffset] != 0) {
    name = std::string(Field(kPrefixOffset, kPrefixLength)) + "/" + name;
  }
  return name;
}

size_t TarFraming::Wanted() const {
  if (ended_ || lost_) {
    return std::numeric_limits<size_t>::max();
  }
  if (skip_ > 0) {
    return std::min<uint64_t>(skip_, std::numeric_limits<size_t>::max());
  }
  if (extension_type_ != 0) {
    return extension_left_;
  }
  return kBlock - header_used_;
}

TarFraming::Step TarFraming::Feed(std::span<const uint8_t> bytes) {
  Step step;
  while (step.used < bytes.size() && !step.entry) {
    const size_t count = std::min(bytes.size() - step.used, Wanted());
    const std::span<const uint8_t> part = bytes.subspan(step.used, count);
    step.used += count;
    if (ended_ || lost_) {
      break;
    }
    if (skip_ > 0) {
      skip_ -= count;
    } else if (extension_type_ != 0) {
      extension_.append(reinterpret_cast<const char*>(part.data()), count);
      extension_left_ -= count;
      if (extension_left_ == 0) {
        ExtensionDone();
      }
    } else {
      std::copy(part.begin(), part.end(), header_.begin() + static_cast<ptrdiff_t>(header_used_));
      header_used_ += count;
      if (header_used_ == kBlock) {
        header_used_ = 0;
        HeaderDone(step);
      }
    }
  }
  return step;
}

void TarFraming::HeaderDone(Step& step) {
  if (sparse_map_) {
    sparse_map_ = header_[kSparseBlockMore] != 0;
    if (!sparse_map_) {
      Skip(after_map_);
    }
    return;
  }
  if (std::all_of(header_.begin(), header_.end(), [](uint8_t b) { return b == 0; })) {
    ended_ = true;  // readers stop here; what follows belongs to the stream all the same
    return;
  }
  const std::optional<uint64_t> size = Size();
  if (!size || *size > std::numeric_limits<int64_t>::max() / 2) {
    lost_ = true;
    return;
  }
  const char type = static_cast<char>(header_[kTypeOffset]);
  if (type == 'x' || type == 'L') {
    lost_ = *size > kMaxExtension;
    extension_.clear();
    extension_left_ = *size;
    extension_type_ = type;
    if (*size == 0) {
      ExtensionDone();
    }
    return;
  }
  if (type == 'g' || type == 'K' || type == 'V' || type == 'A' || type == 'X') {
    Skip(*size + Padding(*size));
    return;
  }
  EntryDone(type, pax_size_.value_or(*size), step);
  long_name_.reset();
  pax_path_.reset();
  pax_size_.reset();
  pax_sparse_ = false;
}

void TarFraming::ExtensionDone() {
  Skip(Padding(extension_.size()));
  if (extension_type_ == 'L') {
    long_name_ = extension_.substr(0, extension_.find('\0'));
  } else {
    const bool good =
        ForEachPaxRecord(extension_, [this](std::string_view key, std::string_view value) {
          if (key == "path") {
            pax_path_ = std::string(value);
          } else if (key == "size") {
            const auto size = ParseUint(value);
            lost_ = lost_ || !size || *size > std::numeric_limits<int64_t>::max() / 2;
            pax_size_ = size;
          } else if (key.starts_with("GNU.sparse.")) {
            pax_sparse_ = true;
          }
        });
    lost_ = lost_ || !good;
  }
  extension_type_ = 0;
  extension_.clear();
}

void TarFraming::EntryDone(char type, uint64_t size, Step& step) {
  absl::StatusOr<std::string> path = NormalizeTarPath(Name());
  if (!path.ok()) {  // the layer is refused anyway
    lost_ = true;
    return;
  }
  Entry entry{.kind = Kind::kOther, .path = *path, .whiteout = IsWhiteoutName(*path)};
  const bool regular = type == '0' || type == '\0' || type == '7';
  const bool old_directory = regular && Name().ends_with('/');
  if (type == '5' || old_directory) {
    entry.kind = Kind::kDirectory;
    lost_ = size > 0;
  } else if (regular && !pax_sparse_ && !entry.whiteout) {
    entry.kind = Kind::kFile;
    if (size > 0) {
      step.payload = TarPayload{.path = *std::move(path), .size = size};
      Skip(Padding(size));
    }
  } else if (regular) {
    Skip(size + Padding(size));
  } else if (type == 'S') {
    sparse_map_ = header_[kGnuSparseMore] != 0;
    after_map_ = size + Padding(size);
    Skip(sparse_map_ ? 0 : after_map_);
  } else {
    // Readers differ on whether links and devices may have data.
    lost_ = size > 0;
  }
  step.entry = std::move(entry);
}

}  // namespace davit::storage
