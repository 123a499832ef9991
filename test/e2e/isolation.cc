// SPDX-License-Identifier: Apache-2.0
#include "test/e2e/isolation.h"

#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <vector>

#include "base/cgroup.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/status.h"
#include "base/subprocess.h"

namespace davit::e2e {
namespace {

constexpr int kSetUpFailed = 3;

std::string& MutableProgramDir() {
  static std::string& directory = *new std::string();
  return directory;
}

int Complain(const char* what) {
  std::perror(what);
  return kSetUpFailed;
}

bool BringUpLoopback() {
  const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request = {};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  return ioctl(fd.get(), SIOCSIFFLAGS, &request) == 0;
}

// crun 1.8 does not run where the v2 hierarchy of a hybrid host holds a controller; hugetlb is the
// one that is often left to it. Where this fails the daemon chooses runc.
void MountHugetlb() {
  const auto cgroups = CgroupFs::Detect();
  if (cgroups.ok() && cgroups->mode() != CgroupMode::kV2 && !cgroups->has("hugetlb")) {
    const char* const target = "/sys/fs/cgroup/hugetlb";
    (void)mkdir(target, 0755);
    (void)mount("none", target, "cgroup", 0, "hugetlb");
  }
}

int ExitCodeOf(int wait_status) {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

// PID 1 of the tests: collects what the daemons that are killed leave behind, as init would.
int ReapUntil(pid_t tests) {
  while (true) {
    int status = 0;
    const pid_t ended = waitpid(-1, &status, 0);
    if (ended == tests) {
      return ExitCodeOf(status);
    }
    if (ended < 0 && errno != EINTR) {
      return Complain("waitpid");
    }
  }
}

int RunAsInit(int (*body)()) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_CHILD_SUBREAPER, 1);  // without a PID namespace it is not init
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return Complain("make mounts private");
  }
  if (!BySystemd() &&
      mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
    return Complain("mount of /proc");
  }
  // In memory: many programs that sync to one disk would wait for each other.
  if (mount("davit-e2e", ProgramDir().c_str(), "tmpfs", MS_NOSUID, "mode=0755") != 0) {
    return Complain("mount of a tmpfs");
  }
  if (!BringUpLoopback()) {
    return Complain("loopback");
  }
  MountHugetlb();
  const pid_t tests = fork();
  if (tests == 0) {
    exit(body());
  }
  return tests < 0 ? Complain("fork") : ReapUntil(tests);
}

void RemoveLeftovers() {
  if (BySystemd()) {
    StopSlice(ProgramCgroup());
  } else if (const auto cgroups = CgroupFs::Detect(); cgroups.ok()) {
    if (absl::Status removed = cgroups->Remove(ProgramCgroup()); !removed.ok()) {
      std::fprintf(stderr, "%s\n", Message(removed).c_str());
    }
  }
  // The tests' mounts are this process's too: what is mounted on the directory goes with it.
  umount2(ProgramDir().c_str(), MNT_DETACH);
  if (absl::Status removed = RemoveTree(ProgramDir()); !removed.ok()) {
    std::fprintf(stderr, "%s\n", Message(removed).c_str());
  }
}

}  // namespace

bool BySystemd() {
  const char* manager = getenv("DAVIT_E2E_CGROUP_MANAGER");
  return manager != nullptr && std::string_view(manager) == "systemd";
}

void StopSlice(const std::string& cgroup) {
  Context ctx(std::chrono::seconds(60));
  SpawnOptions spawn;
  spawn.argv = {"/usr/bin/systemctl", "stop", cgroup.substr(cgroup.rfind('/') + 1)};
  spawn.env = MinimalEnv();
  if (const auto stopped = davit::Run(ctx, spawn); !stopped.ok() || stopped->exit.code != 0) {
    std::fprintf(stderr, "systemctl stop %s: %s\n", cgroup.c_str(),
                 stopped.ok() ? stopped->err.c_str() : Message(stopped.status()).c_str());
  }
}

std::string WhyNot() {
  if (geteuid() != 0) {
    return "needs root to run pods";
  }
  for (const char* program : {"docker-registry", "skopeo"}) {
    if (const auto found = FindProgram(program); !found.ok()) {
      return Message(found.status());
    }
  }
  if (!PathExists("/bin/busybox")) {
    return "busybox-static is not installed";
  }
  if (!PathExists("/usr/lib/cni/bridge")) {
    return "containernetworking-plugins is not installed";
  }
  return "";
}

const std::string& ProgramDir() {
  return MutableProgramDir();
}

const std::string& ProgramCgroup() {
  static const std::string& cgroup = *new std::string([] {
    std::string name = ProgramDir().substr(ProgramDir().rfind('/') + 1);
    if (BySystemd()) {
      std::replace(name.begin(), name.end(), '-', '_');
      name += ".slice";
    }
    return "/" + name;
  }());
  return cgroup;
}

int RunIsolated(int (*body)()) {
  char pattern[] = "/tmp/davit-e2e-XXXXXX";
  if (mkdtemp(pattern) == nullptr) {
    return Complain("mkdtemp");
  }
  MutableProgramDir() = pattern;
  if (unshare((BySystemd() ? 0 : CLONE_NEWPID) | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC |
              CLONE_NEWUTS) != 0) {
    return Complain("unshare");
  }
  const pid_t init = fork();
  if (init == 0) {
    _exit(RunAsInit(body));
  }
  int status = 0;
  while (init > 0 && waitpid(init, &status, 0) < 0 && errno == EINTR) {
  }
  RemoveLeftovers();
  return init < 0 ? kSetUpFailed : ExitCodeOf(status);
}

}  // namespace davit::e2e
