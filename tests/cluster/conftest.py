from collections.abc import Iterator

import pytest

from tests.cluster.standalone import Cluster, standalone
from tests.cluster.undisturbed import Undisturbed, make_undisturbed


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One cluster for all tests."""
    with standalone(tmp_path_factory.mktemp("cluster")) as started:
        yield started


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """One undisturbed mix for all tests."""
    return make_undisturbed(tmp_path_factory.mktemp("undisturbed"))
