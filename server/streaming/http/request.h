// SPDX-License-Identifier: Apache-2.0
//
// The one request of a connection (HTTP/1.1, RFC 9112), before it becomes SPDY or WebSocket.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace davit::server::streaming::http {

// Of the request line and all headers.
inline constexpr size_t kMaxHead = size_t{16} << 10U;

struct Request {
  std::string method;
  std::string path;                                 // without the query
  std::map<std::string, std::string> headers = {};  // names in lower case; repeated ones joined

  // The parts of a list header, without white space around them.
  [[nodiscard]] std::vector<std::string> List(const std::string& name) const;
  // Whether a list header has this part, in whatever case.
  [[nodiscard]] bool Has(const std::string& name, std::string_view part) const;
};

// `head`: up to and including the empty line. InvalidArgument says what is wrong.
absl::StatusOr<Request> ParseRequest(std::string_view head);

// A whole answer that is an error: the status for its code, the message as text. The connection is
// to be closed.
std::string ErrorAnswer(const absl::Status& status);

}  // namespace davit::server::streaming::http
