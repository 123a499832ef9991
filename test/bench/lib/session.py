# SPDX-License-Identifier: Apache-2.0
"""One server alone: `session.py PLAN RESULT`, as process 1 of mount, network, IPC and PID namespaces of its
own. When it ends, the kernel ends and unmounts all that is left."""
import json
import os
import socket
import subprocess
import sys
import traceback

sys.dont_write_bytecode = True

import floors
import generator
import scenarios
import servers

NETWORK = {
    "cniVersion": "1.0.0",
    "name": "bench",
    "plugins": [
        {"type": "bridge", "bridge": "bench0", "isGateway": True, "ipMasq": True, "hairpinMode": True,
         "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.99.0.0/16"}]],
                  "routes": [{"dst": "0.0.0.0/0"}]}},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}

NO_NETWORK = {"cniVersion": "1.0.0", "name": "bench", "plugins": [{"type": "nothing"}]}

REGISTRY = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {data}}}}}
http: {{addr: "{address}"}}
"""


def prepare_namespaces(plan):
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    # Shims and OCI runtimes keep sockets and state here whatever the configuration says.
    for path in ("/run", "/var/lib/cni"):
        if os.path.isdir(path):
            subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", path], check=True)
    # As /run is on a node: with the mounts of all pods on the file system of the layers, the kernel looks at
    # each of them for each overlay.
    os.makedirs(f"{plan['state']}/run")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", f"{plan['state']}/run"], check=True)
    subprocess.run(["mount", "--make-rshared", "/"], check=True)
    os.makedirs(plan["net_d"])
    os.makedirs(plan["pod_logs"])
    NETWORK["plugins"][0]["ipam"]["dataDir"] = f"{plan['state']}/leases"
    with open(f"{plan['net_d']}/10-bench.conflist", "w", encoding="utf-8") as file:
        json.dump(NO_NETWORK if plan["kind"] == "growth" else NETWORK, file)


def accepts(address):
    host, port = address.split(":")
    with socket.socket() as client:
        return client.connect_ex((host, int(port))) == 0


def start_registry(plan):
    config = f"{plan['state']}/registry.yml"
    with open(config, "w", encoding="utf-8") as file:
        file.write(REGISTRY.format(data=plan["registry_data"], address=servers.REGISTRY))
    with open(plan["log"], "a", encoding="utf-8") as log:
        process = subprocess.Popen(["docker-registry", "serve", config], stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=subprocess.STDOUT)
    servers.wait_until("docker-registry", lambda: accepts(servers.REGISTRY))
    return process.pid


def work(plan):
    prepare_namespaces(plan)
    if plan["kind"] == "floor":
        return {"figures": floors.measure(plan)}
    own = {os.getpid(), start_registry(plan)}
    server = servers.make(plan)
    node = scenarios.Node(plan, server, generator.Generator(plan, server.socket), own)
    figures = scenarios.KINDS[plan["kind"]](node)
    node.generator.kill()
    server.stop()
    return {"figures": figures, "version": node.version}


def worker(plan_path, result_path):
    with open(plan_path, encoding="utf-8") as file:
        plan = json.load(file)
    try:
        result = work(plan)
    except Exception as error:  # whatever it was, it is this session's result
        traceback.print_exc()
        result = {"error": f"{type(error).__name__}: {error}"}
    with open(result_path, "w", encoding="utf-8") as file:
        json.dump(result, file)


def main():
    child = os.fork()
    if child == 0:
        worker(*sys.argv[1:3])
        sys.stderr.flush()
        os._exit(0)
    # Process 1 waits for orphans; their processor time counts as its children's: see processes.py.
    ended = 0
    while ended != child:
        ended, _ = os.wait()


if __name__ == "__main__":
    main()
