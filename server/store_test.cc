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

TEST(Store, TheWholeListIsMadeAnewAfterAChangeOnly) {
  Store<Container> store("container");
  int made = 0;
  const auto list = [&] {
    const SharedBytes whole = store.Whole([&] {
      ++made;
      std::string text;
      for (const auto& container : store.List()) {
        text += container->id() + container->record()->reason() + " ";
      }
      return text;
    });
    return *whole;
  };
  EXPECT_EQ(list(), "");
  const auto container = std::make_shared<Container>(RecordOf("c1", "a"));
  store.Add(container);
  EXPECT_EQ(list(), "c1 ");
  EXPECT_EQ(list(), "c1 ");
  EXPECT_EQ(made, 2);
  auto next = RecordOf("c1", "a");
  next->set_reason("Error");
  container->set_record(next);
  EXPECT_EQ(list(), "c1Error ");
  store.Remove("c1");
  store.Remove("c1");
  EXPECT_EQ(list(), "");
  EXPECT_EQ(list(), "");
  EXPECT_EQ(made, 4);
}

TEST(Store, AChangeWhileTheListIsMadeIsInTheNextOne) {
  Store<Container> store("container");
  const auto container = std::make_shared<Container>(RecordOf("c1", "a"));
  store.Add(container);
  const auto reason = [&] { return container->record()->reason(); };
  const SharedBytes before = store.Whole([&] {
    const std::string seen = reason();
    auto next = RecordOf("c1", "a");
    next->set_reason("Error");
    container->set_record(next);
    return seen;
  });
  EXPECT_EQ(*before, "");
  EXPECT_EQ(*store.Whole(reason), "Error");
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
