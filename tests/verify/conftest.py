import pytest

from gameday.verify.trust import read_trust
from tests.verify.made import Maker, World


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def trust(world):
    return read_trust(world.trust / "trust.yaml")


@pytest.fixture(scope="session")
def whole(world):
    """The bundle as it should be. Read only."""
    maker = Maker(world)
    maker.with_tokens = maker.by_ssh_keygen = True
    return maker.make()


@pytest.fixture
def bundle(whole, tmp_path):
    """A copy of it that a test may change."""
    return whole.write(tmp_path / "bundle")
