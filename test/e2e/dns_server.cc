// SPDX-License-Identifier: Apache-2.0
#include "test/e2e/dns_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "base/status.h"
#include "test/e2e/wait.h"

namespace davit::e2e {
namespace {

// RFC 1035, 4.1
constexpr int kPort = 53;
constexpr size_t kHeaderBytes = 12;
constexpr size_t kTypeAndClass = 4;
constexpr size_t kMaxMessage = 512;
constexpr char kTypeA = 1;
constexpr char kNoSuchName = 3;

UniqueFd Bind(const std::string& ip) {
  const bool six = ip.find(':') != std::string::npos;
  UniqueFd fd(socket(six ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  setsockopt(fd.get(), six ? SOL_IPV6 : SOL_IP, six ? IPV6_FREEBIND : IP_FREEBIND, &on, sizeof(on));
  sockaddr_in v4 = {};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(kPort);
  sockaddr_in6 v6 = {};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = v4.sin_port;
  void* const bytes = six ? static_cast<void*>(&v6.sin6_addr) : &v4.sin_addr;
  const auto* address =
      six ? reinterpret_cast<const sockaddr*>(&v6) : reinterpret_cast<const sockaddr*>(&v4);
  if (inet_pton(six ? AF_INET6 : AF_INET, ip.c_str(), bytes) != 1 ||
      bind(fd.get(), address, six ? sizeof(v6) : sizeof(v4)) != 0) {
    Must(ErrnoStatus(errno, "bind the name server to " + ip));
  }
  return fd;
}

// The labels from `at` on, with dots between them; `at` is behind them then. "" if they do not end.
std::string ReadName(const std::string& message, size_t& at) {
  std::string name;
  while (at < message.size()) {
    const auto length = static_cast<unsigned char>(message[at++]);
    if (length == 0) {
      return name;
    }
    if (at + length > message.size()) {
      return "";
    }
    name += (name.empty() ? "" : ".") + message.substr(at, length);
    at += length;
  }
  return "";
}

}  // namespace

DnsServer::DnsServer(const std::string& ip, std::map<std::string, std::string> names)
    : names_(std::move(names)), socket_(Bind(ip)), end_(eventfd(0, EFD_CLOEXEC)) {
  thread_ = std::thread([this] { Serve(); });
}

DnsServer::~DnsServer() {
  eventfd_write(end_.get(), 1);
  thread_.join();
}

std::vector<std::string> DnsServer::TakeQuestions() {
  const std::lock_guard lock(mutex_);
  return std::exchange(questions_, {});
}

void DnsServer::Serve() {
  std::array<pollfd, 2> waiting = {{{socket_.get(), POLLIN, 0}, {end_.get(), POLLIN, 0}}};
  while (poll(waiting.data(), waiting.size(), -1) > 0 && waiting[1].revents == 0) {
    std::string question(kMaxMessage, '\0');
    sockaddr_storage client = {};
    socklen_t size = sizeof(client);
    auto* const from = reinterpret_cast<sockaddr*>(&client);
    const ssize_t count = recvfrom(socket_.get(), question.data(), question.size(), 0, from, &size);
    question.resize(count > 0 ? static_cast<size_t>(count) : 0);
    if (const std::string answer = Answer(question); !answer.empty()) {
      sendto(socket_.get(), answer.data(), answer.size(), 0, from, size);
    }
  }
}

std::string DnsServer::Answer(const std::string& question) {
  size_t end = kHeaderBytes;
  const std::string name = ReadName(question, end);
  if (name.empty() || end + kTypeAndClass > question.size()) {
    return "";
  }
  {
    const std::lock_guard lock(mutex_);
    if (questions_.empty() || questions_.back() != name) {
      questions_.push_back(name);
    }
  }
  const auto found = names_.find(name);
  in_addr address = {};
  // A known name of which another family is asked exists, and has no such address.
  const bool has_address = found != names_.end() && question[end + 1] == kTypeA &&
                           inet_pton(AF_INET, found->second.c_str(), &address) == 1;
  std::string answer = question.substr(0, 2);
  answer += '\x81';  // an answer, recursion was desired
  answer += static_cast<char>('\x80' | (found == names_.end() ? kNoSuchName : '\0'));
  answer += std::string("\0\1\0", 3) + (has_address ? '\1' : '\0') + std::string(4, '\0');
  answer += question.substr(kHeaderBytes, end + kTypeAndClass - kHeaderBytes);
  if (has_address) {
    answer += std::string("\xC0\x0C\0\1\0\1\0\0\0\x3C\0\4", 12);  // that name, A, IN, 60 s, 4 bytes
    answer.append(reinterpret_cast<const char*>(&address), sizeof(address));
  }
  return answer;
}

}  // namespace davit::e2e
