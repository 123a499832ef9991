# SPDX-License-Identifier: Apache-2.0
"""davit-bench, which makes the load, seen from here."""
import json
import subprocess

import servers


class Generator:
    """Keeps pods, and does as it is told: see test/bench/node.h."""

    def __init__(self, plan, socket):
        self.argv = [f"{plan['build']}/test/bench/davit-bench", "--socket", socket, "--image", servers.IMAGE,
                     "--cgroup-parent", plan["cgroup_parent"], "--log-directory", plan["pod_logs"]]
        self.process = None

    def pull(self):
        subprocess.run(self.argv + ["pull", "--rounds", "1"], check=True, stdout=subprocess.DEVNULL,
                       timeout=120)

    def start(self):
        self.process = subprocess.Popen(self.argv + ["node"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)

    def do(self, *command):
        """The answer to a command."""
        line = " ".join(str(word) for word in command)
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(" ".join(self.process.stderr.read().split()) or f"davit-bench ended during `{line}`")
        return json.loads(answer)

    def kill(self):
        """Its pods stay."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def first_answer(self, containers=0):
        """Waits beside the caller, who starts the server when this returns."""
        waiter = subprocess.Popen(self.argv + ["answer", "--containers", str(containers)],
                                  stdout=subprocess.PIPE, text=True)
        waiter.stdout.readline()  # "ready"
        return waiter
