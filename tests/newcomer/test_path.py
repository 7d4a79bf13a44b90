"""The newcomer's path: README's own commands, typed as they stand, in an empty folder, on a service that is not ours.

A new environment, `pip install` of a clone, a plain nginx from the distribution, and nothing from this checkout.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.drills import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SECTION = "## Your own service in ten minutes"
SERVER = next((str(p) for p in map(Path, ("/usr/sbin/nginx", "/usr/bin/nginx")) if p.exists()), "")


def typed():
    """The commands of the section, as they stand."""
    text = (ROOT / "README.md").read_text().split(SECTION)[1].split("\n## ")[0]
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S)
    assert len(blocks) == 1
    return blocks[0]


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """The path walked once: its folder, what was said, how long it took."""
    if not SERVER:
        pytest.skip("NOT RUN: nginx is missing: `apt-get install nginx`")
    folder = tmp_path_factory.mktemp("newcomer")
    clone = folder / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    empty, home = folder / "empty", folder / "home"
    empty.mkdir(), home.mkdir()
    env = {
        "PATH": f"{os.environ['PATH']}:{Path(SERVER).parent}", "HOME": str(home), "GAMEDAY": str(clone),
        "LANG": "C.UTF-8", "PIP_CONSTRAINT": str(ROOT / "constraints.txt"), "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        **{name: value for name, value in os.environ.items() if name.startswith("PIP_")},
    }  # fmt: skip
    began = time.monotonic()
    try:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", typed()], cwd=empty, env=env, capture_output=True, text=True,
            timeout=850,
        )  # fmt: skip
        took_s = time.monotonic() - began
        yield empty / "shop-drills", done, took_s, env
    finally:
        with suppress(OSError, ValueError):
            os.kill(int((empty / "shop-drills" / "nginx.pid").read_text()), signal.SIGTERM)
        shutil.rmtree(folder, ignore_errors=True)


def test_every_command_does_what_the_readme_says(walked):
    project, done, took_s, _ = walked
    said = done.stdout
    assert done.returncode == 0, said[-4000:] + done.stderr[-4000:]
    print(f"newcomer's path: {took_s:.0f} s of 600, installation included")
    assert took_s < 600
    assert "REFUSED environment: 'staging' is not allowed" in said
    assert "\nready" in said
    assert "PASS  DEMONSTRATED" in said and "RTA shop" in said
    assert said.index("REFUSED") < said.index("\nready") < said.index("PASS  DEMONSTRATED")
    assert (project / "runs" / "shop-dr" / "latest" / "bundle").is_dir()


def test_its_evidence_holds_and_the_server_was_really_killed(walked):
    project, _, _, env = walked
    run = project / "runs" / "shop-dr" / "latest"
    findings = {f["name"]: f for f in json.loads((run / "findings.json").read_text())["findings"]}
    assert findings["RTA shop"]["verdict"] == "pass"
    assert 0 < findings["RTA shop"]["interval_s"]["max"] < 10
    took_effect = next(f for name, f in findings.items() if name.startswith("fault took effect"))
    assert took_effect["verdict"] == "pass"
    trust = project / "trust.yaml"
    trust.write_text(f"runners: [{env['HOME']}/.config/gameday/runner.pub]\n")
    verify = subprocess.run(
        [project.parent / "venv" / "bin" / "gameday", "verify", run / "bundle", "--trust", trust, "--json"],
        env=env, cwd=project, capture_output=True, text=True,
    )  # fmt: skip
    assert verify.returncode == 4, verify.stdout + verify.stderr  # No time stamps: unknown, never a pass.
    words = verify.stdout
    assert '"fail"' not in words, words


def test_the_server_answers_again(walked):
    import urllib.request

    with urllib.request.urlopen("http://127.0.0.1:8081/orders", timeout=5) as answer:
        assert json.load(answer) == {"orders": 7}
