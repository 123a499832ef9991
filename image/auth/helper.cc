// SPDX-License-Identifier: Apache-2.0
#include "image/auth/helper.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "base/json.h"
#include "base/status.h"
#include "base/subprocess.h"
#include "base/text.h"

namespace davit::image {
namespace {

constexpr std::chrono::seconds kTimeout{30};
constexpr size_t kMaxAnswer = size_t{64} << 10U;
// How helpers say that they have nothing, and exit with 1.
constexpr std::string_view kNotFoundMessage = "credentials not found in native keychain";
// Instead of a user name: the secret is an identity token.
constexpr std::string_view kTokenUser = "<token>";

bool IsHelperName(const std::string& name) {
  return !name.empty() && name.front() != '-' && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
}

// Helpers of clouds find their accounts by variables that the daemon was started with.
std::vector<std::string> OwnEnvironment() {
  std::vector<std::string> env;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    env.emplace_back(*entry);
  }
  return env;
}

}  // namespace

absl::StatusOr<Credentials> ParseHelperAnswer(const std::string& text) {
  // The parser's message could quote the secret.
  const auto root = ParseJson(text, "answer", kMaxAnswer);
  if (!root.ok() || !root->is_object()) {
    return InvalidArgument("its answer is not a JSON object");
  }
  const std::string user = JsonString(*root, "Username");
  const std::string secret = JsonString(*root, "Secret");
  if (secret.empty()) {
    return Credentials();
  }
  if (user == kTokenUser) {
    return Credentials{.identity_token = secret};
  }
  return Credentials{.username = user, .password = secret};
}

absl::StatusOr<Credentials> AskHelper(Context& ctx, const std::string& name,
                                      const std::string& server) {
  if (!IsHelperName(name)) {
    return FailedPrecondition("credential helper '{}' has a name that no program can have",
                              Printable(name, 100));
  }
  const std::string program = "docker-credential-" + name;
  auto path = FindProgram(program);
  if (!path.ok()) {
    return WithCode(absl::StatusCode::kFailedPrecondition,
                    Annotate(path.status(), "credential helper"));
  }
  Context limited(ctx, kTimeout);
  limited.SetStage("ask " + program);
  SpawnOptions options;
  options.argv = {*path, "get"};
  options.env = OwnEnvironment();
  options.new_session = true;
  auto result = Run(limited, options, {.input = server, .max_output = kMaxAnswer});
  if (!result.ok()) {
    return Annotate(result.status(), program);
  }
  if (result->exit.code != 0) {
    if (result->out.find(kNotFoundMessage) != std::string::npos) {
      return Credentials();
    }
    return FailedPrecondition("{} fails for {} (exit code {})", program, server, result->exit.code);
  }
  auto answer = ParseHelperAnswer(result->out);
  if (!answer.ok()) {
    return WithCode(absl::StatusCode::kFailedPrecondition, Annotate(answer.status(), program));
  }
  return answer;
}

}  // namespace davit::image
