# SPDX-License-Identifier: Apache-2.0
"""What is measured of one server. Each function gives plain values for the results; what they mean together is
figures.py's business."""
import json
import time

import processes

WARM_UP = 3
START_SECONDS = 120
SETTLE = 3
CLIENTS_THAT_GROW = 4
ASK_SECONDS = 15


class Node:
    """A server that runs alone, and the load for it."""

    def __init__(self, plan, server, generator, own):
        self.plan = plan
        self.server = server
        self.generator = generator
        self.own = own  # processes that are not the server's
        self.version = ""

    def start(self):
        """Seconds until the first answer, which says what runs."""
        waiter = self.generator.first_answer(self.plan["containers"])
        begin = time.monotonic()
        self.server.start()
        while waiter.poll() is None:
            late = time.monotonic() - begin > START_SECONDS
            if late or self.server.has_ended():
                waiter.kill()
                raise RuntimeError(f"{self.server.name} " + ("does not answer" if late else "ended at its start"))
            time.sleep(0.005)
        answer = json.loads(waiter.stdout.read())
        self.version = answer["version"]
        return answer["monotonic"] - begin

    def own_processes(self):
        own = set(self.own)
        if self.generator.process:
            own.add(self.generator.process.pid)
        return own

    def cpu(self):
        return processes.cpu_seconds(self.own_processes())

    def memory(self):
        return processes.memory_by_kind(self.server.pid(), self.own_processes())

    def measured(self, *command):
        """A command of the generator's, with the processor time of the server and all that it spawned."""
        cpu, daemon = self.cpu(), processes.daemon_cpu(self.server.pid())
        answer = self.generator.do(*command)
        answer["cpu_seconds"] = self.cpu() - cpu
        answer["daemon_cpu_seconds"] = processes.daemon_cpu(self.server.pid()) - daemon
        return answer


def idle(node):
    """Of a server that nobody has asked for anything but whether it is up."""
    node.start()
    time.sleep(SETTLE)
    pid = node.server.pid()
    memory = processes.memory_of(pid)
    cpu, begin = processes.precise_cpu(pid), time.monotonic()
    time.sleep(node.plan["idle_seconds"])
    spent = processes.precise_cpu(pid) - cpu
    return {"memory": memory, "cpu_percent": 100 * spent / (time.monotonic() - begin)}


def ready(node):
    node.start()
    node.generator.pull()
    node.generator.start()


def pods(node):
    rounds = node.plan["rounds"]
    return dict(node.measured("rounds", rounds, 1), pods=rounds)


def clients(node):
    answers = {}
    for count in node.plan["clients"]:
        rounds = max(2, node.plan["client_pods"] // count)
        answers[str(count)] = dict(node.measured("rounds", rounds, count), pods=rounds * count)
    return answers


def execs(node):
    node.generator.do("grow", 1)
    node.generator.do("exec", WARM_UP)
    return dict(node.measured("exec", node.plan["execs"]), execs=node.plan["execs"])


def stream(node):
    node.generator.do("grow", 1)
    node.generator.do("stream", 1)
    return node.measured("stream", node.plan["stream_mib"])


def turn(node):
    """What is repeated, each server in its turn."""
    ready(node)
    node.generator.do("rounds", WARM_UP, 1)
    chosen = (("pods", pods), ("clients", clients), ("execs", execs), ("stream", stream))
    return {name: measure(node) for name, measure in chosen if name in node.plan["scenarios"]}


def density(node):
    """More and more pods; at each level what they cost, at some what a kubelet costs; at last a restart."""
    ready(node)
    levels = []
    polled = node.plan["poll_levels"] if "poll" in node.plan["scenarios"] else []
    for count in sorted(set(node.plan["levels"] + polled)):
        level = dict(node.measured("grow", count, CLIENTS_THAT_GROW), pods=count)
        if count in node.plan["levels"]:
            time.sleep(node.plan["settle"])
            level["memory"] = node.memory()
            level["ask"] = node.generator.do("ask", node.plan["asks"], ASK_SECONDS)["times"]
        if count in polled:
            level["poll"] = node.measured("poll", node.plan["poll_seconds"])
        levels.append(level)
    result = {"levels": levels}
    if "restart" in node.plan["scenarios"]:
        result["restart"] = restart(node, levels[-1]["pods"])
    return result


def growth(node):
    """Far more pods than the machine could run, whose containers and networks cost nothing: what is left grows
    by the server's own."""
    ready(node)
    levels = []
    for count in node.plan["growth_levels"]:
        level = dict(node.measured("grow", count, CLIENTS_THAT_GROW), pods=count)
        time.sleep(node.plan["settle"])
        level["memory"] = node.memory()
        level["ask"] = node.generator.do("ask", node.plan["asks"], ASK_SECONDS)["times"]
        levels.append(level)
    return {"levels": levels, "restart": restart(node, levels[-1]["pods"])}


def restart(node, containers):
    node.generator.kill()
    node.server.stop()
    node.plan["containers"] = containers
    return {"containers": containers, "seconds": node.start()}


KINDS = {"idle": idle, "turn": turn, "density": density, "growth": growth}
