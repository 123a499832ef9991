// SPDX-License-Identifier: Apache-2.0
//
// Test-only: an HTTP/1.1 server on loopback that does as it is told, also what no server should:
// break off, stall, send without end. One thread; handlers run on it and must not block.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace davit::image {

struct FakeRequest {
  std::string method;
  std::string target;                          // path and query
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;

  [[nodiscard]] std::string Header(const std::string& name) const;
};

struct FakeResponse {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string body = {};
  size_t cut_after = std::numeric_limits<size_t>::max();    // bytes of body, then the end
  size_t stall_after = std::numeric_limits<size_t>::max();  // bytes of body, then silence
  bool endless = false;                                     // repeats the body for good, chunked
  bool claim_length = true;  // Content-Length; else the end of the connection is the end
  int64_t length_error = 0;  // added to the Content-Length
  size_t drip = 0;           // bytes sent every 10 ms; 0: as fast as it goes
};

class FakeServer {
 public:
  using Handler = std::function<FakeResponse(const FakeRequest&)>;
  // Port 0: one that the kernel chooses.
  explicit FakeServer(Handler handler, uint16_t port = 0);
  ~FakeServer();
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;

  [[nodiscard]] uint16_t port() const;
  [[nodiscard]] std::string host() const;  // "127.0.0.1:1234"

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace davit::image
