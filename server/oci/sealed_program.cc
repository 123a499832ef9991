// SPDX-License-Identifier: Apache-2.0
#include "server/oci/sealed_program.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "base/status.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U  // Linux 6.3
#endif

namespace davit::server::oci {
namespace {

constexpr std::string_view kElf = "\177ELF";
// All of them: less does not count as sealed.
constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

bool SameFile(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size &&
         a.st_mode == b.st_mode && a.st_mtim.tv_sec == b.st_mtim.tv_sec &&
         a.st_mtim.tv_nsec == b.st_mtim.tv_nsec && a.st_ctim.tv_sec == b.st_ctim.tv_sec &&
         a.st_ctim.tv_nsec == b.st_ctim.tv_nsec;
}

absl::StatusOr<UniqueFd> MakeMemory() {
  UniqueFd memory(memfd_create("oci-runtime", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC));
  if (!memory.valid() && errno == EINVAL) {
    memory.Reset(memfd_create("oci-runtime", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  }
  if (!memory.valid()) {
    return ErrnoStatus(errno, "make a file in memory");
  }
  return memory;
}

absl::Status Fill(const UniqueFd& memory, const UniqueFd& file, off_t size) {
  off_t done = 0;
  while (done < size) {
    const ssize_t count =
        sendfile(memory.get(), file.get(), &done, static_cast<size_t>(size - done));
    if (count == 0) {
      return Internal("it became shorter while it was read");
    }
    if (count < 0 && errno != EINTR) {
      return ErrnoStatus(errno, "copy it");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> Copy(const std::string& path, struct stat& copied) {
  ASSIGN_OR_RETURN(const UniqueFd file, Open(path, O_RDONLY | O_CLOEXEC));
  std::array<char, kElf.size()> start = {};
  if (fstat(file.get(), &copied) != 0 ||
      pread(file.get(), start.data(), start.size(), 0) != static_cast<ssize_t>(start.size()) ||
      std::string_view(start.data(), start.size()) != kElf) {
    return FailedPrecondition("it is no ELF file");
  }
  ASSIGN_OR_RETURN(const UniqueFd memory, MakeMemory());
  RETURN_IF_ERROR(Fill(memory, file, copied.st_size));
  if (fchmod(memory.get(), 0555) != 0 || fcntl(memory.get(), F_ADD_SEALS, kSeals) != 0) {
    return ErrnoStatus(errno, "seal the copy");
  }
  // What is open for writing cannot be executed.
  ASSIGN_OR_RETURN(UniqueFd readable,
                   Open("/proc/self/fd/" + std::to_string(memory.get()), O_RDONLY | O_CLOEXEC));
  if (faccessat(readable.get(), "", X_OK, AT_EMPTY_PATH) != 0) {
    return ErrnoStatus(errno, "execute the copy");
  }
  return readable;
}

}  // namespace

std::shared_ptr<const UniqueFd> SealedProgram::Get() const {
  absl::MutexLock lock(&mutex_);
  struct stat now = {};
  if (stat(path_.c_str(), &now) != 0) {
    return nullptr;  // who executes it by its path says so
  }
  if (copied_ && SameFile(*copied_, now)) {
    return copy_;
  }
  copied_ = now;
  copy_ = nullptr;
  struct stat read = {};
  auto copy = Copy(path_, read);
  if (copy.ok() && !SameFile(read, now)) {
    copied_.reset();  // replaced in between: next time
  } else if (copy.ok()) {
    copy_ = std::make_shared<const UniqueFd>(*std::move(copy));
  } else {
    log::Info("the OCI runtime {} is not executed from memory: {}", path_, Message(copy.status()));
  }
  return copy_;
}

}  // namespace davit::server::oci
