"""findings.json is written whole or not at all, and never through a link."""

from __future__ import annotations

import json
import os
import stat

import pytest

from gameday.errors import HistoryError
from gameday.evidence.findings_file import write, write_whole


def test_findings_are_written_and_read_back(tmp_path):
    path = write(tmp_path, {"verdict": "pass", "why": "größer als"})
    assert json.loads(path.read_text()) == {"verdict": "pass", "why": "größer als"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["findings.json"]


def test_half_a_surrogate_pair_is_spelt_out(tmp_path):
    path = write(tmp_path, {"why": "\ud800"})
    assert json.loads(path.read_bytes())["why"] == "\ud800"


def test_a_link_in_its_place_is_refused_and_what_it_points_to_is_left_alone(tmp_path):
    other = tmp_path / "other"
    other.write_text("precious")
    (tmp_path / "findings.json").symlink_to(other)
    with pytest.raises(HistoryError, match="is a link"):
        write(tmp_path, {})
    assert other.read_text() == "precious"


def test_a_hard_link_keeps_its_other_name_untouched(tmp_path):
    other = tmp_path / "other"
    other.write_text("precious")
    os.link(other, tmp_path / "findings.json")
    write(tmp_path, {"a": 1})
    assert other.read_text() == "precious"


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    place = tmp_path / "report.html"
    place.mkdir()
    with pytest.raises(HistoryError, match="cannot be written"):
        write_whole(place, "text")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_missing_folder_is_an_error_in_words(tmp_path):
    with pytest.raises(HistoryError, match="No such file"):
        write(tmp_path / "gone", {})
