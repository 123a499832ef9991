// SPDX-License-Identifier: Apache-2.0
//
// Makes the tar of a layer again, bit for bit, from its recipe and its files. One thread. The
// layer's directory may be removed meanwhile: that is an error, never wrong bytes unnoticed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

#include "storage/byte_source.h"

namespace davit::storage {

class RecipeReader : public ByteSource {
 public:
  // A file (path below diff/) whose content is not what the layer brought. If this returns OK the
  // reader goes on, with zeros where it has no bytes; else that is the reader's error.
  using OnDamage = std::function<absl::Status(const std::string& path, const std::string& what)>;

  // NotFound if the layer has no recipe, DataLoss if that is damaged.
  static absl::StatusOr<std::unique_ptr<RecipeReader>> Open(const std::string& directory,
                                                            OnDamage on_damage);

  // Of the whole tar, known from the beginning.
  [[nodiscard]] virtual uint64_t tar_size() const = 0;
  // The content that the next regular file should have, in the order of the tar: its number, path,
  // size and CRC-32, without reading the file. For Finish of the writer.
  struct Content {
    uint64_t number = 0;
    std::string path;
    uint64_t size = 0;
    uint32_t crc = 0;
  };
  // Calls `each` for all, of a reader that is used for nothing else.
  virtual absl::Status ForEachContent(const std::function<absl::Status(const Content&)>& each) = 0;
};

}  // namespace davit::storage
