"""The catalogue's entries for Kubernetes: what a change put back stands at the changed object itself."""

from __future__ import annotations

from dataclasses import replace

from gameday.plan.inverse import ACTIONS, Inverse

_NOTED = (
    "Runner killed: the watchdog undoes it within seconds. Host lost: it stays in the cluster, and what is "
    "to be put back stands at the object: `gameday recover`, or the command by hand from any machine."
)
_OBJECT = (
    "Runner killed: the watchdog undoes it within seconds. Host lost: the object stays in the cluster until "
    "`gameday recover`, or until somebody removes it."
)
_HEALS = (
    "Runner killed: the watchdog sees it healed. Host lost: the cluster's controllers heal it all the same."
)
_NATIVE = (
    "Runner killed: the watchdog undoes it within seconds. Host lost: Chaos Mesh ends it after its duration."
)
_CLUSTER = ("kubeconfig", "context")
_SPACE = (*_CLUSTER, "namespace")
_HAND = "python -m gameday.actions"
_KUBECTL = "kubectl --kubeconfig {kubeconfig} --context {context}"


def _inverse(
    undo: str,
    in_place: str,
    keep: tuple[str, ...],
    target: str,
    name: str,
    *,
    survives: str = _NOTED,
    by_steps: bool = False,
    manual: str = "",
    has_ttl: bool = False,
) -> Inverse:
    keys = (*keep, "name")
    by_hand = f"{_HAND} {undo} " + " ".join(f"{key}={{{key}}}" for key in keys)
    return Inverse(
        f"{ACTIONS}.{undo}",
        f"{ACTIONS}.{in_place}",
        keys,
        target,
        survives,
        defaults=(("name", name),),
        manual=manual or by_hand,
        has_ttl=has_ttl,
        by_steps=by_steps,
    )


def _deployment(undo: str, in_place: str, name: str, *, by_steps: bool = False) -> Inverse:
    target, keep = "deployment:{namespace}/{deployment}", (*_SPACE, "deployment")
    return _inverse(f"kubernetes.{undo}", f"kubernetes.{in_place}", keep, target, name, by_steps=by_steps)


def _node(name: str) -> Inverse:
    keep = (*_CLUSTER, "node")
    return _inverse("kubenodes.uncordon", "kubenodes.is_cordoned", keep, "node:{node}", name)


def _policy(name: str) -> Inverse:
    manual = f"{_KUBECTL} -n {{namespace}} delete networkpolicy {{name}} --ignore-not-found"
    target = "pods:{namespace}/{selector}"
    return _inverse(
        "kubenet.allow", "kubenet.is_denied", _SPACE, target, name, survives=_OBJECT, manual=manual
    )


KUBE_INVERSES: dict[str, Inverse] = {
    f"{ACTIONS}.kubernetes.terminate": _inverse(
        "kubernetes.wait_replicas",
        "kubernetes.is_short",
        (*_SPACE, "selector"),
        "pods:{namespace}/{selector}",
        "gameday-pods",
        survives=_HEALS,
        manual=f"{_KUBECTL} -n {{namespace}} get pods -l {{selector}}",
    ),
    f"{ACTIONS}.kubernetes.scale": _deployment("unscale", "is_scaled", "gameday-scale"),
    f"{ACTIONS}.kubernetes.roll": _deployment("unroll", "is_rolled", "gameday-roll"),
    f"{ACTIONS}.kubeexec.execute": replace(
        _inverse(
            "kubeexec.take_back",
            "kubeexec.is_executed",
            (*_SPACE, "selector", "container", "check"),
            "pods:{namespace}/{selector}",
            "gameday-exec",
            survives=_NOTED,
            manual=f"{_HAND} kubeexec.take_back kubeconfig={{kubeconfig}} context={{context}} "
            "namespace={namespace} selector={selector} container={container} name={name} "
            "check={check!j} undo_command={undo_command!j}",
        ),
        undo_keep=("undo_command",),
    ),
    f"{ACTIONS}.kubenodes.cordon": _node("gameday-cordon"),
    f"{ACTIONS}.kubenodes.drain": _node("gameday-drain"),
    f"{ACTIONS}.kubenet.deny_ingress": _policy("gameday-deny-ingress"),
    f"{ACTIONS}.kubenet.deny_egress": _policy("gameday-deny-egress"),
    f"{ACTIONS}.kubenet.mesh": _inverse(
        "kubenet.unmesh",
        "kubenet.has_mesh",
        (*_SPACE, "kind"),
        "mesh:{namespace}/{kind}/{name}",
        "gameday-mesh",
        survives=_NATIVE,
        has_ttl=True,
    ),
    f"{ACTIONS}.kubesteps.scale_up": _deployment("unscale", "is_scaled", "gameday-scale", by_steps=True),
    f"{ACTIONS}.kubesteps.shift_service": _inverse(
        "kubesteps.unshift_service",
        "kubesteps.is_shifted",
        (*_SPACE, "service"),
        "service:{namespace}/{service}",
        "gameday-shift",
        by_steps=True,
    ),
    f"{ACTIONS}.kubesteps.shift_ingress": _inverse(
        "kubesteps.unshift_ingress",
        "kubesteps.is_ingress_shifted",
        (*_SPACE, "ingress"),
        "ingress:{namespace}/{ingress}",
        "gameday-shift",
        by_steps=True,
    ),
}
