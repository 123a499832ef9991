# SPDX-License-Identifier: Apache-2.0
"""Tables in Markdown, and the plots, of results."""
import re

import figures as stats
import plots
import promise

ADD = ("bridge ADD", "portmap ADD")
DEL = ("portmap DEL", "bridge DEL")
# What of it a server has to call, whatever it does.
FLOORS = {"nothing to running": ADD + ("run",), "RunPodSandbox": ADD, "StopPodSandbox": DEL, "ExecSync": ("exec",)}
CALLS = stats.CALLS + ("ExecSync",)
ASKED = ("Version", "ListPodSandbox", "ListContainers", "ListContainerStats", "Status", "PodSandboxStatus",
         "ContainerStatus")


def number(value):
    """Three digits, and never less than the whole part."""
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def ratio_text(found):
    if found is None:
        return ""
    value, interval = found
    return f"{value:.2f}" + (f" ({interval[0]:.2f}–{interval[1]:.2f})" if interval else "")


def table(head, align, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(align) + "|"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows] + [""]


def call_rows(figures, names, floors):
    """A row for each server and name: {title: name of the series}."""
    rows = []
    for title, name in names.items():
        floor = figures.floor(floors.get(title, ()))
        for server in figures.servers:
            values = figures.of(server, name)
            if not values:
                continue
            p50 = stats.median(values)
            rows.append((title, server, number(p50), number(stats.quantile(values, 0.9)),
                         number(stats.p99(values)), number(min(values)),
                         ratio_text(figures.ratio(name)) if server == "davit" else "",
                         number(floor), number(p50 - floor) if floor is not None else ""))
    return rows


def calls(figures):
    names = {name: name for name in CALLS}
    for clients in figures.levels("clients"):
        names[f"nothing to running, {clients} clients"] = f"clients/{clients}/nothing to running"
    return table(("milliseconds", "server", "p50", "p90", "p99", "min", "p50 to the better peer's (95 %)", "floor",
                  "over the floor"), ("---", "---") + ("---:",) * 7, call_rows(figures, names, FLOORS))


def floors(figures):
    series = figures.series.get("floor", {})
    rows = [(title, number(stats.median(values)), number(stats.p99(values)), number(min(values)),
             number(stats.median(series[f"cpu of {title}"])) if f"cpu of {title}" in series else "")
            for title, values in series.items() if not title.startswith(("cpu of ", "pods/"))]
    return table(("floor, milliseconds", "p50", "p99", "min", "processor time, p50"), ("---",) + ("---:",) * 4,
                 rows)


def value_rows(figures, servers, named, statistic=stats.median):
    """named: (title, name, whether more is better)"""
    rows = []
    for title, name, more in named:
        values = [figures.of(server, name) for server in servers]
        if any(values):
            rows.append((title, *(number(statistic(some)) if some else "" for some in values),
                         ratio_text(figures.ratio(name, statistic, more))))
    return rows


def value_table(figures, title, named, statistic=stats.median, with_floor=False):
    servers = figures.servers + ["floor"] * with_floor
    return table((title, *servers, "davit to the better peer (95 %)"),
                 ("---",) + ("---:",) * (len(servers) + 1), value_rows(figures, servers, named, statistic))


def throughput(figures):
    named = [("pods/s, one client", "pods per second", True)]
    named += [(f"pods/s, {count} clients", f"clients/{count}/pods per second", True)
              for count in figures.levels("clients")]
    named += [("processor time of a pod, ms", "cpu of a pod", False)]
    named += [(f"processor time of a pod, {count} clients, ms", f"clients/{count}/cpu", False)
              for count in figures.levels("clients")]
    named += [("processor time of an exec, ms", "cpu of an exec", False),
              ("output of an exec, MB/s", "stream", True),
              ("processor time of 1 GB of it, s", "cpu of a streamed GB", False)]
    return value_table(figures, "from nothing to running and back; execs", named, with_floor=True)


def idle(figures):
    return value_table(figures, "idle", [
        ("RSS, MB", "idle/rss", False), ("of it anonymous, MB", "idle/anonymous", False),
        ("PSS, MB", "idle/pss", False), ("processor time, % of one", "idle/cpu", False)])


def many_pods(figures):
    named = []
    for count in figures.levels():
        named.append((f"{count} pods up after, s", f"pods/{count}/seconds", False))
        named.append((f"{count} pods up, processor time, s", f"pods/{count}/cpu", False))
        named.append((f"{count} pods: PSS of daemon and monitors, MB", f"pods/{count}/memory", False))
        for kind in ("daemon", "monitor", "pause", "other"):
            named.append((f"{count} pods: PSS of {kind}, MB", f"pods/{count}/pss of {kind}", False))
    for count in figures.levels("poll"):
        named.append((f"{count} pods, polled: processor time, % of one", f"poll/{count}/cpu", False))
        named.append((f"{count} pods, polled: of it the daemon, %", f"poll/{count}/daemon cpu", False))
        named.append((f"{count} pods, polled: probes done, % of those due", f"poll/{count}/probes", True))
    for count in figures.levels("restart"):
        named.append((f"restart with {count} containers to the first list, s", f"restart/{count}", False))
    return value_table(figures, "many pods", named)


# Of Davit with a runtime and a network that do nothing; divided by the pods where a whole list is asked for.
GROWING = (("one more pod, ms", "seconds", False), ("processor time of one more pod, ms", "cpu", False),
           ("of it the daemon, ms", "daemon cpu", False), ("RunPodSandbox, ms", "RunPodSandbox", False),
           ("CreateContainer, ms", "CreateContainer", False), ("StartContainer, ms", "StartContainer", False),
           ("ContainerStatus, ms", "ContainerStatus", False),
           ("ListContainers, µs for each pod", "ListContainers", True),
           ("ListContainerStats, µs for each pod", "ListContainerStats", True),
           ("PSS of the daemon, kB for each pod", "daemon", False),
           ("PSS of monitors, kB for each pod", "monitor", False))


GROWING_LINES = {"one more pod": "seconds", "processor time": "cpu", "RunPodSandbox": "RunPodSandbox",
                 "CreateContainer": "CreateContainer", "StartContainer": "StartContainer"}


def grown(figures, name, each):
    """[(pods, value)]"""
    return [(count, stats.median(figures.of("davit", f"growth/{count}/{name}")) * (1000 / count if each else 1))
            for count in figures.levels("growth") if figures.of("davit", f"growth/{count}/{name}")]


def growth(figures):
    levels = figures.levels("growth")
    rows = [(title, *(number(value) for _, value in grown(figures, name, each)))
            for title, name, each in GROWING if levels]
    rows += [(f"restart with {count} containers to the first list, s", *[""] * (len(levels) - 1), number(value))
             for count, value in grown(figures, "restart", False)]
    return table(("davit, p50, at so many pods", *(str(count) for count in levels)),
                 ("---",) + ("---:",) * len(levels), rows)


def asked(figures):
    levels = [count for count in figures.levels() if figures.of("davit", f"pods/{count}/ListContainers")]
    named = [(f"{call}, {count} pods", f"pods/{count}/{call}", False) for call in ASKED for count in levels]
    return value_table(figures, "p50, milliseconds", named, with_floor=True) \
        + value_table(figures, "p99, milliseconds", named, stats.p99, with_floor=True)


def promises(figures, pull_results):
    words = {True: "yes", False: "**no**", None: ""}
    return table(("the promise", "promised", "measured", "kept"), ("---", "---", "---", "---"),
                 [(title, limit, measured, words[kept])
                  for title, limit, measured, kept in promise.rows(figures, pull_results)])


def context(results):
    machine = results["machine"]
    failed = [f"{session['server']}, {session['kind']}: {session['error']}" for session in results["sessions"]
              if "error" in session]
    lines = [f"{machine['processor']}, {machine['processors']} CPUs, {machine['memory_gb']} GB",
             f"Linux {machine['kernel']}, cgroup {machine['cgroup']}, {machine['system']}, {machine['filesystem']}",
             "; ".join([f"Davit at commit {results['commit']}", machine["runtime"]]
                       + [f"{name}: {version}" for name, version in sorted(results["versions"].items())]),
             f"{results['date']}, load average before: {results['load']}; highest at the start of a session: "
             f"{max((session['load'] for session in results['sessions']), default=0):.2f}",
             f"`{results['command']}`"]
    return [f"- {line}" for line in lines + [f"failed: {line}" for line in failed]] + [""]


def markdown(results, pull_results, pictures=None):
    figures = stats.Figures(results)
    lines = context(results) + promises(figures, pull_results)
    for name, title in (pictures or {}).items():
        lines += [f"![{title}](pictures/{name}.svg)", ""]
    for part in (calls, floors, throughput, idle, many_pods, asked, growth):
        rows = part(figures)
        if len(rows) > 3:
            lines += rows
    return "\n".join(lines).rstrip() + "\n"


def headline(results):
    """For the README: the few figures that a reader wants first, and where they are from."""
    figures = stats.Figures(results)
    most = max((pods for pods in figures.levels() if pods <= 200), default=0)
    polled = max(figures.levels("poll"), default=0)
    named = (("pod and container from nothing to running, p50, ms", "nothing to running", False),
             ("pods/s from nothing to running and back, 8 clients", "clients/8/pods per second", True),
             ("ExecSync, p50, ms", "ExecSync", False),
             (f"memory of daemon and monitors with {most} pods, MB", f"pods/{most}/memory", False),
             (f"processor time under a kubelet's polling with {polled} pods, % of one", f"poll/{polled}/cpu", False),
             ("idle memory of the daemon (RSS), MB", "idle/rss", False))
    machine = results["machine"]
    lines = value_table(figures, "side by side", named)
    lines.append(f"{machine['processor']}, {machine['processors']} CPUs, Linux {machine['kernel']}, "
                 f"{machine['runtime']}, commit {results['commit']}, {results['date']}; all of it is in "
                 "[docs/performance.md](docs/performance.md).")
    return "\n".join(lines) + "\n"


def line_series(figures, levels, name, statistic=stats.median):
    """name: with {} for the level."""
    series = {}
    for server in figures.servers:
        points = [(level, statistic(figures.of(server, name.format(level)))) for level in levels
                  if figures.of(server, name.format(level))]
        if points:
            series[server] = points
    return series


def broken(name):
    """Over two lines: Create, Container."""
    return re.sub(r"(?<=[a-z])(?=(Container|Sandbox)$)| (?=running)", "\n", name)


def pictures(results):
    """{name: (title, SVG)}, of what was measured."""
    figures = stats.Figures(results)
    note = f"commit {results['commit']}, {results['date']}, load average {results['load']}"
    made = {}
    shown = [name for name in CALLS if figures.of("davit", name)]
    if shown:
        series = {server: [stats.median(figures.of(server, name)) if figures.of(server, name) else None
                           for name in shown] for server in figures.servers}
        floor = [figures.floor(FLOORS.get(name, ())) for name in shown]
        if any(floor):
            series["floor"] = floor
        made["calls"] = ("Calls, one after the other, p50", "milliseconds; less is better",
                         [broken(name) for name in shown], series)
    pictures_of_lines = (
        ("throughput", "Pods from nothing to running and back", "pods/s; more is better", "clients at once",
         {server: [(1, stats.median(figures.of(server, "pods per second")))] + points
          for server, points in line_series(figures, figures.levels("clients"),
                                            "clients/{}/pods per second").items()
          if figures.of(server, "pods per second")}),
        ("memory", "Memory of daemon and monitors", "MB (PSS); less is better", "pods",
         line_series(figures, figures.levels(), "pods/{}/memory")),
        ("list", "ListContainers, p99", "milliseconds; less is better", "pods",
         line_series(figures, figures.levels(), "pods/{}/ListContainers", stats.p99)),
        ("create", "CreateContainer while pods are added by four clients, p50", "milliseconds; less is better",
         "pods", line_series(figures, figures.levels(), "pods/{}/CreateContainer")),
        ("start", "Time until so many pods run, four clients", "seconds; less is better", "pods",
         line_series(figures, figures.levels(), "pods/{}/seconds")),
        ("growth", "One more pod of Davit, runtime and network without cost", "milliseconds", "pods",
         {title: grown(figures, name, False) for title, name in GROWING_LINES.items() if figures.levels("growth")}),
        ("growth-lists", "Lists and memory of Davit for each pod", "µs, kB; flat is good", "pods",
         {title.split(",")[0]: grown(figures, name, each) for title, name, each in GROWING[7:]
          if figures.levels("growth")}),
        ("polling", "Processor time under a kubelet's polling", "percent of a processor; less is better", "pods",
         line_series(figures, figures.levels("poll"), "poll/{}/cpu")))
    drawn = {name: (title, plots.bars(title, unit, note, groups, series))
             for name, (title, unit, groups, series) in made.items()}
    for name, title, unit, x_label, series in pictures_of_lines:
        if series:
            drawn[name] = (title, plots.lines(title, unit, note, x_label, series))
    return drawn
