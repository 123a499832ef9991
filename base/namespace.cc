// SPDX-License-Identifier: Apache-2.0
#include "base/namespace.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/mount.h"
#include "base/status.h"
#include "base/text.h"
#include "base/user_namespace.h"

namespace davit {
namespace {

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

absl::Status WriteSysctl(const std::string& key, const std::string& value) {
  ASSIGN_OR_RETURN(const std::string path, SysctlPath(key));
  const absl::Status status = WriteExisting(path, value);
  return status.ok() ? status
                     : InvalidArgument("set sysctl {} to '{}': {}", key, Printable(value, 100),
                                       Message(status));
}

absl::Status WriteSysctls(const std::map<std::string, std::string>& sysctls) {
  for (const auto& [key, value] : sysctls) {
    RETURN_IF_ERROR(WriteSysctl(key, value));
  }
  return absl::OkStatus();
}

// Bind mounts the namespace that `source` names over a new file.
absl::Status Pin(const char* kind, const std::string& source, const std::string& path) {
  if (IsNamespacePin(path)) {
    return AlreadyExists("pin namespace at {}: there is one already", path);
  }
  RETURN_IF_ERROR(Open(path, O_RDONLY | O_CREAT | O_NOFOLLOW, 0600).status());
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

void Unpin(const std::vector<Kind>& kinds, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    // What went wrong before is what the caller must know; a leftover is swept at recovery.
    (void)UnpinNamespace(*kinds[i].path);
  }
}

// `source` gives the path of a namespace by its kind.
absl::Status PinAll(const std::vector<Kind>& kinds,
                    const std::function<std::string(const char*)>& source) {
  for (size_t i = 0; i < kinds.size(); ++i) {
    if (absl::Status status = Pin(kinds[i].name, source(kinds[i].name), *kinds[i].path);
        !status.ok()) {
      Unpin(kinds, i);
      return status;
    }
  }
  return absl::OkStatus();
}

int Flags(const std::vector<Kind>& kinds) {
  int flags = 0;
  for (const Kind& kind : kinds) {
    flags |= kind.flag;
  }
  return flags;
}

absl::Status SetHostname(const PinnedNamespaces& what) {
  if (!what.uts.empty() && !what.hostname.empty() &&
      sethostname(what.hostname.data(), what.hostname.size()) != 0) {
    return ErrnoStatus(errno, "set hostname '" + Printable(what.hostname, 100) + "'");
  }
  return absl::OkStatus();
}

// On a throwaway thread.
absl::Status MakeAndPin(const PinnedNamespaces& what, const std::vector<Kind>& kinds) {
  if (unshare(Flags(kinds)) != 0) {
    return ErrnoStatus(errno, "make namespaces");
  }
  RETURN_IF_ERROR(SetHostname(what));
  RETURN_IF_ERROR(WriteSysctls(what.sysctls));
  return PinAll(kinds,
                [](const char* kind) { return fmt::format("/proc/thread-self/ns/{}", kind); });
}

// Since Linux 5.19 sysctls of IPC namespaces are written by the root of the user namespace that
// owns them and by nobody else, not even by the host's, whose capabilities those of networks need.
absl::Status WriteSysctlsAsRootOf(const PinnedNamespaces& what) {
  std::map<std::string, std::string> refused;
  for (const auto& [key, value] : what.sysctls) {
    if (!WriteSysctl(key, value).ok()) {
      refused[key] = value;
    }
  }
  if (refused.empty()) {
    return absl::OkStatus();
  }
  static const int dumpable = prctl(PR_GET_DUMPABLE);  // before the first change
  // The system call: the function of the C library changes all threads. This one ends soon.
  if (syscall(SYS_setresuid, -1, what.root_uid, -1) != 0) {
    return ErrnoStatus(errno, "become the root of a user namespace");
  }
  absl::Status written = WriteSysctls(refused);
  prctl(PR_SET_DUMPABLE, dumpable == 1 ? 1 : 0);  // of the process: the change took it away
  return written;
}

// On a throwaway thread.
absl::Status EnterAndConfigure(const PinnedNamespaces& what, const std::vector<Kind>& kinds) {
  for (const Kind& kind : kinds) {
    if (kind.flag == CLONE_NEWUSER) {
      continue;  // a process with threads cannot enter it, and need not
    }
    ASSIGN_OR_RETURN(const UniqueFd pin, Open(*kind.path, O_RDONLY));
    if (setns(pin.get(), kind.flag) != 0) {
      return ErrnoStatus(errno, fmt::format("enter {} namespace {}", kind.name, *kind.path));
    }
  }
  RETURN_IF_ERROR(SetHostname(what));
  return WriteSysctlsAsRootOf(what);
}

absl::Status MakeOwnedAndPin(const PinnedNamespaces& what, std::vector<Kind> kinds) {
  {
    ASSIGN_OR_RETURN(const auto holder,
                     NamespaceHolder::Make(what.uid_map, what.gid_map, Flags(kinds)));
    kinds.insert(kinds.begin(), {"user", CLONE_NEWUSER, &what.user});
    RETURN_IF_ERROR(PinAll(kinds, [&](const char* kind) { return holder->Path(kind); }));
  }
  absl::Status status = OnThrowawayThread([&] { return EnterAndConfigure(what, kinds); });
  if (!status.ok()) {
    Unpin(kinds, kinds.size());
  }
  return status;
}

}  // namespace

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
    if (what.user.empty()) {
      return absl::OkStatus();
    }
  }
  // Before anything is made.
  for (const auto& [key, value] : what.sysctls) {
    RETURN_IF_ERROR(SysctlPath(key).status());
  }
  if (!what.user.empty()) {
    return MakeOwnedAndPin(what, std::move(kinds));
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
