# SPDX-License-Identifier: Apache-2.0
"""From results to figures: series of samples by name, quantiles, ratios with their intervals."""
import math
import random

RESAMPLES = 1000
BARE = "bare "
CALLS = ("nothing to running", "RunPodSandbox", "CreateContainer", "StartContainer", "StopContainer",
         "RemoveContainer", "StopPodSandbox", "RemovePodSandbox")


def quantile(values, share):
    """Nearest rank, as davit-bench has it."""
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * share), 1) - 1]


def median(values):
    return quantile(values, 0.5)


def p99(values):
    return quantile(values, 0.99)


def ratio(mine, theirs, statistic=median):
    return statistic(mine) / statistic(theirs) if theirs and statistic(theirs) else None


def interval(mine, theirs, statistic=median):
    """Bootstrap, 95 %, of the ratio; None where there are too few samples to say."""
    if len(mine) < 5 or len(theirs) < 5:
        return None
    chance = random.Random(1)  # the same table from the same results
    ratios = sorted(filter(None, (ratio(chance.choices(mine, k=len(mine)),
                                        chance.choices(theirs, k=len(theirs)), statistic)
                                  for _ in range(RESAMPLES))))
    return (quantile(ratios, 0.025), quantile(ratios, 0.975)) if ratios else None


class Figures:
    """All samples of all sessions, by server and name."""

    def __init__(self, results):
        self.series = {}
        self.servers = []
        for session in results["sessions"]:
            server = session["server"]
            if server != "floor" and server not in self.servers:
                self.servers.append(server)
            if "figures" in session:
                ADDERS[session["kind"]](self, server, session["figures"])

    def add(self, server, name, values):
        self.series.setdefault(server, {}).setdefault(name, []).extend(values)

    def of(self, server, name):
        return self.series.get(server, {}).get(name, [])

    def floor(self, names, statistic=median):
        """Sum of what has to be called; None where that is not known."""
        parts = [self.of("floor", name) for name in names]
        return sum(statistic(part) for part in parts) if names and all(parts) else None

    def peers(self):
        return [server for server in self.servers if not server.startswith("davit")]

    def better_peer(self, name, statistic=median, more=False):
        """The peer that Davit is compared with."""
        peers = [peer for peer in self.peers() if self.of(peer, name)]
        best = max if more else min
        return best(peers, key=lambda peer: statistic(self.of(peer, name))) if peers else None

    def ratio(self, name, statistic=median, more=False):
        """Davit to the better peer: (ratio, interval or None), or None."""
        peer = self.better_peer(name, statistic, more)
        mine = self.of("davit", name)
        if peer is None or not mine:
            return None
        theirs = self.of(peer, name)
        value = ratio(mine, theirs, statistic)
        return None if value is None else (value, interval(mine, theirs, statistic))

    def levels(self, prefix="pods"):
        """Numbers of pods at which something was measured."""
        found = {int(name.split("/")[1]) for series in self.series.values() for name in series
                 if name.startswith(prefix + "/")}
        return sorted(found)


def add_floor(figures, server, measured):
    for name, values in measured["times"].items():
        figures.add(server, name, values)
    for count, answer in measured.get("clients", {}).items():
        add_rate(figures, server, count, answer)


def add_rate(figures, server, count, answer):
    figures.add(server, f"clients/{count}/pods per second", [answer["pods"] / answer["seconds"]])
    figures.add(server, f"clients/{count}/cpu", [1000 * answer["cpu_seconds"] / answer["pods"]])


def add_idle(figures, server, measured):
    figures.add(server, "idle/cpu", [measured["cpu_percent"]])
    for name, value in measured["memory"].items():
        figures.add(server, f"idle/{name}", [value / 1024])


def add_pods(figures, server, measured):
    for name, values in measured["times"].items():
        figures.add(server, name, values)
    figures.add(server, "pods per second", [measured["pods"] / measured["seconds"]])
    figures.add(server, "cpu of a pod", [1000 * measured["cpu_seconds"] / measured["pods"]])


def add_clients(figures, server, measured):
    for count, answer in measured.items():
        add_rate(figures, server, count, answer)
        figures.add(server, f"clients/{count}/nothing to running", answer["times"]["nothing to running"])


def add_execs(figures, server, measured):
    figures.add(server, "ExecSync", measured["times"]["ExecSync /bin/true"])
    figures.add(server, "cpu of an exec", [1000 * measured["cpu_seconds"] / measured["execs"]])


def add_stream(figures, server, measured):
    figures.add(server, "stream", [measured["bytes"] / 1e6 / measured["seconds"]])
    figures.add(server, "cpu of a streamed GB", [measured["cpu_seconds"] * 1e9 / measured["bytes"]])


def add_turn(figures, server, measured):
    adders = {"pods": add_pods, "clients": add_clients, "execs": add_execs, "stream": add_stream}
    for name, answer in measured.items():
        adders[name](figures, server, answer)


def add_density(figures, server, measured):
    seconds = cpu = 0
    for level in measured["levels"]:
        count = level["pods"]
        seconds += level["seconds"]
        cpu += level["cpu_seconds"]
        figures.add(server, f"pods/{count}/seconds", [seconds])
        figures.add(server, f"pods/{count}/cpu", [cpu])
        for call in ("CreateContainer", "nothing to running"):
            figures.add(server, f"pods/{count}/{call}", level["times"].get(call, []))
        add_level_memory(figures, server, count, level.get("memory", {}))
        for call, values in level.get("ask", {}).items():
            add_asked(figures, server, count, call, values)
        if "poll" in level:
            add_poll(figures, server, count, level["poll"])
    if "restart" in measured:
        figures.add(server, f"restart/{measured['restart']['containers']}", [measured["restart"]["seconds"]])


def add_growth(figures, server, measured):
    before = 0
    for level in measured["levels"]:
        count = level["pods"]
        added = count - before
        before = count
        figures.add(server, f"growth/{count}/seconds", [1000 * level["seconds"] / added])
        figures.add(server, f"growth/{count}/cpu", [1000 * level["cpu_seconds"] / added])
        figures.add(server, f"growth/{count}/daemon cpu", [1000 * level["daemon_cpu_seconds"] / added])
        for kind in ("daemon", "monitor"):
            figures.add(server, f"growth/{count}/{kind}", [level["memory"][kind]["pss"] / count])
        for call in ("RunPodSandbox", "CreateContainer", "StartContainer"):
            figures.add(server, f"growth/{count}/{call}", level["times"][call])
        for call in ("ListContainers", "ListContainerStats", "ContainerStatus"):
            figures.add(server, f"growth/{count}/{call}", level["ask"][call])
    restarted = measured["restart"]
    figures.add(server, f"growth/{restarted['containers']}/restart", [restarted["seconds"]])


def add_asked(figures, server, count, call, values):
    """The floor is a server that answers with bytes it has, of as many as Davit's answer."""
    if not call.startswith(BARE):
        figures.add(server, f"pods/{count}/{call}", values)
    elif server == "davit":
        figures.add("floor", f"pods/{count}/{call[len(BARE):]}", values)


def add_level_memory(figures, server, count, memory):
    for kind, values in memory.items():
        figures.add(server, f"pods/{count}/pss of {kind}", [values["pss"] / 1024])
    if memory:
        figures.add(server, f"pods/{count}/memory",
                    [sum(memory[kind]["pss"] for kind in ("daemon", "monitor") if kind in memory) / 1024])


def add_poll(figures, server, count, poll):
    figures.add(server, f"poll/{count}/cpu", [100 * poll["cpu_seconds"] / poll["seconds"]])
    figures.add(server, f"poll/{count}/daemon cpu", [100 * poll["daemon_cpu_seconds"] / poll["seconds"]])
    figures.add(server, f"poll/{count}/probes", [100 * poll["probes"] / poll["due"] if poll["due"] else 100])
    figures.add(server, f"poll/{count}/ExecSync", poll["times"].get("ExecSync /bin/true", []))


ADDERS = {"floor": add_floor, "idle": add_idle, "turn": add_turn, "density": add_density,
          "growth": add_growth}
