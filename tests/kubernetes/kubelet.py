"""Plays the kubelets of a control plane that has none: nodes are ready, pods run without a container.

    python -m tests.kubernetes.kubelet KUBECONFIG NODES

A pod that is bound to one of the nodes becomes ready; one that is to end by itself (`restartPolicy: Never`)
succeeds, or fails when its annotation `stand-in: fails` says so; one that is deleted goes away, after its
grace period where its annotation `stand-in: slow` asks for it. Commands (`exec`) are real ones, spoken over the
kubelet's real protocol: they run on this machine, each pod in an empty folder of its own.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import http.server
import json
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from kubernetes import client, config, watch

BEAT_S = 3.0


def now(*, micro: bool = False) -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S" + (".%fZ" if micro else "Z"))


def condition(kind: str) -> dict[str, str]:
    return {"type": kind, "status": "True", "reason": "StandIn", "message": "", "lastTransitionTime": now()}


class Commands(http.server.BaseHTTPRequestHandler):
    """GET /exec/NAMESPACE/POD/CONTAINER?command=…, upgraded to a websocket of `v4.channel.k8s.io` (RFC 6455)."""

    protocol_version = "HTTP/1.1"
    folder: Path

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        _, what, namespace, pod, _container = parts.path.split("/")
        assert what == "exec", self.path
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header(
            "Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        )
        self.send_header("Sec-WebSocket-Protocol", "v4.channel.k8s.io")
        self.end_headers()
        own = self.folder / f"{namespace}_{pod}"
        own.mkdir(exist_ok=True)
        words = parse_qs(parts.query)["command"]
        try:
            done = subprocess.run(words, cwd=own, capture_output=True, timeout=60, check=False)
        except FileNotFoundError:
            self.send(3, json.dumps({"status": "Failure", "message": f"{words[0]}: not found"}).encode())
        else:
            self.send(1, done.stdout)
            self.send(2, done.stderr)
            cause = {"reason": "ExitCode", "message": str(done.returncode)}
            failure = {"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": [cause]}}
            status = failure if done.returncode else {"status": "Success"}
            self.send(3, json.dumps(status).encode())
        self.wfile.write(b"\x88\x00")
        self.close_connection = True

    def send(self, channel: int, data: bytes) -> None:
        data = bytes([channel]) + data[:60_000]
        size = bytes([len(data)]) if len(data) < 126 else b"\x7e" + len(data).to_bytes(2, "big")
        self.wfile.write(b"\x82" + size + data)

    def log_message(self, *_) -> None:
        pass


def serve_commands(folder: Path) -> int:
    """Serve commands with the control plane's own certificate; return the port."""
    Commands.folder = Path(tempfile.mkdtemp(dir=folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Commands)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


class StandIn:
    def __init__(self, count: int, port: int) -> None:
        self.port = port
        self.core, self.leases = client.CoreV1Api(), client.CoordinationV1Api()
        self.nodes = [f"node-{number + 1}" for number in range(count)]
        self.made = 0

    def register(self) -> None:
        for name in self.nodes:
            try:
                self.core.create_node(
                    {"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}}
                )
            except client.ApiException as error:
                if error.status != 409:
                    raise
            self.beat(name)

    def beat(self, name: str) -> None:
        room = {"cpu": "8", "memory": "16Gi", "pods": "110"}
        ready = condition("Ready") | {"lastHeartbeatTime": now()}
        status = {"capacity": room, "allocatable": room, "conditions": [ready]}
        status["addresses"] = [{"type": "InternalIP", "address": "127.0.0.1"}]
        status["daemonEndpoints"] = {"kubeletEndpoint": {"Port": self.port}}
        self.core.patch_node_status(name, {"status": status})
        lease = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": now(micro=True)}
        body = {"metadata": {"name": name}, "spec": lease}
        try:
            self.leases.patch_namespaced_lease(name, "kube-node-lease", body)
        except client.ApiException:
            self.leases.create_namespaced_lease("kube-node-lease", body)

    def beats(self) -> None:
        while True:
            for name in self.nodes:
                try:
                    self.beat(name)
                except Exception as error:
                    print(f"{name}: {error}", file=sys.stderr, flush=True)
            time.sleep(BEAT_S)

    def follow(self) -> None:
        while True:
            try:
                for seen in watch.Watch().stream(self.core.list_pod_for_all_namespaces, timeout_seconds=300):
                    if seen["type"] != "DELETED" and seen["object"].spec.node_name in self.nodes:
                        self.attend(seen["object"])
            except Exception as error:
                print(error, file=sys.stderr, flush=True)
                time.sleep(0.2)

    def attend(self, pod) -> None:
        said = (pod.metadata.annotations or {}).get("stand-in")
        try:
            if pod.metadata.deletion_timestamp:
                delay = pod.metadata.deletion_grace_period_seconds or 0 if said == "slow" else 0
                threading.Timer(delay, self.remove, (pod,)).start()
            elif pod.status.phase == "Pending":
                self.run(pod, said)
        except client.ApiException as error:
            if error.status not in (404, 409):
                print(error.status, error.body, file=sys.stderr, flush=True)

    def remove(self, pod) -> None:
        try:
            self.core.delete_namespaced_pod(
                pod.metadata.name, pod.metadata.namespace,
                body={"gracePeriodSeconds": 0, "preconditions": {"uid": pod.metadata.uid}},
            )  # fmt: skip
        except client.ApiException as error:
            if error.status not in (404, 409):
                print(error.status, error.body, file=sys.stderr, flush=True)

    def run(self, pod, said: str | None) -> None:
        self.made += 1
        ends = pod.spec.restart_policy == "Never"
        phase = ("Failed" if said == "fails" else "Succeeded") if ends else "Running"
        kinds = ("PodScheduled", "Initialized") + (() if ends else ("ContainersReady", "Ready"))
        state = (
            {"terminated": {"exitCode": int(phase == "Failed"), "reason": "Completed"}}
            if ends
            else {"running": {"startedAt": now()}}
        )
        containers = [
            {
                "name": c.name, "ready": not ends, "started": not ends, "restartCount": 0,
                "image": c.image, "imageID": "", "state": state,
            }
            for c in pod.spec.containers
        ]  # fmt: skip
        status = {
            "phase": phase,
            "conditions": [condition(kind) for kind in kinds],
            "containerStatuses": containers,
            "podIP": f"10.200.{self.made // 250}.{self.made % 250 + 1}",
            "hostIP": "127.0.0.1",
            "startTime": now(),
        }
        self.core.patch_namespaced_pod_status(pod.metadata.name, pod.metadata.namespace, {"status": status})


def main() -> None:
    config.load_kube_config(sys.argv[1], context="drill")
    stand_in = StandIn(int(sys.argv[2]), serve_commands(Path(sys.argv[1]).parent))
    stand_in.register()
    threading.Thread(target=stand_in.beats, daemon=True).start()
    stand_in.follow()


if __name__ == "__main__":
    main()
