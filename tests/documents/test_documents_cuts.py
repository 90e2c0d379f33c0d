"""A file read by pieces gives the records of the file read as a whole, wherever it is cut."""

import io
import json
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.documents import cuts
from pipeline.documents.cuts import Piece
from pipeline.documents.reading import read_file, read_piece
from pipeline.documents.records import Format, Quarantined, ReadParams, Record
from pipeline.storage import FileInfo

Item = Record | Quarantined


def info_of(data: bytes, path: str = "a.jsonl") -> FileInfo:
    return FileInfo(path=path, bytes=len(data), stamp="")


def whole(data: bytes, params: ReadParams) -> list[Item]:
    return list(read_file(lambda: io.BytesIO(data), "a.jsonl", len(data), params))


def by_pieces(data: bytes, piece_bytes: int, params: ReadParams) -> list[list[Item]]:
    """The items of each piece."""
    with mock.patch.object(cuts, "PIECE_BYTES", piece_bytes):
        info = info_of(data)
        content = cuts.joined([cuts.content(io.BytesIO(data), piece) for piece in cuts.cut(info)])
        pieces = cuts.read_pieces(info, params.format, content.lines)
    return [list(read_piece(lambda: io.BytesIO(data), piece, params)) for piece in pieces]


def test_lines_belong_to_the_piece_in_which_they_begin() -> None:
    lines = [json.dumps({"text": text}).encode() for text in ("one", "two", "three")]
    data = b"\n".join(lines)  # they begin at 0, 16 and 32; of 49 bytes
    records = [[item.record for item in items] for items in by_pieces(data, 16, ReadParams())]
    assert records == [[0], [1], [2], []]
    assert [[item.record for item in items] for items in by_pieces(data, 10, ReadParams())] == [[0], [1], [], [2], []]


LINE = st.one_of(
    st.sampled_from([b"", b" ", b"\xef\xbb\xbf", b"not JSON", b"\xff", b"[1]", b'{"text": ""}']),
    st.text("abc\r\u00e9", max_size=30).map(lambda text: json.dumps({"text": text}).encode()),
)


@given(lines=st.lists(LINE, max_size=12), ended=st.booleans(), piece_bytes=st.integers(1, 60), block=st.integers(1, 40))
@settings(deadline=None, max_examples=150)
def test_pieces_of_json_lines_are_the_whole(lines: list[bytes], ended: bool, piece_bytes: int, block: int) -> None:
    data = b"\n".join(lines) + (b"\n" if ended else b"")
    params = ReadParams(max_document_bytes=25)
    with mock.patch.object(cuts, "BLOCK_BYTES", block):
        found = by_pieces(data, piece_bytes, params)
    assert [item for items in found for item in items] == whole(data, params)
    assert len(found) == max(1, -(-len(data) // piece_bytes))


@pytest.mark.parametrize(("piece_bytes", "n_with_rows"), [(200, 9), (3_000, 3), (10**6, 1)])
def test_pieces_of_a_parquet_file_are_the_whole(piece_bytes: int, n_with_rows: int) -> None:
    buffer, params = io.BytesIO(), ReadParams(format=Format.PARQUET)
    texts = [f"text {number}" * (number % 7) for number in range(500)]  # some are empty: quarantined
    pq.write_table(pa.table({"text": texts, "n": range(500)}), buffer, row_group_size=60)
    data = buffer.getvalue()
    found = by_pieces(data, piece_bytes, params)
    assert [item for items in found for item in items] == whole(data, params)
    assert (
        sum(map(bool, found)) == {200: 9, 3_000: 3, 10**6: 1}[piece_bytes]
    )  # nine row groups; the last piece is the footer


def test_a_damaged_parquet_file_is_told_once() -> None:
    params = ReadParams(format=Format.PARQUET)
    [[item], *others] = by_pieces(b"PAR1" * 100, 64, params)
    assert isinstance(item, Quarantined)
    assert item == whole(b"PAR1" * 100, params)[0]
    assert others == [[]] * 6


def test_a_digest_needs_no_whole_file() -> None:
    data = bytes(range(256)) * 10
    with mock.patch.object(cuts, "PIECE_BYTES", 1000):
        found = [cuts.content(io.BytesIO(data), piece) for piece in cuts.cut(info_of(data))]
    assert [n for _, n in found] == [data[k : k + 854].count(b"\n") for k in (0, 854, 1708)]
    digests = [xxhash.xxh3_128_digest(data[k : k + 854]) for k in (0, 854, 1708)]
    assert cuts.joined(found).digest == xxhash.xxh3_128_hexdigest(b"".join(digests))
    [one] = [cuts.content(io.BytesIO(data), piece) for piece in cuts.cut(info_of(data))]
    assert cuts.joined([one]).digest == xxhash.xxh3_128_hexdigest(data)


@pytest.mark.parametrize(
    ("path", "kind", "n_pieces"),
    [("a.jsonl", Format.JSONL, 4), ("a.jsonl.gz", Format.JSONL, 1), ("a.JSONL.ZST", Format.JSONL, 1),
     ("a.jsonl.bz2", Format.JSONL, 1), ("a.parquet", Format.PARQUET, 4), ("a.txt", Format.TEXT, 1)],
)  # fmt: skip
def test_what_can_be_cut_is_cut(path: str, kind: Format, n_pieces: int) -> None:
    info = FileInfo(path=path, bytes=100 * 2**20, stamp="")
    pieces = cuts.read_pieces(info, kind, (5, 7, 0, 1))
    assert len(pieces) == n_pieces
    assert sum(piece.n_bytes for piece in pieces) == info.bytes
    assert [piece.lines for piece in pieces] == [0, 5, 12, 12][:n_pieces]


def test_small_files_are_read_together() -> None:
    sizes = [20, 10, 2, 1, 70, 5]
    pieces = [
        piece
        for number, size in enumerate(sizes)
        for piece in cuts.cut(FileInfo(path=f"{number}", bytes=size * 2**20, stamp=""))
    ]
    groups = [[piece.info.path for piece in group] for group in cuts.grouped(pieces)]
    assert groups == [["0", "1", "2"], ["3", "4"], ["4"], ["4", "5"]]
    alone = Piece(info=FileInfo(path="big.gz", bytes=2**30, stamp=""), start=0, stop=2**30)
    assert cuts.grouped([alone, alone]) == [[alone], [alone]]


def test_a_task_reads_its_piece_alone() -> None:
    data = b"".join(json.dumps({"text": f"{number}"}).encode() + b"\n" for number in range(2_000))

    class Counting(io.BytesIO):
        n_read = 0

        def read(self, size: int | None = -1, /) -> bytes:
            found = super().read(size)
            Counting.n_read += len(found)
            return found

    with mock.patch.object(cuts, "PIECE_BYTES", 5_000), mock.patch.object(cuts, "BLOCK_BYTES", 100):
        [*_, piece] = cuts.read_pieces(info_of(data), Format.JSONL, [0] * -(-len(data) // 5_000))
        list(read_piece(lambda: Counting(data), piece, ReadParams()))
    assert Counting.n_read < 5_200
