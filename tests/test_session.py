"""What a session of Spark Connect is sent; sessions themselves are tested with the flow."""

import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any, cast

from pipeline import session


class Recorder:
    """Takes the place of a session: unpacks what it is sent as an executor does."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def addArtifacts(self, given: str, *, archive: bool) -> None:  # noqa: N802
        path, _, name = given.partition("#")
        assert archive
        with tarfile.open(path) as tar:
            tar.extractall(self._folder / name, filter="data")


def test_executors_of_spark_connect_can_import_what_they_are_sent(tmp_path: Path) -> None:
    session._send_code(cast(Any, Recorder(tmp_path)))
    code = "from pipeline import schema as s; print(s.__file__, s.folder(), len(s.arrow('documents', 'documents')))"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert run.stdout.split() == [str(tmp_path / "pipeline" / "schema.py"), str(tmp_path / "pipeline" / "schemas"), "8"]
