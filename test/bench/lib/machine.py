# SPDX-License-Identifier: Apache-2.0
"""Which machine and which commit figures are of."""
import os
import platform
import re
import subprocess


def output(*argv):
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


def cgroup():
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        return "v2"
    return "v1 and v2 (hybrid)" if os.path.exists("/sys/fs/cgroup/unified/cgroup.procs") else "v1"


def first(pattern, text):
    found = re.search(pattern, text, re.MULTILINE)
    return found.group(1) if found else "unknown"


def describe(runtime, directory):
    return {
        "processor": first(r"^model name\s*: (.*)$", read("/proc/cpuinfo")),
        "processors": os.cpu_count(),
        "memory_gb": round(int(first(r"^MemTotal:\s*(\d+)", read("/proc/meminfo"))) / 2**20),
        "kernel": platform.release(),
        "cgroup": cgroup(),
        "system": first(r'^PRETTY_NAME="(.*)"$', read("/etc/os-release")),
        "filesystem": output("findmnt", "-no", "FSTYPE", "-T", directory) or "unknown file system",
        "runtime": (output(runtime, "--version").splitlines() or [runtime])[0],
    }


def commit(root):
    """Of the sources; what is built of changed files says so."""
    git = ("git", "-c", f"safe.directory={root}", "-C", root)
    changed = output(*git, "status", "--porcelain", "--untracked-files=no")
    return (output(*git, "rev-parse", "--short", "HEAD") or "unknown") + (" (changed)" if changed else "")


def load():
    return os.getloadavg()[0]
