// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include "base/file.h"
#include "image/archive/tar_stream.h"
#include "server/cli/client.h"
#include "server/cli/commands.h"
#include "server/cli/table.h"

namespace davit::server::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPortion = size_t{512} << 10U;

// The archive on its way to the daemon.
class Upload {
 public:
  Upload(Client& client, const LoadOptions& options)
      : client_(client), writer_(client.davit().LoadImages(&context_, &response_)) {
    davit::v1::LoadImagesRequest first;
    first.set_repository(options.repository);
    std::error_code error;
    if (!options.input.empty() && options.input != "-") {
      first.set_path(fs::canonical(options.input, error).native());
      first.set_directory(fs::is_directory(options.input, error));
    }
    broken_ = !writer_->Write(first);
  }

  // Cancelled when the daemon has made up its mind; Finish says what about.
  absl::Status Send(std::span<const uint8_t> bytes) {
    davit::v1::LoadImagesRequest message;
    message.set_data(bytes.data(), bytes.size());
    broken_ = broken_ || !writer_->Write(message);
    return broken_ ? absl::CancelledError("the daemon takes no more") : absl::OkStatus();
  }

  absl::StatusOr<davit::v1::LoadImagesResponse> Finish() {
    writer_->WritesDone();
    RETURN_IF_ERROR(client_.Translate(writer_->Finish()));
    return response_;
  }
  void Cancel() {
    context_.TryCancel();
    writer_->Finish();
  }

 private:
  Client& client_;
  grpc::ClientContext context_;
  davit::v1::LoadImagesResponse response_;
  std::unique_ptr<grpc::ClientWriter<davit::v1::LoadImagesRequest>> writer_;
  bool broken_ = false;
};

using Sink = image::ByteSink;

absl::Status SendFd(int fd, const std::string& what, const Sink& sink) {
  std::vector<uint8_t> buffer(kPortion);
  while (true) {
    const ssize_t count = read(fd, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      return ErrnoStatus(errno, "read " + what);
    }
    if (count == 0) {
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(sink(std::span<const uint8_t>(buffer).first(static_cast<size_t>(count))));
  }
}

absl::Status SendFile(image::TarStream& tar, const std::string& path, const std::string& name) {
  ASSIGN_OR_RETURN(const UniqueFd fd, Open(path, O_RDONLY));
  struct stat st = {};
  if (fstat(fd.get(), &st) != 0) {
    return ErrnoStatus(errno, "stat " + path);
  }
  RETURN_IF_ERROR(tar.Begin(name, static_cast<uint64_t>(st.st_size)));
  return SendFd(fd.get(), path, [&tar](auto bytes) { return tar.Data(bytes); });
}

// An OCI layout in a directory goes as the tar that it would be, its documents before what they
// describe: those begin with a brace.
absl::Status SendDirectory(const std::string& directory, const Sink& sink) {
  std::vector<std::string> documents;
  std::vector<std::string> others;
  std::error_code error;
  for (fs::recursive_directory_iterator it(directory, error), end; !error && it != end;
       it.increment(error)) {
    if (it->is_regular_file(error)) {
      const std::string& path = it->path().native();
      (std::ifstream(path).get() == '{' ? documents : others).push_back(path);
    }
  }
  if (error) {
    return InvalidArgument("read {}: {}", directory, error.message());
  }
  documents.insert(documents.end(), others.begin(), others.end());
  image::TarStream tar(sink);
  for (const std::string& path : documents) {
    RETURN_IF_ERROR(SendFile(tar, path, fs::path(path).lexically_relative(directory)));
  }
  return tar.Finish();
}

absl::Status SendInput(const std::string& input, const Sink& sink) {
  if (input.empty() || input == "-") {
    if (isatty(STDIN_FILENO) == 1) {
      return InvalidArgument("standard input is a terminal; name an archive with -i");
    }
    return SendFd(STDIN_FILENO, "standard input", sink);
  }
  std::error_code error;
  if (fs::is_directory(input, error)) {
    return SendDirectory(input, sink);
  }
  ASSIGN_OR_RETURN(const UniqueFd fd, Open(input, O_RDONLY));
  return SendFd(fd.get(), input, sink);
}

}  // namespace

absl::Status RunLoad(const Globals& globals, const LoadOptions& options) {
  Client client(globals.socket);
  Upload upload(client, options);
  const absl::Status sent =
      SendInput(options.input, [&upload](auto bytes) { return upload.Send(bytes); });
  if (!sent.ok() && !absl::IsCancelled(sent)) {
    upload.Cancel();  // half an archive must not be taken for a whole one
    return sent;
  }
  ASSIGN_OR_RETURN(const auto response, upload.Finish());
  if (globals.json) {
    fmt::print("{}", ToJson(response));
    return absl::OkStatus();
  }
  for (const auto& image : response.images()) {
    for (const std::string& name : image.names()) {
      fmt::print("loaded {}\n", name);
    }
    if (image.names().empty()) {
      fmt::print("loaded {} (the archive gives no name; --name does)\n", image.id());
    }
  }
  return absl::OkStatus();
}

}  // namespace davit::server::cli
