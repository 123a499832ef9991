// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "server/cli/client.h"
#include "server/cli/commands.h"
#include "storage/layer_tree.h"
#include "storage/tar_reader.h"

namespace davit::server::cli {
namespace {

using storage::TarEntry;

// The archive on its way from the daemon.
class Download : public storage::ByteSource {
 public:
  Download(Client& client, const davit::v1::SaveImagesRequest& request)
      : client_(client), reader_(client.davit().SaveImages(&context_, request)) {}
  // Given up half way, on a full disk for one: the daemon need not go on.
  ~Download() override {
    if (!finished_) {
      context_.TryCancel();
    }
  }
  Download(const Download&) = delete;
  Download& operator=(const Download&) = delete;

  absl::StatusOr<std::span<const uint8_t>> Next() override {
    if (!reader_->Read(&message_)) {
      message_.Clear();
      RETURN_IF_ERROR(client_.Translate(reader_->Finish()));
      finished_ = true;
    }
    return std::span<const uint8_t>(reinterpret_cast<const uint8_t*>(message_.data().data()),
                                    message_.data().size());
  }
  // The daemon has said that all is well.
  absl::Status Drain() {
    while (!finished_) {
      RETURN_IF_ERROR(Next().status());
    }
    return absl::OkStatus();
  }

 private:
  Client& client_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<davit::v1::SaveImagesResponse>> reader_;
  davit::v1::SaveImagesResponse message_;
  bool finished_ = false;
};

absl::Status CopyTo(int fd, storage::ByteSource& source, const std::string& what) {
  while (true) {
    ASSIGN_OR_RETURN(const std::span<const uint8_t> bytes, source.Next());
    if (bytes.empty()) {
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(WriteFd(fd, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, what));
  }
}

// The file appears under its name when it is complete.
absl::Status SaveFile(const std::string& path, Download& download) {
  const std::string part = path + ".part";
  absl::Status status = [&]() -> absl::Status {
    ASSIGN_OR_RETURN(const UniqueFd fd, Open(part, O_WRONLY | O_CREAT | O_TRUNC, 0644));
    RETURN_IF_ERROR(CopyTo(fd.get(), download, part));
    if (fsync(fd.get()) != 0 || rename(part.c_str(), path.c_str()) != 0) {
      return ErrnoStatus(errno, "write " + path);
    }
    return absl::OkStatus();
  }();
  if (!status.ok()) {
    unlink(part.c_str());
  }
  return status;
}

absl::Status SaveEntry(storage::TarReader& tar, const TarEntry& entry, const std::string& root) {
  ASSIGN_OR_RETURN(const std::string name, storage::NormalizeTarPath(entry.path));
  const std::string path = JoinPath(root, name);
  RETURN_IF_ERROR(MakeDirs(path.substr(0, path.rfind('/')), 0755));
  ASSIGN_OR_RETURN(const UniqueFd fd, Open(path, O_WRONLY | O_CREAT | O_EXCL, 0644));
  while (true) {
    ASSIGN_OR_RETURN(const auto block, tar.NextBlock());
    if (!block) {
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(WriteFd(
        fd.get(), {reinterpret_cast<const char*>(block->bytes.data()), block->bytes.size()}, path));
  }
}

// The layout as a directory, which is new.
absl::Status SaveDirectory(const std::string& path, Download& download) {
  if (mkdir(path.c_str(), 0755) != 0) {
    return ErrnoStatus(errno, "make directory " + path);
  }
  absl::Status status = [&]() -> absl::Status {
    ASSIGN_OR_RETURN(const auto tar, storage::TarReader::Create(download));
    while (true) {
      ASSIGN_OR_RETURN(const auto entry, tar->Next());
      if (!entry) {
        return download.Drain();
      }
      RETURN_IF_ERROR(SaveEntry(*tar, *entry, path));
    }
  }();
  if (!status.ok()) {
    RETURN_IF_ERROR(RemoveTree(path));
  }
  return status;
}

}  // namespace

absl::Status RunSave(const Globals& globals, const SaveOptions& options) {
  const bool to_stdout = options.output.empty() || options.output == "-";
  if (to_stdout && (options.directory || isatty(STDOUT_FILENO) == 1)) {
    return InvalidArgument("standard output is {}; name a file with -o",
                           options.directory ? "no directory" : "a terminal");
  }
  Client client(globals.socket);
  davit::v1::SaveImagesRequest request;
  for (const std::string& image : options.images) {
    request.add_images(image);
  }
  Download download(client, request);
  if (to_stdout) {
    return CopyTo(STDOUT_FILENO, download, "standard output");
  }
  return options.directory ? SaveDirectory(options.output, download)
                           : SaveFile(options.output, download);
}

}  // namespace davit::server::cli
