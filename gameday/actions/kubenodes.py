"""Faults in a cluster's nodes: cordoned (nothing new is placed there) and drained (what is there moves away).

The extension's own drain stays cordoned when it fails half-way, looks every ten seconds, and dies of a pod
that nobody owns. So draining is done here: what stands in the way is found before anything is touched.

Source: Kubernetes, "Safely Drain a Node", "API-initiated Eviction".
"""

from __future__ import annotations

from typing import Any

from gameday.actions import kubeapi
from gameday.actions.http import ActionError
from gameday.actions.kubeapi import Api, connect, noted

__all__ = ["cordon", "drain", "is_cordoned", "uncordon"]
_MIRROR = "kubernetes.io/config.mirror"
_NAMESPACE_GOES = "because it is being terminated"  # Its pods go without us.
_TOO_MANY, _ABSENT = 429, 404


def cordon(kubeconfig: str, context: str, node: str, name: str = "gameday-cordon") -> None:
    """Let nothing new be placed on a node.

    Raises:
        ActionError: It is cordoned already, or no other node would be left.
    """
    api = connect(kubeconfig, context)
    _cordon(api, node, name)


def _cordon(api: Api, node: str, name: str) -> None:
    path = _node(node)
    others = [
        item for item in api.items("/api/v1/nodes")
        if item["metadata"]["name"] != node and not item["spec"].get("unschedulable") and _is_ready(item)
    ]  # fmt: skip
    if not others:
        raise ActionError(f"node {node}: no other node is ready to take what it runs")

    def prior(item: dict[str, Any]) -> dict[str, bool]:
        if item["spec"].get("unschedulable"):
            raise ActionError(f"node {node} is cordoned already, and not by this fault")
        return {"unschedulable": False}

    kubeapi.note(api, path, name, "cordon", prior, {"unschedulable": True})


def uncordon(kubeconfig: str, context: str, node: str, name: str = "gameday-cordon") -> None:
    """Let pods be placed on the node again; harmless when it was not cordoned by that fault.

    Raises:
        ActionError: It cannot be done.
    """
    api = connect(kubeconfig, context)
    kubeapi.put_back(api, _node(node), name, lambda *_: {"spec": {"unschedulable": None}})


def is_cordoned(kubeconfig: str, context: str, node: str, name: str = "gameday-cordon") -> bool:
    """Tell whether the node is cordoned by that fault."""
    item = connect(kubeconfig, context).find(_node(node))
    return bool(item) and noted(item, name) is not None and bool((item or {})["spec"].get("unschedulable"))


def drain(
    kubeconfig: str,
    context: str,
    node: str,
    lose_local: bool = False,
    timeout_s: float = 60.0,
    name: str = "gameday-drain",
) -> dict[str, Any]:
    """Cordon a node and evict what runs there, within the disruption budgets of what it is.

    Args:
        kubeconfig: The path of a kubeconfig file.
        context: One of its contexts.
        node: The node.
        lose_local: Also pods whose data is on the node and goes with them (emptyDir).
        timeout_s: How long it may take; give the step at least as much.
        name: The fault's name.

    Raises:
        ActionError: A pod stands in the way (then nothing was touched), or the time was up.
    """
    api = connect(kubeconfig, context)
    going = [pod for pod in _on(api, node) if _moves(pod)]
    bare = [pod for pod in going if not _controllers(pod) and _lives(pod)]
    if bare:
        raise ActionError(f"{kubeapi.names(bare)}: no controller would bring it back; nothing was touched")
    local = [pod for pod in going if any("emptyDir" in v for v in pod["spec"].get("volumes") or ())]
    if local and not lose_local:
        raise ActionError(f"{kubeapi.names(local)}: has data on the node (`lose_local: true` gives it up)")
    _cordon(api, node, name)
    left = {pod["metadata"]["uid"]: pod for pod in going}
    asked: set[str] = set()

    def missing() -> str:
        for uid, pod in left.items():
            if uid not in asked and _evict(api, pod):
                asked.add(uid)
        there = {pod["metadata"]["uid"] for pod in _on(api, node)}
        for uid in [uid for uid in left if uid not in there]:
            del left[uid]
        return f"{kubeapi.names(list(left.values()))} still on {node}" if left else ""

    kubeapi.wait(missing, timeout_s)
    return {"says": f"evicted {kubeapi.names(going) or 'nothing: the node was empty'}"}


def _evict(api: Api, pod: dict[str, Any]) -> bool:
    """Ask for one eviction; False when a disruption budget forbids it for now."""
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    path = f"/api/v1/namespaces/{namespace}/pods/{name}/eviction"
    try:  # Without a version: each server takes its own, and 1.20 has another one than 1.22.
        api.ask("POST", path, {"metadata": {"name": name, "namespace": namespace}})
    except kubeapi.Refusal as error:
        if error.status == _TOO_MANY:
            return False
        if error.status != _ABSENT and _NAMESPACE_GOES not in str(error):
            raise
    return True


def _on(api: Api, node: str) -> list[dict[str, Any]]:
    return api.items("/api/v1/pods", fieldSelector=f"spec.nodeName={kubeapi.check_name(node, 'node')}")


def _moves(pod: dict[str, Any]) -> bool:
    is_mirror = _MIRROR in (pod["metadata"].get("annotations") or {})
    return not is_mirror and "DaemonSet" not in _controllers(pod)


def _controllers(pod: dict[str, Any]) -> list[str]:
    return [o["kind"] for o in pod["metadata"].get("ownerReferences") or () if o.get("controller")]


def _lives(pod: dict[str, Any]) -> bool:
    is_going = "deletionTimestamp" in pod["metadata"]
    return not is_going and pod["status"].get("phase") not in ("Succeeded", "Failed")


def _is_ready(node: dict[str, Any]) -> bool:
    conditions = node["status"].get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _node(node: str) -> str:
    return f"/api/v1/nodes/{kubeapi.check_name(node, 'node')}"
