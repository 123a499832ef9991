# SPDX-License-Identifier: Apache-2.0
"""The least that a server can take on this machine: what it has to call, called directly."""
import json
import os
import resource
import subprocess
import threading
import time

import servers


def children_cpu():
    """Of all that was ever waited for, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def timed(times, name, argv, **options):
    """Milliseconds of a command as `name`, and of processor time as "cpu of `name`"."""
    begin, cpu = time.monotonic(), children_cpu()
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, **options)
    times.setdefault(name, []).append((time.monotonic() - begin) * 1000)
    times.setdefault(f"cpu of {name}", []).append((children_cpu() - cpu) * 1000)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.decode(errors='replace')}"
                           f"{done.stdout.decode(errors='replace')}")
    return done.stdout


def call_plugin(times, verb, network, plugin, environment, result):
    config = {"cniVersion": network["cniVersion"], "name": network["name"], **plugin}
    if result is not None:
        config["prevResult"] = result
    path = f"{servers.CNI_PLUGINS}/{plugin['type']}"
    output = timed(times, f"{plugin['type']} {verb}", [path], input=json.dumps(config).encode(),
                   env=dict(environment, CNI_COMMAND=verb))
    return json.loads(output) if verb == "ADD" else result


def add_and_delete(times, network, name, between=lambda: None):
    subprocess.run(["ip", "netns", "add", name], check=True)
    environment = {"PATH": os.environ["PATH"], "CNI_CONTAINERID": name, "CNI_NETNS": f"/run/netns/{name}",
                   "CNI_IFNAME": "eth0", "CNI_PATH": servers.CNI_PLUGINS}
    result = None
    for plugin in network["plugins"]:
        result = call_plugin(times, "ADD", network, plugin, environment, result)
    between()
    for plugin in reversed(network["plugins"]):
        call_plugin(times, "DEL", network, plugin, environment, result)
    subprocess.run(["ip", "netns", "delete", name], check=True)


def make_bundle(plan, directory, args, cgroup="floor"):
    """Of the image that the pods have. The network is that of the session, as a pod's is there before."""
    os.makedirs(f"{directory}/rootfs")
    layout = plan["layouts"] + "/busybox"

    def blob(digest):
        return f"{layout}/blobs/{digest.replace(':', '/')}"

    with open(f"{layout}/index.json", encoding="utf-8") as file:
        manifest = json.load(file)["manifests"][0]["digest"]
    with open(blob(manifest), encoding="utf-8") as file:
        layers = json.load(file)["layers"]
    for layer in layers:
        subprocess.run(["tar", "-C", f"{directory}/rootfs", "-xf", blob(layer["digest"])], check=True)
    subprocess.run([plan["runtime_path"], "spec"], cwd=directory, check=True)
    with open(f"{directory}/config.json", encoding="utf-8") as file:
        spec = json.load(file)
    spec["process"].update(terminal=False, args=args)
    spec["linux"]["cgroupsPath"] = f"{plan['cgroup_parent']}/{cgroup}"
    spec["linux"]["namespaces"] = [space for space in spec["linux"]["namespaces"]
                                   if space["type"] not in ("network", "cgroup")]
    with open(f"{directory}/config.json", "w", encoding="utf-8") as file:
        json.dump(spec, file)


def side_by_side(plan, network, count):
    """What a pod needs, called by so many at once: what no server can be faster than."""
    rounds = max(2, plan["client_pods"] // count)
    failures = []

    def call(client):
        name = f"floor-{count}-{client}"
        bundle = f"{plan['state']}/{name}"
        try:
            make_bundle(plan, bundle, ["/bin/true"], name)
            ready.wait()
            for i in range(rounds):
                run = [plan["runtime_path"], "run", "--bundle", bundle, f"{name}-{i}"]
                add_and_delete({}, network, f"{name}-{i}",
                               lambda run=run: timed({}, "run", run, stdin=subprocess.DEVNULL))
        except Exception as error:  # of a thread: told by the one who waits for it
            failures.append(error)
            ready.abort()

    ready = threading.Barrier(count + 1)
    threads = [threading.Thread(target=call, args=(client,)) for client in range(count)]
    for thread in threads:
        thread.start()
    ready.wait()
    begin, cpu = time.monotonic(), children_cpu()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return {"pods": rounds * count, "seconds": time.monotonic() - begin, "cpu_seconds": children_cpu() - cpu}


def measure(plan):
    """{name: [milliseconds, …]}, and by the number of clients what they did and took."""
    times = {}
    with open(f"{plan['net_d']}/10-bench.conflist", encoding="utf-8") as file:
        network = json.load(file)
    for i in range(plan["rounds"]):
        add_and_delete(times, network, f"floor-{i}")
    runtime = plan["runtime_path"]
    options = {"stdin": subprocess.DEVNULL}
    true, sleep = f"{plan['state']}/true", f"{plan['state']}/sleep"
    make_bundle(plan, true, ["/bin/true"])
    for i in range(plan["rounds"]):
        timed(times, "run", [runtime, "run", "--bundle", true, f"floor-{i}"], **options)
    make_bundle(plan, sleep, ["/bin/sleep", "100000"])
    # What it leaves running must not hold our pipe.
    subprocess.run([runtime, "run", "--detach", "--bundle", sleep, "floor"], check=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(plan["execs"]):
        timed(times, "exec", [runtime, "exec", "floor", "/bin/true"], **options)
    subprocess.run([runtime, "delete", "--force", "floor"], check=True)
    clients = {str(count): side_by_side(plan, network, count) for count in plan["clients"]}
    return {"times": times, "clients": clients}
