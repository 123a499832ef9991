# SPDX-License-Identifier: Apache-2.0
"""What the processes of a session cost. A session has a PID namespace of its own, so all of them but its
own are the server's: the daemon, its monitors or shims, pause processes, OCI runtimes, containers."""
import os
import socket
import struct

TICKS = os.sysconf("SC_CLK_TCK")
MONITORS = ("davit-conmon", "conmon", "containerd-shim")
MEMORY = ("Rss:", "Pss:", "Anonymous:")


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def times_of(pid):
    """User and system time of a process, and of its children that were waited for; in seconds."""
    fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    utime, stime, cutime, cstime = (int(field) / TICKS for field in fields[11:15])
    return utime + stime, cutime + cstime


def daemon_cpu(pid):
    return times_of(pid)[0]


def precise_cpu(pid):
    """Of all threads, in nanoseconds: an idle daemon spends less than a clock tick."""
    return sum(int(read(f"/proc/{pid}/task/{task}/schedstat").split()[0])
               for task in os.listdir(f"/proc/{pid}/task")) / 1e9


def cpu_seconds(own):
    """Of the server and all that it ever spawned. `own` are processes of the session. Process 1 waits for
    orphans: what they used is the time of its children, until then each has its own."""
    total = times_of(1)[1]
    for pid in pids():
        if pid == 1 or pid in own:
            continue
        try:
            total += sum(times_of(pid))
        except (FileNotFoundError, ProcessLookupError):
            pass  # it ended: its parent has its time
    return total


def memory_of(pid):
    """RSS, PSS and anonymous memory in kB."""
    values = dict.fromkeys(MEMORY, 0)
    for line in read(f"/proc/{pid}/smaps_rollup").splitlines():
        words = line.split()
        if words[0] in values:
            values[words[0]] += int(words[1])
    return {name.rstrip(":").lower(): value for name, value in values.items()}


def kind_of(pid, daemon):
    """A process in a PID namespace below this one is in a container."""
    if pid == daemon:
        return "daemon"
    name = read(f"/proc/{pid}/comm").strip()
    if name == "pause":
        return "pause"
    namespaces = next(line for line in read(f"/proc/{pid}/status").splitlines() if line.startswith("NSpid:"))
    if len(namespaces.split()) > 2:
        return "container"
    # A name is cut after 15 characters.
    return "monitor" if any(name == monitor[:15] for monitor in MONITORS) else "other"


def memory_by_kind(daemon, own):
    """{kind: {"count": …, "rss": …, "pss": …, "anonymous": …}} in kB, without the containers' own."""
    kinds = {}
    for pid in pids():
        if pid == 1 or pid in own:
            continue
        try:
            kind = kind_of(pid, daemon)
            if kind == "container":
                continue
            memory = memory_of(pid)
        except (FileNotFoundError, ProcessLookupError, StopIteration):
            continue
        total = kinds.setdefault(kind, {"count": 0, "rss": 0, "pss": 0, "anonymous": 0})
        total["count"] += 1
        for name, value in memory.items():
            total[name] += value
    return kinds


def listener_of(path):
    """The process that listens on a Unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(path)
        credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return struct.unpack("3i", credentials)[0]
