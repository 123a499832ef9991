// SPDX-License-Identifier: Apache-2.0
//
// A name server of the test's process, over UDP, in the network namespace of the thread that makes
// it. It knows a few names, and denies all others. Ends with its object.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.h"

namespace davit::e2e {

class DnsServer {
 public:
  // `ip` may be one that an interface gets later. `names`: IPv4 addresses of full names.
  DnsServer(const std::string& ip, std::map<std::string, std::string> names);
  ~DnsServer();
  DnsServer(const DnsServer&) = delete;
  DnsServer& operator=(const DnsServer&) = delete;

  // The names that it was asked for since it was last asked this, in order, without repetitions in
  // a row (a question for each family, and questions that are asked again).
  std::vector<std::string> TakeQuestions();

 private:
  void Serve();
  // "" if it is no question.
  std::string Answer(const std::string& question);

  const std::map<std::string, std::string> names_;
  UniqueFd socket_;
  UniqueFd end_;  // readable when it shall end
  std::mutex mutex_;
  std::vector<std::string> questions_;
  std::thread thread_;
};

}  // namespace davit::e2e
