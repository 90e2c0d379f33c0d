import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.cluster.standalone import Cluster, standalone
from tests.cluster.undisturbed import Undisturbed, make_undisturbed
from tests.s3_server import S3Server, s3_server


@pytest.fixture(scope="session")
def server() -> Iterator[S3Server]:
    """One object store for all tests, also for what they ask of it in this process."""
    for client in ("aiobotocore", "botocore"):
        logging.getLogger(client).setLevel(logging.WARNING)  # each new client tells where its credentials come from
    with s3_server() as started, pytest.MonkeyPatch.context() as patch:
        for name, value in started.environment("key", "secret").items():
            if name.startswith("AWS_"):
                patch.setenv(name, value)
        yield started


@pytest.fixture(scope="session")
def node(server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a machine that knows nothing of this project, but the object store."""
    folder = tmp_path_factory.mktemp("node")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "python")], check=True)
    python = str(folder / "python" / "bin" / "python")
    bare = {"PATH": "/usr/bin:/bin", "HOME": str(folder / "nobody"), "PYSPARK_PYTHON": python}
    found = server.environment("key", "secret")
    return bare | {name: value for name, value in found.items() if name.startswith("AWS_")}


@pytest.fixture(scope="session")
def cluster(node: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One cluster of such machines for all tests."""
    with standalone(tmp_path_factory.mktemp("cluster"), node) as started:
        yield started


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """One undisturbed mix for all tests."""
    return make_undisturbed(tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture(scope="session")
def stored_recipe(server: S3Server, undisturbed: Undisturbed) -> str:
    """The URL of the same recipe on the object store, whose raw text lies there, too."""
    raw = undisturbed.recipe.parent / "raw"
    for name in ("raw", "recipes"):
        server.make_bucket(name)
    server.upload(raw, "s3://raw")
    text = undisturbed.recipe.read_text().replace(str(raw), "s3://raw")
    server.client().put_object(Bucket="recipes", Key="killed.yaml", Body=text.encode())
    return "s3://recipes/killed.yaml"
