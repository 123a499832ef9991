// SPDX-License-Identifier: Apache-2.0
#include "server/streaming/http/request.h"

#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

#include "base/status.h"
#include "base/text.h"

namespace davit::server::streaming::http {
namespace {

namespace beast = boost::beast;

std::string_view View(beast::string_view text) {
  return {text.data(), text.size()};
}

std::pair<int, const char*> HttpStatus(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kInvalidArgument:
      return {400, "Bad Request"};
    case absl::StatusCode::kPermissionDenied:
      return {403, "Forbidden"};
    case absl::StatusCode::kNotFound:
      return {404, "Not Found"};
    case absl::StatusCode::kResourceExhausted:
      return {503, "Service Unavailable"};
    default:
      return {500, "Internal Server Error"};
  }
}

}  // namespace

std::vector<std::string> Request::List(const std::string& name) const {
  std::vector<std::string> parts;
  if (const auto found = headers.find(name); found != headers.end()) {
    for (const std::string& part : Split(found->second, ',')) {
      if (const std::string_view trimmed = Trim(part); !trimmed.empty()) {
        parts.emplace_back(trimmed);
      }
    }
  }
  return parts;
}

bool Request::Has(const std::string& name, std::string_view part) const {
  for (const std::string& own : List(name)) {
    if (Lower(own) == Lower(part)) {
      return true;
    }
  }
  return false;
}

absl::StatusOr<Request> ParseRequest(std::string_view head) {
  beast::http::request_parser<beast::http::empty_body> parser;
  parser.header_limit(kMaxHead);
  parser.eager(false);
  beast::error_code error;
  const size_t used = parser.put(boost::asio::buffer(head.data(), head.size()), error);
  if (error || !parser.is_header_done() || used != head.size()) {
    return InvalidArgument("not a request of HTTP/1.1: {}",
                           error ? error.message() : "it has no end");
  }
  if (parser.chunked() || parser.content_length().value_or(0) != 0) {
    return InvalidArgument("a request with a body, which nothing here takes");
  }
  const auto& message = parser.get();
  Request request;
  request.method = View(message.method_string());
  const std::string_view target = View(message.target());
  request.path = target.substr(0, target.find('?'));
  for (const auto& field : message) {
    std::string& value = request.headers[Lower(View(field.name_string()))];
    value += (value.empty() ? "" : ",") + std::string(View(field.value()));
  }
  return request;
}

std::string ErrorAnswer(const absl::Status& status) {
  const auto [code, text] = HttpStatus(status.code());
  const std::string body = Message(status) + "\n";
  return fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n"
      "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n{}",
      code, text, body.size(), body);
}

}  // namespace davit::server::streaming::http
