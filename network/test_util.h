// SPDX-License-Identifier: Apache-2.0
//
// For the tests of this folder: a temporary directory with plugins, configuration and cache; a
// "host" of its own (network and mount namespace of one thread) so that nothing of the machine is
// touched.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/context.h"
#include "config/config.h"
#include "network/cni.h"

namespace davit::network {

class NetworkTest : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // Runs `body` on a thread whose namespaces vanish with it. Skips without root.
  void OnHost(const std::function<void()>& body);

  std::string Path(const std::string& name) const { return dir_ + "/" + name; }
  void Write(const std::string& path, const std::string& text, int mode = 0644);
  std::string Read(const std::string& path);
  // A file of the configuration directory.
  void Configure(const std::string& name, const std::string& text);
  // An executable /bin/sh script as plugin; "$REC" is a directory to record into.
  void FakePlugin(const std::string& name, const std::string& body);

  // A new pinned namespace.
  std::string MakePodNs();
  PodNetwork MakePod();
  std::unique_ptr<Cni> MakeCni();
  // Runs a program, expects success, returns its output.
  static std::string Exec(const std::vector<std::string>& argv);
  // The same in a pod's namespace.
  static std::string ExecIn(const std::string& netns, const std::vector<std::string>& argv);

  static constexpr char kIp[] = "/usr/sbin/ip";
  static constexpr char kNode[] = "192.0.2.1";  // of the host, on the cable
  static constexpr char kNode6[] = "2001:db8::1";
  static constexpr char kOutside[] = "192.0.2.2";
  static constexpr char kOutside6[] = "2001:db8::2";
  // Another host on a cable to this one, which gets kNode and kNode6: the path of its namespace.
  std::string MakeOutside();
  // Addresses that host-local holds for a network.
  std::vector<std::string> Reserved(const std::string& network);
  std::vector<std::string> CacheFiles();

  std::string dir_;
  config::Network config_;
};

}  // namespace davit::network
