"""Experiment files of other projects, tried with both: `python -m tests.experiments.public FOLDER [--run]`.

    FOLDER/PROJECT/…/experiment.json      the files, one folder for each project; nothing of theirs is kept here

Each file is validated by `chaos validate` and by `gameday validate`. With `--run`, those that need no more than
this machine are run by both, each in a fresh copy of its folder: `chaos validate` accepts it, so that all it
names is there, and it neither asks another host nor uses the module of a cloud or cluster. It *does* run what
is written in them: read them first. Options after `--` go to both.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from gameday.plan.experimentfile import SUFFIXES, looks_like_experiment
from tests.experiments.judge import DIFFERENT, REFUSED, judge
from tests.experiments.sidebyside import BIN, TIME_S, both

ELSEWHERE = re.compile(
    r"chaos(k8s|aws|azure|gcp|gce|cloud|gremlin|istio|reliably|slack|cf|openstack)\w*|boto3"
)
ADDRESS = re.compile(r"https?://([^/:\"'\s]+)")
HERE = ("localhost", "127.0.0.1", "0.0.0.0", "[::1]")


def files_in(folder: Path) -> list[Path]:
    """Return the experiments under a folder."""
    found = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES and path.is_file())
    return [path for path in found if looks_like_experiment(path)]


def validate(path: Path, home: Path) -> tuple[str, str]:
    """Return what `chaos validate` and `gameday validate` say of a file, in a word and a reason."""
    chaos = [BIN / "chaos", "--no-version-check", "--no-log-file", "validate", path]
    ours = [BIN / "gameday", "validate", path]
    return _said(chaos, path, home), _said(ours, path, home)


def _said(command: list, path: Path, home: Path) -> str:
    env = {**os.environ, "HOME": str(home)}
    done = subprocess.run(
        list(map(str, command)),
        env=env,
        cwd=path.parent,
        capture_output=True,
        text=True,
        timeout=TIME_S,
        check=False,
    )
    said = done.stdout + done.stderr
    if "Traceback" in said:
        return f"traceback: {said.strip().splitlines()[-1]}"
    if done.returncode == 0:
        return "valid"
    lines = [line for line in said.splitlines() if "ERROR" in line or re.match(r"\S+:\d+:\d+: ", line)]
    return f"refused: {(lines or said.splitlines() or [''])[-1].partition('ERROR]')[2].strip() or (lines or [''])[0]}"


def compare(chaos: str, ours: str) -> str:
    """Return how the two answers are to be taken.

    What is not installed or not set here is found by gameday when a run is armed, and refused then (exit 3).
    """
    if ours.startswith("traceback"):
        return DIFFERENT
    if chaos == "valid":
        return "both accept" if ours == "valid" else DIFFERENT
    if ours == "valid":
        return "sound; refused when armed, for what is not here"
    return REFUSED


def needs_only_this_machine(path: Path) -> bool:
    """Tell whether a file asks no other host and no cloud."""
    text = path.read_text()
    return not ELSEWHERE.search(text) and all(host in HERE for host in ADDRESS.findall(text))


def run(path: Path, folder: Path, options: list[str]) -> tuple[str, str, str]:
    """Run a file with both, each in a copy of its folder; return both outcomes, and how they compare."""
    place = folder / "place"

    def fresh() -> None:
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(path.parent, place)

    fresh()
    copy, results = place / path.name, folder / "results"
    results.mkdir()
    chaos, ours = both(copy, *options, folder=results, between=fresh)
    verdict = judge(chaos, ours)
    if verdict == DIFFERENT:
        print(chaos.said, ours.said, sep="\n--- ours:\n")
    return chaos.word, f"{ours.word} {ours.code}", verdict


def main() -> int:
    """Try the files of a folder; print a line for each, and the sums."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--run", action="store_true", help="run those that need only this machine, too")
    parser.add_argument("options", nargs="*", help="for `chaos run` and `gameday run`, after --")
    asked = parser.parse_args()
    counts: Counter[str] = Counter()
    files = files_in(asked.folder.resolve())
    for path in files:
        shown = path.relative_to(asked.folder.resolve())
        with tempfile.TemporaryDirectory() as home:
            chaos, ours = validate(path, Path(home))
        verdict = compare(chaos, ours)
        counts[f"validated: {verdict}"] += 1
        print(f"{shown}: {verdict}", *(f"    {said}" for said in (chaos, ours) if said != "valid"), sep="\n")
        if asked.run and chaos == "valid" and needs_only_this_machine(path):
            with tempfile.TemporaryDirectory() as folder:
                theirs, own, verdict = run(path, Path(folder), asked.options)
            counts[f"run: {verdict}"] += 1
            print(f"    chaos run: {theirs}; gameday run: {own}: {verdict}", flush=True)
    projects = {path.relative_to(asked.folder.resolve()).parts[0] for path in files}
    print(f"\n{len(files)} files of {len(projects)} projects")
    for text, count in sorted(counts.items()):
        print(f"{count:4}  {text}")
    return 1 if any(DIFFERENT in text for text in counts) else 0


if __name__ == "__main__":
    sys.exit(main())
