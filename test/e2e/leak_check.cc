// SPDX-License-Identifier: Apache-2.0
#include "test/e2e/leak_check.h"

#include <net/if.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/cgroup.h"
#include "base/file.h"
#include "base/mount.h"
#include "base/proc.h"
#include "base/text.h"
#include "test/e2e/wait.h"

namespace davit::e2e {
namespace {

namespace fs = std::filesystem;

void AddMounts(std::set<std::string>& found) {
  for (const auto& mount : Must(ListMounts())) {
    found.insert("mount " + mount.filesystem + " on " + mount.target);
  }
}

// The bridge stays for the next pod, as bridges do.
void AddLinks(std::set<std::string>& found) {
  struct if_nameindex* const links = if_nameindex();
  for (auto* link = links; link != nullptr && link->if_index != 0; ++link) {
    if (std::string(link->if_name) != TestDaemon::kBridge) {
      found.insert(std::string("link ") + link->if_name);
    }
  }
  if_freenameindex(links);
}

// Cgroups below the daemon's parent, which itself stays.
void AddCgroups(const std::string& cgroup, std::set<std::string>& found) {
  const CgroupFs cgroups = Must(CgroupFs::Detect());
  for (const auto& controller : cgroups.controllers()) {
    const std::string dir = cgroups.Dir(controller, cgroup);
    std::error_code error;
    for (const auto& entry : fs::recursive_directory_iterator(dir, error)) {
      if (entry.is_directory(error)) {
        found.insert("cgroup " + entry.path().string());
      }
    }
  }
}

void AddDescendants(pid_t pid, std::set<pid_t>& found) {
  for (const pid_t child : ChildrenOf(pid)) {
    if (found.insert(child).second) {
      AddDescendants(child, found);
    }
  }
}

// What this program and its daemons started: all that its init has or has inherited.
void AddProcesses(pid_t daemon, std::set<std::string>& found) {
  std::set<pid_t> processes;
  AddDescendants(getppid(), processes);
  for (const pid_t pid : processes) {
    if (pid == getpid() || pid == daemon) {
      continue;
    }
    const std::string name = std::to_string(pid);
    std::string command = ReadFile("/proc/" + name + "/cmdline").value_or("");
    std::replace(command.begin(), command.end(), '\0', ' ');
    // A process that has ended and that nobody has collected yet has no command line.
    if (!command.empty()) {
      found.insert("process " + name + " " + command);
    }
  }
}

void AddFiles(const std::string& directory, std::set<std::string>& found) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    found.insert("file " + entry.path().string());
  }
}

// host-local keeps one file for each address, besides its lock and its notes.
void AddLeases(const std::string& directory, std::set<std::string>& found) {
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(directory, error)) {
    const std::string name = entry.path().filename();
    if (entry.is_regular_file(error) && !name.starts_with("last_reserved_ip") && name != "lock") {
      found.insert("lease " + entry.path().string());
    }
  }
}

std::string Listed(const std::set<std::string>& after, const std::set<std::string>& before) {
  std::string text;
  for (const auto& item : after) {
    if (!before.contains(item)) {
      text += item + "\n";
    }
  }
  return text;
}

}  // namespace

LeakCheck::LeakCheck(const TestDaemon& daemon) : daemon_(daemon), before_(Look()) {}

std::set<std::string> LeakCheck::Look() const {
  std::set<std::string> found;
  AddMounts(found);
  AddLinks(found);
  AddCgroups(daemon_.cgroup(), found);
  AddProcesses(daemon_.pid(), found);
  AddFiles(daemon_.run() + "/sandboxes", found);
  AddFiles(daemon_.run() + "/containers", found);
  AddFiles(daemon_.run() + "/image-volumes", found);
  AddFiles(daemon_.root() + "/containers", found);
  AddFiles(daemon_.cni_cache() + "/results", found);
  for (const char* handler : {"crun", "runc"}) {
    AddFiles(daemon_.run() + "/runtime/" + handler, found);
  }
  AddLeases(daemon_.leases(), found);
  return found;
}

std::string LeakCheck::Leaks() const {
  std::string leaks;
  (void)Eventually([&] {
    leaks = Listed(Look(), before_);
    return leaks.empty();
  });
  return leaks;
}

std::map<std::string, int> LeakCheck::Descriptors(pid_t pid) {
  std::map<std::string, int> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc/" + std::to_string(pid) + "/fd", error)) {
    const std::string target = fs::read_symlink(entry.path(), error);
    ++found[target.substr(0, target.find(":["))];
  }
  return found;
}

std::string LeakCheck::DescriptorLeaks(pid_t pid, const std::map<std::string, int>& before) {
  std::string leaks;
  (void)Eventually([&] {
    leaks.clear();
    for (const auto& [target, count] : Descriptors(pid)) {
      const auto known = before.find(target);
      const int had = known == before.end() ? 0 : known->second;
      if (count > had) {
        leaks += "descriptor " + target + ": " + std::to_string(count) + ", " +
                 std::to_string(had) + " before\n";
      }
    }
    return leaks.empty();
  });
  return leaks;
}

}  // namespace davit::e2e
