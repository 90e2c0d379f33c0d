import struct

import numpy as np
import pyarrow as pa
import pytest
import xxhash

from pipeline.document import doc_id, doc_id_bytes, doc_ids, normal_form, order_hash


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        (" \t\r\n\u00a0\u3000\x1c", ""),
        ("  Hello,\n\n  WORLD!  ", "hello, world!"),
        ("ΟΔΟΣ Σ", "οδοσ σ"),  # the simple mapping: no final sigma
        ("İSTANBUL", "istanbul"),
        ("ȺÉ e\u0301 Ａ１", "ⱥé e\u0301 ａ１"),  # accents, composition and width stay
        ("zero\u200bwidth", "zero\u200bwidth"),  # no white space by Unicode
        ("\x00A", "\x00a"),
    ],
)
def test_normal_form(text: str, expected: str) -> None:
    assert normal_form(text) == expected
    assert normal_form(expected) == expected


def test_a_doc_id_is_the_xxh3_of_its_origin() -> None:
    encoded = struct.pack("<Q", 4) + b"wiki" + "a/ü.jsonl".encode() + struct.pack("<Q", 7)
    assert doc_id("wiki", "a/ü.jsonl", 7) == xxhash.xxh3_128_intdigest(encoded).to_bytes(16, "big")


def test_doc_ids_keep_their_bytes() -> None:
    assert doc_id("code", "part-0.jsonl.zst", 0).hex() == "c5fb6f34ae5c19ee667e3c33c954703a"
    assert order_hash(np.arange(32, dtype=np.uint8).reshape(2, 16), "tokenized").tolist() == [
        7290210339909374748,
        548032754323491217,
    ]


def test_doc_ids_of_a_file_are_those_of_its_records() -> None:
    records = np.array([3, 0, 2**40], dtype=np.int64)
    assert doc_ids("s", "f", records) == [doc_id("s", "f", int(record)) for record in records]
    assert doc_ids("s", "f", records[:0]) == []


def test_origins_that_read_alike_have_different_doc_ids() -> None:
    origins = [("a", "bc", 1), ("ab", "c", 1), ("abc", "", 1), ("a", "bc1", 0), ("a", "b/c", 1), ("a", "bc", 256)]
    assert len({doc_id(*origin) for origin in origins}) == len(origins)


def test_a_file_name_that_is_not_utf8_has_a_doc_id() -> None:
    assert doc_id("s", "caf\udce9.txt", 0) != doc_id("s", "café.txt", 0)


def test_a_negative_record_is_refused() -> None:
    with pytest.raises(ValueError, match=r"record -1 of 'f' in source 's': records are numbered from 0"):
        doc_id("s", "f", -1)


def test_order_hash_of_arrow_and_numpy_agree() -> None:
    ids = doc_ids("s", "f", np.arange(50))
    expected = order_hash(np.frombuffer(b"".join(ids), dtype=np.uint8).reshape(-1, 16), "k")
    for kind in (pa.binary(), pa.large_binary(), pa.binary(16)):
        np.testing.assert_array_equal(order_hash(pa.array(ids, kind), "k"), expected)
    np.testing.assert_array_equal(order_hash(pa.array(ids, pa.binary())[20:], "k"), expected[20:])
    assert order_hash(pa.array([], pa.binary()), "k").shape == (0,)


def test_order_hashes_are_spread_and_their_keys_independent() -> None:
    ids = pa.array(doc_ids("s", "f", np.arange(10_000)), pa.binary())
    first, second = order_hash(ids, "holdout"), order_hash(ids, "tokenized")
    assert len(np.unique(first)) == 10_000
    for quarter in (first >> np.uint64(62), second >> np.uint64(62), (first ^ second) >> np.uint64(62)):
        # 2,500 expected in each of four; standard deviation √(10,000 · 1/4 · 3/4) = 43.3
        assert abs(np.bincount(quarter.astype(np.int64), minlength=4) - 2500).max() < 4 * 43.3


def test_a_column_in_pieces_is_one_column() -> None:
    ids = doc_ids("s", "f", np.arange(5))
    pieces = pa.chunked_array([pa.array(ids[:2], pa.binary()), pa.array(ids[2:], pa.binary())])
    assert [bytes(row) for row in doc_id_bytes(pieces)] == ids


@pytest.mark.parametrize("value", [None, b"short", b"seventeen bytes.."])
def test_a_doc_id_of_another_size_is_refused(value: bytes | None) -> None:
    with pytest.raises(ValueError, match=r"doc_id in row 1 is .*; a doc_id is 16 bytes"):
        doc_id_bytes(pa.array([b"0123456789abcdef", value], pa.binary()))
