import errno
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline import manifest, storage
from pipeline.manifest import DamagedDatasetError
from pipeline.retries import StorageError
from pipeline.tables.reading import read_batches, read_rows
from pipeline.tables.sink import Sink


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = {"doc_id": [bytes(16)] * 500, "source": ["code"] * 500, "n_bytes": [*range(500)], "reason": ["why"] * 500}
    with Sink("filtered", str(tmp_path), 0) as sink:
        sink.write("rejected", rows)
    return Path(tmp_path, sink.files[0].path)


def test_a_bit_that_flipped_in_a_page_is_told(table: Path) -> None:
    """In a page's header, whose statistics nobody uses, it may change nothing."""
    whole, rows = table.read_bytes(), list(read_batches(str(table)))
    n_footer = int.from_bytes(whole[-8:-4], "little") + 8
    places = range(4, len(whole) - n_footer)
    n_told = 0
    for place in places:
        table.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        try:
            assert list(read_batches(str(table))) == rows
        except DamagedDatasetError as error:
            assert "is damaged (" in str(error) and "or delete the folder of its dataset, _manifest.json" in str(error)
            n_told += 1
    assert n_told > 0.8 * len(places)


def test_a_file_that_is_gone_or_cut_is_told(table: Path) -> None:
    table.write_bytes(table.read_bytes()[:-1])
    with pytest.raises(DamagedDatasetError, match="is damaged"):
        read_rows([str(table)], [3], ["n_bytes"])
    table.unlink()
    with pytest.raises(
        DamagedDatasetError, match=rf"is damaged \(.*{manifest.MANIFEST} and all, and run again what made it"
    ):
        list(read_batches(str(table)))


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EACCES, "not yours"),
        OSError(errno.EMFILE, "too many open files"),
        TimeoutError(errno.ETIMEDOUT, "no answer of a network disk"),
        pa.ArrowMemoryError("malloc of size 64 failed"),
        StorageError("no answer"),
    ],
)
def test_a_store_that_does_not_answer_is_no_damage(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(_: str) -> None:
        raise error

    monkeypatch.setattr(storage, "open_input", fail)
    with pytest.raises(type(error)):
        list(read_batches("x"))
