"""Arrow strings become byte arrays without a copy, in bounded runs of whole documents."""

import numpy as np
import pyarrow as pa
import pytest

from pipeline.texts import buffers
from pipeline.texts.buffers import Texts, slices


def texts_of(part: Texts) -> list[str]:
    ends = zip(part.offsets[:-1], part.offsets[1:], strict=True)
    return [part.data[start:stop].tobytes().decode() for start, stop in ends]


def test_documents_are_cut_into_runs_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffers, "SLICE_BYTES", 5)
    found = [texts_of(part) for part in slices(pa.array(["ab", "cde", "", "f", "longer than five", "g"]))]
    assert found == [["ab", "cde", ""], ["f"], ["longer than five"], ["g"]]


def test_the_text_is_not_copied_and_not_writeable() -> None:
    array = pa.array(["ab", "cd"])
    (part,) = slices(array)
    assert part.data.ctypes.data == array.buffers()[2].address
    assert not part.data.flags.writeable
    assert part.offsets.dtype == np.int64


def test_offsets_of_a_slice_point_into_the_whole_buffer() -> None:
    for kind in (pa.string(), pa.large_string()):
        (part,) = slices(pa.array(["ab", "cd", "efg"], kind)[1:])
        assert part.offsets.tolist() == [2, 4, 7]
        assert part.n_bytes.tolist() == [2, 3]
        assert part.max_parts() == 2 + 2


def test_only_empty_texts_need_no_buffer() -> None:
    (part,) = slices(pa.array(["", ""]))
    assert texts_of(part) == ["", ""]
