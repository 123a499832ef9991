// SPDX-License-Identifier: Apache-2.0
#include "conmon/options.h"

#include "conmon/protocol.h"
#include "conmon/sys.h"
#include "conmon/text.h"

namespace davit::conmon {
namespace {

// Where the value of `name` goes; null if there is no such option of that kind.
const char** TextOption(Options& options, Text name) {
  struct Row {
    const char* name;
    const char** value;
  };
  const Row rows[] = {
      {"--id", &options.id},
      {"--run-dir", &options.run_dir},
      {"--bundle", &options.bundle},
      {"--runtime", &options.runtime},
      {"--runtime-root", &options.runtime_root},
      {"--log-path", &options.log_path},
      {"--oom-file", &options.oom_file},
      {"--oom-parent-file", &options.oom_parent_file},
      {"--journal-fields", &options.journal_fields},
      {"--journal-socket", &options.journal_socket},
  };
  for (const Row& row : rows) {
    if (Equal(name, row.name)) {
      return row.value;
    }
  }
  return nullptr;
}

uint64_t* NumberOption(Options& options, Text name) {
  struct Row {
    const char* name;
    uint64_t* value;
  };
  const Row rows[] = {
      {"--max-line", &options.max_line},
      {"--log-rate", &options.log_rate},
      {"--max-log-size", &options.max_log_size},
      {"--sync-fd", &options.sync_fd},
      {"--cpu", &options.cpu},
      {"--runtime-fd", &options.runtime_fd},
      {"--mount-ns-fd", &options.mount_ns_fd},
  };
  for (const Row& row : rows) {
    if (Equal(name, row.name)) {
      return row.value;
    }
  }
  return nullptr;
}

bool* Flag(Options& options, Text name) {
  if (Equal(name, "--tty")) {
    return &options.tty;
  }
  if (Equal(name, "--systemd-cgroup")) {
    return &options.systemd_cgroup;
  }
  if (Equal(name, "--stdin")) {
    return &options.stdin_open;
  }
  if (Equal(name, "--exec")) {
    return &options.exec;
  }
  if (Equal(name, "--seccomp")) {
    return &options.seccomp;
  }
  return Equal(name, "--stdin-once") ? &options.stdin_once : nullptr;
}

const char* Check(const Options& options) {
  const char* const required[] = {options.id, options.run_dir, options.runtime,
                                  options.runtime_root, options.exec ? "-" : options.bundle};
  for (const char* value : required) {
    if (value == nullptr || *value == '\0') {
      return "--id, --run-dir, --runtime, --runtime-root and (without --exec) --bundle are "
             "required";
    }
  }
  if (options.max_line == 0 || options.max_line > kMaxLineLimit) {
    return "--max-line must be between 1 and 1048576";
  }
  if (options.cpu != UINT64_MAX && options.cpu >= kMaxCpus) {
    return "--cpu must be below 8192";
  }
  return nullptr;
}

}  // namespace

const char* ParseOptions(int argc, char** argv, Options* options) {
  for (int i = 1; i < argc; ++i) {
    if (bool* flag = Flag(*options, argv[i])) {
      *flag = true;
      continue;
    }
    if (i + 1 == argc) {
      return "the last option is unknown or lacks its value";
    }
    if (const char** text = TextOption(*options, argv[i])) {
      *text = argv[++i];
    } else if (uint64_t* number = NumberOption(*options, argv[i])) {
      if (!ParseNumber(argv[++i], number)) {
        return "--max-line, --log-rate, --max-log-size, --cpu and those that end in -fd take "
               "numbers";
      }
    } else {
      return "unknown option";
    }
  }
  return Check(*options);
}

}  // namespace davit::conmon
