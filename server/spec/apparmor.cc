// SPDX-License-Identifier: Apache-2.0
//
// Which AppArmor profile a container runs under.
#include "server/spec/apparmor.h"

#include "base/file.h"
#include "base/status.h"
#include "base/text.h"
#include "server/spec/sections.h"

namespace davit::server::spec {

bool KernelHasAppArmor(const std::string& sys_root) {
  const absl::StatusOr<std::string> enabled =
      ReadFile(JoinPath(sys_root, "module/apparmor/parameters/enabled"));
  return enabled.ok() && Trim(*enabled) == "Y";
}

// Each line is "name (mode)"; a name may hold blanks.
absl::StatusOr<bool> AppArmorProfileIsLoaded(const std::string& sys_root,
                                             const std::string& profile) {
  ASSIGN_OR_RETURN(const std::string text,
                   ReadFile(JoinPath(sys_root, "kernel/security/apparmor/profiles")));
  for (const std::string& line : Split(text, '\n')) {
    if (line.substr(0, line.rfind(" (")) == profile) {
      return true;
    }
  }
  return false;
}

namespace {

constexpr char kLocalhostPrefix[] = "localhost/";

struct AppArmorRequest {
  bool given = false;
  runtime::v1::SecurityProfile::ProfileType type = runtime::v1::SecurityProfile::RuntimeDefault;
  std::string name;
};

std::string StripLocalhost(const std::string& name) {
  return name.rfind(kLocalhostPrefix, 0) == 0 ? name.substr(sizeof(kLocalhostPrefix) - 1) : name;
}

absl::StatusOr<AppArmorRequest> ParseAppArmor(const SpecInput& input) {
  using runtime::v1::SecurityProfile;
  const auto& context = SecurityContext(input);
  if (context.has_apparmor()) {
    if (!SecurityProfile::ProfileType_IsValid(context.apparmor().profile_type())) {
      return InvalidArgument("apparmor.profile_type {}: unknown value",
                             static_cast<int>(context.apparmor().profile_type()));
    }
    return AppArmorRequest{true, context.apparmor().profile_type(),
                           StripLocalhost(context.apparmor().localhost_ref())};
  }
  const std::string& text = context.apparmor_profile();
  if (text.empty()) {
    return AppArmorRequest{};
  }
  if (text == "runtime/default") {
    return AppArmorRequest{true, SecurityProfile::RuntimeDefault, ""};
  }
  if (text == "unconfined") {
    return AppArmorRequest{true, SecurityProfile::Unconfined, ""};
  }
  if (text.rfind(kLocalhostPrefix, 0) == 0) {
    return AppArmorRequest{true, SecurityProfile::Localhost, StripLocalhost(text)};
  }
  return InvalidArgument(
      "apparmor_profile \"{}\": must be runtime/default, unconfined or localhost/NAME",
      Printable(text));
}

absl::StatusOr<std::string> RequireLoaded(const SpecInput& input, const std::string& profile) {
  absl::StatusOr<bool> loaded = AppArmorProfileIsLoaded(input.sys_root, profile);
  if (!loaded.ok()) {
    return WithCode(absl::StatusCode::kFailedPrecondition,
                    Annotate(loaded.status(), "apparmor: cannot tell which profiles are loaded"));
  }
  if (!*loaded) {
    return FailedPrecondition(
        "apparmor: profile \"{}\" is not loaded in the kernel; load it with apparmor_parser",
        Printable(profile));
  }
  return profile;
}

}  // namespace

absl::StatusOr<std::string> ResolveAppArmor(const SpecInput& input) {
  using runtime::v1::SecurityProfile;
  ASSIGN_OR_RETURN(const AppArmorRequest request, ParseAppArmor(input));
  const bool has_apparmor = KernelHasAppArmor(input.sys_root);
  if (request.type == SecurityProfile::Localhost) {
    if (request.name.empty()) {
      return InvalidArgument("apparmor.localhost_ref: must name a profile");
    }
    if (!has_apparmor) {
      return FailedPrecondition(
          "apparmor: profile \"{}\" cannot be applied, this kernel has no "
          "AppArmor",
          Printable(request.name));
    }
    return RequireLoaded(input, request.name);
  }
  if (!has_apparmor || IsPrivileged(input)) {
    return std::string();
  }
  // Who says nothing gets the default too, but is not refused where it could not be loaded.
  if (!request.given &&
      !AppArmorProfileIsLoaded(input.sys_root, kDefaultAppArmorProfile).value_or(false)) {
    return std::string();
  }
  if (request.type == SecurityProfile::Unconfined) {
    return std::string("unconfined");
  }
  return RequireLoaded(input, kDefaultAppArmorProfile);
}

}  // namespace davit::server::spec
