"""One lease for one system on one machine: whoever asks, from wherever, however the address is spelt."""

from __future__ import annotations

import os
import uuid

import pytest

from gameday.errors import Refused
from gameday.runner.arming import names_of
from gameday.runner.machinelease import MachineLease
from tests.hosts.servers import closed_port


@pytest.fixture
def system():
    return f"lab/{uuid.uuid4()}"


def as_another_user(names, folder):
    """Try to take a lease as `nobody` where that can be had, with runtime folders of its own anyhow."""
    inlet, outlet = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = "taken"
        try:
            os.environ |= {"TMPDIR": folder, "XDG_RUNTIME_DIR": folder}
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            MachineLease(names).take()
        except BaseException as error:
            said = str(error)
        finally:
            os.write(outlet, said.encode())
            os._exit(0)
    os.close(outlet)
    with os.fdopen(inlet) as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return said


def test_another_user_with_other_folders_meets_the_same_lease_and_is_told_whose_it_is(system, tmp_path):
    held = MachineLease([system])
    held.take()
    said = as_another_user([system], str(tmp_path))
    assert f"another drill is running against this target (process {os.getpid()} of " in said
    held.release()
    assert as_another_user([system], str(tmp_path)) == "taken"
    held.take()  # It ended with the process that held it.
    held.release()


def test_all_names_are_taken_or_none_and_others_are_none_of_our_business(system):
    first, second, third = (
        MachineLease([system, "b"]),
        MachineLease(["a" + system, system]),
        MachineLease(["a" + system]),
    )
    first.take()
    with pytest.raises(Refused, match="another drill"):
        second.take()
    third.take()
    first.release()
    third.release()
    second.take()
    second.release()
    second.release()


def test_two_spellings_of_one_system_share_a_name():
    identity = {"environment": "lab", "id": "x", "nodes": {}}
    assert (
        names_of(identity, "http://a.test/identity") == names_of(identity, "http://b.test:81/") == ("lab/x",)
    )
    nameless, port = {"environment": "lab"}, closed_port()
    one = names_of(nameless, f"http://127.0.0.1:{port}/identity")
    other = names_of(nameless, f"http://LOCALHOST:{port}/identity?x=1")
    assert set(one) & set(other)
    assert not set(one) & set(names_of(nameless, "http://127.0.0.1:1/identity"))
