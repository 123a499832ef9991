// SPDX-License-Identifier: Apache-2.0
#include "base/namespace.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/mount.h"
#include "base/status.h"
#include "base/text.h"

namespace davit {
namespace {

// Runs `body` on a thread made for it, whose namespaces end with it.
absl::Status OnThrowawayThread(const std::function<absl::Status()>& body) {
  absl::Status status;
  try {
    std::thread thread([&] { status = body(); });
    thread.join();
  } catch (const std::system_error& error) {
    return ResourceExhausted("start a thread: {}", ErrnoText(error.code().value()));
  }
  return status;
}

// "net.ipv4.ip_forward" and "net/ipv4/ip_forward" name one file; whichever separator comes first is
// the separator, so that the other one may stand within a name (an interface "eth0.100").
absl::StatusOr<std::string> SysctlPath(const std::string& key) {
  const bool known = std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.' ||
           c == '/';
  });
  std::string path = key;
  if (const size_t first = key.find_first_of("./");
      first != std::string::npos && key[first] == '.') {
    for (char& c : path) {
      c = c == '.' ? '/' : c == '/' ? '.' : c;
    }
  }
  const std::vector<std::string> parts = Split(path, '/');
  const bool sound = std::none_of(parts.begin(), parts.end(), [](const std::string& part) {
    return part.empty() || part == "." || part == "..";
  });
  if (!known || !sound || parts.size() < 2) {
    return InvalidArgument("sysctl '{}' is not a valid name", Printable(key, 100));
  }
  return "/proc/sys/" + path;
}

absl::Status WriteSysctls(const std::map<std::string, std::string>& sysctls) {
  for (const auto& [key, value] : sysctls) {
    ASSIGN_OR_RETURN(const std::string path, SysctlPath(key));
    if (absl::Status status = WriteExisting(path, value); !status.ok()) {
      return InvalidArgument("set sysctl {} to '{}': {}", key, Printable(value, 100),
                             Message(status));
    }
  }
  return absl::OkStatus();
}

// Bind mounts a namespace of the calling thread over a new file.
absl::Status Pin(const char* kind, const std::string& path) {
  if (IsNamespacePin(path)) {
    return AlreadyExists("pin namespace at {}: there is one already", path);
  }
  RETURN_IF_ERROR(Open(path, O_RDONLY | O_CREAT | O_NOFOLLOW, 0600).status());
  const std::string source = fmt::format("/proc/thread-self/ns/{}", kind);
  if (mount(source.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    absl::Status status = ErrnoStatus(errno, fmt::format("pin {} namespace at {}", kind, path));
    unlink(path.c_str());
    return status;
  }
  return absl::OkStatus();
}

struct Kind {
  const char* name;
  int flag;
  const std::string* path;
};

absl::Status MakeAndPin(const PinnedNamespaces& what, const std::vector<Kind>& kinds) {
  int flags = 0;
  for (const Kind& kind : kinds) {
    flags |= kind.flag;
  }
  if (unshare(flags) != 0) {
    return ErrnoStatus(errno, "make namespaces");
  }
  if (!what.uts.empty() && !what.hostname.empty() &&
      sethostname(what.hostname.data(), what.hostname.size()) != 0) {
    return ErrnoStatus(errno, "set hostname '" + Printable(what.hostname, 100) + "'");
  }
  RETURN_IF_ERROR(WriteSysctls(what.sysctls));
  for (size_t i = 0; i < kinds.size(); ++i) {
    if (absl::Status status = Pin(kinds[i].name, *kinds[i].path); !status.ok()) {
      for (size_t done = 0; done < i; ++done) {
        // The pin's own failure is what the caller must know; a leftover is swept at recovery.
        (void)UnpinNamespace(*kinds[done].path);
      }
      return status;
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status PinNamespaces(const PinnedNamespaces& what) {
  std::vector<Kind> kinds = {{"net", CLONE_NEWNET, &what.net},
                             {"ipc", CLONE_NEWIPC, &what.ipc},
                             {"uts", CLONE_NEWUTS, &what.uts}};
  std::erase_if(kinds, [](const Kind& kind) { return kind.path->empty(); });
  if (kinds.empty()) {
    if (!what.sysctls.empty()) {
      return InvalidArgument("sysctl {} needs a namespace of the pod's own",
                             Printable(what.sysctls.begin()->first, 100));
    }
    return absl::OkStatus();
  }
  // Before anything is made.
  for (const auto& [key, value] : what.sysctls) {
    RETURN_IF_ERROR(SysctlPath(key).status());
  }
  return OnThrowawayThread([&] { return MakeAndPin(what, kinds); });
}

absl::Status UnpinNamespace(const std::string& path) {
  RETURN_IF_ERROR(Unmount(path));
  return RemoveFile(path);
}

bool IsNamespacePin(const std::string& path) {
  struct statfs fs = {};
  return statfs(path.c_str(), &fs) == 0 && fs.f_type == NSFS_MAGIC;
}

absl::Status RunInNetNs(const std::string& pin_path, const std::function<absl::Status()>& body) {
  ASSIGN_OR_RETURN(UniqueFd fd, Open(pin_path, O_RDONLY | O_NONBLOCK));
  return OnThrowawayThread([&]() -> absl::Status {
    if (setns(fd.get(), CLONE_NEWNET) != 0) {
      if (errno == EINVAL) {
        return FailedPrecondition("enter network namespace {}: the file is not one", pin_path);
      }
      return ErrnoStatus(errno, "enter network namespace " + pin_path);
    }
    return body();
  });
}

}  // namespace davit
