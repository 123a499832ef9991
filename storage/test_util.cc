// SPDX-License-Identifier: Apache-2.0
#include "storage/test_util.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstring>
#include <span>

#include <fmt/format.h>

#include "base/file.h"
#include "base/mount.h"
#include "base/status.h"

namespace davit::storage {
namespace {

constexpr size_t kBlock = 512;

void Pad(std::string& bytes) {
  bytes.resize((bytes.size() + kBlock - 1) / kBlock * kBlock);
}

void Put(char* field, size_t size, std::string_view text) {
  memcpy(field, text.data(), std::min(size, text.size()));
}

// "LENGTH key=value\n" where LENGTH counts itself.
std::string PaxRecord(const std::string& key, const std::string& value) {
  const std::string rest = " " + key + "=" + value + "\n";
  size_t length = rest.size() + 1;
  while (std::to_string(length).size() + rest.size() != length) {
    length = std::to_string(length).size() + rest.size();
  }
  return std::to_string(length) + rest;
}

}  // namespace

void TarBuilder::Header(const TestEntry& entry, uint64_t size) {
  char h[kBlock] = {};
  Put(h, 100, entry.name);
  Put(h + 100, 8, fmt::format("{:07o}", static_cast<unsigned>(entry.mode)));
  Put(h + 108, 8, fmt::format("{:07o}", entry.uid));
  Put(h + 116, 8, fmt::format("{:07o}", entry.gid));
  Put(h + 124, 12, fmt::format("{:011o}", size));
  Put(h + 136, 12, fmt::format("{:011o}", entry.mtime));
  Put(h + 148, 8, "        ");
  h[156] = entry.type;
  Put(h + 157, 100, entry.link);
  Put(h + 257, 8, std::string_view("ustar\00000", 8));
  Put(h + 329, 8, fmt::format("{:07o}", entry.major));
  Put(h + 337, 8, fmt::format("{:07o}", entry.minor));
  unsigned sum = 0;
  for (const char c : h) {
    sum += static_cast<unsigned char>(c);
  }
  Put(h + 148, 8, std::string_view(fmt::format("{:06o}", sum)));
  h[154] = '\0';
  bytes_.append(h, kBlock);
}

TarBuilder& TarBuilder::Add(const TestEntry& entry) {
  if (!entry.pax.empty()) {
    std::string records;
    for (const auto& [key, value] : entry.pax) {
      records += PaxRecord(key, value);
    }
    Header({.name = "PaxHeader", .type = 'x'}, records.size());
    bytes_ += records;
    Pad(bytes_);
  }
  Header(entry, entry.data.size());
  bytes_ += entry.data;
  Pad(bytes_);
  return *this;
}

TarBuilder& TarBuilder::Raw(std::string_view bytes) {
  bytes_ += bytes;
  Pad(bytes_);
  return *this;
}

std::string TarBuilder::Finish() const {
  return bytes_ + std::string(2 * kBlock, '\0');
}

TestDir::TestDir() {
  const char* base = getenv("TMPDIR");
  path_ = fmt::format("{}/davit-storage-test-XXXXXX", base != nullptr ? base : "/tmp");
  EXPECT_NE(mkdtemp(path_.data()), nullptr);
}

TestDir::~TestDir() {
  EXPECT_TRUE(UnmountAllBelow(path_).ok());
  const absl::Status removed = RemoveTree(path_);
  EXPECT_TRUE(removed.ok()) << Message(removed);
}

bool EnterTestNamespace() {
  static const bool entered = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
                              mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
  return entered;
}

void StoreTest::SetUp() {
  if (!EnterTestNamespace()) {
    GTEST_SKIP() << "needs root for mounts, device nodes and trusted attributes";
  }
  options_.root = dir_ / "root";
  options_.run = dir_ / "run";
  OpenStore();
}

void StoreTest::OpenStore() {
  CloseStore();
  ASSERT_TRUE(MakeDirs(options_.root).ok());
  auto db = Db::Open(options_.root + "/davit.db");
  ASSERT_TRUE(db.ok()) << Message(db.status());
  db_ = *std::move(db);
  auto store = Storage::Open(options_, *db_);
  ASSERT_TRUE(store.ok()) << Message(store.status());
  store_ = *std::move(store);
}

void StoreTest::CloseStore() {
  store_.reset();
  db_.reset();
}

absl::StatusOr<std::shared_ptr<PendingLayer>> StoreTest::Layer(const std::string& tar,
                                                               const Digest& expected,
                                                               const Digest& blob, size_t portion) {
  ASSIGN_OR_RETURN(const std::unique_ptr<LayerWriter> writer, store_->NewLayer());
  const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(tar.data()), tar.size());
  for (size_t at = 0; at < bytes.size(); at += portion) {
    RETURN_IF_ERROR(writer->Write(bytes.subspan(at, std::min(portion, bytes.size() - at))));
  }
  return writer->Finish(expected, blob);
}

absl::Status StoreTest::Image(char digit, const std::vector<std::string>& tars,
                              const std::vector<std::string>& tags) {
  ImageRecord image{.id = ImageId(digit),
                    .tags = tags,
                    .digests = {},
                    .config_json = "{}",
                    .manifest_json = "{\"m\":1}",
                    .layers = {}};
  std::vector<std::shared_ptr<PendingLayer>> layers;
  for (const std::string& tar : tars) {
    ASSIGN_OR_RETURN(auto layer, Layer(tar));
    image.layers.push_back(layer->info().diff_id);
    layers.push_back(std::move(layer));
  }
  return store_->CommitImage(image, layers);
}

std::vector<std::string> StoreTest::LayerDirs() const {
  store_->AwaitDeletions();
  auto names = ListDir(paths().Layers());
  return names.ok() ? *names : std::vector<std::string>{"(missing)"};
}

struct stat StatOf(const std::string& path) {
  struct stat st = {};
  if (lstat(path.c_str(), &st) != 0) {
    st = {};
  }
  return st;
}

std::string Xattr(const std::string& path, const std::string& name) {
  char value[256];
  const ssize_t size = lgetxattr(path.c_str(), name.c_str(), value, sizeof value);
  return size < 0 ? "" : std::string(value, static_cast<size_t>(size));
}

std::string Text(const std::string& path) {
  auto text = ReadFile(path);
  return text.ok() ? *text : "(missing)";
}

}  // namespace davit::storage
