# SPDX-License-Identifier: Apache-2.0
"""What was promised of Davit, and whether the figures keep it. A ratio is to the better of the peers."""
import json
import os

import figures as stats

ADD = ("bridge ADD", "portmap ADD")
LISTS = ("ListPodSandbox", "ListContainers", "Status", "PodSandboxStatus", "ContainerStatus")
PROBE_SECONDS = 10  # of each pod, as PollAsKubelet has it
NOT_MEASURED = ("not measured", None)


def ratio_at_most(figures, name, limit, statistic=stats.median):
    found = figures.ratio(name, statistic)
    return NOT_MEASURED if found is None else (f"{found[0]:.2f}", found[0] <= limit)


def ratio_at_least(figures, name, limit):
    found = figures.ratio(name, more=True)
    return NOT_MEASURED if found is None else (f"{found[0]:.2f}", found[0] >= limit)


def at_most(figures, name, limit, unit):
    values = figures.of("davit", name)
    return (f"{stats.median(values):.3g} {unit}", stats.median(values) <= limit) if values else NOT_MEASURED


def all_of(*parts):
    """Kept if each is; not measured if one is not."""
    text = ", ".join(text for text, _ in parts)
    kept = [kept for _, kept in parts]
    return text, None if None in kept else all(kept)


def beside_floor(figures, found, name, floor, more=False, what="plugins and OCI runtime", statistic=stats.median):
    """With what the ratio would be of nothing but what each server has to call."""
    text, kept = found
    peer = figures.better_peer(name, statistic, more)
    if kept is not None and floor is not None:
        text += f" ({what} alone {floor / statistic(figures.of(peer, name)):.2f})"
    return text, kept


def with_builtin(figures, found, name, more=False):
    """And what it is of Davit with network.builtin_plugins, where that was measured."""
    text, kept = found
    values = figures.of("davit-builtin", name)
    if kept is not None and values:
        value = stats.ratio(values, figures.of(figures.better_peer(name, more=more), name))
        text += f"; with built-in plugins {value:.2f}"
    return text, kept


def serial(figures, limit):
    name = "nothing to running"
    found = beside_floor(figures, ratio_at_most(figures, name, limit), name, figures.floor(ADD + ("run",)))
    return with_builtin(figures, found, name)


def at_once(figures, clients, limit):
    name = f"clients/{clients}/pods per second"
    found = beside_floor(figures, ratio_at_least(figures, name, limit), name, figures.floor((name,)), more=True)
    return with_builtin(figures, found, name, more=True)


def execs(figures, limit):
    parts = []
    for name, floor in (("ExecSync", ("exec",)), ("cpu of an exec", ("cpu of exec",))):
        found = ratio_at_most(figures, name, limit)
        parts.append(beside_floor(figures, found, name, figures.floor(floor), what="the OCI runtime"))
    return all_of(*parts)


def polled(figures, pods, limit):
    name = f"poll/{pods}/cpu"
    exec_ms = figures.floor(("cpu of exec",))
    probes = None if exec_ms is None else 100 * pods / PROBE_SECONDS * exec_ms / 1000  # % of a processor
    return beside_floor(figures, ratio_at_most(figures, name, limit), name, probes, what="the probes' OCI runtime")


def over_plugins(figures):
    floor, mine = figures.floor(ADD), figures.of("davit", "RunPodSandbox")
    if floor is None or not mine:
        return NOT_MEASURED
    over = stats.median(mine) - floor
    return f"{over:.1f} ms", over <= 5


def lists(figures, pods):
    found = [(figures.ratio(f"pods/{pods}/{call}", stats.p99), call) for call in LISTS]
    if any(ratio is None for ratio, _ in found):
        return NOT_MEASURED
    worst, call = max((ratio[0], call) for ratio, call in found)
    name = f"pods/{pods}/{call}"
    return beside_floor(figures, (f"{worst:.2f} at worst ({call})", worst <= 0.30), name,
                        figures.floor((name,), stats.p99), what="gRPC with bytes at hand", statistic=stats.p99)


def memory(figures, pods):
    name = f"pods/{pods}/memory"
    mine, parts = figures.of("davit", name), []
    for peer in figures.peers():
        theirs = figures.of(peer, name)
        if mine and theirs:
            value = stats.ratio(mine, theirs)
            parts.append((f"{value:.2f} of {peer}", value <= (0.15 if peer == "containerd" else 0.35)))
    return all_of(*parts) if parts else NOT_MEASURED


def pull(results_path):
    """From the last run of test/bench/pull, if there was one; its results have a line for each pull."""
    if not os.path.exists(results_path):
        return "not measured: test/bench/pull", None
    with open(results_path, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    pulls = {}
    for row in rows:
        if row["kind"] == "pull" and row["image"] == "large-gzip" and row["clients"] == 1:
            pulls.setdefault(row["server"], []).append(row["ms"])
    floors = [max(row["inflate_ms"], row["tar_ms"]) for row in rows
              if row["kind"] == "floor" and row["image"] == "large-gzip"]
    mine = pulls.get("davit-nosync", [])
    peers = [values for server, values in pulls.items() if not server.startswith("davit")]
    if not mine or not peers or not floors:
        return NOT_MEASURED
    to_peer = stats.median(mine) / min(stats.median(values) for values in peers)
    to_floor = stats.median(mine) / stats.median(floors)
    return f"{to_peer:.2f}, and {to_floor:.2f} times the floor", to_peer <= 0.50 and to_floor <= 1.3


def rows(figures, pull_results):
    """(scenario, what was promised, what was measured, kept or None)"""
    promised = (
        ("pod and container from nothing to running, serial, p50", "0.35 of the better peer",
         serial(figures, 0.35)),
        ("the same and back, 8 clients, pods/s", "2.5 times as many",
         at_once(figures, 8, 2.5)),
        ("RunPodSandbox over the bare CNI plugins, p50", "5 ms", over_plugins(figures)),
        ("ExecSync p50, and processor time for each", "0.50",
         execs(figures, 0.50)),
        ("List and Status p99 with 500 containers", "0.30", lists(figures, 500)),
        ("kubelet-like polling, processor time with 250 pods", "0.30",
         polled(figures, 250, 0.30)),
        ("memory of daemon and monitors (PSS) with 200 pods", "0.15 of containerd, 0.35 of others",
         memory(figures, 200)),
        ("idle memory", "24 MB RSS, of it 6 MB anonymous",
         all_of(at_most(figures, "idle/rss", 24, "MB"), at_most(figures, "idle/anonymous", 6, "MB"))),
        ("restart with 500 containers to the first list", "1 s", at_most(figures, "restart/500", 1, "s")),
        ("idle processor time", "0.1 % of a processor", at_most(figures, "idle/cpu", 0.1, "%")),
        ("pull of a large gzip layer, cold", "0.50, and 1.3 times the floor", pull(pull_results)),
    )
    return [(title, promise, *found) for title, promise, found in promised]
