"""What many tests share: one real lab for the session, in a folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest


def run_lab(folder, *args):
    return subprocess.run(
        [sys.executable, "-m", "gameday.lab", *args, "--dir", str(folder)],
        capture_output=True,
        text=True,
        timeout=90,
    )


@pytest.fixture(scope="session", autouse=True)
def runner_key(tmp_path_factory):
    """The key that tests seal with: never that of whoever runs them."""
    os.environ["GAMEDAY_KEY"] = str(tmp_path_factory.mktemp("key") / "runner.key")


@pytest.fixture(scope="session")
def lab_folder(tmp_path_factory):
    """A lab that is up; its folder. Down again at the end of the session."""
    folder = tmp_path_factory.mktemp("lab") / "lab"
    done = run_lab(folder, "up")
    assert done.returncode == 0, done.stderr
    before = os.environ.get("GAMEDAY_LAB_DIR")
    os.environ["GAMEDAY_LAB_DIR"] = str(folder)
    yield folder
    run_lab(folder, "down")
    if before is None:
        del os.environ["GAMEDAY_LAB_DIR"]
    else:
        os.environ["GAMEDAY_LAB_DIR"] = before


@pytest.fixture
def lab(lab_folder):
    """The lab's values, as actions get them; whole before the test and mended after it."""
    state = json.loads((lab_folder / "lab.json").read_text())
    values = {f"lab.{k}": v for k, v in state.items() if isinstance(v, str) and k != "token"}
    values["lab.state_file"] = str(lab_folder / "lab.json")
    mend(values)
    yield values
    mend(values)


def mend(values):
    """Bring the lab back to: a primary, b its standby, users on a, no fault."""
    from gameday.actions import http, lab, network, postgres

    http.ask("POST", values["lab.toxiproxy"] + "/reset")
    state = http.lab(values, "GET", "/state")
    nodes = state["nodes"]
    primary = next((n for n in "ab" if nodes[n]["role"] == "primary"), None)
    if primary is None:
        for name in "ab":
            postgres.unfence(name, configuration=values)
        postgres.start("a", configuration=values)
        primary = "a"
    other = "b" if primary == "a" else "a"
    postgres.rejoin(other, primary, configuration=values)
    if primary == "b":
        lab.wait_caught_up("a", configuration=values)
        postgres.fence("b", configuration=values)
        postgres.promote("a", configuration=values)
        postgres.rejoin("b", "a", configuration=values)
    lab.switch_users_path("a", configuration=values)
    lab.set_replication("async", configuration=values)
    assert http.lab(values, "GET", "/state")["whole"], http.lab(values, "GET", "/state")
