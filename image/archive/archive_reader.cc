// SPDX-License-Identifier: Apache-2.0
#include "image/archive/archive_reader.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "image/artifact/file_tar.h"
#include "image/decompress.h"
#include "image/manifest.h"
#include "storage/layer_tree.h"
#include "storage/tar_reader.h"

namespace davit::image {
namespace {

constexpr size_t kMaxMembers = 100'000;
constexpr size_t kMaxDocuments = size_t{64} << 20U;  // all together
constexpr size_t kMaxSmall = size_t{1} << 20U;       // kept in memory, whatever it is
constexpr int kMaxFiles = 1000;                      // of an artifact
constexpr size_t kMaxLinks = 16;
constexpr size_t kTarMagic = 257;

using storage::TarBlock;
using storage::TarEntry;

bool BeginsWith(std::span<const uint8_t> bytes, std::string_view magic, size_t at = 0) {
  return bytes.size() >= at + magic.size() &&
         std::memcmp(bytes.data() + at, magic.data(), magic.size()) == 0;
}

bool LooksLikeDocument(std::span<const uint8_t> bytes) {
  for (const uint8_t byte : bytes) {
    if (byte != ' ' && byte != '\n' && byte != '\r' && byte != '\t') {
      return byte == '{' || byte == '[';
    }
  }
  return false;
}

bool LooksLikeLayer(const std::string& name, std::span<const uint8_t> bytes) {
  const bool empty_tar = bytes.size() >= 512 && std::all_of(bytes.begin(), bytes.begin() + 512,
                                                            [](uint8_t b) { return b == 0; });
  return BeginsWith(bytes, "\x1f\x8b") || BeginsWith(bytes, "\x28\xb5\x2f\xfd") ||
         BeginsWith(bytes, "ustar", kTarMagic) || empty_tar || name.ends_with(".tar");
}

// The digest that a blob's name claims; nothing for another name.
absl::StatusOr<Digest> ClaimedDigest(const std::string& name) {
  constexpr std::string_view kBlobs = "blobs/";
  if (!name.starts_with(kBlobs)) {
    return Digest();
  }
  std::string text = name.substr(kBlobs.size());
  std::replace(text.begin(), text.end(), '/', ':');
  absl::StatusOr<Digest> digest = Digest::Parse(text);
  return digest.ok() ? digest : Annotate(digest.status(), "archive member " + Printable(name));
}

// `link` as seen from the directory of `name`, within the archive.
absl::StatusOr<std::string> ResolveLink(const std::string& name, const std::string& link) {
  std::vector<std::string> parts =
      link.starts_with('/') ? std::vector<std::string>() : Split(name, '/');
  if (!parts.empty()) {
    parts.pop_back();
  }
  for (const std::string& part : Split(link, '/')) {
    if (part == "..") {
      if (parts.empty()) {
        return InvalidArgument("archive member '{}' is a link out of the archive", Printable(name));
      }
      parts.pop_back();
    } else if (!part.empty() && part != ".") {
      parts.push_back(part);
    }
  }
  std::string path;
  for (const std::string& part : parts) {
    path += (path.empty() ? "" : "/") + part;
  }
  return path;
}

// Makes a layer of one file while its bytes come.
class FileWriter {
 public:
  static absl::StatusOr<std::unique_ptr<FileWriter>> Create(storage::Storage& storage,
                                                            const ArtifactFile& file) {
    ASSIGN_OR_RETURN(auto writer, storage.NewLayer());
    std::unique_ptr<FileWriter> self(new FileWriter(file, std::move(writer)));
    RETURN_IF_ERROR(self->tar_.Begin(file.path, file.blob.size));
    return self;
  }
  absl::Status Write(std::span<const uint8_t> bytes) { return tar_.Write(bytes); }
  absl::StatusOr<ArchiveFile> Finish() {
    RETURN_IF_ERROR(tar_.Finish());
    ArchiveFile made{.path = file_.path, .diff_id = {}, .layer = {}};
    ASSIGN_OR_RETURN(made.layer, writer_->Finish(/*expected_diff_id=*/{}, LayerKey(file_)));
    made.diff_id = made.layer->info().diff_id;
    return made;
  }

 private:
  FileWriter(const ArtifactFile& file, std::unique_ptr<storage::LayerWriter> writer)
      : file_(file), writer_(std::move(writer)) {}

  const ArtifactFile file_;
  const std::unique_ptr<storage::LayerWriter> writer_;
  FileTar tar_{[this](std::span<const uint8_t> bytes) { return writer_->Write(bytes); }};
};

}  // namespace

absl::StatusOr<ArchiveFile> MakeFileLayer(storage::Storage& storage, const ArtifactFile& file,
                                          const std::string& bytes) {
  if (const auto known = storage.FindLayerByBlob(LayerKey(file))) {
    return ArchiveFile{.path = file.path, .diff_id = known->diff_id, .layer = {}};
  }
  ASSIGN_OR_RETURN(const auto writer, FileWriter::Create(storage, file));
  RETURN_IF_ERROR(writer->Write({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}));
  return writer->Finish();
}

const ArchiveMember* ArchiveContents::Find(const std::string& name) const {
  std::string at = name;
  for (size_t i = 0; i < kMaxLinks; ++i) {
    const auto link = links_.find(at);
    if (link == links_.end()) {
      break;
    }
    at = link->second;
  }
  const auto member = members_.find(at);
  return member == members_.end() ? nullptr : &member->second;
}

const ArchiveMember* ArchiveContents::FindBlob(const Digest& digest) const {
  return Find("blobs/" + digest.algorithm() + "/" + digest.hex());
}

class ArchiveReader {
 public:
  ArchiveReader(Context& ctx, storage::Storage& storage, storage::TarReader& tar)
      : ctx_(ctx), storage_(storage), tar_(tar) {}

  absl::StatusOr<ArchiveContents> Run() {
    while (true) {
      RETURN_IF_ERROR(ctx_.Check());
      ASSIGN_OR_RETURN(const std::optional<TarEntry> entry, tar_.Next());
      if (!entry) {
        return std::move(contents_);
      }
      ASSIGN_OR_RETURN(const std::string name, storage::NormalizeTarPath(entry->path));
      if (contents_.members_.size() + contents_.links_.size() >= kMaxMembers) {
        return InvalidArgument("the archive has more than {} members", kMaxMembers);
      }
      if (entry->type == TarEntry::Type::kSymlink) {
        ASSIGN_OR_RETURN(contents_.links_[name], ResolveLink(name, entry->link));
      } else if (entry->type == TarEntry::Type::kHardLink) {
        ASSIGN_OR_RETURN(contents_.links_[name], storage::NormalizeTarPath(entry->link));
      } else if (entry->type == TarEntry::Type::kFile) {
        ctx_.SetStage("load " + name);
        ASSIGN_OR_RETURN(ArchiveMember member, TakeFile(name, *entry));
        contents_.members_.insert_or_assign(name, std::move(member));
      }
    }
  }

 private:
  using Sink = std::function<absl::Status(std::span<const uint8_t>)>;

  absl::StatusOr<ArchiveMember> TakeFile(const std::string& name, const TarEntry& entry) {
    ASSIGN_OR_RETURN(const Digest claimed, ClaimedDigest(name));
    ArchiveMember member;
    if (const auto wanted = wanted_.find(claimed); wanted != wanted_.end()) {
      RETURN_IF_ERROR(TakeArtifactFile(entry, wanted->second, member));
      return member;
    }
    const auto known = claimed.empty() ? std::nullopt : storage_.FindLayerByBlob(claimed);
    const bool present = known || (!claimed.empty() && storage_.HasLayer(claimed));
    if (present) {  // not even read: the store's own is used
      member.digest = claimed;
      member.diff_id = known ? known->diff_id : claimed;
      return member;
    }
    ASSIGN_OR_RETURN(const std::optional<TarBlock> first, NextBlock(entry, 0));
    const std::span<const uint8_t> head = first ? first->bytes : std::span<const uint8_t>();
    Hasher hasher(claimed.empty() ? "sha256" : claimed.algorithm());
    if (LooksLikeDocument(head)) {
      RETURN_IF_ERROR(TakeDocument(name, entry, head, hasher, member));
    } else if (LooksLikeLayer(name, head)) {
      RETURN_IF_ERROR(TakeLayer(entry, head, hasher, claimed, member));
    } else if (!claimed.empty() && entry.size <= kMaxSmall &&
               documents_ + entry.size <= kMaxDocuments) {
      RETURN_IF_ERROR(TakeDocument(name, entry, head, hasher, member));
    } else {
      RETURN_IF_ERROR(ForEachBlock(entry, head, hasher,
                                   [](std::span<const uint8_t>) { return absl::OkStatus(); }));
    }
    member.digest = hasher.Finish();
    if (!claimed.empty() && member.digest != claimed) {
      return DataLoss("archive member {} has digest {}", name, member.digest.text());
    }
    return member;
  }

  absl::Status TakeDocument(const std::string& name, const TarEntry& entry,
                            std::span<const uint8_t> head, Hasher& hasher, ArchiveMember& member) {
    documents_ += entry.size;
    if (entry.size > kMaxConfigBytes || documents_ > kMaxDocuments) {
      return InvalidArgument("the archive's documents are too large: '{}' has {} bytes",
                             Printable(name), entry.size);
    }
    RETURN_IF_ERROR(ForEachBlock(entry, head, hasher, [&member](std::span<const uint8_t> bytes) {
      member.document.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      return absl::OkStatus();
    }));
    NoteArtifact(member.document);
    return absl::OkStatus();
  }

  // Which blobs the artifact, if the document is one, has as files. What is wrong with it is said
  // when the index names it.
  void NoteArtifact(const std::string& document) {
    if (!LooksLikeDocument({reinterpret_cast<const uint8_t*>(document.data()), document.size()})) {
      return;
    }
    const absl::StatusOr<DocumentKind> kind = KindOf(document, "");
    if (!kind.ok() || *kind != DocumentKind::kArtifact) {
      return;
    }
    const absl::StatusOr<Artifact> artifact = ParseArtifact(document, kMaxFiles);
    for (const ArtifactFile& file : artifact.ok() ? artifact->files : std::vector<ArtifactFile>()) {
      auto& same = wanted_[file.blob.digest];
      const bool known = std::any_of(same.begin(), same.end(), [&file](const ArtifactFile& other) {
        return other.path == file.path;
      });
      if (!file.unpack && !known && same.size() < kMaxLinks) {
        same.push_back(file);
      }
      if (same.empty()) {
        wanted_.erase(file.blob.digest);
      }
    }
  }

  absl::Status TakeArtifactFile(const TarEntry& entry, const std::vector<ArtifactFile>& files,
                                ArchiveMember& member) {
    std::vector<std::unique_ptr<FileWriter>> writers;
    for (const ArtifactFile& file : files) {
      if (file.blob.size != entry.size) {
        return DataLoss("archive member {} has {} bytes, the manifest says {}", entry.path,
                        entry.size, file.blob.size);
      }
      if (const auto known = storage_.FindLayerByBlob(LayerKey(file))) {
        member.files.push_back({.path = file.path, .diff_id = known->diff_id, .layer = {}});
      } else {
        ASSIGN_OR_RETURN(writers.emplace_back(), FileWriter::Create(storage_, file));
      }
    }
    const Digest& claimed = files.front().blob.digest;
    Hasher hasher(claimed.algorithm());
    ASSIGN_OR_RETURN(const std::optional<TarBlock> first, NextBlock(entry, 0));
    const std::span<const uint8_t> head = first ? first->bytes : std::span<const uint8_t>();
    const auto write = [&writers](std::span<const uint8_t> bytes) -> absl::Status {
      for (const auto& writer : writers) {
        RETURN_IF_ERROR(writer->Write(bytes));
      }
      return absl::OkStatus();
    };
    RETURN_IF_ERROR(ForEachBlock(entry, head, hasher, write));
    member.digest = hasher.Finish();
    if (member.digest != claimed) {
      return DataLoss("archive member {} has digest {}", entry.path, member.digest.text());
    }
    for (const auto& writer : writers) {
      ASSIGN_OR_RETURN(ArchiveFile made, writer->Finish());
      member.files.push_back(std::move(made));
    }
    return absl::OkStatus();
  }

  // What is no layer after all counts only if an image names it as one.
  absl::Status TakeLayer(const TarEntry& entry, std::span<const uint8_t> head, Hasher& hasher,
                         const Digest& claimed, ArchiveMember& member) {
    ASSIGN_OR_RETURN(std::unique_ptr<storage::LayerWriter> writer, storage_.NewLayer());
    std::unique_ptr<Decompressor> decompressor = Decompressor::Create(
        [&writer](std::span<const uint8_t> bytes) { return writer->Write(bytes); });
    const auto note = [&](const absl::Status& status) -> absl::Status {
      if (absl::IsDataLoss(status) || absl::IsInvalidArgument(status) ||
          absl::IsFailedPrecondition(status)) {
        member.damage = status;
        writer.reset();
        return absl::OkStatus();
      }
      return status;
    };
    RETURN_IF_ERROR(ForEachBlock(entry, head, hasher, [&](std::span<const uint8_t> bytes) {
      return writer ? note(decompressor->Write(bytes)) : absl::OkStatus();
    }));
    if (writer) {
      RETURN_IF_ERROR(note(decompressor->Finish()));
    }
    if (writer) {
      absl::StatusOr<std::shared_ptr<storage::PendingLayer>> layer = writer->Finish({}, claimed);
      if (!layer.ok()) {
        return note(layer.status());
      }
      member.layer = *std::move(layer);
      member.diff_id = member.layer->info().diff_id;
    }
    return absl::OkStatus();
  }

  // Calls `sink` for all of the member's bytes, of which `head` has been read.
  absl::Status ForEachBlock(const TarEntry& entry, std::span<const uint8_t> head, Hasher& hasher,
                            const Sink& sink) {
    uint64_t done = 0;
    std::span<const uint8_t> bytes = head;
    while (!bytes.empty()) {
      RETURN_IF_ERROR(ctx_.Check());
      hasher.Update(bytes);
      RETURN_IF_ERROR(sink(bytes));
      done += bytes.size();
      ASSIGN_OR_RETURN(const std::optional<TarBlock> block, NextBlock(entry, done));
      bytes = block ? block->bytes : std::span<const uint8_t>();
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::optional<TarBlock>> NextBlock(const TarEntry& entry, uint64_t done) {
    if (done == entry.size) {
      return std::nullopt;
    }
    ASSIGN_OR_RETURN(std::optional<TarBlock> block, tar_.NextBlock());
    if (!block || block->offset != done || block->bytes.size() > entry.size - done) {
      return InvalidArgument("archive member '{}' is a sparse file, or not complete",
                             Printable(entry.path));
    }
    return block;
  }

  Context& ctx_;
  storage::Storage& storage_;
  storage::TarReader& tar_;
  ArchiveContents contents_;
  uint64_t documents_ = 0;
  std::map<Digest, std::vector<ArtifactFile>> wanted_;
};

absl::StatusOr<ArchiveContents> ReadArchive(Context& ctx, storage::Storage& storage,
                                            storage::ByteSource& source) {
  ASSIGN_OR_RETURN(const auto tar, storage::TarReader::Create(source));
  return ArchiveReader(ctx, storage, *tar).Run();
}

}  // namespace davit::image
