# SPDX-License-Identifier: Apache-2.0
"""The servers: how each is configured for the same OCI runtime, CNI network, registry and images, and how it
is started and stopped."""
import os
import subprocess
import time

import processes

REGISTRY = "127.0.0.1:5000"
IMAGE = f"{REGISTRY}/davit/busybox:latest"
PAUSE_IMAGE = f"{REGISTRY}/davit/pause:latest"
CNI_PLUGINS = "/usr/lib/cni"
NOTHING = f"{os.path.dirname(os.path.dirname(os.path.realpath(__file__)))}/nothing"  # fake runtime, fake plugin
PATIENCE = 60

DAVIT = """\
socket: "{socket}"
log_level: "warning"
storage:
  root: "{state}/root"
  run: "{state}/run"
runtime:
  default_handler: "{runtime}"
  default_cgroup_parent: "{cgroup_parent}"
  handlers:
    {runtime}:
      path: "{runtime_path}"
network:
  config_dir: "{net_d}"
  cache_dir: "{state}/cni-cache"
  plugin_dirs: ["{plugins}", "{nothing}"]
"""
DAVIT_BUILTIN = DAVIT + """\
  builtin_plugins: [bridge]
"""

CONTAINERD = """\
version = 2
root = "{state}/root"
state = "{state}/run"
[grpc]
  address = "{socket}"
[debug]
  level = "warn"
[plugins."io.containerd.internal.v1.opt"]
  path = "{state}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause_image}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{net_d}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "{runtime}"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.{runtime}]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.{runtime}.options]
        BinaryName = "{runtime_path}"
  [plugins."io.containerd.grpc.v1.cri".registry.mirrors."{registry}"]
    endpoint = ["http://{registry}"]
"""


class Server:
    """One that this program configures and spawns."""

    def __init__(self, plan, template, suffix, argv):
        self.name = plan["server"]
        self.state = plan["state"]
        self.socket = f"{self.state}/server.sock"
        self.log_path = plan["log"]
        self.config = f"{self.state}/config.{suffix}"
        self.argv = [word.format(config=self.config) for word in argv]
        self.process = None
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(template.format(
                socket=self.socket, state=self.state, net_d=plan["net_d"], plugins=CNI_PLUGINS, nothing=NOTHING,
                runtime=plan["runtime"], runtime_path=plan["runtime_path"], registry=REGISTRY,
                pause_image=PAUSE_IMAGE, cgroup_parent=plan["cgroup_parent"]))

    def start(self):
        with open(self.log_path, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT, start_new_session=True)

    def stop(self):
        """The containers go on."""
        self.process.terminate()
        self.process.wait(PATIENCE)

    def has_ended(self):
        return self.process.poll() is not None

    def pid(self):
        return processes.listener_of(self.socket)


class Peer:
    """One that a command of the user's starts and stops: see docs/performance.md."""

    def __init__(self, plan):
        self.name = plan["server"]
        self.state = plan["state"]
        self.socket = os.path.join(self.state, plan["socket"])
        self.log_path = plan["log"]
        self.command = plan["command"]
        self.environment = dict(
            os.environ, DAVIT_BENCH_STATE=self.state, DAVIT_BENCH_SOCKET=self.socket,
            DAVIT_BENCH_CNI_CONFIG=plan["net_d"], DAVIT_BENCH_CNI_PLUGINS=CNI_PLUGINS,
            DAVIT_BENCH_REGISTRY=REGISTRY, DAVIT_BENCH_PAUSE_IMAGE=PAUSE_IMAGE,
            DAVIT_BENCH_RUNTIME=plan["runtime"], DAVIT_BENCH_RUNTIME_PATH=plan["runtime_path"])

    def run(self, verb):
        with open(self.log_path, "a", encoding="utf-8") as log:
            subprocess.run([self.command, verb], env=self.environment, stdin=subprocess.DEVNULL, stdout=log,
                           stderr=subprocess.STDOUT, check=True, timeout=PATIENCE)

    def start(self):
        self.run("start")

    def stop(self):
        self.run("stop")

    def has_ended(self):
        return False  # its process is not ours

    def pid(self):
        return processes.listener_of(self.socket)


def make(plan):
    if plan["command"]:
        return Peer(plan)
    davits = {"davit": DAVIT, "davit-builtin": DAVIT_BUILTIN}
    if plan["server"] in davits:
        return Server(plan, davits[plan["server"]], "yaml", [f"{plan['build']}/server/davit", "serve", "--config", "{config}"])
    return Server(plan, CONTAINERD, "toml", ["containerd", "--config", "{config}"])


def wait_until(what, condition, seconds=PATIENCE):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: not within {seconds} s")
        time.sleep(0.02)
