// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include <fmt/format.h>

#include "base/status.h"
#include "base/text.h"
#include "server/spec/passwd.h"
#include "server/spec/sections.h"

namespace davit::server::spec {
namespace {

struct Accounts {
  std::string passwd_text;
  std::string group_text;
  std::vector<PasswdEntry> users;
  std::vector<GroupEntry> groups;
};

absl::StatusOr<Accounts> ReadAccounts(int root_fd) {
  ASSIGN_OR_RETURN(const std::string passwd, ReadAccountFile(root_fd, "/etc/passwd"));
  ASSIGN_OR_RETURN(const std::string group, ReadAccountFile(root_fd, "/etc/group"));
  return Accounts{passwd, group, ParsePasswd(passwd), ParseGroup(group)};
}

absl::StatusOr<int64_t> CheckId(int64_t id, const std::string& field) {
  if (id < 0 || id > kMaxId) {
    return InvalidArgument("{} {}: must be from 0 to {}", field, id, kMaxId);
  }
  return id;
}

// Whether the text is meant as a number, be it one that fits or not. Such text is never looked up
// as a name: "4294967296" must not become whatever an entry of that name says.
bool LooksNumeric(std::string_view text) {
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) {
    text.remove_prefix(1);
  }
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

absl::StatusOr<int64_t> ParseId(const std::string& text, const std::string& field) {
  const std::optional<int64_t> id = ParseInt(text);
  if (!id) {
    return InvalidArgument("{} {}: must be from 0 to {}", field, Printable(text), kMaxId);
  }
  return CheckId(*id, field);
}

const PasswdEntry* FindUid(const Accounts& accounts, int64_t uid) {
  for (const PasswdEntry& entry : accounts.users) {
    if (entry.uid == uid) {
      return &entry;
    }
  }
  return nullptr;
}

// What is known of a user after the request and the passwd file have been looked at.
struct Found {
  int64_t uid = 0;
  const PasswdEntry* entry = nullptr;
};

absl::StatusOr<Found> FindUser(const Accounts& accounts, const std::string& text,
                               const std::string& field) {
  if (LooksNumeric(text)) {
    ASSIGN_OR_RETURN(const int64_t uid, ParseId(text, field));
    return Found{uid, FindUid(accounts, uid)};
  }
  for (const PasswdEntry& entry : accounts.users) {
    if (entry.name == text) {
      return Found{entry.uid, &entry};
    }
  }
  return InvalidArgument("{} \"{}\": the image's /etc/passwd has no such user", field,
                         Printable(text));
}

absl::StatusOr<int64_t> FindGroup(const Accounts& accounts, const std::string& text,
                                  const std::string& field) {
  if (LooksNumeric(text)) {
    return ParseId(text, field);
  }
  for (const GroupEntry& entry : accounts.groups) {
    if (entry.name == text) {
      return entry.gid;
    }
  }
  return InvalidArgument("{} \"{}\": the image's /etc/group has no such group", field,
                         Printable(text));
}

User MakeUser(const Found& found) {
  User user;
  user.uid = found.uid;
  if (found.entry != nullptr) {
    user.gid = found.entry->gid;
    user.home = found.entry->home.empty() ? "/" : found.entry->home;
  }
  return user;
}

// "", "user", "user:group", each part a name or a number.
absl::StatusOr<std::pair<User, Found>> FromImage(const SpecInput& input, const Accounts& accounts) {
  const std::string& text = input.image.user;
  const size_t colon = text.find(':');
  const std::string user_part = text.substr(0, colon);
  ASSIGN_OR_RETURN(const Found found,
                   FindUser(accounts, user_part.empty() ? "0" : user_part, "image user"));
  User user = MakeUser(found);
  if (colon != std::string::npos && colon + 1 < text.size()) {
    ASSIGN_OR_RETURN(user.gid, FindGroup(accounts, text.substr(colon + 1), "image user's group"));
  }
  return std::make_pair(user, found);
}

absl::StatusOr<std::pair<User, Found>> FromRequest(const SpecInput& input,
                                                   const Accounts& accounts) {
  const auto& context = SecurityContext(input);
  Found found;
  if (context.has_run_as_user()) {
    ASSIGN_OR_RETURN(found.uid, CheckId(context.run_as_user().value(), "run_as_user"));
    found.entry = FindUid(accounts, found.uid);
  } else {
    ASSIGN_OR_RETURN(found, FindUser(accounts, context.run_as_username(), "run_as_username"));
  }
  return std::make_pair(MakeUser(found), found);
}

absl::Status CheckRequest(const runtime::v1::LinuxContainerSecurityContext& context) {
  const bool by_name = !context.run_as_username().empty();
  if (context.has_run_as_user() && by_name) {
    return InvalidArgument("run_as_user and run_as_username: only one of them may be given");
  }
  if (context.has_run_as_group() && !context.has_run_as_user() && !by_name) {
    return InvalidArgument("run_as_group: needs run_as_user or run_as_username");
  }
  return absl::OkStatus();
}

void AddGroup(std::vector<int64_t>& groups, int64_t gid) {
  if (std::find(groups.begin(), groups.end(), gid) == groups.end()) {
    groups.push_back(gid);
  }
}

absl::StatusOr<std::vector<int64_t>> ResolveGroups(const SpecInput& input, const Accounts& accounts,
                                                   int64_t gid, const PasswdEntry* entry) {
  const auto& context = SecurityContext(input);
  std::vector<int64_t> groups = {gid};
  switch (context.supplemental_groups_policy()) {
    case runtime::v1::Merge:
      for (const GroupEntry& group : accounts.groups) {
        if (entry != nullptr && std::find(group.members.begin(), group.members.end(),
                                          entry->name) != group.members.end()) {
          AddGroup(groups, group.gid);
        }
      }
      break;
    case runtime::v1::Strict:
      break;
    default:
      return InvalidArgument("supplemental_groups_policy {}: unknown value",
                             static_cast<int>(context.supplemental_groups_policy()));
  }
  for (const int64_t requested : context.supplemental_groups()) {
    ASSIGN_OR_RETURN(const int64_t id, CheckId(requested, "supplemental_groups"));
    AddGroup(groups, id);
  }
  return groups;
}

std::string WithLine(const std::string& text, const std::string& line) {
  return text + (text.empty() || text.back() == '\n' ? "" : "\n") + line + "\n";
}

// Programs ask who they are: a user without an entry has no name, no home, and often no luck. An
// image without account files does not care.
void MakeEntries(const SpecInput& input, const Accounts& accounts, const PasswdEntry* entry,
                 User& user) {
  const bool has_group =
      std::any_of(accounts.groups.begin(), accounts.groups.end(),
                  [&user](const GroupEntry& group) { return group.gid == user.gid; });
  if (entry == nullptr && !accounts.passwd_text.empty() && !input.passwd_path.empty()) {
    user.passwd =
        WithLine(accounts.passwd_text, fmt::format("{}:x:{}:{}:container user:{}:/sbin/nologin",
                                                   user.uid, user.uid, user.gid, user.home));
  }
  if (!has_group && !accounts.group_text.empty() && !input.group_path.empty()) {
    user.group = WithLine(accounts.group_text, fmt::format("{}:x:{}:", user.gid, user.gid));
  }
}

}  // namespace

absl::StatusOr<User> ResolveUser(const SpecInput& input) {
  const auto& context = SecurityContext(input);
  RETURN_IF_ERROR(CheckRequest(context));
  ASSIGN_OR_RETURN(const Accounts accounts, ReadAccounts(input.root_fd));
  const bool requested = context.has_run_as_user() || !context.run_as_username().empty();
  ASSIGN_OR_RETURN(auto resolved,
                   requested ? FromRequest(input, accounts) : FromImage(input, accounts));
  User& user = resolved.first;
  if (context.has_run_as_group()) {
    ASSIGN_OR_RETURN(user.gid, CheckId(context.run_as_group().value(), "run_as_group"));
  }
  ASSIGN_OR_RETURN(user.groups, ResolveGroups(input, accounts, user.gid, resolved.second.entry));
  MakeEntries(input, accounts, resolved.second.entry, user);
  return user;
}

}  // namespace davit::server::spec
