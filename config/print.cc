// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include <yaml-cpp/yaml.h>

#include "config/duration.h"
#include "config/load.h"
#include "config/schema.h"

namespace davit::config {
namespace {

class Printer {
 public:
  template <typename Body>
  void Section(const char* key, const char* comment, Body body) {
    text_ += "\n";
    Comment(comment);
    Line(std::string(key) + ":");
    indent_ += 2;
    body(*this);
    indent_ -= 2;
  }

  template <typename T>
  void Field(const char* key, const char* comment, T& member) {
    Comment(comment);
    Put(key, member);
  }

  std::string Take() { return std::move(text_); }

 private:
  void Line(const std::string& line) { text_ += std::string(indent_, ' ') + line + "\n"; }
  void Comment(const std::string& comment) { Line("# " + comment); }

  static std::string Quoted(const std::string& value) {
    YAML::Emitter emitter;
    emitter << YAML::DoubleQuoted << value;
    return emitter.c_str();
  }

  void Put(const std::string& key, const std::string& value) { Line(key + ": " + Quoted(value)); }
  void Put(const std::string& key, bool value) { Line(key + (value ? ": true" : ": false")); }
  void Put(const std::string& key, int value) { Line(key + ": " + std::to_string(value)); }
  void Put(const std::string& key, int64_t value) { Line(key + ": " + std::to_string(value)); }
  void Put(const std::string& key, std::chrono::milliseconds value) {
    Line(key + ": " + FormatDuration(value));
  }

  void Put(const std::string& key, const std::vector<std::string>& values) {
    std::string line = key + ": [";
    for (size_t i = 0; i < values.size(); ++i) {
      line += (i == 0 ? "" : ", ") + Quoted(values[i]);
    }
    Line(line + "]");
  }

  void Put(const std::string& key, const std::map<std::string, std::string>& values) {
    if (values.empty()) {
      Line(key + ": {}");
      return;
    }
    Line(key + ":");
    for (const auto& [name, value] : values) {
      Line("  " + Quoted(name) + ": " + Quoted(value));
    }
  }

  void Put(const std::string& key, std::map<std::string, RuntimeHandler>& handlers) {
    PutNamed(key, handlers, [](auto& v, auto& handler) { VisitHandler(v, handler); });
  }

  void Put(const std::string& key, std::map<std::string, Workload>& workloads) {
    PutNamed(key, workloads, [](auto& v, auto& workload) { VisitWorkload(v, workload); });
  }

  template <typename T, typename Visit>
  void PutNamed(const std::string& key, std::map<std::string, T>& values, Visit visit) {
    if (values.empty()) {
      Line(key + ": {}");
      return;
    }
    Line(key + ":");
    indent_ += 2;
    for (auto& [name, value] : values) {
      Line(Quoted(name) + ":");
      indent_ += 2;
      visit(*this, value);
      indent_ -= 2;
    }
    indent_ -= 2;
  }

  void Put(const std::string& key, std::vector<Mirror>& mirrors) {
    if (mirrors.empty()) {
      Line(key + ": []");
      return;
    }
    Line(key + ":");
    indent_ += 2;
    for (auto& mirror : mirrors) {
      Line("-");
      indent_ += 2;
      VisitMirror(*this, mirror);
      indent_ -= 2;
    }
    indent_ -= 2;
  }

  std::string text_;
  size_t indent_ = 0;
};

}  // namespace

std::string ToYaml(const Config& config) {
  Config copy = config;  // the schema visits mutable members
  Printer printer;
  VisitConfig(printer, copy);
  return printer.Take();
}

}  // namespace davit::config
