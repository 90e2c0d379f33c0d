"""The compression ratio is that of each text alone."""

import json
import random

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.filtered.compression import PARAMETERS, measure

PROSE = "".join(chr(97 + letter) if letter < 26 else " " for letter in random.Random(0).choices(range(31), k=40_000))


def alone(text: str) -> float:
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=15)
    frame = zstandard.ZstdCompressor(compression_params=parameters).compress(text.encode())
    assert zstandard.decompress(frame).decode() == text
    return len(text.encode()) / len(frame)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text() | st.sampled_from(["", "ab" * 5000, PROSE, PROSE[:9000] * 4]), max_size=20))
def test_the_ratio_is_that_of_the_text_alone(texts: list[str]) -> None:
    found = measure(pa.array(texts, pa.string()))
    assert found.dtype == np.float64
    assert found.tolist() == [alone(text) for text in texts]


def test_an_empty_text_has_zero_and_repetition_has_much() -> None:
    empty, short, prose, loop = measure(pa.array(["", "a cat", PROSE, "the cat sat. " * 1000]))
    assert empty == 0
    assert short == 5 / 14  # the frame's own bytes count
    assert 1 < prose < 2
    assert loop > 100


def test_what_repeats_within_the_window_counts_and_no_farther() -> None:
    once, near, far = measure(pa.array([PROSE, PROSE[:20_000] * 2, PROSE * 2]))
    assert near > 1.9 * once
    assert far == pytest.approx(once, rel=0.01)


def test_strings_may_be_large_sliced_and_chunked() -> None:
    texts = ["left out", "the cat", "", "ж…" * 9]
    expected = [alone(text) for text in texts[1:]]
    assert measure(pa.array(texts, pa.large_string())[1:]).tolist() == expected
    chunks = [pa.array(texts)[1:2], pa.array([], pa.string()), pa.array(texts[2:])]
    assert measure(pa.chunked_array(chunks)).tolist() == expected
    assert measure(pa.array([], pa.string())).shape == (0,)


def test_nulls_are_refused() -> None:
    with pytest.raises(ValueError, match="1 of 2 texts are null"):
        measure(pa.array(["a", None]))


def test_the_parameters_can_stand_in_a_fingerprint() -> None:
    assert json.loads(json.dumps(dict(PARAMETERS))) == {
        "codec": "zstd",
        "level": 3,
        "window_bytes": 32768,
        "library": ".".join(map(str, zstandard.ZSTD_VERSION)),
    }
