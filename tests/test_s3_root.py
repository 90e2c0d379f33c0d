"""A root and raw text on an S3 server: the same bytes as on a local disk, and no credential in anything that stays."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from pipeline import recipe, storage
from pipeline.flow import STAGES, Flow
from tests.cluster.outcome import orphans, outline
from tests.corpus import make_raw, recipe_text
from tests.s3_server import S3Server, s3_server

REPOSITORY = Path(__file__).parent.parent
ENV_KEY, ENV_SECRET = "KEYOFENVIRONMENT", "secret-of-environment"
RECIPE_KEY, RECIPE_SECRET = "KEYOFRECIPE", "secret-of-recipe"
SECRETS = (ENV_SECRET, RECIPE_KEY, RECIPE_SECRET)
EVENT_LOG = {
    "spark.eventLog.enabled": "true",
    "spark.eventLog.rolling.enabled": "false",
    "spark.eventLog.compress": "false",
}


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as started:
        yield started


@pytest.fixture
def bucket(server: S3Server, request: pytest.FixtureRequest) -> str:
    """The name of a bucket of the test's own."""
    name = str(request.node.name).replace("_", "-")[:60].rstrip("-")
    server.make_bucket(name)
    return name


def run(server: S3Server, command: list[str], events: Path | None = None) -> str:
    """What a command prints that runs in an environment with the server's endpoint and the environment's keys."""
    environment = server.environment(ENV_KEY, ENV_SECRET)
    if events:
        events.mkdir()
        settings = EVENT_LOG | {"spark.eventLog.dir": events.as_uri()}
        options = " ".join(f"--conf {name}={value}" for name, value in settings.items())
        environment["PYSPARK_SUBMIT_ARGS"] = f"{options} pyspark-shell"
    done = subprocess.run([sys.executable, *command], cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_mix_on_s3_is_the_mix_on_a_local_disk(server: S3Server, tmp_path: Path, spark: SparkSession) -> None:
    raw, local, events = make_raw(tmp_path / "raw"), tmp_path / "local", tmp_path / "events"
    text = recipe_text(raw)
    finished = Flow(
        recipe.parse(text, "local"), str(local), console=Console(quiet=True), makes=STAGES, spark=spark
    ).mixed
    assert finished.url == str(local / "mixes" / "tiny")

    for name in ("raw", "recipes", "made"):
        server.make_bucket(name)
    server.upload(raw, "s3://raw")
    given = f"{{key: {RECIPE_KEY}, secret: {RECIPE_SECRET}, endpoint_url: '{server.url}'}}"
    text = text.replace(f'"{raw}/notes"', f'"s3a://raw/notes", storage: {given}').replace(str(raw), "s3://raw")
    server.client().put_object(Bucket="recipes", Key="tiny.yaml", Body=text.encode())
    job = ["jobs/mix.py", "--mix", "s3://recipes/tiny.yaml", "--root", "s3://made/of/all", "--cores", "2"]
    printed = run(server, job, events)
    stored = server.download("s3://made/of/all", tmp_path / "stored")
    assert outline(stored) == outline(local)
    assert len(outline(stored)) > 50
    assert orphans(stored) == []
    assert {(RECIPE_KEY, "raw"), (ENV_KEY, "raw"), (ENV_KEY, "made")} <= server.seen
    assert (RECIPE_KEY, "made") not in server.seen

    again = run(server, job)
    assert "tokenized notes 0, pages 0" in again
    assert "starting Spark" not in again
    shown = run(server, ["-m", "pipeline.cli", "where", "s3://made/of/all/mixes/tiny", "--sample", "notes:0"])
    assert "sample 0 of notes" in shown

    written = [path for folder in (stored, events) for path in folder.rglob("*") if path.is_file()]
    assert any(path.parent == events for path in written)
    told = {str(path): path.read_bytes() for path in written} | {"printed": (printed + again + shown).encode()}
    assert [(name, secret) for name, data in told.items() for secret in SECRETS if secret.encode() in data] == []


def test_a_file_that_another_process_has_written_is_found(server: S3Server, bucket: str) -> None:
    url, options = f"s3://{bucket}/folder", server.options()
    storage.write(f"{url}/first", b"1", options)
    assert [info.path for info in storage.list_files(url, options)] == ["first"]
    server.client().put_object(Bucket=bucket, Key="folder/second", Body=b"22")
    assert storage.open_input(f"{url}/second", options).read() == b"22"
    server.client().put_object(Bucket=bucket, Key="folder/third", Body=b"333")
    storage.remove_tree(url, options)
    assert storage.list_files(url, options) == []


def test_exactly_one_of_many_publishers_wins(server: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url, options = f"s3://{bucket}/_manifest.json", server.options()
    look, start, won = storage.exists, threading.Barrier(8), []

    def exists(url: str, options: storage.Options = None) -> bool:
        found = look(url, options)
        if not found:
            start.wait()  # all have seen that nothing is there
        return found

    def publish(number: int) -> None:
        if storage.publish_once(url, b"%d" % number, options):
            won.append(number)

    monkeypatch.setattr(storage, "exists", exists)
    threads = [threading.Thread(target=publish, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert storage.read(url, options) == b"%d" % won[0]


def test_a_publisher_whose_first_answer_was_lost_has_won(server: S3Server, bucket: str) -> None:
    url, options = f"s3://{bucket}/_manifest.json", server.options()
    server.lost.add(f"/{bucket}/_manifest.json")
    assert storage.publish_once(url, b"mine", options)
    assert not server.lost
    assert not storage.publish_once(url, b"another's", options)
    assert storage.read(url, options) == b"mine"
