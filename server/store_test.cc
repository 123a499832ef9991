// SPDX-License-Identifier: Apache-2.0
#include "server/store.h"

#include <gtest/gtest.h>

#include "server/container/container.h"

namespace davit::server {
namespace {

std::shared_ptr<Container::Record> RecordOf(const std::string& id, const std::string& sandbox_id) {
  auto record = std::make_shared<Container::Record>();
  record->set_id(id);
  record->set_name("name-" + id);
  record->set_sandbox_id(sandbox_id);
  return record;
}

std::vector<std::string> IdsOf(const std::vector<std::shared_ptr<Container>>& containers) {
  std::vector<std::string> ids;
  for (const auto& container : containers) {
    ids.push_back(container->id());
  }
  return ids;
}

TEST(Store, KnowsWhatIsInASandbox) {
  Store<Container> store("container");
  for (const auto& [id, sandbox] : {std::pair("c1", "a"), {"c2", "b"}, {"c3", "a"}}) {
    store.Add(std::make_shared<Container>(RecordOf(id, sandbox)));
  }
  using Ids = std::vector<std::string>;
  EXPECT_EQ(IdsOf(store.ListOf("a")), (Ids{"c1", "c3"}));
  EXPECT_EQ(IdsOf(store.ListOf("b")), Ids{"c2"});
  EXPECT_TRUE(store.ListOf("none").empty());
  store.Remove("c1");
  store.Remove("c2");
  store.Remove("c2");
  EXPECT_EQ(IdsOf(store.ListOf("a")), Ids{"c3"});
  EXPECT_TRUE(store.ListOf("b").empty());
  EXPECT_EQ(IdsOf(store.List()), Ids{"c3"});
}

TEST(Recorded, AnEntryIsMadeOnceForEachRecord) {
  Container container(RecordOf("c1", "a"));
  int made = 0;
  const auto render = [&](const Container::Record& record) {
    ++made;
    return record.reason();
  };
  EXPECT_EQ(*container.WithEntry(render).entry, "");
  EXPECT_EQ(*container.WithEntry(render).entry, "");
  EXPECT_EQ(made, 1);
  auto next = RecordOf("c1", "a");
  next->set_reason("Error");
  container.set_record(next);
  const auto listed = container.WithEntry(render);
  EXPECT_EQ(*listed.entry, "Error");
  EXPECT_EQ(listed.record, next);
  EXPECT_EQ(made, 2);
}

}  // namespace
}  // namespace davit::server
