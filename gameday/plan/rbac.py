"""The least that a plan needs on Kubernetes: one Role for each namespace, one ClusterRole for nodes.

Derived from the plan's own steps, undos, read-backs and probes. An object that a step names is named in the
rule too; lists and creations cannot be (Kubernetes has no names for these). What a plan does through other
actions is not known here, and is said so.

Source: Kubernetes, "Using RBAC Authorization", "Referring to resources".
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gameday.plan.catalogue import action_of
from gameday.plan.inverse import ACTIONS
from gameday.plan.model import Activity, Plan, ProbeKind

CLUSTER = ""
_FAMILIES = ("kubeexec", "kubernetes", "kubenodes", "kubenet", "kubesteps", "kubeprobes")


@dataclass(frozen=True, slots=True)
class Need:
    """Verbs on one kind; `by` is the argument that names the object, empty where none can be named."""

    group: str
    kind: str
    verbs: tuple[str, ...]
    by: str = ""


_PODS = Need("", "pods", ("list",))
_CONTROLLERS = (Need("apps", "replicasets", ("list",)), Need("apps", "statefulsets", ("list",)))
_DEPLOYMENT = Need("apps", "deployments", ("get", "patch"), "deployment")
_SEEN = Need("apps", "deployments", ("get",), "deployment")
_NODE = (Need("", "nodes", ("list",)), Need("", "nodes", ("get", "patch"), "node"))
_POLICY = (Need("networking.k8s.io", "networkpolicies", ("create",)), _PODS)
_MESH = Need("chaos-mesh.org", "{kind}", ("get", "delete"), "name")
_SHIFTED = Need("networking.k8s.io", "ingresses", ("get", "patch"), "ingress")
_SERVICE = Need("", "services", ("get", "patch"), "service")
_EXEC = Need("", "pods/exec", ("create", "get"))
_MARKS = Need("", "pods", ("get", "list", "patch"))
_SEES_PODS = (_PODS, *_CONTROLLERS)
_LIFTED = (Need("networking.k8s.io", "networkpolicies", ("get", "delete"), "name"),)

NEEDS: dict[str, tuple[Need, ...]] = {
    "kubernetes.terminate": (_PODS, Need("", "pods", ("delete",))),
    "kubernetes.wait_replicas": _SEES_PODS,
    "kubernetes.is_short": _SEES_PODS,
    # A pod is marked before the command runs in it. Over a websocket, exec is asked for with GET.
    "kubeexec.execute": (_MARKS, _EXEC),
    "kubeexec.take_back": (_MARKS, _EXEC),
    "kubeexec.is_executed": (_PODS, _EXEC),
    **dict.fromkeys(
        ("kubernetes.scale", "kubernetes.unscale", "kubernetes.roll", "kubernetes.unroll"), (_DEPLOYMENT,)
    ),
    **dict.fromkeys(("kubernetes.is_scaled", "kubernetes.is_rolled"), (_SEEN,)),
    # The list of nodes tells whether another one is ready.
    "kubenodes.cordon": _NODE,
    "kubenodes.drain": (*_NODE, Need("", "pods", ("list",)), Need("", "pods/eviction", ("create",))),
    "kubenodes.uncordon": _NODE[1:],
    "kubenodes.is_cordoned": (Need("", "nodes", ("get",), "node"),),
    "kubenet.deny_ingress": _POLICY,
    "kubenet.deny_egress": _POLICY,
    "kubenet.allow": _LIFTED,
    "kubenet.is_denied": (Need("networking.k8s.io", "networkpolicies", ("get",), "name"),),
    "kubenet.mesh": (
        Need("chaos-mesh.org", "{kind}", ("create",)),
        Need("chaos-mesh.org", "{kind}", ("get",), "name"),
    ),
    "kubenet.unmesh": (_MESH,),
    "kubenet.has_mesh": (Need("chaos-mesh.org", "{kind}", ("get",), "name"),),
    "kubesteps.shift_service": (_SERVICE, _PODS),
    "kubesteps.unshift_service": (_SERVICE,),
    "kubesteps.is_shifted": (Need("", "services", ("get",), "service"),),
    "kubesteps.shift_ingress": (_SHIFTED, Need("", "services", ("get",), "to")),
    "kubesteps.unshift_ingress": (_SHIFTED,),
    "kubesteps.is_ingress_shifted": (Need("networking.k8s.io", "ingresses", ("get",), "ingress"),),
    "kubesteps.scale_up": (_DEPLOYMENT,),
    "kubesteps.wait_rollout": (_SEEN,),
    "kubesteps.run_job": (
        Need("batch", "cronjobs", ("get",), "cronjob"),
        Need("batch", "jobs", ("create",)),
        Need("batch", "jobs", ("get",), "job"),
    ),
    "kubesteps.restore_volume": (Need("", "persistentvolumeclaims", ("create",)),),
    **dict.fromkeys(
        ("kubeprobes.available_ratio", "kubeprobes.is_available", "kubeprobes.is_rolled_out"), (_SEEN,)
    ),
    **dict.fromkeys(("kubeprobes.ready_pods", "kubeprobes.restarts"), (_PODS,)),
    "kubeprobes.events": (Need("", "events", ("list",)),),
    "kubeprobes.ready_nodes": (Need("", "nodes", ("list",)),),
}  # fmt: skip


def needs(plan: Plan) -> dict[str, tuple[dict[str, Any], ...]]:
    """Return the rules that a plan needs, by namespace; those of the whole cluster under the empty name."""
    found: dict[str, dict[tuple[str, str, str], set[str]]] = {}
    for action, arguments in _asked(plan):
        for need in NEEDS.get(action, ()):
            kind = need.kind.format(kind=str(arguments.get("kind", "")).lower())
            name = str(arguments.get(need.by, "")) if need.by else ""
            where = CLUSTER if action.startswith("kubenodes.") else str(arguments.get("namespace", CLUSTER))
            verbs = found.setdefault(where, {}).setdefault((need.group, kind, name), set())
            verbs.update(need.verbs)
    return {
        where: tuple(_rule(*key, rules[key]) for key in sorted(rules))
        for where, rules in sorted(found.items())
    }


def unknown(plan: Plan) -> tuple[str, ...]:
    """Return the Kubernetes actions of a plan whose needs are not known here, sorted."""
    named = {action for action, _ in _asked(plan, every=True)}
    return tuple(sorted(a for a in named if a.startswith("chaosk8s.") or (_is_ours(a) and a not in NEEDS)))


def manifests(plan: Plan, account: str = "gameday", namespace: str = "gameday") -> list[dict[str, Any]]:
    """Return roles and bindings for a service account, ready for `kubectl apply`.

    Args:
        plan: The plan.
        account: The service account that runs it.
        namespace: Where that account is.
    """
    subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
    found: list[dict[str, Any]] = []
    for where, rules in needs(plan).items():
        kind = "Role" if where else "ClusterRole"
        meta: dict[str, Any] = {"name": account if where else f"{namespace}-{account}"}
        if where:
            meta["namespace"] = where
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": meta["name"]}
        head = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": meta}
        found.append({**head, "kind": kind, "rules": list(rules)})
        found.append({**head, "kind": f"{kind}Binding", "roleRef": reference, "subjects": [subject]})
    return found


def _rule(group: str, kind: str, name: str, verbs: Iterable[str]) -> dict[str, Any]:
    rule: dict[str, Any] = {"apiGroups": [group], "resources": [kind], "verbs": sorted(verbs)}
    return rule | {"resourceNames": [name]} if name else rule


def _asked(plan: Plan, *, every: bool = False) -> list[tuple[str, dict[str, Any]]]:
    steps = [a for s in plan.steps for a in (s.do, s.undo, s.in_place) if a is not None]
    probes = [
        Activity(probe.name, json.dumps(json.loads(probe.spec)["provider"]), probe.timeout_ns)
        for probe in plan.probes
        if probe.kind is ProbeKind.ACTIVITY
    ]
    found = (action_of(activity) for activity in (*steps, *probes))
    return [
        (action.removeprefix(f"{ACTIONS}."), arguments)
        for action, arguments in found
        if every or action.startswith(f"{ACTIONS}.")
    ]


def _is_ours(action: str) -> bool:
    return action.partition(".")[0] in _FAMILIES
