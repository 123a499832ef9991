// SPDX-License-Identifier: Apache-2.0
//
// Holds server/fields.tsv against the CRI: no field of a request's configuration is silently
// ignored.

#include <deque>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/text.h"

namespace davit::server {
namespace {

const std::string kSource = DAVIT_SOURCE_ROOT;

struct Decision {
  std::string how;
  std::string test;
};

std::vector<std::vector<std::string>> Table(const std::string& path) {
  const auto text = ReadFile(JoinPath(kSource, path));
  EXPECT_TRUE(text.ok()) << text.status();
  std::vector<std::vector<std::string>> rows;
  for (const std::string& line : Split(text.value_or(""), '\n')) {
    if (!line.empty() && line.front() != '#') {
      rows.push_back(Split(line, '\t'));
    }
  }
  return rows;
}

// "Message.field" -> what is done with it.
std::map<std::string, Decision> Decisions() {
  std::map<std::string, Decision> decisions;
  for (const auto& row : Table("server/fields.tsv")) {
    if (row.size() != 4) {
      ADD_FAILURE() << "server/fields.tsv: a row has " << row.size() << " columns: " << row[0];
      continue;
    }
    EXPECT_TRUE(decisions.emplace(row[0] + "." + row[1], Decision{row[2], row[3]}).second)
        << row[0] << "." << row[1] << " stands twice in server/fields.tsv";
  }
  return decisions;
}

struct Field {
  std::string name;
  std::string type;  // "repeated" and "map<…>" taken off
};

std::string ElementType(std::string type) {
  constexpr std::string_view kRepeated = "repeated ";
  if (type.starts_with(kRepeated)) {
    return type.substr(kRepeated.size());
  }
  if (type.starts_with("map<")) {
    const size_t comma = type.find(',');
    return type.substr(comma + 1, type.size() - comma - 2);
  }
  return type;
}

std::map<std::string, std::vector<Field>> Messages() {
  std::map<std::string, std::vector<Field>> messages;
  for (const auto& row : Table("test/cri/cri-v1.tsv")) {
    if (row[0] == "field") {
      messages[row[1]].push_back({row[2], ElementType(row[4])});
    }
  }
  return messages;
}

// What a request may set, but for what lies beneath a refused field.
std::set<std::string> Reachable(const std::map<std::string, Decision>& decisions) {
  const auto messages = Messages();
  std::set<std::string> fields;
  std::set<std::string> seen;
  std::deque<std::string> todo = {"PodSandboxConfig", "ContainerConfig"};
  while (!todo.empty()) {
    const std::string message = todo.front();
    todo.pop_front();
    const auto found = messages.find(message);
    if (found == messages.end() || !seen.insert(message).second) {
      continue;
    }
    for (const Field& field : found->second) {
      const std::string name = message + "." + field.name;
      fields.insert(name);
      const auto decision = decisions.find(name);
      if (decision == decisions.end() || decision->second.how != "refused") {
        todo.push_back(field.type);
      }
    }
  }
  return fields;
}

// "Suite.Name" of every test of the tree.
std::set<std::string> Tests() {
  std::set<std::string> tests;
  for (const char* folder : {"server", "test", "network", "image", "conmon"}) {
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(JoinPath(kSource, folder))) {
      if (!entry.path().string().ends_with("_test.cc")) {
        continue;
      }
      const auto text = ReadFile(entry.path().string());
      for (const std::string& line : Split(text.value_or(""), '\n')) {
        const size_t open = line.find('(');
        const size_t comma = line.find(", ", open);
        const size_t close = line.find(')', comma);
        if (line.starts_with("TEST") && close != std::string::npos) {
          tests.insert(line.substr(open + 1, comma - open - 1) + "." +
                       line.substr(comma + 2, close - comma - 2));
        }
      }
    }
  }
  return tests;
}

TEST(Fields, EachIsDecided) {
  const auto decisions = Decisions();
  const auto reachable = Reachable(decisions);
  EXPECT_GT(reachable.size(), 100U);
  for (const std::string& field : reachable) {
    EXPECT_TRUE(decisions.contains(field))
        << field << " is a field of the CRI that server/fields.tsv says nothing of: honour it, or "
        << "refuse it by name, with a test, and say so there";
  }
  for (const auto& [field, decision] : decisions) {
    EXPECT_TRUE(reachable.contains(field)) << field << " is no field that a request can set";
    EXPECT_TRUE(decision.how == "done" || decision.how == "refused" || decision.how == "noted")
        << field << ": " << decision.how;
  }
}

TEST(Fields, TheTestsAreThere) {
  const auto tests = Tests();
  for (const auto& [field, decision] : Decisions()) {
    EXPECT_TRUE(tests.contains(decision.test)) << field << ": no test " << decision.test;
  }
}

}  // namespace
}  // namespace davit::server
