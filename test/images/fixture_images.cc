// SPDX-License-Identifier: Apache-2.0
#include "test/images/fixture_images.h"

#include <chrono>
#include <random>

#include "base/context.h"
#include "base/file.h"
#include "base/status.h"
#include "base/subprocess.h"
#include "base/text.h"
#include "test/images/tar_layer.h"

namespace davit::test {
namespace {

constexpr char kBusybox[] = "/bin/busybox";
constexpr char kPath[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr size_t kBigBytes = size_t{64} << 20U;

constexpr char kPasswd[] =
    "root:x:0:0:root:/root:/bin/sh\n"
    "daemon:x:1:1:daemon:/:/bin/false\n"
    "davit:x:1000:1000:davit:/home/davit:/bin/sh\n"
    "nobody:x:65534:65534:nobody:/:/bin/false\n";
constexpr char kGroup[] =
    "root:x:0:\n"
    "daemon:x:1:\n"
    "davit:x:1000:\n"
    "harbour:x:2000:davit\n"
    "nogroup:x:65534:\n";

absl::StatusOr<std::vector<std::string>> Applets() {
  Context ctx(std::chrono::seconds(10));
  SpawnOptions spawn;
  spawn.argv = {kBusybox, "--list"};
  spawn.env = MinimalEnv();
  ASSIGN_OR_RETURN(const RunResult run, Run(ctx, spawn));
  if (run.exit.code != 0) {
    return Internal("{} --list ended with {}", kBusybox, run.exit.code);
  }
  return Words(run.out);
}

absl::StatusOr<std::string> BaseLayer() {
  ASSIGN_OR_RETURN(const std::string busybox, ReadFile(kBusybox));
  ASSIGN_OR_RETURN(const auto applets, Applets());
  TarLayer layer;
  for (const char* directory : {"bin", "dev", "etc", "home", "proc", "sys", "usr", "var"}) {
    layer.Dir(directory);
  }
  layer.Dir("home/davit", 0755, {.uid = 1000, .gid = 1000});
  layer.Dir("root", 0700).Dir("tmp", 01777).Dir("usr/bin").Dir("var/run");
  layer.File("etc/passwd", kPasswd).File("etc/group", kGroup);
  layer.File("bin/busybox", busybox, 0755);
  for (const auto& applet : applets) {
    if (applet != "busybox") {
      layer.Symlink("bin/" + applet, "busybox");
    }
  }
  return layer.Finish();
}

absl::StatusOr<ImageSpec> Busybox() {
  ImageSpec image;
  ASSIGN_OR_RETURN(std::string base, BaseLayer());
  image.layers.push_back({.tar = std::move(base)});
  image.env = {kPath};
  image.cmd = {"sh"};
  return image;
}

absl::Status AddLayer(ImageSpec& image, TarLayer& layer,
                      Compression compression = Compression::kGzip) {
  ASSIGN_OR_RETURN(std::string tar, layer.Finish());
  image.layers.push_back({.tar = std::move(tar), .compression = compression});
  return absl::OkStatus();
}

absl::StatusOr<ImageSpec> Web() {
  ASSIGN_OR_RETURN(ImageSpec image, Busybox());
  TarLayer www;
  www.Dir("www").File("www/index.html", kWebPage);
  RETURN_IF_ERROR(AddLayer(image, www));
  image.cmd = {"httpd", "-f", "-p", std::to_string(kWebPort), "-h", "/www"};
  image.exposed_ports = {std::to_string(kWebPort) + "/tcp"};
  image.stop_signal = "SIGINT";
  return image;
}

absl::StatusOr<ImageSpec> User() {
  ASSIGN_OR_RETURN(ImageSpec image, Busybox());
  image.user = "1000:1000";
  image.working_dir = "/home/davit";
  image.env.emplace_back("GREETING=hello from the image");
  return image;
}

absl::StatusOr<ImageSpec> Multi() {
  ASSIGN_OR_RETURN(ImageSpec image, Busybox());
  TarLayer lower;
  lower.Dir("data").File("data/kept", "kept\n").File("data/gone", "gone\n");
  lower.File("data/changed", "before\n");
  lower.File("data/one", "linked\n").Hardlink("data/two", "data/one");
  lower.Dir("data/hidden").File("data/hidden/old", "old\n");
  lower.Dir("data/whole").File("data/whole/file", "inside\n");
  lower.File("data/owned", "owned\n", 0640, {.uid = 1000, .gid = 2000});
  RETURN_IF_ERROR(AddLayer(image, lower));
  TarLayer upper;
  upper.Dir("data").Whiteout("data/gone").File("data/changed", "after\n");
  upper.Dir("data/hidden").Opaque("data/hidden").File("data/hidden/new", "new\n");
  upper.Whiteout("data/whole").Symlink("data/absolute", "/data/kept");
  RETURN_IF_ERROR(AddLayer(image, upper, Compression::kNone));
  return image;
}

// The engine's sequence is fixed by the standard; the seed is ours.
std::string Noise(size_t size) {
  std::mt19937_64 engine(20260101);
  std::string bytes(size, '\0');
  for (size_t i = 0; i + sizeof(uint64_t) <= size; i += sizeof(uint64_t)) {
    const uint64_t word = engine();
    for (size_t byte = 0; byte < sizeof(word); ++byte) {
      bytes[i + byte] = static_cast<char>(word >> (8 * byte));
    }
  }
  return bytes;
}

absl::StatusOr<ImageSpec> Big() {
  ASSIGN_OR_RETURN(ImageSpec image, Busybox());
  TarLayer layer;
  layer.File("noise", Noise(kBigBytes));
  RETURN_IF_ERROR(AddLayer(image, layer));
  return image;
}

absl::StatusOr<ImageSpec> Zstd() {
  ASSIGN_OR_RETURN(ImageSpec image, Busybox());
  image.layers.front().compression = Compression::kZstd;
  return image;
}

absl::StatusOr<ImageSpec> MissingCommand() {
  ASSIGN_OR_RETURN(ImageSpec image, Busybox());
  image.cmd.clear();
  image.entrypoint = {"no-such-command"};
  return image;
}

absl::StatusOr<ImageSpec> OtherArch() {
  ASSIGN_OR_RETURN(ImageSpec image, Busybox());
  image.architecture = "s390x";
  image.index = true;
  return image;
}

absl::StatusOr<ImageSpec> Volumes() {
  ASSIGN_OR_RETURN(ImageSpec image, Busybox());
  TarLayer layer;
  layer.Dir("data").Dir("data/filled", 0750, {.uid = 1000, .gid = 2000});
  layer.File("data/filled/file", "from the image\n").Symlink("data/link", "/data/filled");
  layer.Symlink("out", "../../../../../../tmp/davit-volume-escape");
  RETURN_IF_ERROR(AddLayer(image, layer));
  image.volumes = {"/data/new", "/data/link", "/out/made", "/../../../tmp/davit-volume-escape/up"};
  return image;
}

struct Fixture {
  const char* name;
  absl::StatusOr<ImageSpec> (*make)();
};

constexpr Fixture kFixtures[] = {
    {"busybox", Busybox},
    {"web", Web},
    {"user", User},
    {"multi", Multi},
    {"big", Big},
    {"zstd", Zstd},
    {"missing-command", MissingCommand},
    {"other-arch", OtherArch},
    {"volumes", Volumes},
};

}  // namespace

const std::vector<std::string>& FixtureImageNames() {
  static const auto& names = *new std::vector<std::string>([] {
    std::vector<std::string> all;
    for (const auto& fixture : kFixtures) {
      all.emplace_back(fixture.name);
    }
    return all;
  }());
  return names;
}

absl::StatusOr<ImageSpec> MakeFixtureImage(const std::string& name) {
  for (const auto& fixture : kFixtures) {
    if (name == fixture.name) {
      return fixture.make();
    }
  }
  return InvalidArgument("image {} is unknown; known are {}", Printable(name),
                         Join(FixtureImageNames(), ", "));
}

}  // namespace davit::test
