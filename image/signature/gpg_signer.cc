// SPDX-License-Identifier: Apache-2.0
#include "image/signature/gpg_signer.h"

#include <chrono>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/subprocess.h"
#include "base/text.h"

namespace davit::image {
namespace {

std::string MustRun(const std::vector<std::string>& argv, const std::string& input) {
  Context ctx(std::chrono::seconds(60));
  const auto result =
      Run(ctx, {.argv = argv, .env = MinimalEnv()}, {.input = input, .max_output = 16U << 20U});
  EXPECT_TRUE(result.ok()) << result.status();
  if (!result.ok()) {
    return "";
  }
  EXPECT_EQ(result->exit.code, 0) << Join(argv, " ") << "\n" << result->err;
  return result->out;
}

}  // namespace

GpgSigner::GpgSigner() = default;

GpgSigner::~GpgSigner() {
  MustRun({"/usr/bin/gpgconf", "--homedir", home(), "--kill", "gpg-agent"}, "");
}

std::string GpgSigner::Gpg(const std::vector<std::string>& arguments, const std::string& input) {
  std::vector<std::string> argv = {"/usr/bin/gpg", "--homedir",    home(),     "--no-options",
                                   "--batch",      "--quiet",      "--no-tty", "--pinentry-mode",
                                   "loopback",     "--passphrase", ""};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return MustRun(argv, input);
}

std::string GpgSigner::MakeKey(const std::string& user, const std::string& expires,
                               const std::vector<std::string>& options) {
  std::vector<std::string> arguments = options;
  for (const char* more : {"--status-fd", "1", "--quick-gen-key"}) {
    arguments.emplace_back(more);
  }
  for (const std::string& more : {user, std::string("ed25519"), std::string("sign"), expires}) {
    arguments.push_back(more);
  }
  for (const std::string& line : Split(Gpg(arguments), '\n')) {
    const auto words = Words(line);  // [GNUPG:] KEY_CREATED P FINGERPRINT
    if (words.size() >= 4 && words[1] == "KEY_CREATED") {
      return words[3];
    }
  }
  ADD_FAILURE() << "gpg made no key";
  return "";
}

std::string GpgSigner::Export(const std::string& fingerprint) {
  return Gpg({"--export", fingerprint});
}

void GpgSigner::Revoke(const std::string& fingerprint) {
  const auto text = ReadFile(home() + "/openpgp-revocs.d/" + fingerprint + ".rev");
  ASSERT_TRUE(text.ok()) << text.status();
  // gpg keeps it from being used by accident with a colon before its first line.
  Gpg({"--import"}, text->substr(text->find(":-----BEGIN") + 1));
}

std::string GpgSigner::Sign(const std::string& fingerprint, const std::string& payload,
                            const std::vector<std::string>& options) {
  std::vector<std::string> arguments = options;
  for (const std::string& more :
       {std::string("--local-user"), fingerprint, std::string("--sign")}) {
    arguments.push_back(more);
  }
  return Gpg(arguments, payload);
}

std::string SimpleSigningPayload(const std::string& digest, const std::string& reference) {
  return R"({"critical":{"type":"atomic container signature","image":{"docker-manifest-digest":")" +
         digest + R"("},"identity":{"docker-reference":")" + reference +
         R"("}},"optional":{"creator":"test","timestamp":1500000000}})";
}

}  // namespace davit::image
