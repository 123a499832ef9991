// SPDX-License-Identifier: Apache-2.0
#include "config/load.h"

#include <filesystem>
#include <set>
#include <utility>

#include <yaml-cpp/yaml.h>

#include "base/file.h"
#include "base/status.h"
#include "base/text.h"
#include "config/duration.h"
#include "config/schema.h"

namespace davit::config {
namespace {

constexpr size_t kMaxFileBytes = 1U << 20U;
constexpr int kMaxDepth = 8;
constexpr int kMaxNodes = 100'000;  // an alias bomb expands to more

// Walks one YAML mapping along the schema. The first mistake is kept; later ones are not looked at.
class Reader {
 public:
  Reader(YAML::Node map, std::string file, std::string prefix)
      : map_(std::move(map)), file_(std::move(file)), prefix_(std::move(prefix)) {
    if (map_.IsNull()) {
      map_ = YAML::Node(YAML::NodeType::Map);
    } else if (!map_.IsMap()) {
      Fail(map_, prefix_, "must be a mapping of keys to values");
    }
  }

  template <typename Body>
  void Section(const char* key, const char* /*comment*/, Body body) {
    const YAML::Node node = Take(key);
    if (!status_.ok() || !node) {
      return;
    }
    Reader inner(node, file_, Full(key));
    if (inner.status_.ok()) {
      body(inner);
    }
    Adopt(inner.Finish());
  }

  template <typename T>
  void Field(const char* key, const char* /*comment*/, T& member) {
    const YAML::Node node = Take(key);
    if (status_.ok() && node) {
      Read(node, Full(key), member);
    }
  }

  // What the schema did not ask for is a mistake.
  absl::Status Finish() {
    if (status_.ok()) {
      for (const auto& entry : map_) {
        const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "?";
        if (!known_.contains(key)) {
          Fail(entry.first, Full(key),
               "is not a key of the configuration; `davit config` lists all");
          break;
        }
      }
    }
    return status_;
  }

 private:
  YAML::Node Take(const char* key) {
    known_.insert(key);
    if (!status_.ok()) {
      return YAML::Node(YAML::NodeType::Undefined);
    }
    return std::as_const(map_)[key];
  }

  std::string Full(const std::string& key) const {
    return prefix_.empty() ? key : prefix_ + "." + key;
  }

  void Fail(const YAML::Node& node, const std::string& key, const std::string& what) {
    const YAML::Mark mark = node.Mark();
    status_ = InvalidArgument("{}:{}:{}: {}{}{}", file_, mark.line + 1, mark.column + 1, key,
                              key.empty() ? "" : " ", what);
  }

  void Adopt(absl::Status status) {
    if (status_.ok()) {
      status_ = std::move(status);
    }
  }

  bool Scalar(const YAML::Node& node, const std::string& key, const char* kind) {
    if (node.IsNull() || !node.IsScalar()) {
      Fail(node, key, std::string("must be ") + kind);
      return false;
    }
    return true;
  }

  void Read(const YAML::Node& node, const std::string& key, std::string& out) {
    if (Scalar(node, key, "a text")) {
      out = node.Scalar();
    }
  }

  void Read(const YAML::Node& node, const std::string& key, bool& out) {
    if (!Scalar(node, key, "true or false")) {
      return;
    }
    if (node.Scalar() != "true" && node.Scalar() != "false") {
      Fail(node, key, "must be true or false, not " + Printable(node.Scalar(), 40));
      return;
    }
    out = node.Scalar() == "true";
  }

  template <typename Number>
    requires std::is_same_v<Number, int> || std::is_same_v<Number, int64_t>
  void Read(const YAML::Node& node, const std::string& key, Number& out) {
    if (!Scalar(node, key, "a whole number")) {
      return;
    }
    const auto value = ParseInt(node.Scalar());
    if (!value || !std::in_range<Number>(*value)) {
      Fail(node, key, "must be a whole number, not " + Printable(node.Scalar(), 40));
      return;
    }
    out = static_cast<Number>(*value);
  }

  void Read(const YAML::Node& node, const std::string& key, std::chrono::milliseconds& out) {
    if (!Scalar(node, key, "a duration such as 500ms, 60s, 4m")) {
      return;
    }
    const auto value = ParseDuration(node.Scalar());
    if (!value) {
      Fail(node, key,
           "must be a duration such as 500ms, 60s, 4m, not " + Printable(node.Scalar(), 40));
      return;
    }
    out = *value;
  }

  void Read(const YAML::Node& node, const std::string& key, std::vector<std::string>& out) {
    if (!node.IsSequence()) {
      Fail(node, key, "must be a list");
      return;
    }
    out.clear();
    for (const auto& item : node) {
      if (!status_.ok()) {
        return;
      }
      Read(item, key + "[" + std::to_string(out.size()) + "]", out.emplace_back());
    }
  }

  void Read(const YAML::Node& node, const std::string& key,
            std::map<std::string, std::string>& out) {
    if (!node.IsMap()) {
      Fail(node, key, "must be a mapping of names to texts");
      return;
    }
    for (const auto& entry : node) {
      if (status_.ok() && Scalar(entry.first, key, "a mapping of names to texts")) {
        Read(entry.second, key + "." + entry.first.Scalar(), out[entry.first.Scalar()]);
      }
    }
  }

  void Read(const YAML::Node& node, const std::string& key,
            std::map<std::string, RuntimeHandler>& out) {
    ReadNamed(node, key, "handler", out, [](auto& v, auto& handler) { VisitHandler(v, handler); });
  }

  void Read(const YAML::Node& node, const std::string& key, std::map<std::string, Workload>& out) {
    ReadNamed(node, key, "workload", out,
              [](auto& v, auto& workload) { VisitWorkload(v, workload); });
  }

  template <typename T, typename Visit>
  void ReadNamed(const YAML::Node& node, const std::string& key, const std::string& kind,
                 std::map<std::string, T>& out, Visit visit) {
    if (!node.IsMap()) {
      Fail(node, key, "must be a mapping of " + kind + " names to their settings");
      return;
    }
    for (const auto& entry : node) {
      if (!status_.ok() || !Scalar(entry.first, key, ("a mapping of " + kind + " names").c_str())) {
        return;
      }
      Reader inner(entry.second, file_, key + "." + entry.first.Scalar());
      visit(inner, out[entry.first.Scalar()]);
      Adopt(inner.Finish());
    }
  }

  void Read(const YAML::Node& node, const std::string& key, std::vector<Mirror>& out) {
    if (!node.IsSequence()) {
      Fail(node, key, "must be a list of mirrors");
      return;
    }
    out.clear();
    for (const auto& item : node) {
      Reader inner(item, file_, key + "[" + std::to_string(out.size()) + "]");
      VisitMirror(inner, out.emplace_back());
      Adopt(inner.Finish());
    }
  }

  YAML::Node map_;
  const std::string file_;
  const std::string prefix_;
  std::set<std::string> known_;
  absl::Status status_;
};

// Counts what aliases expand to, so that a small file cannot become a large one.
bool WithinLimits(const YAML::Node& node, int depth, int& nodes) {
  if (depth > kMaxDepth || ++nodes > kMaxNodes) {
    return false;
  }
  if (node.IsSequence() || node.IsMap()) {
    for (const auto& entry : node) {
      const bool within = node.IsMap() ? WithinLimits(entry.second, depth + 1, nodes)
                                       : WithinLimits(entry, depth + 1, nodes);
      if (!within) {
        return false;
      }
    }
  }
  return true;
}

absl::Status ApplyText(const std::string& text, const std::string& name, Config& config) {
  if (text.size() > kMaxFileBytes) {
    return InvalidArgument("{}: larger than {} bytes", name, kMaxFileBytes);
  }
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.size() > 1) {
      return InvalidArgument("{}: holds {} YAML documents; one is expected", name,
                             documents.size());
    }
    if (documents.empty()) {
      return absl::OkStatus();
    }
    int nodes = 0;
    if (!WithinLimits(documents.front(), 0, nodes)) {
      return InvalidArgument("{}: nested deeper than {} levels or more than {} values", name,
                             kMaxDepth, kMaxNodes);
    }
    Reader reader(documents.front(), name, "");
    VisitConfig(reader, config);
    return reader.Finish();
  } catch (const YAML::Exception& error) {
    return InvalidArgument("{}:{}:{}: {}", name, error.mark.line + 1, error.mark.column + 1,
                           error.msg);
  }
}

absl::Status ApplyFile(const std::string& path, Config& config) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxFileBytes));
  return ApplyText(text, path, config);
}

}  // namespace

absl::StatusOr<Config> LoadText(const std::string& yaml, const std::string& name) {
  Config config;
  RETURN_IF_ERROR(ApplyText(yaml, name, config));
  RETURN_IF_ERROR(Annotate(Validate(config), name));
  return config;
}

absl::StatusOr<Config> LoadFile(const std::string& path) {
  Config config;
  RETURN_IF_ERROR(ApplyFile(path, config));
  const std::string drop_ins = std::filesystem::path(path).replace_extension().string() + ".d";
  if (PathExists(drop_ins)) {
    ASSIGN_OR_RETURN(const auto names, ListDir(drop_ins));
    for (const auto& name : names) {
      if (name.ends_with(".yaml")) {
        RETURN_IF_ERROR(ApplyFile(JoinPath(drop_ins, name), config));
      }
    }
  }
  RETURN_IF_ERROR(Annotate(Validate(config), path));
  return config;
}

}  // namespace davit::config
