// SPDX-License-Identifier: Apache-2.0
#include "server/spec/seccomp_notifier.h"

#include <seccomp.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "conmon/protocol.h"
#include "server/spec/annotations.h"
#include "server/spec/sections.h"

namespace davit::server::spec {
namespace {

constexpr std::array<const char*, 3> kAnnotations = {kSeccompNotifierAnnotation,
                                                     "seccomp-notifier-action.crio.io",
                                                     "io.kubernetes.cri-o.seccompNotifierAction"};

constexpr uint32_t kX32 = SCMP_ARCH_X32;
constexpr int kHighestCall = 1023;  // architectures have some 450 today
constexpr int kX32Bit = 0x40000000;

// What an OCI runtime may call from the moment on when its filter is in force until somebody
// answers: it would wait for itself. runc and crun refuse a notification of write altogether. A
// profile that forbids one of these goes on to do so, and nobody is told.
constexpr std::string_view kOfRuntimes =
    " _llseek arch_prctl brk clock_getres clock_gettime clock_gettime64 clock_nanosleep "
    "clock_nanosleep_time64 clone clone3 close close_range dup dup2 dup3 epoll_create "
    "epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd2 exit exit_group fcntl "
    "fcntl64 fstat fstat64 fstatat64 futex futex_time64 getcpu getegid geteuid getgid getpid "
    "getppid getrandom getrlimit gettid gettimeofday getuid ioctl kill lseek madvise membarrier "
    "mincore mlock mmap mmap2 mprotect mremap munlock munmap nanosleep newfstatat open openat "
    "pidfd_open pidfd_send_signal pipe2 poll ppoll ppoll_time64 prctl pread64 prlimit64 pselect6 "
    "pwrite64 read readlink readlinkat readv recvfrom recvmsg restart_syscall rseq "
    "rt_sigaction rt_sigprocmask rt_sigreturn rt_sigtimedwait sched_getaffinity sched_yield "
    "seccomp select sendmsg sendto set_robust_list set_tid_address setitimer sigaltstack "
    "sigprocmask sigreturn statx tgkill time timer_create timer_delete timer_settime tkill "
    "ugetrlimit uname wait4 waitid waitpid write writev ";

bool IsOfRuntimes(const std::string& name) {
  return kOfRuntimes.find(" " + name + " ") != std::string_view::npos;
}

using Architectures = std::vector<uint32_t>;

Architectures ArchitecturesOf(const Json& seccomp) {
  constexpr std::string_view kPrefix = "SCMP_ARCH_";
  Architectures tokens;
  for (const Json& value : JsonChild(seccomp, "architectures")) {
    const std::string name = value.is_string() ? value.get<std::string>() : "";
    if (name.starts_with(kPrefix)) {
      const uint32_t token = seccomp_arch_resolve_name(Lower(name.substr(kPrefix.size())).c_str());
      if (token != 0) {
        tokens.push_back(token);
      }
    }
  }
  return tokens;
}

std::string CallName(uint32_t token, int number) {
  const std::unique_ptr<char, decltype(&free)> name(seccomp_syscall_resolve_num_arch(token, number),
                                                    &free);
  return name ? std::string(name.get()) : "";
}

// Every call that the library knows.
std::set<std::string> AllCalls(const Architectures& tokens) {
  std::set<std::string> names;
  for (const uint32_t token : tokens) {
    for (int number = 0; number <= kHighestCall; ++number) {
      std::string name = CallName(token, token == kX32 ? number | kX32Bit : number);
      if (!name.empty()) {
        names.insert(std::move(name));
      }
    }
  }
  return names;
}

// The kernel's word for it, AUDIT_ARCH_*, which differs for one only.
uint32_t KernelArchitecture(uint32_t token) {
  return token == kX32 ? SCMP_ARCH_X86_64 : token;
}

class Notifier {
 public:
  explicit Notifier(const Json& seccomp) : architectures_(ArchitecturesOf(seccomp)) {}

  // The error that an action gives, if it is one that says no. ENOSYS says that there is no such
  // call: libraries try new ones all the time to see.
  static std::optional<uint32_t> ErrorOf(const Json& object, const char* action,
                                         const char* error) {
    const int64_t number = JsonInt(object, error, EPERM);
    if (JsonString(object, action) != "SCMP_ACT_ERRNO" || number <= 0 || number == ENOSYS) {
      return std::nullopt;
    }
    return static_cast<uint32_t>(number);
  }

  void Convert(const Json& rule, Json& rules);
  // What no rule names, where the profile's default says no.
  void ConvertDefault(const Json& seccomp, uint32_t error, Json& rules);
  [[nodiscard]] std::string File() const;

 private:
  void Note(const std::string& name, uint32_t error);

  const Architectures architectures_;
  std::map<std::pair<uint32_t, uint32_t>, uint32_t> errors_;  // by architecture and number
};

void Notifier::Note(const std::string& name, uint32_t error) {
  for (const uint32_t token : architectures_) {
    const int number = seccomp_syscall_resolve_name_arch(token, name.c_str());
    if (number >= 0) {
      errors_.emplace(std::pair(KernelArchitecture(token), static_cast<uint32_t>(number)), error);
    }
  }
}

void Notifier::Convert(const Json& rule, Json& rules) {
  const auto error = ErrorOf(rule, "action", "errnoRet");
  if (!error) {
    rules.push_back(rule);
    return;
  }
  // A rule with arguments has the runtime's own calls in mind as little as the program's.
  const bool conditional = rule.contains("args");
  Json kept = Json::array();
  Json notified = Json::array();
  for (const Json& name : JsonChild(rule, "names")) {
    const std::string text = name.get<std::string>();
    if (text == "write" || (!conditional && IsOfRuntimes(text))) {
      kept.push_back(name);
    } else {
      notified.push_back(name);
      Note(text, *error);
    }
  }
  if (!kept.empty()) {
    Json same = rule;
    same["names"] = std::move(kept);
    rules.push_back(std::move(same));
  }
  if (!notified.empty()) {
    Json other = rule;
    other["names"] = std::move(notified);
    other["action"] = "SCMP_ACT_NOTIFY";
    other.erase("errnoRet");
    rules.push_back(std::move(other));
  }
}

void Notifier::ConvertDefault(const Json& seccomp, uint32_t error, Json& rules) {
  std::set<std::string> names = AllCalls(architectures_);
  for (const Json& rule : JsonChild(seccomp, "syscalls")) {
    for (const Json& name : JsonChild(rule, "names")) {
      names.erase(name.get<std::string>());
    }
  }
  std::erase_if(names, IsOfRuntimes);
  if (names.empty()) {
    return;
  }
  for (const std::string& name : names) {
    Note(name, error);
  }
  rules.push_back({{"names", names}, {"action", "SCMP_ACT_NOTIFY"}});
}

std::string Notifier::File() const {
  if (errors_.empty()) {
    return "";
  }
  conmon::SeccompHeader header = {};
  header.version = conmon::kSeccompVersion;
  header.calls = static_cast<uint32_t>(errors_.size());
  header.other_error = EPERM;
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof(header));
  for (const auto& [call, error] : errors_) {
    conmon::SeccompCall entry = {};
    entry.arch = call.first;
    entry.number = call.second;
    entry.error = error;
    bytes.append(reinterpret_cast<const char*>(&entry), sizeof(entry));
  }
  return bytes;
}

std::string NameOf(const conmon::SeccompCall& call) {
  const auto number = static_cast<int>(call.number);
  const bool x32 = call.arch == SCMP_ARCH_X86_64 && (number & kX32Bit) != 0;
  const std::string name = CallName(x32 ? kX32 : call.arch, number);
  return name.empty() ? fmt::format("system call {}", number) : name;
}

}  // namespace

absl::StatusOr<ForbiddenCalls> ForbiddenCallsOf(
    const runtime::v1::PodSandboxConfig& sandbox, const runtime::v1::ContainerConfig& container,
    const std::vector<std::string>& allowed_annotations) {
  for (const auto* annotations : {&container.annotations(), &sandbox.annotations()}) {
    for (const char* key : kAnnotations) {
      const auto found = annotations->find(key);
      if (found == annotations->end() || !IsAllowed(allowed_annotations, key)) {
        continue;
      }
      if (found->second == "stop") {
        return ForbiddenCalls::kStop;
      }
      if (found->second == "log" || found->second.empty()) {
        return ForbiddenCalls::kLog;
      }
      return InvalidArgument("annotation {}: \"{}\" is neither log nor stop", key,
                             Printable(found->second));
    }
  }
  return ForbiddenCalls::kFail;
}

absl::StatusOr<std::string> AddSeccompNotifier(const std::string& listener, Json& seccomp) {
  if (listener.size() >= sizeof(sockaddr_un::sun_path)) {
    return FailedPrecondition(
        "annotation {}: the path {} is too long for a socket; make storage.run shorter",
        kSeccompNotifierAnnotation, listener);
  }
  Notifier notifier(seccomp);
  Json rules = Json::array();
  for (const Json& rule : JsonChild(seccomp, "syscalls")) {
    notifier.Convert(rule, rules);
  }
  if (const auto error = Notifier::ErrorOf(seccomp, "defaultAction", "defaultErrnoRet")) {
    notifier.ConvertDefault(seccomp, *error, rules);
  }
  std::string file = notifier.File();
  if (file.empty()) {
    return file;  // it forbids nothing: runtimes refuse a listener then
  }
  seccomp["syscalls"] = std::move(rules);
  seccomp["listenerPath"] = listener;
  return file;
}

absl::StatusOr<CallCounts> ReadCallCounts(const std::string& bytes) {
  conmon::SeccompHeader header = {};
  if (bytes.size() < sizeof(header)) {
    return DataLoss("counts of forbidden system calls: cut off");
  }
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (header.version != conmon::kSeccompVersion ||
      (bytes.size() - sizeof(header)) / sizeof(conmon::SeccompCall) < header.calls) {
    return DataLoss("counts of forbidden system calls: version {} with {} entries in {} bytes",
                    header.version, header.calls, bytes.size());
  }
  CallCounts counts;
  counts.last_ns = static_cast<int64_t>(header.last_ns);
  if (header.others > 0) {
    counts.calls["others"] = header.others;
  }
  for (uint32_t i = 0; i < header.calls; ++i) {
    conmon::SeccompCall call = {};
    std::memcpy(&call, bytes.data() + sizeof(header) + i * sizeof(call), sizeof(call));
    if (call.count > 0) {
      counts.calls[NameOf(call)] += call.count;
    }
  }
  return counts;
}

std::string CallsText(const CallCounts& counts) {
  std::vector<std::string> texts;
  for (const auto& [name, count] : counts.calls) {
    texts.push_back(fmt::format("{} ({}x)", name, count));
  }
  return Join(texts, ", ");
}

}  // namespace davit::server::spec
