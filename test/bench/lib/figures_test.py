#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Statistics, tables and plots, from results that are made up here."""
import os
import random
import sys
import unittest
import xml.etree.ElementTree

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

import figures as stats
import plots
import promise
import report


def times(chance, names, scale, count=40):
    return {name: [scale * (1 + chance.random()) for _ in range(count)] for name in names}


def level(chance, pods, scale):
    memory = {kind: {"count": 1, "rss": 1, "pss": scale * pods, "anonymous": 1} for kind in ("daemon", "monitor")}
    return {"pods": pods, "seconds": pods * scale / 100, "cpu_seconds": pods * scale / 50, "memory": memory,
            "times": times(chance, ("CreateContainer", "nothing to running"), scale),
            "ask": times(chance, report.ASKED + tuple(stats.BARE + call for call in report.ASKED), scale),
            "poll": {"seconds": 10, "cpu_seconds": scale, "daemon_cpu_seconds": scale / 2, "probes": 9, "due": 10,
                     "times": {}}}


def sessions(server, scale):
    chance = random.Random(scale)
    one = {"seconds": 10 * scale, "cpu_seconds": scale, "pods": 20, "times": times(chance, stats.CALLS, 20 * scale)}
    turn = {"pods": one, "clients": {"2": one, "8": one},
            "execs": {"cpu_seconds": scale, "execs": 10, "times": times(chance, ("ExecSync /bin/true",), scale)},
            "stream": {"seconds": 1, "bytes": 1e9 / scale, "cpu_seconds": scale}}
    density = {"levels": [level(chance, pods, scale) for pods in (200, 250, 500)],
               "restart": {"containers": 500, "seconds": 0.5 * scale}}
    idle = {"memory": {"rss": 20480 * scale, "pss": 1, "anonymous": 4096}, "cpu_percent": 0.05}
    for kind, measured in (("idle", idle), ("turn", turn), ("turn", turn), ("density", density)):
        yield {"server": server, "kind": kind, "turn": 1, "load": 0.1, "figures": measured}


def results():
    floor = {"times": {name: [1.0, 2.0, 3.0] for name in report.ADD + report.DEL + ("run", "exec", "cpu of exec")},
             "clients": {"8": {"pods": 8, "seconds": 1, "cpu_seconds": 0.1}}}
    made = [session for server, scale in (("davit", 1), ("containerd", 4), ("crio", 5))
            for session in sessions(server, scale)]
    made.append({"server": "floor", "kind": "floor", "turn": 1, "load": 0.1, "figures": floor})
    made.append({"server": "crio", "kind": "turn", "turn": 2, "load": 0.1, "error": "it was tired"})
    machine = {"processor": "p", "processors": 2, "memory_gb": 4, "kernel": "k", "cgroup": "v2", "system": "s",
               "filesystem": "ext4", "runtime": "crun"}
    return {"commit": "abc", "command": "test/bench/run", "date": "today", "load": 0.1, "machine": machine,
            "versions": {"davit": "davit 1"}, "sessions": made}


class StatisticsTest(unittest.TestCase):
    def test_quantiles_are_nearest_rank(self):
        self.assertEqual(stats.median([4, 1, 3, 2]), 2)
        self.assertEqual(stats.p99(list(range(1, 101))), 99)
        self.assertEqual(stats.quantile([7], 0.5), 7)

    def test_the_interval_is_around_the_ratio(self):
        chance = random.Random(3)
        mine = [chance.gauss(10, 1) for _ in range(100)]
        theirs = [chance.gauss(40, 1) for _ in range(100)]
        low, high = stats.interval(mine, theirs)
        self.assertLess(low, stats.ratio(mine, theirs))
        self.assertGreater(high, stats.ratio(mine, theirs))
        self.assertAlmostEqual(low, 0.25, delta=0.03)

    def test_few_samples_have_no_interval(self):
        self.assertIsNone(stats.interval([1, 2], [3, 4]))

    def test_the_better_peer_is_the_quick_or_the_busy_one(self):
        figures = stats.Figures(results())
        self.assertEqual(figures.better_peer("RunPodSandbox"), "containerd")
        self.assertEqual(figures.better_peer("stream", more=True), "containerd")
        self.assertIsNone(figures.better_peer("no such series"))
        self.assertAlmostEqual(figures.ratio("idle/rss")[0], 0.25)

    def test_a_floor_is_known_only_with_all_its_parts(self):
        figures = stats.Figures(results())
        self.assertEqual(figures.floor(report.ADD), 4.0)
        self.assertIsNone(figures.floor(("bridge ADD", "no such plugin")))
        self.assertIsNone(figures.floor(()))


class ReportTest(unittest.TestCase):
    def test_every_row_of_the_promise_is_decided_but_pulls(self):
        rows = promise.rows(stats.Figures(results()), "/no/such/file")
        self.assertEqual(len(rows), 11)
        self.assertEqual([row[0] for row in rows if row[3] is None], ["pull of a large gzip layer, cold"])

    def test_the_runtimes_own_part_of_an_exec_is_told(self):
        rows = {row[0]: row[2] for row in promise.rows(stats.Figures(results()), "/no/such/file")}
        self.assertEqual(rows["ExecSync p50, and processor time for each"].count("the OCI runtime alone 0.01"), 1)

    def test_the_floor_of_clients_at_once_stands_beside_them(self):
        figures = stats.Figures(results())
        self.assertEqual(figures.floor(("clients/8/pods per second",)), 8)
        self.assertIn("| davit | containerd | crio | floor |", "\n".join(report.throughput(figures)))
        self.assertNotIn("floor", "\n".join(report.idle(figures)))

    def test_the_floor_of_a_call_is_one_of_the_same_bytes(self):
        figures = stats.Figures(results())
        self.assertLess(figures.floor(("pods/500/Status",), stats.p99), 3)
        rows = {row[0]: row[2] for row in promise.rows(figures, "/no/such/file")}
        self.assertIn("gRPC with bytes at hand alone 0.2", rows["List and Status p99 with 500 containers"])
        self.assertNotIn("| pods/500", "\n".join(report.floors(figures)))

    def test_growth_is_told_for_each_pod(self):
        some = results()
        levels = [{"pods": pods, "seconds": seconds, "cpu_seconds": 2, "daemon_cpu_seconds": 1,
                   "memory": {kind: {"pss": 4 * pods} for kind in ("daemon", "monitor")},
                   "times": {call: [3.0] for call in ("RunPodSandbox", "CreateContainer", "StartContainer")},
                   "ask": {call: [pods / 1000] for call in ("ListContainers", "ListContainerStats", "ContainerStatus")}}
                  for pods, seconds in ((100, 1), (300, 4))]
        some["sessions"].append({"server": "davit", "kind": "growth", "turn": 1, "load": 0.1, "figures": {
            "levels": levels, "restart": {"containers": 300, "seconds": 0.5}}})
        rows = "\n".join(report.growth(stats.Figures(some)))
        for row in ("| one more pod, ms | 10 | 20 |", "| ListContainers, µs for each pod | 1 | 1 |",
                    "| PSS of the daemon, kB for each pod | 4 | 4 |",
                    "| restart with 300 containers to the first list, s |  | 0.5 |"):
            self.assertIn(row, rows)
        self.assertIn("growth", report.pictures(some))
        self.assertNotIn("growth", report.pictures(results()))

    def test_what_is_built_in_stands_beside(self):
        some = results()
        some["sessions"] += list(sessions("davit-builtin", 1))
        rows = promise.rows(stats.Figures(some), "/no/such/file")
        self.assertEqual(sum("; with built-in plugins" in row[2] for row in rows), 2)

    def test_what_was_not_measured_breaks_nothing(self):
        some = results()
        some["sessions"] = some["sessions"][:1]
        text = report.markdown(some, "/no/such/file")
        self.assertIn("not measured", text)
        self.assertEqual(set(report.pictures(some)), set())

    def test_davit_is_not_compared_with_itself(self):
        some = results()
        some["sessions"] += list(sessions("davit-builtin", 0.5))
        calls = stats.Figures(some)
        self.assertEqual(calls.peers(), ["containerd", "crio"])
        self.assertEqual(calls.better_peer("RunPodSandbox"), "containerd")
        self.assertIn("| davit-builtin |", report.markdown(some, "/no/such/file", {}))

    def test_tables_name_servers_and_failures(self):
        text = report.markdown(results(), "/no/such/file", {"calls": "Calls"})
        for part in ("commit abc", "failed: crio, turn: it was tired", "| RunPodSandbox | davit |",
                     "![Calls](pictures/calls.svg)", "| the promise | promised |"):
            self.assertIn(part, text)
        widths = {line.count("|") for line in text.splitlines() if line.startswith("| milli")}
        self.assertEqual(widths, {10})

    def test_the_headline_says_where_it_is_from(self):
        text = report.headline(results())
        self.assertIn("| side by side | davit | containerd | crio |", text)
        self.assertIn("with 200 pods", text)
        self.assertIn("commit abc", text)

    def test_pictures_are_xml_with_all_servers(self):
        drawn = report.pictures(results())
        self.assertEqual(set(drawn), {"calls", "throughput", "memory", "list", "create", "start", "polling"})
        for _, svg in drawn.values():
            xml.etree.ElementTree.fromstring(svg)
            for server in ("davit", "containerd", "crio"):
                self.assertIn(f">{server}<", svg)
            self.assertIn("commit abc", svg)

    def test_the_axis_has_round_steps(self):
        for top, step in ((0.7, 0.1), (8, 1), (70, 10), (950, 200), (12345, 2000)):
            self.assertAlmostEqual(plots.step_for(top), step)


if __name__ == "__main__":
    unittest.main()
