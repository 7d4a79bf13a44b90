"""Probes of what runs on Kubernetes. Each returns a number or a truth, for a plan's tolerance to judge."""

from __future__ import annotations

from gameday.actions import kubeapi, kubesteps
from gameday.actions.kubeapi import connect

__all__ = ["available_ratio", "events", "is_available", "is_rolled_out", "ready_nodes", "ready_pods",
           "restarts"]  # fmt: skip


def available_ratio(kubeconfig: str, context: str, namespace: str, deployment: str) -> float:
    """Return how many of a deployment's replicas are available: 1.0 is all; of none, none are missing.

    Raises:
        ActionError: It cannot be read.
    """
    api = connect(kubeconfig, context, namespace)
    item = api.ask("GET", api.group("apps/v1", "deployments", deployment))
    wanted = item["spec"]["replicas"]
    return float(item.get("status", {}).get("availableReplicas", 0) / wanted) if wanted else 1.0


def is_available(
    kubeconfig: str, context: str, namespace: str, deployment: str, at_least: int | None = None
) -> bool:
    """Tell whether all of a deployment's replicas are available, or at least so many.

    Raises:
        ActionError: It cannot be read.
    """
    api = connect(kubeconfig, context, namespace)
    item = api.ask("GET", api.group("apps/v1", "deployments", deployment))
    wanted = item["spec"]["replicas"] if at_least is None else at_least
    return bool(item.get("status", {}).get("availableReplicas", 0) >= wanted)


def is_rolled_out(kubeconfig: str, context: str, namespace: str, deployment: str) -> bool:
    """Tell whether a deployment's newest version is there in full.

    Raises:
        ActionError: It cannot be read.
    """
    api = connect(kubeconfig, context, namespace)
    return not kubesteps.rollout(api.ask("GET", api.group("apps/v1", "deployments", deployment)))


def ready_pods(kubeconfig: str, context: str, namespace: str, selector: str) -> int:
    """Return how many of the pods that a selector matches are ready.

    Raises:
        ActionError: They cannot be read.
    """
    kubeapi.parse_selector(selector)
    api = connect(kubeconfig, context, namespace)
    return sum(map(kubeapi.ready, api.items(api.core("pods"), labelSelector=selector)))


def restarts(kubeconfig: str, context: str, namespace: str, selector: str) -> int:
    """Return how often the containers of the pods that a selector matches have been started again.

    Raises:
        ActionError: They cannot be read.
    """
    kubeapi.parse_selector(selector)
    api = connect(kubeconfig, context, namespace)
    pods = api.items(api.core("pods"), labelSelector=selector)
    containers = [c for pod in pods for c in pod.get("status", {}).get("containerStatuses") or ()]
    return sum(int(container["restartCount"]) for container in containers)


def events(kubeconfig: str, context: str, namespace: str, reason: str, object_name: str = "") -> int:
    """Return how many events of a reason (`BackOff`, `FailedScheduling`) a namespace keeps.

    Raises:
        ActionError: They cannot be read.
    """
    api = connect(kubeconfig, context, namespace)
    chosen = f"reason={reason}" + (f",involvedObject.name={object_name}" if object_name else "")
    return sum(int(e.get("count") or 1) for e in api.items(api.core("events"), fieldSelector=chosen))


def ready_nodes(kubeconfig: str, context: str) -> int:
    """Return how many nodes are ready and may be given pods.

    Raises:
        ActionError: They cannot be read.
    """
    found = 0
    for node in connect(kubeconfig, context).items("/api/v1/nodes"):
        conditions = node["status"].get("conditions") or ()
        is_ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
        found += is_ready and not node["spec"].get("unschedulable")
    return found
