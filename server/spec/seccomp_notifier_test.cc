// SPDX-License-Identifier: Apache-2.0
#include "server/spec/seccomp_notifier.h"

#include <seccomp.h>

#include <cerrno>
#include <cstring>

#include <gtest/gtest.h>

#include "conmon/protocol.h"
#include "server/spec/annotations.h"
#include "server/spec/spec_testing.h"

namespace davit::server::spec {
namespace {

using runtime::v1::SecurityProfile;

constexpr char kListener[] = "/run/c/seccomp.sock";

class SeccompNotifierTest : public testing::Test {
 protected:
  // Of everything that is done about a call, by its name.
  using Actions = std::map<std::string, std::set<std::string>>;
  static Actions ActionsOf(const Json& seccomp) {
    Actions actions;
    for (const Json& rule : seccomp["syscalls"]) {
      for (const Json& name : rule["names"]) {
        actions[name.get<std::string>()].insert(rule["action"].get<std::string>());
      }
    }
    return actions;
  }
  // The profile's JSON with a notifier, and the file for the monitor.
  static std::pair<Json, std::string> Notified(Json seccomp) {
    const auto file = AddSeccompNotifier(kListener, seccomp);
    EXPECT_TRUE(file.ok()) << Text(file.status());
    return {std::move(seccomp), file.ok() ? *file : ""};
  }
  static std::pair<Json, std::string> NotifiedProfile(const std::string& text) {
    const auto seccomp = ConvertSeccompProfile(Json::parse(text), {}, "test");
    EXPECT_TRUE(seccomp.ok()) << Text(seccomp.status());
    return Notified(*seccomp);
  }
  // The file's entry of a call on this machine's first architecture.
  static conmon::SeccompCall* Find(std::string& file, const std::string& name) {
    const int number = seccomp_syscall_resolve_name(name.c_str());
    for (size_t at = sizeof(conmon::SeccompHeader); at < file.size();
         at += sizeof(conmon::SeccompCall)) {
      auto* call = reinterpret_cast<conmon::SeccompCall*>(file.data() + at);
      if (call->arch == seccomp_arch_native() && call->number == static_cast<uint32_t>(number)) {
        return call;
      }
    }
    return nullptr;
  }

  absl::StatusOr<ForbiddenCalls> Asked() {
    return ForbiddenCallsOf(request_.sandbox, request_.container, request_.allowed_annotations);
  }

  TestRequest request_;
};

using Set = std::set<std::string>;

TEST_F(SeccompNotifierTest, TheAnnotationAsksWhereTheHandlerAllowsIt) {
  EXPECT_EQ(*Asked(), ForbiddenCalls::kFail);
  for (const char* key : {kSeccompNotifierAnnotation, "seccomp-notifier-action.crio.io",
                          "io.kubernetes.cri-o.seccompNotifierAction"}) {
    TestRequest request;
    const auto asked = [&request] {
      return ForbiddenCallsOf(request.sandbox, request.container, request.allowed_annotations);
    };
    (*request.sandbox.mutable_annotations())[key] = "stop";
    EXPECT_EQ(*asked(), ForbiddenCalls::kFail) << key;
    request.allowed_annotations = {key};
    EXPECT_EQ(*asked(), ForbiddenCalls::kStop) << key;
    (*request.container.mutable_annotations())[key] = "log";
    EXPECT_EQ(*asked(), ForbiddenCalls::kLog) << key;
    (*request.container.mutable_annotations())[key] = "";
    EXPECT_EQ(*asked(), ForbiddenCalls::kLog) << key;
    (*request.container.mutable_annotations())[key] = "Stop";
    EXPECT_EQ(Text(asked().status()), std::string("INVALID_ARGUMENT: annotation ") + key +
                                          ": \"Stop\" is neither log nor stop");
  }
}

TEST_F(SeccompNotifierTest, WhatTheDefaultProfileRefusesIsNotified) {
  request_.Context().mutable_seccomp()->set_profile_type(SecurityProfile::RuntimeDefault);
  const Json before = request_.Config()["linux"]["seccomp"];
  EXPECT_FALSE(before.contains("listenerPath"));
  request_.seccomp_listener = kListener;
  const Json after = request_.Config()["linux"]["seccomp"];
  EXPECT_EQ(after["listenerPath"], kListener);
  EXPECT_EQ(after["defaultAction"], "SCMP_ACT_ERRNO");
  EXPECT_EQ(after["defaultErrnoRet"], ENOSYS);
  Actions actions = ActionsOf(after);
  for (const char* name : {"mount", "swapoff", "unshare", "keyctl", "kexec_load", "bpf"}) {
    EXPECT_EQ(actions[name], Set{"SCMP_ACT_NOTIFY"}) << name;
  }
  for (const char* name : {"clone", "socket"}) {
    EXPECT_EQ(actions[name], (Set{"SCMP_ACT_ALLOW", "SCMP_ACT_NOTIFY"})) << name;
  }
  EXPECT_EQ(actions.count("clone3"), 0U) << "is said not to be there, which is no offence";
  for (const auto& [name, old] : ActionsOf(before)) {
    if (old.count("SCMP_ACT_ERRNO") == 0) {
      EXPECT_EQ(actions[name], old) << name;
    }
  }
  for (const Json& rule : after["syscalls"]) {
    EXPECT_NE(rule["action"], "SCMP_ACT_ERRNO") << rule;
    EXPECT_FALSE(rule["action"] == "SCMP_ACT_NOTIFY" && rule.contains("errnoRet"));
  }
}

TEST_F(SeccompNotifierTest, TheFileHasTheErrors) {
  auto [seccomp, file] = NotifiedProfile(R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
    {"names": ["swapoff", "swapon"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13},
    {"names": ["mount"], "action": "SCMP_ACT_ERRNO"},
    {"names": ["umount2"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
    {"names": ["reboot"], "action": "SCMP_ACT_KILL_PROCESS"},
    {"names": ["write", "futex", "acct"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5}]})");
  ASSERT_NE(Find(file, "swapoff"), nullptr);
  EXPECT_EQ(Find(file, "swapoff")->error, static_cast<uint32_t>(EACCES));
  EXPECT_EQ(Find(file, "mount")->error, static_cast<uint32_t>(EPERM));
  EXPECT_EQ(Find(file, "acct")->error, 5U);
  for (const char* name : {"umount2", "reboot", "write", "futex", "read"}) {
    EXPECT_EQ(Find(file, name), nullptr) << name;
  }
  Actions actions = ActionsOf(seccomp);
  EXPECT_EQ(actions["reboot"], Set{"SCMP_ACT_KILL_PROCESS"});
  EXPECT_EQ(actions["umount2"], Set{"SCMP_ACT_ERRNO"});
  // Of the runtime itself, which would wait for its own notification.
  EXPECT_EQ(actions["write"], Set{"SCMP_ACT_ERRNO"});
  EXPECT_EQ(actions["futex"], Set{"SCMP_ACT_ERRNO"});
  EXPECT_EQ(actions["acct"], Set{"SCMP_ACT_NOTIFY"});

  auto counts = ReadCallCounts(file);
  ASSERT_TRUE(counts.ok()) << Text(counts.status());
  EXPECT_TRUE(counts->calls.empty());
  EXPECT_EQ(counts->last_ns, 0);
  Find(file, "swapoff")->count = 4;
  Find(file, "mount")->count = 1;
  reinterpret_cast<conmon::SeccompHeader*>(file.data())->last_ns = 7;
  counts = ReadCallCounts(file);
  ASSERT_TRUE(counts.ok());
  EXPECT_EQ(CallsText(*counts), "mount (1x), swapoff (4x)");
  EXPECT_EQ(counts->last_ns, 7);
  reinterpret_cast<conmon::SeccompHeader*>(file.data())->others = 2;
  EXPECT_EQ(ReadCallCounts(file)->calls.at("others"), 2U);
}

TEST_F(SeccompNotifierTest, ADefaultThatRefusesIsSpelledOut) {
  auto [seccomp, file] = NotifiedProfile(R"({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
    {"names": ["read", "execve"], "action": "SCMP_ACT_ALLOW"},
    {"names": ["personality"], "action": "SCMP_ACT_ALLOW",
     "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}]}]})");
  EXPECT_EQ(seccomp["defaultAction"], "SCMP_ACT_ERRNO");
  Actions actions = ActionsOf(seccomp);
  EXPECT_EQ(actions["swapoff"], Set{"SCMP_ACT_NOTIFY"});
  EXPECT_EQ(actions["read"], Set{"SCMP_ACT_ALLOW"});
  EXPECT_EQ(actions["personality"], Set{"SCMP_ACT_ALLOW"});
  EXPECT_EQ(actions.count("write"), 0U);
  ASSERT_NE(Find(file, "swapoff"), nullptr);
  EXPECT_EQ(Find(file, "swapoff")->error, static_cast<uint32_t>(EPERM));
}

TEST_F(SeccompNotifierTest, NothingForbiddenNothingNotified) {
  for (const std::string text :
       {R"({"defaultAction": "SCMP_ACT_ALLOW"})", R"({"defaultAction": "SCMP_ACT_KILL"})",
        R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["write"], "action": "SCMP_ACT_ERRNO"}]})"}) {
    const auto [seccomp, file] = NotifiedProfile(text);
    EXPECT_EQ(file, "") << text;
    EXPECT_FALSE(seccomp.contains("listenerPath")) << text;
  }
  request_.seccomp_listener = kListener;  // unconfined
  EXPECT_FALSE(request_.Config()["linux"].contains("seccomp"));
}

TEST_F(SeccompNotifierTest, APathThatIsTooLongIsRefused) {
  request_.Context().mutable_seccomp()->set_profile_type(SecurityProfile::RuntimeDefault);
  request_.seccomp_listener = "/" + std::string(120, 'x');
  const std::string error = Text(request_.Error());
  EXPECT_EQ(error.rfind("FAILED_PRECONDITION: container web: annotation", 0), 0U) << error;
  EXPECT_NE(error.find("storage.run"), std::string::npos) << error;
}

TEST_F(SeccompNotifierTest, DamagedCountsAreRefused) {
  auto file = NotifiedProfile(R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
    {"names": ["swapoff"], "action": "SCMP_ACT_ERRNO"}]})")
                  .second;
  ASSERT_TRUE(ReadCallCounts(file).ok());
  EXPECT_TRUE(absl::IsDataLoss(ReadCallCounts("").status()));
  EXPECT_TRUE(absl::IsDataLoss(ReadCallCounts(file.substr(0, file.size() - 1)).status()));
  file[0] = 9;
  EXPECT_TRUE(absl::IsDataLoss(ReadCallCounts(file).status()));
}

// libseccomp itself must take the rules together, as a runtime gives them to it.
TEST_F(SeccompNotifierTest, Loads) {
  for (const auto& seccomp : {Notified(DefaultSeccomp({})).first,
                              NotifiedProfile(R"({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
          {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"}]})")
                                  .first}) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    ASSERT_NE(filter, nullptr);
    for (const Json& rule : seccomp["syscalls"]) {
      if (rule.contains("args")) {
        continue;  // as in the profile without a notifier, whose test has them
      }
      const uint32_t action = rule["action"] == "SCMP_ACT_ALLOW" ? SCMP_ACT_ALLOW : SCMP_ACT_NOTIFY;
      for (const Json& name : rule["names"]) {
        const int number = seccomp_syscall_resolve_name(name.get<std::string>().c_str());
        EXPECT_EQ(seccomp_rule_add_array(filter, action, number, 0, nullptr), 0) << name;
      }
    }
    seccomp_release(filter);
  }
}

}  // namespace
}  // namespace davit::server::spec
