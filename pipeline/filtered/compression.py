"""How far a text can be compressed: `compression_ratio` is high for text that repeats itself, low for random data.

It is the bytes of UTF-8 by the bytes of the Zstandard frame made of them, at the library's default level and with a
window of 32 KiB. Measured (MB/s of one core, on documents of 0.2, 2 and 20 KB): level 3 does 51, 170, 250; zlib's
level 6 does 21, 51, 46, for ratios 2 to 5 % higher; LZ4 270, 490, 490, for ratios 15 to 31 % lower. And the number
depends on the library, so it must be the same one on every machine: the wheels of `zstandard` bring their own, where
`zlib` is whatever Python was built with. `PARAMETERS` says what a dataset's numbers were made with.

The window is that of zlib, which most published limits are made for, and keeps long documents comparable: above some
20 KB the ratio no longer grows with the length (at 1 MB 2.7 instead of 3.1 on the same prose). What repeats at a
greater distance is for the signals of repeated lines and paragraphs.

Nothing is subtracted for the frame (9 or 10 bytes, and 3 for each 32 KiB after the first): ratios of short texts are
low, below 1 for most of less than 80 bytes. Technical English has about 1.3 at 200 bytes, 2.1 at 2 KB, 2.8 from 20 KB
on, so a limit from above bears on long documents; it belongs beside `n_bytes` in a rule.

Limits that others publish; no rule set here has one:

* Whisper takes a transcript of some 30 s for a loop if zlib's ratio is above 2.4 (Radford et al. 2022, arXiv
  2212.04356, section 4.5; `compression_ratio_threshold` in openai/whisper): a limit for texts of about 0.5 KB.
* Compel (ICLR 2026 submission 21618; issue 633 of marin-community/marin) keeps web pages that LZ4 compresses to 65 to
  90 %, so with a ratio of 1.1 to 1.5 there: LZ4 has no entropy coding, its numbers are not comparable with these.
* Gopher, C4, RefinedWeb, FineWeb, RedPajama-v2 and data-juicer measure repetition by counting, not by compressing.
"""

from collections.abc import Mapping
from itertools import pairwise
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import zstandard

from pipeline.texts.buffers import slices

_LEVEL = 3
_WINDOW_LOG = 15

# What decides about the number, for a dataset's fingerprint.
PARAMETERS: Mapping[str, object] = MappingProxyType(
    {
        "codec": "zstd",
        "level": _LEVEL,
        "window_bytes": 1 << _WINDOW_LOG,
        "library": ".".join(map(str, zstandard.ZSTD_VERSION)),
    }
)


def measure(texts: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """`compression_ratio` of each document, float64 [len(texts)]; 0 for an empty text.

    `texts` are string or large_string without nulls, `ValueError` otherwise.
    """
    parameters = zstandard.ZstdCompressionParameters.from_level(_LEVEL, window_log=_WINDOW_LOG)
    compress = zstandard.ZstdCompressor(compression_params=parameters).compress
    ratios = [np.empty(0, np.float64)]
    for part in slices(texts):
        data, offsets = part.data.data, part.offsets.tolist()
        sizes = [len(compress(data[first:last])) for first, last in pairwise(offsets)]
        ratios.append(part.n_bytes / np.array(sizes, np.float64))
    return np.concatenate(ratios)
