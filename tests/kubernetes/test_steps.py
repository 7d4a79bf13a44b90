"""Steps of recovery, probes, and what a plan may do with the least roles, on a real API server."""

from __future__ import annotations

import base64
import http.server
import json
import subprocess
import sys
import threading

import pytest
import yaml

from gameday.actions.http import ActionError
from tests.drills import ROOT, Run
from tests.kubernetes.conftest import workload
from tests.kubernetes.controlplane import CONTEXT
from tests.seaweed import ACCESS, SECRET, client, seaweed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
REGION = ROOT / "experiments" / "kubernetes-region.yaml"


def apply(plane, space, body):
    plane.kubectl("-n", space["namespace"], "apply", "-f", "-", given=json.dumps(body))


def service(name, **labels):
    spec = {"selector": labels, "ports": [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


@pytest.fixture
def regions(plane, space):
    """web-a serves, web-b is its standby of one pod; the Service leads to a."""
    for region, count in (("a", 2), ("b", 1)):
        apply(plane, space, workload(f"web-{region}", count, app="web", region=region, part=f"web-{region}"))
    apply(plane, space, service("front", app="web", region="a"))
    for region in "ab":
        plane.kubectl(
            "-n", space["namespace"], "rollout", "status", f"deployment/web-{region}", "--timeout=60s"
        )
    return space


def test_a_service_is_shifted_to_the_standby_and_back(plane, regions):
    from gameday.actions import kubesteps

    def selector():
        return plane.get(f"/api/v1/namespaces/{regions['namespace']}/services/front")["spec"]["selector"]

    kubesteps.shift_service(**regions, service="front", selector="region=b")
    assert selector() == {"region": "b"} and kubesteps.is_shifted(**regions, service="front")
    kubesteps.unshift_service(**regions, service="front")
    assert selector() == {"app": "web", "region": "a"} and not kubesteps.is_shifted(
        **regions, service="front"
    )
    with pytest.raises(ActionError, match="no pod in .* is ready"):
        kubesteps.shift_service(**regions, service="front", selector="region=c")


def test_an_ingress_is_led_to_another_service_and_back(plane, regions):
    from gameday.actions import kubesteps

    backend = {"service": {"name": "front", "port": {"number": 80}}}
    rule = {"host": "shop.test", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    other = {"service": {"name": "kept", "port": {"number": 80}}}
    body = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "shop"},
        "spec": {"rules": [rule], "defaultBackend": other},
    }
    apply(plane, regions, body)
    apply(plane, regions, service("away", region="b"))
    path = f"/apis/networking.k8s.io/v1/namespaces/{regions['namespace']}/ingresses/shop"
    before = plane.get(path)["spec"]
    kubesteps.shift_ingress(**regions, ingress="shop", service="front", to="away")
    now = plane.get(path)["spec"]
    assert now["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] == "away"
    assert now["defaultBackend"] == other and kubesteps.is_ingress_shifted(**regions, ingress="shop")
    kubesteps.unshift_ingress(**regions, ingress="shop")
    assert plane.get(path)["spec"] == before and not kubesteps.is_ingress_shifted(**regions, ingress="shop")
    with pytest.raises(ActionError, match="not in"):
        kubesteps.shift_ingress(**regions, ingress="shop", service="front", to="nowhere")
    with pytest.raises(ActionError, match="does not lead to"):
        kubesteps.shift_ingress(**regions, ingress="shop", service="other", to="away")


def test_the_standby_is_scaled_up_and_waited_for(plane, regions):
    from gameday.actions import kubeprobes, kubernetes, kubesteps

    kubesteps.scale_up(**regions, deployment="web-b", replicas=4, timeout_s=60)
    assert kubeprobes.ready_pods(**regions, selector="region=b") == 4
    assert kubeprobes.available_ratio(**regions, deployment="web-b") == 1.0
    assert kubeprobes.is_available(**regions, deployment="web-b", at_least=4)
    assert kubeprobes.is_rolled_out(**regions, deployment="web-b")
    assert kubeprobes.restarts(**regions, selector="region=b") == 0
    assert kubeprobes.events(**regions, reason="ScalingReplicaSet", object_name="web-b") >= 2
    assert kubeprobes.events(**regions, reason="ThereIsNone") == 0
    assert kubeprobes.ready_nodes(regions["kubeconfig"], regions["context"]) == 3
    kubernetes.unscale(**regions, deployment="web-b")
    assert not kubeprobes.is_available(**regions, deployment="web-b", at_least=5)


@pytest.mark.parametrize("ends", ["well", "fails"])
def test_a_cronjobs_job_is_run_now_and_waited_for(plane, space, ends):
    """1.20 has CronJob in batch/v1beta1 alone; newer servers have it in batch/v1, which is asked first."""
    from gameday.actions import kubesteps

    pod = {"restartPolicy": "Never", "containers": [{"name": "restore", "image": "restore:1"}]}
    template = {"metadata": {"annotations": {"stand-in": ends}}, "spec": pod}
    body = {
        "apiVersion": "batch/v1beta1",
        "kind": "CronJob",
        "metadata": {"name": "restore"},
        "spec": {
            "schedule": "0 3 1 1 *",
            "suspend": True,
            "jobTemplate": {"spec": {"backoffLimit": 0, "template": template}},
        },
    }
    apply(plane, space, body)
    asked = {**space, "cronjob": "restore", "job": "restore-now", "timeout_s": 60}
    if ends == "fails":
        with pytest.raises(ActionError, match="restore-now failed"):
            kubesteps.run_job(**asked)
        return
    assert kubesteps.run_job(**asked)["says"] == "job restore-now is complete"
    job = plane.get(f"/apis/batch/v1/namespaces/{space['namespace']}/jobs/restore-now")
    assert job["status"]["succeeded"] == 1
    with pytest.raises(ActionError, match="already exists"):
        kubesteps.run_job(**asked)
    with pytest.raises(ActionError, match="cronjob nothing is not in"):
        kubesteps.run_job(**{**asked, "cronjob": "nothing"})


def test_a_volume_is_claimed_from_a_snapshot(plane, space):
    """The claim alone: no storage driver runs here that could fill it."""
    from gameday.actions import kubesteps

    kubesteps.restore_volume(**space, snapshot="nightly", claim="orders", size="1Gi")
    claim = plane.get(f"/api/v1/namespaces/{space['namespace']}/persistentvolumeclaims/orders")
    assert claim["spec"]["dataSource"] == {
        "apiGroup": "snapshot.storage.k8s.io",
        "kind": "VolumeSnapshot",
        "name": "nightly",
    }
    with pytest.raises(ActionError, match="already exists"):
        kubesteps.restore_volume(**space, snapshot="nightly", claim="orders", size="1Gi")


# --- the least roles --------------------------------------------------------------------------


@pytest.fixture
def shop():
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"environment": "lab", "id": "shop"}')

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def account_token(plane):
    """The token of the drill's service account, as its pod would find it in a file."""
    name = plane.get("/api/v1/namespaces/gameday/serviceaccounts/gameday")["secrets"][0]["name"]
    return base64.b64decode(plane.get(f"/api/v1/namespaces/gameday/secrets/{name}")["data"]["token"]).decode()


@pytest.fixture
def bucket(tmp_path):
    """A real S3 with Object Lock, and what the Job finds of it in its environment."""
    with seaweed(tmp_path / "s3") as url:
        client(url).create_bucket(Bucket="evidence", ObjectLockEnabledForBucket=True)
        names = ("ACCESS_KEY_ID", ACCESS), ("SECRET_ACCESS_KEY", SECRET), ("DEFAULT_REGION", "us-east-1")
        yield url, {f"AWS_{name}": value for name, value in names}


def cluster_policy(folder, endpoint):
    """The policy of docs/kubernetes as its pod finds it, with this test's bucket and folder in it."""
    text = yaml.safe_load((ROOT / "docs" / "kubernetes" / "policy.yaml").read_text())["data"]["policy.yaml"]
    text = text.replace("/runs/", f"{folder}/").replace(
        'gameday"}', f'gameday", endpoint_url: "{endpoint}"}}'
    )
    path = folder / "policy.yaml"
    path.write_text(text)
    return path


def test_the_example_drill_runs_with_the_roles_that_plan_prints_and_no_more(
    plane, regions, shop, bucket, tmp_path
):
    project, where = tmp_path / "project", regions["namespace"]
    (project / "experiments").mkdir(parents=True)
    endpoint, credentials = bucket
    text = REGION.read_text().replace("namespace: shop", f"namespace: {where}")
    text = text.replace("service: web,", "service: front,")
    (project / "experiments" / "region.yaml").write_text(text)
    plane.kubectl("apply", "-k", str(ROOT / "docs" / "kubernetes"))
    printed = subprocess.run(
        [sys.executable, "-m", "gameday", "plan", "experiments/region.yaml", "--rbac"],
        cwd=project, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    own = plane.write_kubeconfig(tmp_path / "own", account_token(plane))
    policy = cluster_policy(project, endpoint)
    env = {"KUBECONFIG": str(own), "SHOP_URL": shop, "GAMEDAY_POLICY": str(policy), **credentials}

    refused = Run(project, "region", env=env)
    code, out = refused.end(90)
    assert code != 0 and "web-a" in out  # Without the roles the server forbids it.
    plane.kubectl("apply", "-f", "-", given=printed)
    run = Run(project, "region", env=env)
    code, out = run.end(120)
    assert code == 0, out + run.explain()
    undone = [d for k, d in run.kinds() if k == "UndoEnded" and d["undone"]]
    assert len(undone) == 3
    spec = plane.get(f"/api/v1/namespaces/{where}/services/front")["spec"]["selector"]
    assert spec == {"app": "web", "region": "a"}
    counts = [
        plane.get(f"/apis/apps/v1/namespaces/{where}/deployments/web-{r}")["spec"]["replicas"] for r in "ab"
    ]
    assert counts == [2, 1]
    bundles = client(endpoint).list_objects_v2(Bucket="evidence", Prefix=f"gameday/{run.folder.name}/")
    receipt = json.loads((run.folder / "sink.json").read_text())
    assert len(bundles["Contents"]) == len(receipt["objects"]) > 5, out
    may = [
        ["delete", "deployments/web-a"],
        ["patch", "deployments/web"],
        ["get", "secrets"],
        ["delete", "pods"],
    ]
    for verb, what in may:
        done = subprocess.run(
            [str(plane.binary("kubectl")), f"--kubeconfig={own}", f"--context={CONTEXT}", "-n", where,
             "auth", "can-i", verb, what],
            capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        assert done.stdout.strip() == "no", (verb, what, done.stdout, done.stderr)


def test_the_job_and_its_workers_are_taken_by_the_server(plane):
    plane.kubectl("apply", "-k", str(ROOT / "docs" / "kubernetes"))
    job = plane.get("/apis/batch/v1/namespaces/gameday/jobs/gameday-drill")
    pod = job["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "gameday" and job["spec"]["backoffLimit"] == 0
    assert plane.get("/apis/apps/v1/namespaces/gameday/deployments/gameday-load")["spec"]["replicas"] == 2
    assert plane.get("/apis/networking.k8s.io/v1/namespaces/gameday/networkpolicies/gameday-drill")
