// SPDX-License-Identifier: Apache-2.0
//
// davit-make-images --out DIR --name busybox [--name web …]: writes each image as an OCI layout to
// DIR/<name> under the tag "latest" and prints `name digest`. Without --name all are made.

#include <cstdio>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/file.h"
#include "base/status.h"
#include "test/images/fixture_images.h"

namespace {

using davit::JoinPath;

absl::Status MakeImages(const std::string& out, const std::vector<std::string>& names,
                        const std::string& tag) {
  for (const auto& name : names) {
    ASSIGN_OR_RETURN(const auto image, davit::test::MakeFixtureImage(name));
    ASSIGN_OR_RETURN(const auto digest, davit::test::WriteLayout(JoinPath(out, name), tag, image));
    fmt::print("{} {}\n", name, digest.text());
  }
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Makes the test images of Davit as OCI layouts, from Debian's busybox-static");
  std::string out;
  std::string tag = "latest";
  std::vector<std::string> names;
  app.add_option("--out", out, "directory to write <name>/ into")->required();
  app.add_option("--name", names, "image to make; all if none is named");
  app.add_option("--tag", tag, "in the layout");
  CLI11_PARSE(app, argc, argv);
  const absl::Status status =
      MakeImages(out, names.empty() ? davit::test::FixtureImageNames() : names, tag);
  if (!status.ok()) {
    fmt::print(stderr, "davit-make-images: {}\n", davit::Message(status));
    return 1;
  }
  return 0;
}
