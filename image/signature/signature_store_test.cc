// SPDX-License-Identifier: Apache-2.0
#include "image/signature/signature_store.h"

#include <gtest/gtest.h>

#include "base/db.h"
#include "image/test_util.h"

namespace davit::image {
namespace {

class SignatureStoreTest : public testing::Test {
 protected:
  SignatureStoreTest() { Open(); }
  void Open() {
    store_.reset();
    db_.reset();
    db_ = Db::Open(dir_.path() + "/davit.db").value();
    store_ = SignatureStore::Open(*db_).value();
  }
  TempDir dir_;
  std::unique_ptr<Db> db_;
  std::unique_ptr<SignatureStore> store_;
  const Digest manifest_ = Digest::Sha256Of("m");
};

TEST_F(SignatureStoreTest, GivesBackWhatWasPut) {
  EXPECT_TRUE(store_->Get(manifest_)->empty());
  const std::vector<Signature> signatures = {{.kind = Signature::Kind::kSimpleSigning,
                                              .origin = "file:///x",
                                              .message = std::string("\x00\xff\n", 3)},
                                             {.kind = Signature::Kind::kSigstore,
                                              .origin = "y",
                                              .message = "{}",
                                              .signature = "s",
                                              .certificate = "c",
                                              .chain = "h",
                                              .bundle = "b"}};
  ASSERT_TRUE(store_->Put(manifest_, signatures).ok());
  EXPECT_EQ(*store_->Get(manifest_), signatures);
  Open();
  EXPECT_EQ(*store_->Get(manifest_), signatures);
  ASSERT_TRUE(store_->Put(manifest_, {signatures.front()}).ok());
  EXPECT_EQ(store_->Get(manifest_)->size(), 1U);
  EXPECT_TRUE(store_->Get(Digest::Sha256Of("other"))->empty());
}

TEST_F(SignatureStoreTest, SweepTakesWhatIsOldAndUnused) {
  const Digest used = Digest::Sha256Of("used");
  const Digest fresh = Digest::Sha256Of("fresh");
  for (const Digest& digest : {manifest_, used}) {
    ASSERT_TRUE(store_->Put(digest, {{.message = "x"}}).ok());
  }
  ASSERT_TRUE(
      db_->Write(Db::Sync::kNormal,
                 [](Transaction& tx) { return tx.Exec("UPDATE signatures SET stored_at_ns = 1"); })
          .ok());
  ASSERT_TRUE(store_->Put(fresh, {{.message = "x"}}).ok());
  ASSERT_TRUE(store_->Sweep([&](const std::string& digest) { return digest == used.text(); }).ok());
  EXPECT_TRUE(store_->Get(manifest_)->empty());
  EXPECT_EQ(store_->Get(used)->size(), 1U);
  EXPECT_EQ(store_->Get(fresh)->size(), 1U);
}

}  // namespace
}  // namespace davit::image
