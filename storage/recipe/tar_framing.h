// SPDX-License-Identifier: Apache-2.0
//
// Tells the bytes of a tar stream that are some file's content, and thus on disk in the layer
// anyway, from all others: headers, padding, end marker and what follows it. It knows of the
// formats (ustar, pax, GNU, old ones) no more than that takes, and gives the same answer for the
// same bytes always: what writes a recipe and what reads it agree by using it. One thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace davit::storage {

// The content of one regular file, of more than zero bytes.
struct TarPayload {
  std::string path;  // normalised, as NormalizeTarPath does
  uint64_t size = 0;
};

class TarFraming {
 public:
  // What an entry is to whoever keeps an account of names.
  enum class Kind { kFile, kDirectory, kOther };
  struct Entry {
    Kind kind = Kind::kOther;
    std::string path;  // normalised; empty for the root
    bool whiteout = false;
  };

  struct Step {
    size_t used = 0;             // bytes of the portion, none of them of a payload
    std::optional<Entry> entry;  // whose header ended there
    // Begins right after them. What follows it is to be fed next.
    std::optional<TarPayload> payload;
  };
  // Looks at bytes that are no payload. Stops behind each entry's header, else takes all.
  Step Feed(std::span<const uint8_t> bytes);

  // The stream has something that this class cannot follow: nothing it says from here on counts.
  [[nodiscard]] bool lost() const { return lost_; }

 private:
  static constexpr size_t kBlock = 512;

  [[nodiscard]] size_t Wanted() const;  // bytes until the state may change
  void HeaderDone(Step& step);
  void EntryDone(char type, uint64_t size, Step& step);
  void ExtensionDone();
  void Skip(uint64_t bytes) { skip_ += bytes; }
  [[nodiscard]] std::string_view Field(size_t offset, size_t length) const;
  [[nodiscard]] std::optional<uint64_t> Size() const;
  [[nodiscard]] std::string Name() const;

  std::array<uint8_t, kBlock> header_ = {};
  size_t header_used_ = 0;
  uint64_t skip_ = 0;        // bytes that are looked at no further
  bool sparse_map_ = false;  // the next block continues the map of a GNU sparse file
  uint64_t after_map_ = 0;
  bool ended_ = false;
  bool lost_ = false;

  char extension_type_ = 0;  // of the extended header that is being collected, else 0
  uint64_t extension_left_ = 0;
  std::string extension_;

  // What extended headers say about the entry that follows.
  std::optional<std::string> long_name_;
  std::optional<std::string> pax_path_;
  std::optional<uint64_t> pax_size_;
  bool pax_sparse_ = false;
};

}  // namespace davit::storage
