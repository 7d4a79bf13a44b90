"""Steps of disaster recovery on Kubernetes: traffic shifted, the standby scaled up, data restored.

Each is read back, and what it changes is written down at the object (see `kubeapi`), so that a drill
goes home by itself: the undo of a shift is the shift back.
"""

from __future__ import annotations

import json
from typing import Any

from gameday.actions import kubeapi, kubernetes
from gameday.actions.http import ActionError
from gameday.actions.kubeapi import Api, connect, noted

__all__ = ["is_ingress_shifted", "is_shifted", "restore_volume", "run_job", "scale_up", "shift_ingress",
           "shift_service", "unshift_ingress", "unshift_service", "wait_rollout"]  # fmt: skip
BATCHES = ("batch/v1", "batch/v1beta1")
NETWORKING = "networking.k8s.io/v1"


def shift_service(
    kubeconfig: str, context: str, namespace: str, service: str, selector: str, name: str = "gameday-shift"
) -> None:
    """Send a Service's traffic to other pods: those that the new selector matches.

    Raises:
        ActionError: No pod that matches is ready, or it was shifted already.
    """
    api, labels = connect(kubeconfig, context, namespace), kubeapi.parse_selector(selector)
    if not any(map(kubeapi.ready, api.items(api.core("pods"), labelSelector=selector))):
        raise ActionError(f"{selector}: no pod in {namespace} is ready to take the traffic")
    path = api.core("services", service)
    before = kubeapi.note(api, path, name, "shift", lambda item: {"selector": item["spec"].get("selector")})
    api.ask("PATCH", path, _selector(before, labels), kind=kubeapi.MERGE)


def unshift_service(
    kubeconfig: str, context: str, namespace: str, service: str, name: str = "gameday-shift"
) -> None:
    """Send the traffic where it went before; harmless when it was not shifted.

    Raises:
        ActionError: It cannot be done.
    """
    api = connect(kubeconfig, context, namespace)
    kubeapi.put_back(
        api, api.core("services", service), name, lambda item, prior: _selector(item, prior["selector"] or {})
    )


def is_shifted(
    kubeconfig: str, context: str, namespace: str, service: str, name: str = "gameday-shift"
) -> bool:
    """Tell whether the Service selects other pods than before."""
    api = connect(kubeconfig, context, namespace)
    item = api.find(api.core("services", service))
    prior = noted(item, name)
    return item is not None and prior is not None and item["spec"].get("selector") != prior["selector"]


def _selector(item: dict[str, Any], wanted: dict[str, str]) -> dict[str, Any]:
    """Return a merge patch: a label that is no longer wanted is named too, as null."""
    now = item["spec"].get("selector") or {}
    return {"spec": {"selector": {**dict.fromkeys(now), **wanted}}}


def shift_ingress(
    kubeconfig: str,
    context: str,
    namespace: str,
    ingress: str,
    service: str,
    to: str,
    name: str = "gameday-shift",
) -> None:
    """Let an Ingress lead to another Service wherever it leads to `service`.

    Raises:
        ActionError: It does not lead there, the other Service is not there, or it was shifted already.
    """
    api = connect(kubeconfig, context, namespace)
    if api.find(api.core("services", to)) is None:
        raise ActionError(f"service {to} is not in {namespace}")
    path = api.group(NETWORKING, "ingresses", ingress)

    def prior(item: dict[str, Any]) -> dict[str, Any]:
        if _led(item, service, to) == _lead(item):
            raise ActionError(f"ingress {ingress} does not lead to service {service}")
        return _lead(item)

    before = kubeapi.note(api, path, name, "shift", prior)
    api.ask("PATCH", path, {"spec": _led(before, service, to)}, kind=kubeapi.MERGE)


def unshift_ingress(
    kubeconfig: str, context: str, namespace: str, ingress: str, name: str = "gameday-shift"
) -> None:
    """Let the Ingress lead where it led before; harmless when it was not shifted.

    Raises:
        ActionError: It cannot be done.
    """
    api = connect(kubeconfig, context, namespace)
    path = api.group(NETWORKING, "ingresses", ingress)
    kubeapi.put_back(api, path, name, lambda _, prior: {"spec": prior})


def is_ingress_shifted(
    kubeconfig: str, context: str, namespace: str, ingress: str, name: str = "gameday-shift"
) -> bool:
    """Tell whether the Ingress leads elsewhere than before."""
    api = connect(kubeconfig, context, namespace)
    item = api.find(api.group(NETWORKING, "ingresses", ingress))
    prior = noted(item, name)
    return item is not None and prior is not None and _lead(item) != prior


def _lead(item: dict[str, Any]) -> dict[str, Any]:
    return {key: item["spec"][key] for key in ("rules", "defaultBackend") if key in item["spec"]}


def _led(item: dict[str, Any], service: str, to: str) -> dict[str, Any]:
    def changed(part: Any) -> Any:
        if isinstance(part, list):
            return [changed(each) for each in part]
        if not isinstance(part, dict):
            return part
        return {
            key: value | {"name": to} if key == "service" and value.get("name") == service else changed(value)
            for key, value in part.items()
        }

    return dict(changed(json.loads(json.dumps(_lead(item)))))


def scale_up(
    kubeconfig: str,
    context: str,
    namespace: str,
    deployment: str,
    replicas: int,
    timeout_s: float = 120.0,
    name: str = "gameday-scale",
) -> None:
    """Scale a standby's deployment and wait until all its replicas are available.

    Raises:
        ActionError: It cannot be scaled, or they are not in time.
    """
    kubernetes.scale(kubeconfig, context, namespace, deployment, replicas, name)
    wait_rollout(kubeconfig, context, namespace, deployment, timeout_s)


def wait_rollout(
    kubeconfig: str, context: str, namespace: str, deployment: str, timeout_s: float = 120.0
) -> None:
    """Wait until a deployment's newest version is there in full and nothing else of it is.

    Raises:
        ActionError: It is not in time.
    """
    api = connect(kubeconfig, context, namespace)
    path = api.group("apps/v1", "deployments", deployment)
    kubeapi.wait(lambda: rollout(api.ask("GET", path)), timeout_s)


def rollout(item: dict[str, Any]) -> str:
    """Return in words what a deployment's rollout still lacks; empty when it is complete."""
    spec, status = item["spec"]["replicas"], item.get("status", {})
    name = item["metadata"]["name"]
    if status.get("observedGeneration", 0) < item["metadata"]["generation"]:
        return f"deployment {name} has not been looked at yet"
    there, fresh = status.get("replicas", 0), status.get("updatedReplicas", 0)
    available = status.get("availableReplicas", 0)
    if fresh < spec or there > fresh or available < fresh:
        return f"deployment {name} has {available} available, {fresh} new of {spec}, {there} in all"
    return ""


def run_job(
    kubeconfig: str, context: str, namespace: str, cronjob: str, job: str, timeout_s: float = 600.0
) -> dict[str, Any]:
    """Run a CronJob's job now and once, a restore for instance, and wait until it is complete.

    Args:
        kubeconfig: The path of a kubeconfig file.
        context: One of its contexts.
        namespace: Where it is.
        cronjob: Whose template is taken.
        job: The name that the job gets; one of that name must not be there.
        timeout_s: How long it may take; give the step at least as much.

    Raises:
        ActionError: It failed, or was not complete in time.
    """
    api = connect(kubeconfig, context, namespace)
    found = (api.find(api.group(batch, "cronjobs", cronjob)) for batch in BATCHES)
    item = next((each for each in found if each), None)
    if item is None:
        raise ActionError(f"cronjob {cronjob} is not in {namespace}")
    template = item["spec"]["jobTemplate"]
    meta = template.get("metadata") or {}
    body = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": kubeapi.check_name(job, "job"),
            "labels": meta.get("labels") or {},
            "annotations": (meta.get("annotations") or {}) | {"cronjob.kubernetes.io/instantiate": "manual"},
        },
        "spec": template["spec"],
    }
    api.ask("POST", api.group("batch/v1", "jobs"), body)
    kubeapi.wait(lambda: _unfinished(api, job), timeout_s)
    return {"says": f"job {job} is complete"}


def _unfinished(api: Api, job: str) -> str:
    status = api.ask("GET", api.group("batch/v1", "jobs", job)).get("status", {})
    ended = {c["type"]: c for c in status.get("conditions") or () if c["status"] == "True"}
    if "Failed" in ended:
        raise ActionError(f"job {job} failed: {ended['Failed'].get('message', 'no reason given')}")
    return "" if "Complete" in ended else f"job {job} is not complete"


def restore_volume(
    kubeconfig: str,
    context: str,
    namespace: str,
    snapshot: str,
    claim: str,
    size: str,
    storage_class: str = "",
    mode: str = "ReadWriteOnce",
) -> dict[str, Any]:
    """Claim a volume with the contents of a VolumeSnapshot. Who binds it is the cluster's storage driver.

    Raises:
        ActionError: A claim of that name is there, or the claim was refused.
    """
    api = connect(kubeconfig, context, namespace)
    source = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": snapshot}
    spec: dict[str, Any] = {
        "accessModes": [mode],
        "dataSource": source,
        "resources": {"requests": {"storage": size}},
    }
    if storage_class:
        spec["storageClassName"] = storage_class
    made = api.ask(
        "POST", api.core("persistentvolumeclaims"),
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": claim}, "spec": spec},
    )  # fmt: skip
    if (made["spec"].get("dataSource") or {}).get("name") != snapshot:
        raise ActionError(f"claim {claim}: the cluster dropped its source: it would be empty")
    return {"says": f"claim {claim} from snapshot {snapshot} is {made['status'].get('phase', 'Pending')}"}
