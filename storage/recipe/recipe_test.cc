// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "storage/layer_writer.h"
#include "storage/recipe/recipe_reader.h"
#include "storage/test_util.h"

namespace davit::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Recipe : public StoreTest {
 protected:
  // The layer's tar as the recipe makes it, or the error.
  std::string Remade(const std::string& tar) {
    auto layer = Layer(tar, DiffId(tar));
    if (!layer.ok()) {
      return "apply: " + std::string(layer.status().message());
    }
    layer_ = std::static_pointer_cast<StagedLayer>(*layer);
    if ((layer_->record().flags & kHasRecipe) == 0) {
      return "no recipe";
    }
    return Read();
  }

  std::string Read() {
    damage_.clear();
    auto reader =
        RecipeReader::Open(layer_->directory(), [this](const auto& path, const auto& what) {
          damage_.push_back(path + " " + what);
          return absl::OkStatus();
        });
    if (!reader.ok()) {
      return "open: " + std::string(reader.status().message());
    }
    std::string tar;
    while (true) {
      auto bytes = (*reader)->Next();
      if (!bytes.ok()) {
        return "read: " + std::string(bytes.status().message());
      }
      if (bytes->empty()) {
        EXPECT_EQ(tar.size(), (*reader)->tar_size());
        return tar;
      }
      tar.append(reinterpret_cast<const char*>(bytes->data()), bytes->size());
    }
  }

  std::string File(const std::string& name) const { return layer_->directory() + "/diff/" + name; }

  std::shared_ptr<StagedLayer> layer_;
  std::vector<std::string> damage_;
};

TEST_F(Recipe, MakesTheTarAgain) {
  const std::string big(3'000'001, 'b');
  const std::string tar =
      TarBuilder()
          .Dir("./")
          .Dir("usr/")
          .File("usr/big", big)
          .File("empty")
          .File("usr/" + std::string(90, 'n'), "long")
          .Symlink("link", "usr/big")
          .Hardlink("usr/hard", "usr/big")
          .File("usr/.wh.gone")
          .File(".wh..wh..opq")
          .Add({.name = "pax",
                .data = "text",
                .pax = {{"path", std::string(150, 'p') + "/" + std::string(150, 'q')}}})
          .Add({.name = "x", .data = "y", .pax = {{"SCHILY.xattr.user.a", "1"}}})
          .Finish();
  EXPECT_TRUE(Remade(tar) == tar) << Remade(tar).substr(0, 200);
  EXPECT_THAT(damage_, ElementsAre());
}

TEST_F(Recipe, KeepsWhatFollowsTheEndMarker) {
  const std::string tar = TarBuilder().File("a", "1").Finish() + std::string(10'000, '\0') + "tail";
  EXPECT_TRUE(Remade(tar) == tar) << Remade(tar).substr(0, 200);
}

TEST_F(Recipe, OfAnEmptyLayer) {
  const std::string tar = TarBuilder().Finish();
  EXPECT_TRUE(Remade(tar) == tar) << Remade(tar).substr(0, 200);
}

TEST_F(Recipe, KeepsContentThatALaterEntryReplaces) {
  const std::string tar = TarBuilder()
                              .File("a", "first")
                              .File("d/x", "in a directory that goes")
                              .File("same", "same")
                              .File("a", "second")
                              .File("d", "now a file")
                              .File("same", "same")
                              .Finish();
  EXPECT_TRUE(Remade(tar) == tar) << Remade(tar);
  EXPECT_EQ(Text(File("a")), "second");
}

TEST_F(Recipe, FollowsParentsThatAreSymlinks) {
  const std::string tar =
      TarBuilder().Dir("real").Symlink("way", "real").File("way/file", "content").Finish();
  EXPECT_TRUE(Remade(tar) == tar) << Remade(tar);
}

TEST_F(Recipe, OfASparseFileOfGnuTar) {
  TestDir source;
  const std::string script = "cd " + source.path() +
                             " && truncate -s 5M s && printf data | dd of=s bs=1 seek=3000000 "
                             "conv=notrunc status=none && echo end >> s && echo plain > p";
  for (const char* format : {"gnu", "posix"}) {
    const std::string file = source / format;
    if (system((script + " && tar -S --format=" + format + " -cf " + file + " s p").c_str()) != 0) {
      GTEST_SKIP() << "GNU tar cannot make it";
    }
    const std::string tar = Text(file);
    EXPECT_TRUE(Remade(tar) == tar) << format;
    struct stat st = StatOf(layer_->directory() + "/recipe");
    EXPECT_LT(st.st_size, 100'000);
  }
}

TEST_F(Recipe, OfTheFormatsOfGnuTar) {
  TestDir source;
  const std::string deep = std::string(120, 'd') + "/" + std::string(120, 'e');
  const std::string script = "cd " + source.path() + " && mkdir -p t/" + deep +
                             " && echo one > t/" + deep + "/file && ln -s " +
                             std::string(150, 'l') +
                             " t/link && echo two > t/two && ln t/two t/three && mkfifo t/fifo";
  ASSERT_EQ(system(script.c_str()), 0);
  for (const char* format : {"gnu", "oldgnu", "posix"}) {
    const std::string file = source / format;
    const std::string command =
        "cd " + source.path() + " && tar --format=" + format + " -cf " + file + " t";
    ASSERT_EQ(system(command.c_str()), 0);
    const std::string tar = Text(file);
    EXPECT_TRUE(Remade(tar) == tar) << format << Remade(tar).substr(0, 200);
  }
}

TEST_F(Recipe, NamesTheDamagedFiles) {
  const std::string tar = TarBuilder()
                              .File("changed", "content")
                              .File("gone", "1")
                              .File("short", "22")
                              .File("ok", "3")
                              .Finish();
  ASSERT_TRUE(Remade(tar) == tar);
  ASSERT_TRUE(WriteFileAtomic(File("changed"), "CONTENT").ok());
  ASSERT_TRUE(WriteFileAtomic(File("short"), "2").ok());
  ASSERT_TRUE(RemoveFile(File("gone")).ok());
  EXPECT_FALSE(Read() == tar);
  EXPECT_THAT(damage_, ElementsAre("changed has other content", "gone is missing",
                                   "short has 1 bytes instead of 2"));
}

TEST_F(Recipe, ThatIsDamagedIsAnError) {
  ASSERT_NE(Remade(TarBuilder().File("a", "1").File("b", "2").Finish()), "no recipe");
  const std::string path = layer_->directory() + "/recipe";
  std::string bytes = Text(path);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 0x40);
  ASSERT_TRUE(WriteFileAtomic(path, bytes).ok());
  EXPECT_THAT(Read(), HasSubstr("read: "));
  bytes.resize(20);
  ASSERT_TRUE(WriteFileAtomic(path, bytes).ok());
  EXPECT_THAT(Read(), HasSubstr("too early"));
}

TEST_F(Recipe, ThatLeadsOutOfTheLayerReadsNothingThere) {
  const std::string tar = TarBuilder().Dir("d").File("d/passwd", std::string(20, 'x')).Finish();
  ASSERT_TRUE(Remade(tar) == tar);
  ASSERT_TRUE(RemoveTree(File("d")).ok());
  ASSERT_EQ(symlink("/etc", File("d").c_str()), 0);
  EXPECT_THAT(Read(), ::testing::Not(HasSubstr("root:")));
  EXPECT_THAT(damage_, ElementsAre("d/passwd is missing"));
}

// Any order of any entries: either the tar comes back, or there is no recipe.
TEST_F(Recipe, OfRandomTarsIsRightOrAbsent) {
  std::mt19937 random(7);
  const std::vector<std::string> names = {"a", "b", "a/b", "c", "c/a", "c/d", "c/d/e", "b/x"};
  int absent = 0;
  for (int round = 0; round < 300; ++round) {
    TarBuilder builder;
    const int entries = static_cast<int>(random() % 8) + 1;
    for (int i = 0; i < entries; ++i) {
      const std::string& name = names[random() % names.size()];
      switch (random() % 6) {
        case 0:
          builder.Dir(name);
          break;
        case 1:
          builder.Symlink(name, names[random() % names.size()]);
          break;
        case 2:
          builder.Hardlink(name, names[random() % names.size()]);
          break;
        case 3:
          builder.File(".wh." + names[random() % 4].substr(0, 1));
          break;
        default:
          builder.File(name, std::string(random() % 3, 'x') + std::to_string(random() % 5));
      }
    }
    const std::string tar = builder.Finish();
    const std::string remade = Remade(tar);
    if (remade.starts_with("apply: ")) {
      continue;  // the layer is refused
    }
    absent += remade == "no recipe" ? 1 : 0;
    EXPECT_TRUE(remade == tar || remade == "no recipe")
        << "round " << round << ": " << remade.substr(0, 100);
  }
  EXPECT_EQ(absent, 0);
}

}  // namespace
}  // namespace davit::storage
