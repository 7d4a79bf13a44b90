"""Faults in a cluster's network: traffic denied by a NetworkPolicy, and Chaos Mesh's own kinds.

A policy says what is denied; whether it is, is for the cluster's network plug-in (a bridge alone does
nothing). Chaos Mesh ends its faults by itself: `duration` is set from the plan's ttl, so they go although
everybody else is dead. Both are objects that carry our label, and only those are removed.

Source: Kubernetes, "Network Policies"; Chaos Mesh, "Run Chaos Experiments".
"""

from __future__ import annotations

from typing import Any

from chaosk8s.crd.actions import create_custom_object
from chaosk8s.networking.actions import create_network_policy

from gameday.actions import faults, kubeapi
from gameday.actions.http import ActionError
from gameday.actions.kubeapi import LABEL, Api, connect

__all__ = ["allow", "deny_egress", "deny_ingress", "has_mesh", "is_denied", "mesh", "unmesh"]
GROUP, VERSION = "chaos-mesh.org", "v1alpha1"
KINDS = ("DNSChaos", "HTTPChaos", "IOChaos", "KernelChaos", "NetworkChaos", "PodChaos", "StressChaos",
         "TimeChaos")  # fmt: skip
POLICIES = "networkpolicies"
GONE_S = 60.0
_CONFLICT = 409


def deny_ingress(
    kubeconfig: str, context: str, namespace: str, selector: str, name: str = "gameday-deny-ingress"
) -> None:
    """Let nothing in to the pods that a selector matches.

    Raises:
        ActionError: The selector is empty, no pod matches, or the fault is in place already.
    """
    _deny(connect(kubeconfig, context, namespace), selector, name, "Ingress")


def deny_egress(
    kubeconfig: str, context: str, namespace: str, selector: str, name: str = "gameday-deny-egress"
) -> None:
    """Let nothing out of the pods that a selector matches, DNS included.

    Raises:
        ActionError: As `deny_ingress`.
    """
    _deny(connect(kubeconfig, context, namespace), selector, name, "Egress")


def _deny(api: Api, selector: str, name: str, direction: str) -> None:
    labels = kubeapi.parse_selector(selector)
    if not api.items(api.core("pods"), labelSelector=selector):
        raise ActionError(f"{selector} matches no pod in {api.namespace}")
    spec = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": kubeapi.check_name(name), "labels": {LABEL: name}},
        "spec": {"podSelector": {"matchLabels": labels}, "policyTypes": [direction]},
    }
    try:
        api.through(create_network_policy, spec=spec, ns=api.namespace)
    except kubeapi.Refusal as error:
        if error.status != _CONFLICT:
            raise
        raise ActionError(f"network policy {name} is there already: undo it, or give another name") from None


def allow(kubeconfig: str, context: str, namespace: str, name: str) -> None:
    """Remove the policy of a fault; harmless when there is none.

    Raises:
        ActionError: It cannot be removed, or somebody else made it.
    """
    api = connect(kubeconfig, context, namespace)
    _remove(api, api.group("networking.k8s.io/v1", POLICIES, name), name)


def is_denied(kubeconfig: str, context: str, namespace: str, name: str) -> bool:
    """Tell whether the policy of that fault is there."""
    api = connect(kubeconfig, context, namespace)
    return _is_ours(api.find(api.group("networking.k8s.io/v1", POLICIES, name)), name)


def mesh(
    kubeconfig: str,
    context: str,
    namespace: str,
    kind: str,
    spec: dict[str, Any],
    name: str = "gameday-mesh",
    ttl_s: float = faults.TTL_S,
) -> None:
    """Put in a fault of Chaos Mesh, which ends by itself after `ttl_s` seconds.

    Args:
        kubeconfig: The path of a kubeconfig file.
        context: One of its contexts.
        namespace: Where the object is made; it selects there and nowhere else.
        kind: NetworkChaos, PodChaos, StressChaos, and so on.
        spec: As Chaos Mesh has it, without `duration`; `selector` and `mode` must be there.
        name: The fault's name, and the object's.
        ttl_s: Its `duration`.

    Raises:
        ActionError: The selector is empty or leaves the namespace, or the fault is in place already.
    """
    api = connect(kubeconfig, context, namespace)
    body = {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": kind,
        "metadata": {"name": kubeapi.check_name(name), "namespace": namespace, "labels": {LABEL: name}},
        "spec": _bounded(namespace, spec) | {"duration": f"{int(ttl_s)}s"},
    }
    if api.find(_mesh(api, kind, name)):
        raise ActionError(f"{kind} {name} is there already: undo it, or give this one another name")
    api.through(
        create_custom_object, group=GROUP, version=VERSION, plural=_plural(kind), ns=namespace, resource=body
    )


def _bounded(namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
    selector = dict(spec.get("selector") or {})
    labels = selector.get("labelSelectors")
    if not isinstance(labels, dict) or not labels or not spec.get("mode"):
        raise ActionError("spec: expected a `mode` and a `selector` with `labelSelectors`, not empty")
    if selector.setdefault("namespaces", [namespace]) != [namespace]:
        raise ActionError(f"spec.selector.namespaces: expected {[namespace]}, the namespace of the fault")
    if "duration" in spec:
        raise ActionError("spec.duration: it follows from the fault's ttl")
    return spec | {"selector": selector}


def unmesh(kubeconfig: str, context: str, namespace: str, kind: str, name: str = "gameday-mesh") -> None:
    """Remove a fault of Chaos Mesh and wait until it is gone: until then it is being taken back.

    Raises:
        ActionError: It cannot be removed, or somebody else made it.
    """
    api = connect(kubeconfig, context, namespace)
    path = _mesh(api, kind, name)
    _remove(api, path, name)
    kubeapi.wait(lambda: f"{kind} {name} is still there" if api.find(path) else "", GONE_S)


def has_mesh(kubeconfig: str, context: str, namespace: str, kind: str, name: str = "gameday-mesh") -> bool:
    """Tell whether the object of that fault is there, also while it is being taken back."""
    api = connect(kubeconfig, context, namespace)
    return _is_ours(api.find(_mesh(api, kind, name)), name)


def _remove(api: Api, path: str, name: str) -> None:
    found = api.find(path)
    if found is None:
        return
    if not _is_ours(found, name):
        raise ActionError(f"{path}: somebody else made it; it stays")
    try:
        api.ask("DELETE", path)
    except kubeapi.Refusal as error:
        if error.status != 404:
            raise


def _is_ours(item: dict[str, Any] | None, name: str) -> bool:
    return item is not None and (item["metadata"].get("labels") or {}).get(LABEL) == name


def _mesh(api: Api, kind: str, name: str) -> str:
    return api.group(f"{GROUP}/{VERSION}", _plural(kind), name)


def _plural(kind: str) -> str:
    if kind not in KINDS:
        raise ActionError(f"kind {kind!r}: expected one of {', '.join(KINDS)}")
    return kind.lower()
