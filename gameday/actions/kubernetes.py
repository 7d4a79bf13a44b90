"""Faults in workloads on Kubernetes: pods terminated, deployments scaled and rolled.

Each action names the kubeconfig, the context, the namespace and what it touches; none has a default. What
heals by itself (terminated pods) has no undo but a watch: it is over when as many pods are ready as their
controllers ask for. The others write down what they change at the object itself (see `kubeapi`).
"""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

from gameday.actions import faults, kubeapi
from gameday.actions.http import ActionError
from gameday.actions.kubeapi import Api, connect, noted

__all__ = ["is_rolled", "is_scaled", "is_short", "roll", "scale", "terminate", "unroll",
           "unscale", "wait_replicas"]  # fmt: skip
RESTARTED = "kubectl.kubernetes.io/restartedAt"
WAIT_S = 120.0


def terminate(
    kubeconfig: str,
    context: str,
    namespace: str,
    selector: str,
    count: int = 1,
    seed: int = 0,
    grace_s: int = -1,
    name: str = "gameday-pods",
) -> dict[str, Any]:
    """Terminate `count` of the pods that a selector matches; their controllers bring them back.

    Args:
        kubeconfig: The path of a kubeconfig file.
        context: One of its contexts.
        namespace: Where the pods are.
        selector: Labels, `app=web`; all must match.
        count: How many, drawn without replacement.
        seed: Which ones: the same pods and seed give the same draw.
        grace_s: How long a pod may take to end; -1 as it says itself, 0 at once.
        name: The fault's name.

    Raises:
        ActionError: Fewer match, one of them would not come back, or a pod is still there.
    """
    api = connect(kubeconfig, context, namespace)
    chosen = draw(api, selector, count, seed)
    lonely = [pod for pod in chosen if not any(o.get("controller") for o in _owners(pod))]
    if lonely:
        raise ActionError(f"{kubeapi.names(lonely)}: no controller would bring it back")
    uids = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in chosen}
    faults.intend(name, "kubernetes.pods", {"uids": uids})
    for pod in chosen:
        _end(api, pod, grace_s)
    _check_ended(api, selector, uids)
    faults.settle(name, "placed")
    return {"says": f"terminated {', '.join(sorted(uids))}", "pods": sorted(uids)}


def _end(api: Api, pod: dict[str, Any], grace_s: int) -> None:
    """Ask for the end of exactly this pod: not of the next one of its name."""
    meta = pod["metadata"]
    options: dict[str, Any] = {"preconditions": {"uid": meta["uid"]}}
    if grace_s >= 0:
        options["gracePeriodSeconds"] = grace_s
    try:
        api.ask("DELETE", api.core("pods", meta["name"]), options)
    except kubeapi.Refusal as error:
        if error.status not in (404, 409):
            raise


def _check_ended(api: Api, selector: str, uids: dict[str, str]) -> None:
    there = _pods(api, selector)
    alive = [p for p in there if p["metadata"]["uid"] in uids.values() and _stays(p)]
    if alive:
        raise ActionError(f"{kubeapi.names(alive)}: still there, and not on the way out")


def _stays(pod: dict[str, Any]) -> bool:
    return not pod["metadata"].get("deletionTimestamp")


def wait_replicas(
    kubeconfig: str, context: str, namespace: str, selector: str, name: str = "gameday-pods"
) -> None:
    """Wait until as many pods are ready again as their controllers ask for.

    Raises:
        ActionError: They are not, after two minutes.
    """
    api = connect(kubeconfig, context, namespace)
    kubeapi.wait(lambda: _missing(api, selector), WAIT_S)
    faults.settle(name, "undone")


def is_short(
    kubeconfig: str, context: str, namespace: str, selector: str, name: str = "gameday-pods"
) -> bool:
    """Tell whether pods are missing, or were terminated and have not been seen whole since."""
    return faults.is_placed(name) or bool(_missing(connect(kubeconfig, context, namespace), selector))


def scale(
    kubeconfig: str,
    context: str,
    namespace: str,
    deployment: str,
    replicas: int,
    name: str = "gameday-scale",
) -> None:
    """Ask for another number of replicas of a deployment.

    Raises:
        ActionError: It has that number already, or was scaled by a drill already.
    """
    if not isinstance(replicas, int) or not 0 <= replicas <= 1000:
        raise ActionError(f"replicas {replicas!r}: expected a whole number from 0 to 1000")
    api = connect(kubeconfig, context, namespace)

    def prior(item: dict[str, Any]) -> dict[str, int]:
        if item["spec"]["replicas"] == replicas:
            raise ActionError(f"deployment {deployment} has {replicas} replicas already")
        return {"replicas": item["spec"]["replicas"]}

    kubeapi.note(api, _deployment(api, deployment), name, "scale", prior, {"replicas": replicas})


def unscale(
    kubeconfig: str, context: str, namespace: str, deployment: str, name: str = "gameday-scale"
) -> None:
    """Ask for as many replicas as before; harmless when nothing was scaled.

    Raises:
        ActionError: It cannot be done.
    """
    api = connect(kubeconfig, context, namespace)
    path = _deployment(api, deployment)
    kubeapi.put_back(api, path, name, lambda _, prior: {"spec": {"replicas": prior["replicas"]}})


def is_scaled(
    kubeconfig: str, context: str, namespace: str, deployment: str, name: str = "gameday-scale"
) -> bool:
    """Tell whether a deployment asks for another number of replicas than before that fault."""
    api = connect(kubeconfig, context, namespace)
    item = api.find(_deployment(api, deployment))
    prior = noted(item, name)
    return item is not None and prior is not None and item["spec"]["replicas"] != prior["replicas"]


def roll(
    kubeconfig: str,
    context: str,
    namespace: str,
    deployment: str,
    container: str = "",
    image: str = "",
    name: str = "gameday-roll",
) -> None:
    """Replace all pods of a deployment, as `kubectl rollout restart` does, or by another image.

    Args:
        kubeconfig: The path of a kubeconfig file.
        context: One of its contexts.
        namespace: Where the deployment is.
        deployment: Its name.
        container: Whose image changes; only with `image`.
        image: A bad release, for instance; empty for a restart alone.
        name: The fault's name.

    Raises:
        ActionError: There is no such container, or a drill rolled it already.
    """
    if bool(container) != bool(image):
        raise ActionError("roll: container and image belong together")
    api, now = connect(kubeconfig, context, namespace), datetime.now(UTC).isoformat(timespec="microseconds")

    def prior(item: dict[str, Any]) -> dict[str, Any]:
        before = _template(item, container)
        if container and before["image"] is None:
            raise ActionError(f"deployment {deployment} has no container {container!r}")
        return {"container": container, **before}

    path = _deployment(api, deployment)
    kubeapi.note(api, path, name, "roll", prior)
    api.ask("PATCH", path, _as_template(now, container, image), kind=kubeapi.STRATEGIC)


def unroll(
    kubeconfig: str, context: str, namespace: str, deployment: str, name: str = "gameday-roll"
) -> None:
    """Go back to the pods' template from before, by another rollout; harmless when nothing was rolled.

    Raises:
        ActionError: It cannot be done.
    """
    api = connect(kubeconfig, context, namespace)

    def body(_: dict[str, Any], prior: dict[str, Any]) -> dict[str, Any]:
        return _as_template(prior["restarted"], prior["container"], prior["image"])

    kubeapi.put_back(api, _deployment(api, deployment), name, body, kubeapi.STRATEGIC)


def is_rolled(
    kubeconfig: str, context: str, namespace: str, deployment: str, name: str = "gameday-roll"
) -> bool:
    """Tell whether the pods' template is another one than before that fault."""
    api = connect(kubeconfig, context, namespace)
    item = api.find(_deployment(api, deployment))
    prior = noted(item, name)
    if item is None or prior is None:
        return False
    return _template(item, prior["container"]) != {k: prior[k] for k in ("restarted", "image")}


def draw(api: Api, selector: str, count: int, seed: int) -> list[dict[str, Any]]:
    """Draw `count` of the pods that a selector matches, without replacement; the same seed draws the same.

    Raises:
        ActionError: Fewer match.
    """
    if not isinstance(count, int) or count < 1:
        raise ActionError(f"count {count!r}: expected a whole number from 1")
    found = sorted(filter(_stays, _pods(api, selector)), key=lambda pod: str(pod["metadata"]["name"]))
    if len(found) < count:
        raise ActionError(f"{selector} matches {len(found)} pods in {api.namespace}, {count} are asked for")
    return random.Random(seed).sample(found, count)  # noqa: S311 - a draw that can be repeated


def _pods(api: Api, selector: str) -> list[dict[str, Any]]:
    kubeapi.parse_selector(selector)
    return api.items(api.core("pods"), labelSelector=selector)


def _owners(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return list(pod["metadata"].get("ownerReferences") or ())


def _missing(api: Api, selector: str) -> str:
    """Return in words how many pods are not ready of those that controllers ask for; empty when none."""
    wanted, labels = 0, kubeapi.parse_selector(selector).items()
    for kind in ("replicasets", "statefulsets"):
        for item in api.items(api.group("apps/v1", kind)):
            if labels <= (item["spec"]["template"]["metadata"].get("labels") or {}).items():
                wanted += item["spec"].get("replicas", 1)
    there = sum(map(kubeapi.ready, _pods(api, selector)))
    return f"{there} of {wanted} pods are ready" if there < wanted else ""


def _deployment(api: Api, name: str) -> str:
    return api.group("apps/v1", "deployments", kubeapi.check_name(name, "deployment"))


def _template(item: dict[str, Any], container: str) -> dict[str, Any]:
    template = item["spec"]["template"]
    images = {c["name"]: c["image"] for c in template["spec"]["containers"]}
    restarted = (template["metadata"].get("annotations") or {}).get(RESTARTED)
    return {"restarted": restarted, "image": images.get(container)}


def _as_template(restarted: str | None, container: str, image: str | None) -> dict[str, Any]:
    template: dict[str, Any] = {"metadata": {"annotations": {RESTARTED: restarted}}}
    if container:
        template["spec"] = {"containers": [{"name": container, "image": image}]}
    return {"spec": {"template": template}}
