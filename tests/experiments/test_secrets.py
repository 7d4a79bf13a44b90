"""Secrets of every kind reach the activities that ask for them, and no file of the run."""

import base64
import http.server
import json
import threading
import urllib.parse

import pytest

from tests.answers import JsonAnswers
from tests.experiments.sidebyside import alone, both, expected_code

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
MODULE = """
import logging, os, subprocess, sys
from logzero import logger
def leak(secrets=None, configuration=None):
    print("printed", secrets)
    print("said", secrets, file=sys.stderr)
    logger.warning("logged %s", secrets)
    logging.getLogger("chaostoolkit").error("logged %s", secrets)
    logging.getLogger("other").error("logged %s", secrets)
    subprocess.run(["sh", "-c", "echo from a program; echo $MY_C; echo to stderr $MY_C >&2"])
    os.write(2, f"written {secrets}\\n".encode())
    return secrets
def fail(secrets=None):
    raise ValueError(f"with {secrets}")
"""
CANARIES = {
    "inline": "canary-inline-73a1",
    "env": "canary-env-with spaces&/+-91c4",
    "file": "canary-from-a-file-5d2e",
    "one": "canary-vault-one-key-8f3b",
    "whole": "canary-vault-whole-c7d9",
    "dynamic": "canary-dynamic-22ab",
    "jwt": "canary-service-account-91d3",
}
TOKEN = "canary-vault-token-6e60"


class _Vault(JsonAnswers):
    """As much of Vault's API as chaoslib's client asks for: tokens, approle, KV 1 and 2."""

    asked: list = []

    def do_GET(self):
        self.asked.append((self.path, self.headers.get("X-Vault-Token")))
        data = {"password": CANARIES["one"], "user": CANARIES["whole"]}
        if self.path.startswith("/v1/secret/data/"):
            data = {"data": data, "metadata": {"version": 1}}
        elif not self.path.startswith("/v1/kv/"):
            return self.reply(404, {"errors": []})
        allowed = self.headers.get("X-Vault-Token") == TOKEN
        return self.reply(200, {"data": data}) if allowed else self.reply(403, {"errors": ["denied"]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        good = body in ({"role_id": "r", "secret_id": "s"}, {"role": "shop", "jwt": CANARIES["jwt"]})
        self.reply(200, {"auth": {"client_token": TOKEN}}) if good else self.reply(400, {"errors": ["no"]})


@pytest.fixture
def vault():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Vault)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def python(func, **more):
    return {"type": "python", "module": "mine", "func": func, **more}


def act(name, provider):
    return {"type": "action", "name": name, "provider": provider}


def everything(vault):
    groups = ["mine", "theirs"]
    return {
        "title": "secrets",
        "description": "d",
        "configuration": {
            "vault_addr": vault,
            "vault_token": {"type": "env", "key": "MY_TOKEN"},
            "found": {"type": "probe", "name": "p", "provider": python("leak", secrets=["mine"])},
        },
        "secrets": {
            "mine": {"inline": CANARIES["inline"], "env": {"type": "env", "key": "MY_C"}, "file": "replaced"},
            "theirs": {
                "one": {"type": "vault", "path": "shop/db", "key": "password"},
                "whole": {"type": "vault", "path": "shop/db"},
            },
        },
        "method": [
            act("leak", python("leak", secrets=groups)),
            act("fail", python("fail", secrets=groups)),
            act("echo", {"type": "process", "path": "echo", "arguments": ["${env}", "${inline}", "${one}"]}),
            act("ask", {"type": "http", "url": "http://127.0.0.1:9/${one}", "headers": {"x": "${env}"}}),
        ],
        "rollbacks": [act("undo", python("leak", secrets=groups))],
    }


def forms(value):
    yield value.encode()
    yield urllib.parse.quote(value, safe="").encode()
    yield json.dumps(value)[1:-1].encode()
    yield base64.b64encode(value.encode()).rstrip(b"=")[:-2]


def assert_clean(folder):
    seen = 0
    for file in (path for path in folder.rglob("*") if path.is_file()):
        data, seen = file.read_bytes(), seen + 1
        for name, value in {**CANARIES, "token": TOKEN}.items():
            assert not [form for form in forms(value) if form in data], (name, file)
    assert seen > 8


def test_no_file_of_a_run_has_a_secret_of_any_kind(tmp_path, vault):
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / "vars.json").write_text(json.dumps({"secrets": {"more": {"file": CANARIES["file"]}}}))
    path = tmp_path / "it.json"
    path.write_text(json.dumps(everything(vault)))
    env = {"PYTHONPATH": str(tmp_path), "MY_C": CANARIES["env"], "MY_TOKEN": TOKEN}
    chaos, ours = both(path, "--var-file", str(tmp_path / "vars.json"), folder=tmp_path, env=env)
    assert ours.word == chaos.word == "completed", ours.said
    assert ours.activities == chaos.activities
    assert ours.code == expected_code(chaos)
    leaked = json.dumps(chaos.journal)  # They did reach the activities: Chaos Toolkit's own journal has them.
    assert all(CANARIES[name] in leaked for name in ("inline", "one", "whole"))
    assert "[redacted]" in json.dumps(ours.journal)
    assert_clean(tmp_path / "run")
    assert not [value for value in CANARIES.values() if value in ours.said]


@pytest.mark.parametrize(
    "how",
    [
        {"vault_kv_version": "1", "vault_secrets_mount_point": "kv", "vault_token": TOKEN},
        {"vault_role_id": "r", "vault_role_secret": "s"},
        {"vault_role_id": "r", "vault_role_secret": "wrong"},
        {"vault_token": "wrong"},
        {"vault_sa_role": "shop", "vault_sa_token_path": "jwt"},
        {"vault_sa_role": "shop", "vault_sa_token_path": "jwt", "vault_k8s_mount_point": "other"},
        {"vault_sa_role": "nobody", "vault_sa_token_path": "jwt"},
        {"vault_sa_role": "shop", "vault_sa_token_path": "not-there"},
    ],
)
def test_vault_as_chaos_toolkit_has_it(tmp_path, vault, how):
    data = everything(vault)
    del data["configuration"]["found"]
    data["configuration"] = {"vault_addr": vault, **how}
    (tmp_path / "jwt").write_text(CANARIES["jwt"])
    path = tmp_path / "it.json"
    path.write_text(json.dumps(data))
    (tmp_path / "mine.py").write_text(MODULE)
    env = {"PYTHONPATH": str(tmp_path), "MY_C": CANARIES["env"]}
    chaos, ours = both(path, folder=tmp_path, env=env)
    if chaos.journal is None:
        assert ours.journal is None and ours.code == 3 and "Traceback" not in ours.said, ours.said
    else:
        assert (ours.word, ours.activities) == (chaos.word, chaos.activities), (chaos.said, ours.said)
        had = CANARIES["one"] in json.dumps(chaos.journal)
        assert had != bool({"wrong", "nobody", "not-there", "other"} & set(how.values()))
        assert_clean(tmp_path / "run")


def test_a_secret_in_a_file_of_variables_for_the_environment(tmp_path):
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / "vars.env").write_text(f"MY_D={CANARIES['file']}\n")
    data = {
        "title": "t", "description": "d", "secrets": {"g": {"file": {"type": "env", "key": "MY_D"}}},
        "method": [act("leak", python("leak", secrets=["g"]))],
    }  # fmt: skip
    path = tmp_path / "it.json"
    path.write_text(json.dumps(data))
    env = {"PYTHONPATH": str(tmp_path), "MY_C": "x"}
    ours = alone(path, "--var-file", str(tmp_path / "vars.env"), folder=tmp_path, env=env)
    assert ours.word == "completed", ours.said
    assert_clean(tmp_path / "run")
