// SPDX-License-Identifier: Apache-2.0
//
// Tables for people and JSON for programs.
#pragma once

#include <string>
#include <vector>

#include <google/protobuf/message.h>

namespace davit::server::cli {

class Table {
 public:
  explicit Table(std::vector<std::string> header) { rows_.push_back(std::move(header)); }
  void Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  // Columns padded to their widest cell, two blanks between.
  [[nodiscard]] std::string Text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// The message as indented JSON with its field names.
std::string ToJson(const google::protobuf::Message& message);

// "3 minutes ago" for a moment in nanoseconds.
std::string Ago(int64_t nanos);

}  // namespace davit::server::cli
