// SPDX-License-Identifier: Apache-2.0
//
// Holds the compiled descriptor of server/api/api.proto against the table of facts cri-v1.tsv, both
// ways: each side becomes a set of lines in the table's own format, and the sets must be equal.

#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/text.h"
#include "server/api/api.pb.h"

namespace davit {
namespace {

namespace pb = google::protobuf;

constexpr char kPackage[] = "runtime.v1.";

// Names within the package stand without it, nested ones with dots.
std::string Short(const std::string& full_name) {
  return full_name.starts_with(kPackage) ? full_name.substr(sizeof(kPackage) - 1) : full_name;
}

// A type is named as the field's own message sees it: one declared within it by its last part.
std::string Seen(const pb::FieldDescriptor& field, const std::string& full_name) {
  const std::string scope = field.containing_type()->full_name() + ".";
  return full_name.starts_with(scope) ? full_name.substr(scope.size()) : Short(full_name);
}

std::string ScalarOrName(const pb::FieldDescriptor& field) {
  switch (field.type()) {
    case pb::FieldDescriptor::TYPE_MESSAGE:
      return Seen(field, field.message_type()->full_name());
    case pb::FieldDescriptor::TYPE_ENUM:
      return Seen(field, field.enum_type()->full_name());
    default:
      return field.type_name();
  }
}

std::string TypeOf(const pb::FieldDescriptor& field) {
  if (field.is_map()) {
    const auto& entry = *field.message_type();
    return fmt::format("map<{},{}>", ScalarOrName(*entry.map_key()),
                       ScalarOrName(*entry.map_value()));
  }
  return (field.is_repeated() ? "repeated " : "") + ScalarOrName(field);
}

void AddEnum(const pb::EnumDescriptor& type, std::set<std::string>& facts) {
  facts.insert("enum\t" + Short(type.full_name()));
  for (int i = 0; i < type.value_count(); ++i) {
    facts.insert(fmt::format("value\t{}\t{}\t{}", Short(type.full_name()), type.value(i)->name(),
                             type.value(i)->number()));
  }
}

void AddMessage(const pb::Descriptor& message, std::set<std::string>& facts) {
  if (message.options().map_entry()) {
    return;
  }
  const std::string name = Short(message.full_name());
  facts.insert("message\t" + name);
  for (int i = 0; i < message.field_count(); ++i) {
    const auto& field = *message.field(i);
    const auto* oneof = field.real_containing_oneof();
    facts.insert(fmt::format("field\t{}\t{}\t{}\t{}\t{}\t{}", name, field.name(), field.number(),
                             TypeOf(field), oneof != nullptr ? oneof->name() : "",
                             field.options().deprecated() ? "[deprecated=true]" : ""));
  }
  for (int i = 0; i < message.nested_type_count(); ++i) {
    AddMessage(*message.nested_type(i), facts);
  }
  for (int i = 0; i < message.enum_type_count(); ++i) {
    AddEnum(*message.enum_type(i), facts);
  }
}

void AddService(const pb::ServiceDescriptor& service, std::set<std::string>& facts) {
  facts.insert("service\t" + service.name());
  for (int i = 0; i < service.method_count(); ++i) {
    const auto& method = *service.method(i);
    facts.insert(fmt::format(
        "rpc\t{}\t{}\t{}{}\t{}{}", service.name(), method.name(),
        method.client_streaming() ? "stream " : "", Short(method.input_type()->full_name()),
        method.server_streaming() ? "stream " : "", Short(method.output_type()->full_name())));
  }
}

std::set<std::string> CompiledFacts() {
  std::set<std::string> facts;
  const pb::FileDescriptor& file = *runtime::v1::VersionRequest::descriptor()->file();
  EXPECT_EQ(file.package(), "runtime.v1");
  for (int i = 0; i < file.service_count(); ++i) {
    AddService(*file.service(i), facts);
  }
  for (int i = 0; i < file.message_type_count(); ++i) {
    AddMessage(*file.message_type(i), facts);
  }
  for (int i = 0; i < file.enum_type_count(); ++i) {
    AddEnum(*file.enum_type(i), facts);
  }
  return facts;
}

// Protobuf 3.21 does not know the option debug_redact, so the descriptor cannot carry it. Columns
// that are missing at the end of a line are empty ones.
std::string Normalised(const std::string& line) {
  constexpr size_t kFieldColumns = 7;
  auto columns = Split(line, '\t');
  if (columns.front() == "field") {
    columns.resize(kFieldColumns);
    if (columns.back() == "[debug_redact=true]") {
      columns.back().clear();
    }
  }
  return Join(columns, "\t");
}

std::set<std::string> TableFacts() {
  const auto text = ReadFile(DAVIT_CRI_FACTS);
  EXPECT_TRUE(text.ok()) << text.status();
  std::set<std::string> facts;
  for (const auto& line : Split(text.value_or(""), '\n')) {
    if (!line.empty() && line.front() != '#') {
      EXPECT_TRUE(facts.insert(Normalised(line)).second) << "twice in the table: " << line;
    }
  }
  return facts;
}

TEST(Api, HasWhatTheTableHas) {
  const auto compiled = CompiledFacts();
  for (const auto& fact : TableFacts()) {
    EXPECT_TRUE(compiled.contains(fact)) << "not in api.proto: " << fact;
  }
}

TEST(Api, HasNothingElse) {
  const auto table = TableFacts();
  for (const auto& fact : CompiledFacts()) {
    EXPECT_TRUE(table.contains(fact)) << "not in the table: " << fact;
  }
}

TEST(Api, TheTableIsNotEmpty) {
  EXPECT_GT(TableFacts().size(), 800U);
  EXPECT_EQ(TableFacts().size(), CompiledFacts().size());
}

}  // namespace
}  // namespace davit
