// SPDX-License-Identifier: Apache-2.0
//
// `davit`: the daemon (`davit serve`) and the operator's commands. Flags are declared here and
// nowhere else; each command is a function in server/cli/.

#include <cstdio>
#include <functional>
#include <map>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/lock_checks.h"
#include "base/status.h"
#include "server/cli/commands.h"

namespace {

using davit::Message;
namespace cli = davit::server::cli;

// The command that was chosen, bound to its options.
struct Chosen {
  std::function<absl::Status()> run;
  int exit_code = 0;
};

// Registers `run` as what the subcommand does.
CLI::App* Command(CLI::App& app, Chosen& chosen, const char* name, const char* help,
                  std::function<absl::Status()> run) {
  CLI::App* command = app.add_subcommand(name, help);
  command->callback([&chosen, run = std::move(run)] { chosen.run = run; });
  return command;
}

struct Options {
  cli::Globals globals;
  std::string output = "table";
  cli::ServeOptions serve;
  cli::PullOptions pull;
  std::string image_filter;
  bool in_progress = false;
  bool watch = false;
  std::string trace;
  std::vector<std::string> images;
  cli::LoadOptions load;
  cli::SaveOptions save;
  cli::CheckOptions check;
  cli::GarbageOptions garbage;
  cli::WipeOptions wipe;
  cli::RunOptions run;
  cli::ListOptions list;
  cli::LogOptions logs;
  cli::ExecOptions exec;
  cli::AttachOptions attach;
  cli::PortForwardOptions port_forward;
  std::vector<std::string> inspect;
  cli::StopOptions stop;
  cli::RemoveOptions remove;
  cli::ConfigOptions config;
  cli::PolicyOptions policy;
};

void AddServe(CLI::App& app, Options& o, Chosen& chosen) {
  auto* serve = Command(app, chosen, "serve", "run the daemon", [&o] { return RunServe(o.serve); });
  serve->add_option("--config", o.serve.config_file, "YAML file (default: /etc/davit/davit.yaml)");
  serve->add_option("--socket", o.serve.socket, "socket to serve on");
  serve->add_option("--root", o.serve.root, "directory of what survives reboots");
  serve->add_option("--run", o.serve.run, "directory of what does not");
  serve->add_option("--log-level", o.serve.log_level, "trace, debug, info, warning, error");
}

void AddImageCommands(CLI::App& app, Options& o, Chosen& chosen) {
  auto* pull =
      Command(app, chosen, "pull", "pull images", [&o] { return RunPull(o.globals, o.pull); });
  pull->add_option("IMAGE", o.pull.images)->required();
  pull->add_option("--creds", o.pull.credentials, "USER:PASSWORD");
  pull->add_flag("--timing", o.pull.timing, "print how long each stage took");
  auto* images = Command(app, chosen, "images", "list images", [&o] {
    return o.in_progress ? RunRunningPulls(o.globals, o.watch)
                         : RunImages(o.globals, o.image_filter);
  });
  images->add_option("IMAGE", o.image_filter, "only this one");
  auto* in_progress = images->add_flag("--in-progress", o.in_progress, "pulls that run now");
  images->add_flag("--watch", o.watch, "until interrupted")->needs(in_progress);
  auto* rmi = Command(app, chosen, "rmi", "remove images by name or ID",
                      [&o] { return RunRemoveImages(o.globals, o.images); });
  rmi->add_option("IMAGE", o.images)->required();
}

void AddPolicy(CLI::App& app, Options& o, Chosen& chosen) {
  CLI::App* policy = app.add_subcommand("policy", "which images this node accepts");
  policy->require_subcommand(1);
  auto* check = Command(*policy, chosen, "check", "would this image be accepted, and why",
                        [&o] { return RunPolicyCheck(o.policy); });
  check->add_option("IMAGE", o.policy.image)->required();
  check->add_option("--namespace", o.policy.pod_namespace, "of the pod that would use it");
  check->add_option("--config", o.policy.config_file, "YAML file (default: /etc/davit/davit.yaml)");
}

void AddArchiveCommands(CLI::App& app, Options& o, Chosen& chosen) {
  auto* load = Command(app, chosen, "load", "take images from an archive or an OCI layout",
                       [&o] { return RunLoad(o.globals, o.load); });
  load->add_option("-i,--input", o.load.input, "file or directory (default: standard input)");
  load->add_option("--name", o.load.repository, "for images to which the archive gives a tag only");
  auto* save =
      Command(app, chosen, "save", "write images into one archive (OCI and docker-archive)",
              [&o] { return RunSave(o.globals, o.save); });
  save->add_option("IMAGE", o.save.images)->required();
  save->add_option("-o,--output-file", o.save.output, "file (default: standard output)");
  save->add_flag("--directory", o.save.directory, "an OCI layout as a new directory");
}

// Storage: check, gc, wipe.
void AddKeepers(CLI::App& app, Options& o, Chosen& chosen) {
  auto* check = Command(app, chosen, "check", "compare the database of images with the disk",
                        [&o, &chosen] { return RunCheck(o.globals, o.check, &chosen.exit_code); });
  check->add_flag("--full", o.check.full, "the content of every layer too");
  check->add_flag("--repair", o.check.repair, "mark what is damaged to be pulled again");
  check->add_option("--root", o.check.root, "this storage, which no daemon uses");
  check->add_option("--config", o.check.config_file, "says where storage is if no daemon answers");
  auto* gc = Command(app, chosen, "gc", "remove what nothing refers to",
                     [&o] { return RunGarbage(o.globals, o.garbage); });
  gc->add_flag("--dry-run", o.garbage.dry_run, "only show it");
  gc->add_flag("--images", o.garbage.images, "also images that no container uses");
  gc->add_option("--older-than", o.garbage.older_than_seconds, "of those: pulled so long ago, 36h")
      ->transform(CLI::AsNumberWithUnit(
          std::map<std::string, int64_t>{{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}}));
  gc->add_option("--keep-free", o.garbage.keep_free_bytes,
                 "of those: the oldest, until so many bytes are free")
      ->transform(CLI::AsSizeValue(false));
  auto* wipe = Command(app, chosen, "wipe", "remove all containers, images or both",
                       [&o] { return RunWipe(o.globals, o.wipe); });
  wipe->add_flag("--containers", o.wipe.containers, "pods and containers");
  wipe->add_flag("--images", o.wipe.images, "images");
  wipe->add_flag_callback(
      "--all", [&o] { o.wipe.containers = o.wipe.images = true; }, "both");
  wipe->add_flag("-f,--force", o.wipe.force, "without asking");
}

// `davit run IMAGE -- COMMAND` means the same as without the dashes.
void DropDashes(std::vector<std::string>& command) {
  if (!command.empty() && command.front() == "--") {
    command.erase(command.begin());
  }
}

void AddRun(CLI::App& app, Options& o, Chosen& chosen) {
  auto* run = Command(app, chosen, "run", "run a container in a pod", [&o, &chosen] {
    DropDashes(o.run.command);
    return RunRun(o.globals, o.run, &chosen.exit_code);
  });
  run->add_option("--name", o.run.name, "of the container (default: from the image)");
  run->add_option("--pod", o.run.pod, "a pod to join (default: a new one)");
  run->add_option("-e,--env", o.run.env, "NAME=value")->allow_extra_args(false);
  run->add_option("-v,--volume", o.run.volumes, "HOST:CONTAINER[:ro]")->allow_extra_args(false);
  run->add_option("-p,--port", o.run.ports, "HOST:CONTAINER[/udp]")->allow_extra_args(false);
  run->add_option("--log-directory", o.run.log_directory, "of the pod");
  run->add_flag("--host-network", o.run.host_network, "share the network of the host");
  run->add_flag("--privileged", o.run.privileged, "all capabilities and devices");
  run->add_flag("-d,--detach", o.run.detach, "print IDs and return");
  run->add_flag("--rm", o.run.remove, "remove the pod when the container ends");
  run->add_option("IMAGE", o.run.image)->required();
  run->add_option("COMMAND", o.run.command, "and its arguments");
  run->positionals_at_end();  // options after the image are the command's
}

void AddLists(CLI::App& app, Options& o, Chosen& chosen) {
  auto* pods =
      Command(app, chosen, "pods", "list pods", [&o] { return RunPods(o.globals, o.list); });
  pods->add_flag("-q,--quiet", o.list.quiet, "IDs only");
  auto* ps =
      Command(app, chosen, "ps", "list containers", [&o] { return RunPs(o.globals, o.list); });
  ps->add_flag("-a,--all", o.list.all, "also those that do not run");
  ps->add_flag("-q,--quiet", o.list.quiet, "IDs only");
  ps->add_option("--pod", o.list.pod, "only of this pod");
  Command(app, chosen, "stats", "CPU, memory and disk of running containers",
          [&o] { return RunStats(o.globals); });
}

void AddObservers(CLI::App& app, Options& o, Chosen& chosen) {
  auto* logs = Command(app, chosen, "logs", "show what a container wrote",
                       [&o] { return RunLogs(o.globals, o.logs); });
  logs->add_option("CONTAINER", o.logs.container)->required();
  logs->add_flag("-f,--follow", o.logs.follow, "until it ends");
  logs->add_flag("-t,--timestamps", o.logs.timestamps);
  logs->add_option("--tail", o.logs.tail, "only the last lines");
  logs->add_option("--since", o.logs.since, "10m, or an RFC 3339 time");
  auto* timeline = Command(app, chosen, "timeline", "how long the stages of operations took",
                           [&o] { return RunTimeline(o.globals, o.trace); });
  timeline->add_option("TRACE", o.trace, "of one operation (default: list the newest)");
  auto* inspect = Command(app, chosen, "inspect", "everything about containers, pods or images",
                          [&o] { return RunInspect(o.globals, o.inspect); });
  inspect->add_option("OBJECT", o.inspect)->required();
}

constexpr char kTlsCaHelp[] =
    "authority of the streaming server's certificate (default: the system's)";

void AddExec(CLI::App& app, Options& o, Chosen& chosen) {
  auto* exec = app.add_subcommand("exec", "run a command in a container");
  exec->add_flag("-i,--stdin", o.exec.in, "pass stdin on");
  exec->add_flag("-t,--tty", o.exec.tty, "give the command a terminal");
  exec->add_option("--timeout", o.exec.timeout_seconds,
                   "seconds before it is killed; its output comes at its end");
  exec->add_option("--tls-ca", o.exec.tls_ca, kTlsCaHelp);
  exec->add_option("CONTAINER", o.exec.container)->required();
  exec->add_option("COMMAND", o.exec.command, "and its arguments");
  exec->positionals_at_end();  // options after the container are the command's
  exec->callback([&o, &chosen] {
    chosen.run = [&o, &chosen]() -> absl::Status {
      DropDashes(o.exec.command);
      if (o.exec.command.empty()) {
        return davit::InvalidArgument(
            "exec needs a command: davit exec CONTAINER COMMAND [ARG ...]");
      }
      return RunExec(o.globals, o.exec, &chosen.exit_code);
    };
  });
}

void AddStreams(CLI::App& app, Options& o, Chosen& chosen) {
  auto* attach =
      Command(app, chosen, "attach", "join the output and input of a container",
              [&o, &chosen] { return RunAttach(o.globals, o.attach, &chosen.exit_code); });
  attach->add_option("CONTAINER", o.attach.container)->required();
  attach->add_flag("-i,--stdin", o.attach.in, "pass stdin on");
  attach->add_flag("-t,--tty", o.attach.tty, "it has to have a terminal (which is used anyway)");
  attach->add_option("--detach-keys", o.attach.detach_keys,
                     "leave a terminal with these keys (default: ctrl-p,ctrl-q); \"\": none");
  attach->add_option("--tls-ca", o.attach.tls_ca, kTlsCaHelp);
  auto* forward = Command(app, chosen, "port-forward", "carry local connections into a pod",
                          [&o] { return RunPortForward(o.globals, o.port_forward); });
  forward->add_option("POD", o.port_forward.pod, "or one of its containers")->required();
  forward->add_option("PORT", o.port_forward.ports, "LOCAL:REMOTE, REMOTE or :REMOTE")->required();
  forward->add_option("--address", o.port_forward.addresses, "to listen on")
      ->allow_extra_args(false);
  forward->add_option("--tls-ca", o.port_forward.tls_ca, kTlsCaHelp);
}

void AddEnders(CLI::App& app, Options& o, Chosen& chosen) {
  auto* stop = Command(app, chosen, "stop", "stop containers or pods",
                       [&o] { return RunStop(o.globals, o.stop); });
  stop->add_option("OBJECT", o.stop.objects)->required();
  stop->add_option("--timeout", o.stop.timeout_seconds, "seconds before a container is killed");
  auto* remove = Command(app, chosen, "rm", "remove containers or pods",
                         [&o] { return RunRemove(o.globals, o.remove); });
  remove->add_option("OBJECT", o.remove.objects)->required();
  remove->add_flag("-f,--force", o.remove.force, "also what runs");
}

void AddAbout(CLI::App& app, Options& o, Chosen& chosen) {
  Command(app, chosen, "status", "is the daemon ready for pods, and with what",
          [&o] { return RunStatus(o.globals); });
  Command(app, chosen, "version", "of this program and of the daemon",
          [&o] { return RunVersion(o.globals); });
  auto* config = Command(app, chosen, "config", "print the complete configuration, or check a file",
                         [&o] { return RunConfig(o.config); });
  config->add_option("--check", o.config.check_file, "name the first mistake in this file");
  config->add_option("--config", o.config.config_file, "print what this file makes");
}

}  // namespace

int main(int argc, char** argv) {
  davit::ChooseLockChecks();
  CLI::App app("Davit runs pods for Kubernetes: a CRI server");
  Options options;
  Chosen chosen;
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("--socket", options.globals.socket, "of the daemon")->envname("DAVIT_SOCKET");
  app.add_option("-o,--output", options.output, "table or json")
      ->check(CLI::IsMember({"table", "json"}));
  AddServe(app, options, chosen);
  AddImageCommands(app, options, chosen);
  AddPolicy(app, options, chosen);
  AddArchiveCommands(app, options, chosen);
  AddKeepers(app, options, chosen);
  AddRun(app, options, chosen);
  AddLists(app, options, chosen);
  AddObservers(app, options, chosen);
  AddExec(app, options, chosen);
  AddStreams(app, options, chosen);
  AddEnders(app, options, chosen);
  AddAbout(app, options, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }
  options.globals.json = options.output == "json";
  if (const absl::Status status = chosen.run(); !status.ok()) {
    fmt::print(stderr, "davit: {}\n", Message(status));
    return 1;
  }
  return chosen.exit_code;
}
