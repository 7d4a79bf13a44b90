"""Plays the kubelets of a control plane that has none: nodes are ready, pods run without a container.

    python -m tests.kubernetes.kubelet KUBECONFIG NODES

A pod that is bound to one of the nodes becomes ready; one that is to end by itself (`restartPolicy: Never`)
succeeds, or fails when its annotation `stand-in: fails` says so; one that is deleted goes away, after its
grace period where its annotation `stand-in: slow` asks for it.
"""

from __future__ import annotations

import datetime
import sys
import threading
import time

from kubernetes import client, config, watch

BEAT_S = 3.0


def now(*, micro: bool = False) -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S" + (".%fZ" if micro else "Z"))


def condition(kind: str) -> dict[str, str]:
    return {"type": kind, "status": "True", "reason": "StandIn", "message": "", "lastTransitionTime": now()}


class StandIn:
    def __init__(self, count: int) -> None:
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
    stand_in = StandIn(int(sys.argv[2]))
    stand_in.register()
    threading.Thread(target=stand_in.beats, daemon=True).start()
    stand_in.follow()


if __name__ == "__main__":
    main()
