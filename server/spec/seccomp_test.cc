// SPDX-License-Identifier: Apache-2.0
#include <seccomp.h>

#include <gtest/gtest.h>

#include "server/spec/spec_testing.h"

namespace davit::server::spec {
namespace {

using runtime::v1::SecurityProfile;
using Names = std::set<std::string>;

constexpr char kProfile[] = R"({
  "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
  "archMap": [
    {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
    {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": []}],
  "syscalls": [
    {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW", "args": []},
    {"name": "old", "action": "SCMP_ACT_ALLOW"},
    {"names": ["personality"], "action": "SCMP_ACT_ALLOW",
     "args": [{"index": 0, "value": 8, "valueTwo": 0, "op": "SCMP_CMP_EQ"}]},
    {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
    {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
    {"names": ["s390"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["s390"]}},
    {"names": ["new"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
    {"names": ["future"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "9999.1"}},
    {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]})";

Json Rule(const Json& seccomp, const std::string& name) {
  for (const Json& rule : seccomp["syscalls"]) {
    if (HasString(rule["names"], name)) {
      return rule;
    }
  }
  return Json();
}

std::string Action(const Json& seccomp, const std::string& name) {
  return JsonString(Rule(seccomp, name), "action", "default");
}

Json Convert(const std::string& text, const Names& capabilities = {}) {
  const absl::StatusOr<Json> result =
      ConvertSeccompProfile(Json::parse(text), capabilities, "test");
  EXPECT_TRUE(result.ok()) << Text(result.status());
  return result.ok() ? *result : Json();
}

TEST(SeccompProfile, Converts) {
  const Json seccomp = Convert(kProfile);
  EXPECT_EQ(seccomp["defaultAction"], "SCMP_ACT_ERRNO");
  EXPECT_EQ(seccomp["defaultErrnoRet"], 1);
  EXPECT_EQ(seccomp["architectures"][0], SeccompArchitectures()[0]);
  EXPECT_EQ(Rule(seccomp, "read")["names"], Json({"read", "write"}));
  EXPECT_FALSE(Rule(seccomp, "read").contains("args"));
  EXPECT_EQ(Action(seccomp, "old"), "SCMP_ACT_ALLOW");
  EXPECT_EQ(Rule(seccomp, "personality")["args"][0]["value"], 8);
  EXPECT_EQ(Rule(seccomp, "clone3")["errnoRet"], 38);
  EXPECT_EQ(Action(seccomp, "new"), "SCMP_ACT_ALLOW");
  EXPECT_EQ(Action(seccomp, "future"), "default");
  EXPECT_EQ(Action(seccomp, "s390"), "default");
}

TEST(SeccompProfile, RulesFollowCapabilities) {
  EXPECT_EQ(Action(Convert(kProfile), "mount"), "default");
  EXPECT_EQ(Action(Convert(kProfile), "clone"), "SCMP_ACT_ALLOW");
  EXPECT_EQ(Action(Convert(kProfile, {"CAP_SYS_ADMIN"}), "mount"), "SCMP_ACT_ALLOW");
  EXPECT_EQ(Action(Convert(kProfile, {"CAP_SYS_ADMIN"}), "clone"), "default");
}

TEST(SeccompProfile, RefusesWhatItCannotHonour) {
  for (const std::string text :
       {R"([])", R"({})", R"({"defaultAction": "ALLOW"})",
        R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"action": "SCMP_ACT_KILL"}]})",
        R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "action": "X"}]})",
        R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [7]})",
        R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["a"], "action": "SCMP_ACT_KILL", "args": [{"index": 9}]}]})",
        R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["a"], "action": "SCMP_ACT_KILL",
             "args": [{"index": 0, "op": "SCMP_CMP_EQ", "value": "x"}]}]})"}) {
    EXPECT_EQ(ConvertSeccompProfile(Json::parse(text), {}, "test").status().code(),
              absl::StatusCode::kInvalidArgument)
        << text;
  }
  for (const std::string text : {R"({"defaultAction": "SCMP_ACT_NOTIFY"})",
                                 R"({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x"})"}) {
    EXPECT_EQ(ConvertSeccompProfile(Json::parse(text), {}, "test").status().code(),
              absl::StatusCode::kUnimplemented)
        << text;
  }
}

class SeccompTest : public testing::Test {
 protected:
  void Ask(SecurityProfile::ProfileType type, const std::string& reference = "") {
    SecurityProfile* profile = request_.Context().mutable_seccomp();
    profile->set_profile_type(type);
    profile->set_localhost_ref(reference);
  }
  Json Seccomp() {
    const Json section = request_.Config()["linux"];
    return section.contains("seccomp") ? section["seccomp"] : Json();
  }
  std::string Error() { return Text(request_.Error()); }

  TestRequest request_;
};

TEST_F(SeccompTest, ChoosesTheProfile) {
  EXPECT_TRUE(Seccomp().is_null());
  Ask(SecurityProfile::Unconfined);
  EXPECT_TRUE(Seccomp().is_null());
  Ask(SecurityProfile::RuntimeDefault);
  EXPECT_EQ(Seccomp()["defaultAction"], "SCMP_ACT_ERRNO");
  Ask(SecurityProfile::Localhost, request_.root.Write("profile.json", kProfile));
  EXPECT_EQ(Action(Seccomp(), "old"), "SCMP_ACT_ALLOW");
  request_.MakePrivileged();
  EXPECT_TRUE(Seccomp().is_null());
}

TEST_F(SeccompTest, PodProfileIsNotTheContainers) {
  request_.sandbox.mutable_linux()->mutable_security_context()->mutable_seccomp();
  EXPECT_TRUE(Seccomp().is_null());
}

TEST_F(SeccompTest, OldField) {
  const std::string path = request_.root.Write("profile.json", kProfile);
  request_.Context().set_seccomp_profile_path("unconfined");
  EXPECT_TRUE(Seccomp().is_null());
  request_.Context().set_seccomp_profile_path("runtime/default");
  EXPECT_EQ(Action(Seccomp(), "read"), "SCMP_ACT_ALLOW");
  request_.Context().set_seccomp_profile_path("localhost/" + path);
  EXPECT_EQ(Action(Seccomp(), "old"), "SCMP_ACT_ALLOW");
  request_.Context().set_seccomp_profile_path("something");
  EXPECT_EQ(Error().rfind("INVALID_ARGUMENT: container web: seccomp_profile_path", 0), 0U);
}

TEST_F(SeccompTest, BadProfileFilesAreNamed) {
  Ask(SecurityProfile::Localhost, "relative.json");
  EXPECT_EQ(Error().rfind("INVALID_ARGUMENT: container web: seccomp.localhost_ref", 0), 0U);
  Ask(SecurityProfile::Localhost, "");
  EXPECT_EQ(Error().rfind("INVALID_ARGUMENT: container web: seccomp.localhost_ref", 0), 0U);
  const std::string absent = request_.root.path() + "/absent.json";
  Ask(SecurityProfile::Localhost, absent);
  EXPECT_EQ(Error(), "INVALID_ARGUMENT: container web: seccomp profile " + absent +
                         ": no such file; install the profile on this node");
  Ask(SecurityProfile::Localhost, request_.root.Write("bad.json", "{"));
  EXPECT_EQ(Error().rfind("INVALID_ARGUMENT: container web: ", 0), 0U) << Error();
  Ask(static_cast<SecurityProfile::ProfileType>(9));
  EXPECT_EQ(Error(), "INVALID_ARGUMENT: container web: seccomp.profile_type 9: unknown value");
}

TEST(DefaultSeccomp, RefusesWhatEscapes) {
  const Json seccomp = DefaultSeccomp({"CAP_CHOWN"});
  for (const std::string name :
       {"mount", "bpf", "keyctl", "add_key", "kexec_load", "init_module", "unshare", "setns",
        "reboot", "open_by_handle_at", "userfaultfd", "swapon", "settimeofday", "chroot", "acct",
        "io_uring_setup", "pivot_root", "move_mount", "perf_event_open"}) {
    EXPECT_NE(Action(seccomp, name), "SCMP_ACT_ALLOW") << name;
  }
  EXPECT_EQ(Rule(seccomp, "mount")["errnoRet"], EPERM);
  EXPECT_EQ(seccomp["defaultErrnoRet"], ENOSYS);
  EXPECT_EQ(Action(seccomp, "clone3"), "default");
}

TEST(DefaultSeccomp, OpensWithCapabilities) {
  EXPECT_EQ(Action(DefaultSeccomp({"CAP_SYS_ADMIN"}), "mount"), "SCMP_ACT_ALLOW");
  EXPECT_EQ(Action(DefaultSeccomp({"CAP_SYS_ADMIN"}), "clone3"), "SCMP_ACT_ALLOW");
  EXPECT_EQ(Action(DefaultSeccomp({"CAP_BPF"}), "bpf"), "SCMP_ACT_ALLOW");
  EXPECT_EQ(Action(DefaultSeccomp({"CAP_SYSLOG"}), "syslog"), "SCMP_ACT_ALLOW");
  EXPECT_EQ(Action(DefaultSeccomp({"CAP_SYS_CHROOT"}), "chroot"), "SCMP_ACT_ALLOW");
  EXPECT_EQ(Action(DefaultSeccomp({"CAP_SYS_ADMIN"}), "kexec_load"), "SCMP_ACT_ERRNO");
}

// No name twice with different actions, none that the library does not know, none missing that
// every program needs.
TEST(DefaultSeccomp, IsSound) {
  const Json seccomp = DefaultSeccomp({});
  std::set<std::string> seen;
  for (const Json& rule : seccomp["syscalls"]) {
    for (const Json& name : rule["names"]) {
      EXPECT_NE(seccomp_syscall_resolve_name(name.get<std::string>().c_str()), __NR_SCMP_ERROR);
      if (!rule.contains("args")) {
        EXPECT_TRUE(seen.insert(name.get<std::string>()).second) << name;
      }
    }
  }
  for (const std::string name : {"read", "openat", "execve", "mmap", "futex", "exit_group", "statx",
                                 "newfstatat", "getrandom", "rseq", "accept4", "epoll_wait"}) {
    EXPECT_EQ(seen.count(name), 1U) << name;
  }
}

// libseccomp itself must take the rules together.
TEST(DefaultSeccomp, Loads) {
  for (const Names& capabilities : {Names{}, Names{"CAP_SYS_ADMIN"}}) {
    const Json seccomp = DefaultSeccomp(capabilities);
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    ASSERT_NE(filter, nullptr);
    for (const Json& rule : seccomp["syscalls"]) {
      const uint32_t action =
          rule["action"] == "SCMP_ACT_ALLOW" ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM);
      for (const Json& name : rule["names"]) {
        const int number = seccomp_syscall_resolve_name(name.get<std::string>().c_str());
        if (!rule.contains("args")) {
          EXPECT_EQ(seccomp_rule_add_array(filter, action, number, 0, nullptr), 0) << name;
          continue;
        }
        const Json& arg = rule["args"][0];
        const bool masked = arg["op"] == "SCMP_CMP_MASKED_EQ";
        scmp_arg_cmp compare = {
            arg["index"].get<unsigned>(),
            masked ? SCMP_CMP_MASKED_EQ : (arg["op"] == "SCMP_CMP_NE" ? SCMP_CMP_NE : SCMP_CMP_EQ),
            arg["value"].get<uint64_t>(), masked ? arg["valueTwo"].get<uint64_t>() : 0};
        EXPECT_EQ(seccomp_rule_add_array(filter, action, number, 1, &compare), 0) << rule;
      }
    }
    seccomp_release(filter);
  }
}

}  // namespace
}  // namespace davit::server::spec
