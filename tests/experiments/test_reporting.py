"""chaostoolkit-reporting reads the journal of a run, and makes its HTML page of it.

It lives in an environment of its own, made for this: it drags much along, and every `chaos` command would pay.
"""

import json
import subprocess
import sys

import pytest

from tests.experiments.sidebyside import BIN, alone

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
PROGRAM = {"type": "process", "path": "true"}
DEVIATES = {
    "title": "Lose the cache",
    "description": "Orders go on without it",
    "tags": ["cache"],
    "contributions": {"availability": "high"},
    "steady-state-hypothesis": {
        "title": "the marker is not there",
        "probes": [
            {
                "type": "probe", "name": "look", "tolerance": 1,
                "provider": {"type": "process", "path": "test", "arguments": ["-e", "marker"]},
            }
        ],
    },
    "method": [{"type": "action", "name": "mark", "provider": {**PROGRAM, "path": "touch", "arguments": ["marker"]}}],
    "rollbacks": [{"type": "action", "name": "unmark", "provider": {**PROGRAM, "path": "rm", "arguments": ["marker"]}}],
}  # fmt: skip


@pytest.fixture(scope="module")
def reporting(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reporting")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=300)
    pip = [folder / "bin" / "python", "-m", "pip", "-q"]
    for asked in (
        ["install", "chaostoolkit", "chaostoolkit-reporting"],
        ["uninstall", "-y", "pypandoc"],
        ["install", "pypandoc_binary"],  # The same module, with the program that it calls.
    ):
        subprocess.run([*pip, *asked], check=True, timeout=600)
    return folder / "bin" / "chaos"


def test_it_makes_its_page_of_our_journal(tmp_path, reporting):
    path = tmp_path / "it.json"
    path.write_text(json.dumps(DEVIATES))
    ours = alone(path, folder=tmp_path)
    assert (ours.word, ours.code) == ("deviated", 1), ours.said
    exported = tmp_path / "exported.json"
    command = [BIN / "gameday", "export", tmp_path / "run", "--as", "chaos-journal", "-o", exported]
    subprocess.run(command, check=True, timeout=120)
    assert exported.read_bytes() == (tmp_path / "run" / "journal.json").read_bytes()
    page = tmp_path / "page.html"
    made = subprocess.run(
        [reporting, "--no-version-check", "--no-log-file", "report", "--export-format=html", exported, page],
        cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert made.returncode == 0 and page.exists(), made.stdout + made.stderr
    text = page.read_text()
    for words in ("Lose the cache", "Orders go on without it"):
        assert words in text, words
