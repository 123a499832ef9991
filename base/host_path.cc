// SPDX-License-Identifier: Apache-2.0
#include "base/host_path.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/status.h"
#include "base/text.h"

namespace davit {
namespace {

constexpr int kMaxLinks = 40;  // as the kernel
// A name that comes and goes while it is opened.
constexpr int kMaxTries = 128;

bool IsTrusted(uid_t uid) {
  return uid == 0 || uid == geteuid();
}

// Whether somebody who is not trusted may put another thing in the place of `child`. The bits of
// the group are the mask of an access control list, so those are covered.
bool IsMovable(const struct stat& directory, const struct stat& child) {
  const bool many = (directory.st_mode & S_IWOTH) != 0 ||
                    ((directory.st_mode & S_IWGRP) != 0 && directory.st_gid != 0);
  const bool sticky = (directory.st_mode & S_ISVTX) != 0;
  return !IsTrusted(directory.st_uid) || (many && !(sticky && IsTrusted(child.st_uid)));
}

class Walk {
 public:
  Walk(const std::string& path, std::optional<mode_t> make) : path_(path), make_(make) {
    Push(path, /*of_link=*/false);
  }

  absl::StatusOr<HostPath> Run();

 private:
  struct Name {
    std::string text;
    bool of_link;  // it stands in a symlink, not in the request
  };
  struct Link {
    std::string path;
    uid_t uid;
  };

  // What has to be walked next; the first name is the last of the list.
  void Push(std::string_view path, bool of_link);
  absl::Status GoToRoot();
  absl::Status Step(const Name& name);
  absl::Status Make(const Name& name);
  absl::Status Follow(int link, const struct stat& st, const std::string& name);
  void Enter(UniqueFd fd, const struct stat& st, const std::string& name);
  absl::Status CheckLinks() const;
  [[nodiscard]] std::string Here() const { return names_.empty() ? "/" : "/" + Join(names_, "/"); }
  [[nodiscard]] std::string What() const { return "host path " + Printable(path_); }

  const std::string& path_;
  const std::optional<mode_t> make_;
  std::vector<Name> todo_;
  UniqueFd fd_;
  struct stat st_ = {};
  std::vector<std::string> names_;
  bool movable_ = false;
  int followed_ = 0;
  std::vector<Link> foreign_;  // symlinks of others than root
};

void Walk::Push(std::string_view path, bool of_link) {
  std::vector<std::string> parts = Split(path, '/');
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    if (!part->empty() && *part != ".") {
      todo_.push_back({.text = std::move(*part), .of_link = of_link});
    }
  }
}

absl::Status Walk::GoToRoot() {
  ASSIGN_OR_RETURN(fd_, Open("/", O_PATH | O_DIRECTORY));
  names_.clear();
  movable_ = false;
  return fstat(fd_.get(), &st_) == 0 ? absl::OkStatus() : ErrnoStatus(errno, "stat /");
}

absl::StatusOr<HostPath> Walk::Run() {
  RETURN_IF_ERROR(GoToRoot());
  while (!todo_.empty()) {
    const Name name = std::move(todo_.back());
    todo_.pop_back();
    RETURN_IF_ERROR(Step(name));
  }
  RETURN_IF_ERROR(CheckLinks());
  return HostPath{.fd = std::move(fd_), .path = Here(), .movable = movable_};
}

absl::Status Walk::Step(const Name& name) {
  for (int tries = 0; tries < kMaxTries; ++tries) {
    // First as a directory: that has the kernel mount what is mounted on demand.
    UniqueFd next(
        openat(fd_.get(), name.text.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!next.valid() && errno == ENOTDIR) {
      next.Reset(openat(fd_.get(), name.text.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    }
    struct stat st = {};
    if (next.valid()) {
      if (fstat(next.get(), &st) != 0) {
        return ErrnoStatus(errno, What());
      }
      if (S_ISLNK(st.st_mode)) {
        return Follow(next.get(), st, name.text);
      }
      Enter(std::move(next), st, name.text);
      return absl::OkStatus();
    }
    if (errno == ENOENT && make_.has_value() && S_ISDIR(st_.st_mode)) {
      RETURN_IF_ERROR(Make(name));
    } else if (errno == ENOENT && name.of_link) {
      return InvalidArgument("{} is a symlink that leads nowhere: there is no {}", What(),
                             Printable(JoinPath(Here(), name.text)));
    } else if (errno == ENOTDIR || errno == ENAMETOOLONG) {
      return InvalidArgument("{}: {}", What(), ErrnoText(errno));
    } else {
      return ErrnoStatus(errno, What());
    }
  }
  return Unavailable("{}: {} comes and goes; try again", What(),
                     Printable(JoinPath(Here(), name.text)));
}

absl::Status Walk::Make(const Name& name) {
  if (name.of_link) {
    return InvalidArgument("{} is a symlink that leads nowhere: there is no {}", What(),
                           Printable(JoinPath(Here(), name.text)));
  }
  if (!foreign_.empty()) {
    return PermissionDenied("{}: nothing is made behind {}, which is a symlink of user {}", What(),
                            Printable(foreign_.front().path), foreign_.front().uid);
  }
  if (mkdirat(fd_.get(), name.text.c_str(), *make_) != 0) {
    return errno == EEXIST
               ? absl::OkStatus()
               : ErrnoStatus(errno, "make directory " + Printable(JoinPath(Here(), name.text)));
  }
  // The umask may have taken bits away. Where it could be another directory by now, it keeps what
  // it has.
  const UniqueFd made(
      openat(fd_.get(), name.text.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat st = {};
  if (made.valid() && fstat(made.get(), &st) == 0 && !movable_ && !IsMovable(st_, st) &&
      fchmod(made.get(), *make_) != 0) {
    return ErrnoStatus(errno, "set the mode of " + Printable(JoinPath(Here(), name.text)));
  }
  return absl::OkStatus();
}

absl::Status Walk::Follow(int link, const struct stat& st, const std::string& name) {
  std::array<char, PATH_MAX> target = {};
  const ssize_t size = readlinkat(link, "", target.data(), target.size());
  if (size < 0) {
    return ErrnoStatus(errno, What() + ": read the symlink " + Printable(name));
  }
  if (++followed_ > kMaxLinks) {
    return InvalidArgument("{}: {}", What(), ErrnoText(ELOOP));
  }
  if (!IsTrusted(st.st_uid)) {
    foreign_.push_back({.path = JoinPath(Here(), name), .uid = st.st_uid});
  }
  const std::string_view text(target.data(), static_cast<size_t>(size));
  Push(text, /*of_link=*/true);
  return text.starts_with('/') ? GoToRoot() : absl::OkStatus();
}

void Walk::Enter(UniqueFd fd, const struct stat& st, const std::string& name) {
  if (name == "..") {
    if (!names_.empty()) {
      names_.pop_back();
    }
  } else {
    movable_ = movable_ || IsMovable(st_, st);
    names_.push_back(name);
  }
  fd_ = std::move(fd);
  st_ = st;
}

absl::Status Walk::CheckLinks() const {
  for (const Link& link : foreign_) {
    if (link.uid != st_.st_uid) {
      return PermissionDenied(
          "{}: {} is a symlink of user {}, and leads to {} of user {}; have root make the symlink, "
          "or name the place itself",
          What(), Printable(link.path), link.uid, Printable(Here()), st_.st_uid);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<HostPath> OpenHostPath(const std::string& path) {
  return Walk(path, std::nullopt).Run();
}

absl::StatusOr<HostPath> MakeHostPath(const std::string& path, mode_t mode) {
  return Walk(path, mode).Run();
}

}  // namespace davit
