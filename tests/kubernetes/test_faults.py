"""Every fault on a real API server: it takes effect, is read back, and is undone; what is unsafe is refused."""

from __future__ import annotations

import time

import pytest

from gameday.actions.http import ActionError

pytestmark = pytest.mark.slow
WEB = {"selector": "app=web"}


def web(plane, space):
    return plane.get(f"/apis/apps/v1/namespaces/{space['namespace']}/deployments/web")


def pods(plane, space, selector="app%3Dweb"):
    found = plane.get(f"/api/v1/namespaces/{space['namespace']}/pods?labelSelector={selector}")["items"]
    return {pod["metadata"]["name"] for pod in found if not pod["metadata"].get("deletionTimestamp")}


def test_pods_are_terminated_and_seen_to_return(plane, space):
    from gameday.actions import kubernetes

    before = pods(plane, space)
    said = kubernetes.terminate(**space, **WEB, count=2, seed=7, grace_s=0)
    assert len(said["pods"]) == 2 and set(said["pods"]) <= before
    assert not set(said["pods"]) & pods(plane, space)
    assert kubernetes.is_short(**space, **WEB)
    kubernetes.wait_replicas(**space, **WEB)
    assert not kubernetes.is_short(**space, **WEB)
    now = pods(plane, space)
    assert len(now) == 3 and len(now & before) == 1


def test_the_draw_is_without_replacement_and_can_be_repeated(plane, space):
    from gameday.actions import kubeapi, kubernetes

    api = kubeapi.connect(**space)
    draws = [kubeapi.names(kubernetes.draw(api, "app=web", 2, seed)) for seed in (1, 1, 2, 3, 4, 5)]
    assert draws[0] == draws[1] and len(set(draws)) > 1
    assert all(len(set(draw.split(", "))) == 2 for draw in draws)
    with pytest.raises(ActionError, match="matches 3 pods"):
        kubernetes.terminate(**space, **WEB, count=4)
    assert len(pods(plane, space)) == 3


def test_a_pod_that_nobody_would_bring_back_is_not_terminated(plane, space):
    from gameday.actions import kubernetes

    plane.kubectl("-n", space["namespace"], "run", "alone", "--image=shop:1", "--labels=app=alone")
    with pytest.raises(ActionError, match="no controller would bring it back"):
        kubernetes.terminate(**space, selector="app=alone")
    assert pods(plane, space, "app%3Dalone") == {"alone"}


def test_a_deployment_is_scaled_and_back_again(plane, space):
    from gameday.actions import kubernetes

    kubernetes.scale(**space, deployment="web", replicas=0)
    assert kubernetes.is_scaled(**space, deployment="web")
    assert web(plane, space)["spec"]["replicas"] == 0
    with pytest.raises(ActionError, match="in place already"):
        kubernetes.scale(**space, deployment="web", replicas=1, name="another")
    kubernetes.unscale(**space, deployment="web")
    assert not kubernetes.is_scaled(**space, deployment="web")
    found = web(plane, space)
    assert found["spec"]["replicas"] == 3 and "gameday" not in str(found["metadata"]["annotations"])
    kubernetes.unscale(**space, deployment="web")
    with pytest.raises(ActionError, match="3 replicas already"):
        kubernetes.scale(**space, deployment="web", replicas=3)


@pytest.mark.parametrize("release", [{}, {"container": "main", "image": "shop:broken"}])
def test_a_deployment_is_rolled_and_back_again(plane, space, release):
    from gameday.actions import kubernetes, kubesteps

    before, there = web(plane, space)["spec"]["template"], pods(plane, space)
    kubernetes.roll(**space, deployment="web", **release)
    assert kubernetes.is_rolled(**space, deployment="web")
    kubesteps.wait_rollout(**space, deployment="web", timeout_s=40)
    assert not there & pods(plane, space)
    if release:
        assert web(plane, space)["spec"]["template"]["spec"]["containers"][0]["image"] == "shop:broken"
    kubernetes.unroll(**space, deployment="web")
    assert not kubernetes.is_rolled(**space, deployment="web")
    after = web(plane, space)["spec"]["template"]
    assert after["spec"] == before["spec"]
    assert not after["metadata"].get("annotations")
    with pytest.raises(ActionError, match="no container 'nobody'"):
        kubernetes.roll(**space, deployment="web", container="nobody", image="x")
    assert not kubernetes.is_rolled(**space, deployment="web")


BREAK = {
    "container": "main",
    "command": ["touch", "broken"],
    "undo_command": ["rm", "broken"],
    "check": ["test", "-e", "broken"],
}


def without(arguments, *names):
    return {key: value for key, value in arguments.items() if key not in names}


def test_a_command_runs_in_the_drawn_pods_and_is_taken_back_in_the_same(plane, space):
    from gameday.actions import kubeapi, kubeexec, kubernetes

    again, read = without(BREAK, "command"), without(BREAK, "command", "undo_command")
    assert not kubeexec.is_executed(**space, **WEB, **read)
    said = kubeexec.execute(**space, **WEB, **BREAK, count=2, seed=3)
    assert said["stdout"] == ["", ""]
    api = kubeapi.connect(**space)
    marked = kubeexec._marked(api, "app=web", "gameday-exec")
    assert len(marked) == 2 and all(name in said["says"] for name in kubeapi.names(marked).split(", "))
    assert kubeexec.is_executed(**space, **WEB, **read)
    with pytest.raises(ActionError, match="in place already"):
        kubeexec.execute(**space, **WEB, **BREAK, count=3, name="another")
    # A pod that is gone took the effect with it; whoever undoes draws nothing again.
    kubernetes._end(api, marked[0], 0)
    kubernetes.wait_replicas(**space, **WEB)
    kubeexec.take_back(**space, **WEB, **again)
    assert not kubeexec._marked(api, "app=web", "gameday-exec")
    assert not kubeexec.is_executed(**space, **WEB, **read)
    here = kubernetes.draw(api, "app=web", 3, 0)
    assert [kubeexec._code(api, pod, "main", BREAK["check"], 20) for pod in here] == [1, 1, 1]
    kubeexec.take_back(**space, **WEB, **again)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"command": ["false"]}, "false: exit code 1"),
        ({"command": ["sh", "-c", "echo no such luck >&2; exit 7"]}, "exit code 7: no such luck"),
        ({"command": ["nothing-of-that-name"]}, "not found"),
        ({"command": "touch broken"}, "expected a list of words"),
        ({"command": []}, "expected a list of words"),
        ({"undo_command": [1]}, "expected a list of words"),
        ({"container": "nobody"}, "no container 'nobody'"),
        ({"container": ""}, "no container ''"),
        ({"selector": ""}, "empty selects everything"),
        ({"count": 4}, "matches 3 pods"),
        ({"command": ["sleep", "30"], "timeout_s": 1}, "no end after 1 s"),
    ],
)
def test_a_command_that_does_not_succeed_is_one_clear_line(space, changed, said):
    from gameday.actions import kubeexec

    with pytest.raises(ActionError, match=said) as caught:
        kubeexec.execute(**{**space, **WEB, **BREAK, **changed})
    assert "\n" not in str(caught.value)


def test_an_undo_that_did_not_help_is_said_and_owed_on(plane, space):
    from gameday.actions import kubeapi, kubeexec

    kubeexec.execute(**space, **WEB, **BREAK)
    with pytest.raises(ActionError, match="test -e broken says that it is still in place"):
        kubeexec.take_back(**space, **WEB, **without(BREAK, "command", "undo_command"), undo_command=["true"])
    assert kubeexec._marked(kubeapi.connect(**space), "app=web", "gameday-exec")
    kubeexec.take_back(**space, **WEB, **without(BREAK, "command"))


def node(plane, name):
    return plane.get(f"/api/v1/nodes/{name}")["spec"].get("unschedulable", False)


def test_a_node_is_cordoned_and_back_again(plane, cluster):
    from gameday.actions import kubenodes

    kubenodes.cordon(**cluster, node="node-1")
    try:
        assert kubenodes.is_cordoned(**cluster, node="node-1") and node(plane, "node-1")
        kubenodes.cordon(**cluster, node="node-2")
        with pytest.raises(ActionError, match="no other node is ready"):
            kubenodes.cordon(**cluster, node="node-3")
        assert not node(plane, "node-3")
    finally:
        kubenodes.uncordon(**cluster, node="node-1")
        kubenodes.uncordon(**cluster, node="node-2")
    assert not kubenodes.is_cordoned(**cluster, node="node-1") and not node(plane, "node-1")


def test_a_node_that_a_person_cordoned_stays_so(plane, cluster):
    from gameday.actions import kubenodes

    plane.kubectl("cordon", "node-1")
    try:
        with pytest.raises(ActionError, match="cordoned already, and not by this fault"):
            kubenodes.cordon(**cluster, node="node-1")
        kubenodes.uncordon(**cluster, node="node-1")
        assert node(plane, "node-1")
    finally:
        plane.kubectl("uncordon", "node-1")


def test_a_node_is_drained_and_its_pods_run_elsewhere(plane, cluster, space):
    from gameday.actions import kubenodes, kubernetes

    kubenodes.drain(**cluster, node="node-2", timeout_s=40)
    try:
        assert kubenodes.is_cordoned(**cluster, node="node-2", name="gameday-drain")
        kubernetes.wait_replicas(**space, **WEB)
        everywhere = plane.get(f"/api/v1/namespaces/{space['namespace']}/pods")["items"]
        assert "node-2" not in {p["spec"]["nodeName"] for p in everywhere}
    finally:
        kubenodes.uncordon(**cluster, node="node-2", name="gameday-drain")
    assert not node(plane, "node-2")


def test_what_stands_in_the_way_of_a_drain_is_found_before_anything_is_touched(plane, cluster, space):
    from gameday.actions import kubenodes

    spec = '{"spec":{"nodeName":"node-2"}}'
    plane.kubectl("-n", space["namespace"], "run", "alone", "--image=shop:1", f"--overrides={spec}")
    before = pods(plane, space)
    with pytest.raises(ActionError, match="alone: no controller"):
        kubenodes.drain(**cluster, node="node-2")
    assert not node(plane, "node-2") and pods(plane, space) == before


def test_a_drain_keeps_to_disruption_budgets(plane, cluster, space):
    from gameday.actions import kubenodes

    where = space["namespace"]
    plane.kubectl("-n", where, "create", "pdb", "web", "--selector=app=web", "--min-available=3")
    give_up = time.monotonic() + 20
    while not plane.get(f"/apis/policy/v1beta1/namespaces/{where}/poddisruptionbudgets/web")["status"].get(
        "currentHealthy"
    ):
        assert time.monotonic() < give_up
        time.sleep(0.1)
    name = plane.get(f"/api/v1/namespaces/{where}/pods")["items"][0]["spec"]["nodeName"]
    with pytest.raises(ActionError, match="still on"):
        kubenodes.drain(**cluster, node=name, timeout_s=2)
    assert len(pods(plane, space)) == 3
    kubenodes.uncordon(**cluster, node=name, name="gameday-drain")
    assert not node(plane, name)


@pytest.mark.parametrize("direction", ["Ingress", "Egress"])
def test_traffic_is_denied_and_allowed_again(plane, space, direction):
    """The policy object: whether it is enforced is for a network plug-in, of which there is none here."""
    from gameday.actions import kubenet

    name = f"gameday-deny-{direction.lower()}"
    deny = kubenet.deny_ingress if direction == "Ingress" else kubenet.deny_egress
    deny(**space, **WEB)
    path = f"/apis/networking.k8s.io/v1/namespaces/{space['namespace']}/networkpolicies/{name}"
    spec = plane.get(path)["spec"]
    assert spec["podSelector"] == {"matchLabels": {"app": "web"}} and spec["policyTypes"] == [direction]
    assert direction.lower() not in spec
    assert kubenet.is_denied(**space, name=name)
    with pytest.raises(ActionError, match="there already"):
        deny(**space, **WEB)
    kubenet.allow(**space, name=name)
    assert not kubenet.is_denied(**space, name=name) and plane.get(path) is None
    kubenet.allow(**space, name=name)
    with pytest.raises(ActionError, match="matches no pod"):
        deny(**space, selector="app=nobody")


MESH = {"action": "delay", "mode": "one", "delay": {"latency": "90ms"}}
TO_WEB = {"selector": {"labelSelectors": {"app": "web"}}}


@pytest.mark.usefixtures("mesh_kinds")
def test_a_chaos_mesh_fault_ends_by_itself_and_is_removed(plane, space):
    from gameday.actions import kubenet

    fault = {"kind": "NetworkChaos", "name": "slow-web"}
    kubenet.mesh(**space, **fault, spec=MESH | TO_WEB, ttl_s=32)
    path = f"/apis/chaos-mesh.org/v1alpha1/namespaces/{space['namespace']}/networkchaos/slow-web"
    spec = plane.get(path)["spec"]
    assert spec["duration"] == "32s" and spec["selector"]["namespaces"] == [space["namespace"]]
    assert kubenet.has_mesh(**space, **fault)
    kubenet.unmesh(**space, **fault)
    assert not kubenet.has_mesh(**space, **fault) and plane.get(path) is None
    for wrong in (MESH, MESH | {"selector": {}}, {"selector": TO_WEB["selector"]}, MESH | TO_WEB | {"duration": "9h"},
                  MESH | {"selector": TO_WEB["selector"] | {"namespaces": ["elsewhere"]}}):  # fmt: skip
        with pytest.raises(ActionError, match="spec"):
            kubenet.mesh(**space, **fault, spec=wrong)
    with pytest.raises(ActionError, match="expected one of"):
        kubenet.mesh(**space, kind="Secret", name="x", spec=MESH | TO_WEB)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"kubeconfig": ""}, "expected the path of one file"),
        ({"kubeconfig": "/one:/two"}, "expected the path of one file"),
        ({"context": ""}, "the current one is never taken"),
        ({"context": "production"}, "there are drill"),
        ({"namespace": "kube-system"}, "the cluster's own"),
        ({"namespace": "Not A Name"}, "expected small letters"),
        ({"selector": ""}, "empty selects everything"),
        ({"selector": "app"}, "expected key=value"),
        ({"selector": "app!=web"}, "expected key=value"),
        ({"selector": "app in (web)"}, "expected key=value"),
        ({"count": 0}, "from 1"),
    ],
)
def test_what_is_not_named_well_is_refused(plane, space, changed, said):
    from gameday.actions import kubernetes

    with pytest.raises(ActionError, match=said):
        kubernetes.terminate(**{**space, **WEB, **changed})
    assert len(pods(plane, space)) == 3


def test_a_context_that_is_bound_to_a_namespace_reaches_no_other(plane, space, tmp_path):
    from gameday.actions import kubeprobes

    bound = plane.write_kubeconfig(tmp_path / "bound", plane.tokens["admin"], "elsewhere")
    with pytest.raises(ActionError, match="is bound to 'elsewhere'"):
        kubeprobes.ready_pods(**{**space, "kubeconfig": str(bound)}, **WEB)


def test_a_wrong_token_is_one_line(plane, space, tmp_path):
    from gameday.actions import kubernetes

    bad = plane.write_kubeconfig(tmp_path / "bad", "x" * 32)
    with pytest.raises(ActionError, match="HTTP 401") as caught:
        kubernetes.scale(**{**space, "kubeconfig": str(bad)}, deployment="web", replicas=1)
    assert "\n" not in str(caught.value) and "x" * 32 not in str(caught.value)


def test_a_frozen_server_costs_every_function_its_timeout_and_no_more(plane, space, monkeypatch):
    from chaosk8s.pod.actions import terminate_pods

    from gameday.actions import kubeapi, kubeexec, kubeprobes, kubernetes

    monkeypatch.setattr(kubeapi, "TIMEOUT_S", 1.0)
    api = kubeapi.connect(**space)
    pod = kubernetes.draw(api, "app=web", 1, 0)[0]
    plane.freeze()
    try:
        for ask in (
            lambda: kubeprobes.ready_pods(**space, **WEB),
            lambda: api.through(terminate_pods, label_selector="app=web", ns=space["namespace"]),
            lambda: kubeexec._run(api, pod, "main", ["true"], 1.0),
        ):
            began = time.monotonic()
            with pytest.raises(ActionError):
                ask()
            assert time.monotonic() - began < 10
    finally:
        plane.thaw()
