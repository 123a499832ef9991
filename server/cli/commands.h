// SPDX-License-Identifier: Apache-2.0
//
// The operator's commands, one file for each. Each prints to stdout and returns the error to show,
// or an exit code of its own through *exit_code. main.cc knows the flags; commands know nothing of
// them.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace davit::server::cli {

struct Globals {
  std::string socket = "/run/davit/davit.sock";
  bool json = false;  // -o json
};

struct ServeOptions {
  std::string config_file;  // "" : the default path if it exists, else the embedded defaults
  std::string socket;       // "" : as configured, as all below
  std::string root;
  std::string run;
  std::string log_level;
};
absl::Status RunServe(const ServeOptions& options);

struct PullOptions {
  std::vector<std::string> images;
  std::string credentials;  // user:password
  bool timing = false;      // how long each stage took
};
absl::Status RunPull(const Globals& globals, const PullOptions& options);

absl::Status RunImages(const Globals& globals, const std::string& filter);
// `watch`: redrawn until interrupted.
absl::Status RunRunningPulls(const Globals& globals, bool watch);
// Of one operation; "": a list of the newest.
absl::Status RunTimeline(const Globals& globals, const std::string& trace_id);
absl::Status RunRemoveImages(const Globals& globals, const std::vector<std::string>& images);

struct LoadOptions {
  std::string input;       // archive or directory; "" or "-": standard input
  std::string repository;  // of images that the archive gives a tag only
};
absl::Status RunLoad(const Globals& globals, const LoadOptions& options);

struct SaveOptions {
  std::vector<std::string> images;
  std::string output;      // "" or "-": standard output
  bool directory = false;  // an OCI layout as a directory instead of one file
};
absl::Status RunSave(const Globals& globals, const SaveOptions& options);

struct CheckOptions {
  bool full = false;
  bool repair = false;
  std::string root;         // check this one, without a daemon
  std::string config_file;  // where storage is, if no daemon answers
};
// Exit code 2 where something is wrong (and not repaired).
absl::Status RunCheck(const Globals& globals, const CheckOptions& options, int* exit_code);

struct GarbageOptions {
  bool dry_run = false;
  bool images = false;
  int64_t older_than_seconds = 0;
  uint64_t keep_free_bytes = 0;
};
absl::Status RunGarbage(const Globals& globals, const GarbageOptions& options);

struct WipeOptions {
  bool containers = false;
  bool images = false;
  bool force = false;  // do not ask
};
absl::Status RunWipe(const Globals& globals, const WipeOptions& options);

struct RunOptions {
  std::string image;
  std::vector<std::string> command;
  std::string name;                  // of the container; "" : from the image
  std::string pod;                   // an existing pod to join; "" : a new one
  std::vector<std::string> env;      // NAME=value
  std::vector<std::string> volumes;  // host:container[:ro]
  std::vector<std::string> ports;    // host:container[/udp]
  std::string log_directory;
  bool host_network = false;
  bool privileged = false;
  bool detach = false;  // print IDs instead of following the output
  bool remove = false;  // remove pod and container when it ends
};
absl::Status RunRun(const Globals& globals, const RunOptions& options, int* exit_code);

struct ListOptions {
  bool all = false;    // also what does not run
  bool quiet = false;  // IDs only
  std::string pod;
};
absl::Status RunPods(const Globals& globals, const ListOptions& options);
absl::Status RunPs(const Globals& globals, const ListOptions& options);
absl::Status RunStats(const Globals& globals);

struct LogOptions {
  std::string container;
  bool follow = false;
  bool timestamps = false;
  int64_t tail = -1;  // lines; -1: all
  std::string since;  // RFC 3339 or a duration such as 10m
};
absl::Status RunLogs(const Globals& globals, const LogOptions& options);

struct ExecOptions {
  std::string container;
  std::vector<std::string> command;
  bool in = false;   // pass stdin on
  bool tty = false;  // give the command a terminal
  int64_t timeout_seconds = 0;
  std::string tls_ca;  // of the streaming server's certificate; "": the system's authorities
};
absl::Status RunExec(const Globals& globals, const ExecOptions& options, int* exit_code);

struct AttachOptions {
  std::string container;
  bool in = false;
  bool tty = false;  // it has to have a terminal
  std::string detach_keys = "ctrl-p,ctrl-q";
  std::string tls_ca;
};
absl::Status RunAttach(const Globals& globals, const AttachOptions& options, int* exit_code);

struct PortForwardOptions {
  std::string pod;
  std::vector<std::string> ports;  // LOCAL:REMOTE
  std::vector<std::string> addresses = {"127.0.0.1"};
  std::string tls_ca;
};
// Until a signal ends the process.
absl::Status RunPortForward(const Globals& globals, const PortForwardOptions& options);

absl::Status RunInspect(const Globals& globals, const std::vector<std::string>& objects);

struct StopOptions {
  std::vector<std::string> objects;  // pods or containers
  int64_t timeout_seconds = 10;
};
absl::Status RunStop(const Globals& globals, const StopOptions& options);

struct RemoveOptions {
  std::vector<std::string> objects;  // pods or containers
  bool force = false;                // running ones too
};
absl::Status RunRemove(const Globals& globals, const RemoveOptions& options);

absl::Status RunStatus(const Globals& globals);
absl::Status RunVersion(const Globals& globals);

struct ConfigOptions {
  std::string check_file;   // check this file only
  std::string config_file;  // print what this file makes; "" : the defaults
};
absl::Status RunConfig(const ConfigOptions& options);

struct PolicyOptions {
  std::string image;
  std::string pod_namespace;
  std::string config_file;  // "" : as for serve
};
// Prints which requirements are asked of the image; the error says why they are not met.
absl::Status RunPolicyCheck(const PolicyOptions& options);

}  // namespace davit::server::cli
