"""Every call in the code is in the list of those that the tests send; the list is what they do send."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.aws.calls import ANSWERED
from tests.aws.table import BEGIN, END, KEPT, PAGE, ROOT, declared, rendered


def test_every_call_in_the_code_is_in_the_list_and_every_call_in_the_list_in_the_code():
    calls = json.loads(KEPT.read_text())
    assert set(calls) == declared()
    for call, by in calls.items():
        assert set(by) <= {"moto", "ministack", "model"}, call
        assert ANSWERED in by.values(), f"{call}: nobody ever answered it"


def test_the_page_says_what_the_list_says():
    shown = PAGE.read_text().split(BEGIN)[1].split(END)[0]
    assert shown.strip() == rendered(json.loads(KEPT.read_text())).strip()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_list_is_what_the_tests_send():
    done = subprocess.run([sys.executable, "-m", "tests.aws.table"], cwd=ROOT, capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
