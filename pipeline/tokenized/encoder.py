"""Documents of a source → their ids, each document beside the partition of its hash; some are checked on the way.

An *engine* makes the ids. Whatever it is, on one document in `SAMPLED`, chosen by hash, and on the first of each file
its ids are compared with those of the `tokenizers` library, which define what is right, and decoded again.
"""

import gc
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.document import order_hash
from pipeline.tokenized.encoded import as_binaries, with_specials
from pipeline.tokenized.engines.choice import Choice
from pipeline.tokenized.engines.engine import Encoded, first_difference
from pipeline.tokenized.engines.opening import REFERENCE
from pipeline.tokenized.engines.reference import TokenizersEngine
from pipeline.tokenized.round_trip import RoundTrip
from pipeline.tokenized.tokenizer import TokenizerInfo

SAMPLE_KEY = "engine"
SAMPLED = 1000
MOST_BYTES = 2**20  # of a document that is compared: `tokenizers` may take a hundred times that in memory


@lru_cache(maxsize=1)
def opened(info: TokenizerInfo, engine: Choice, bos_id: int | None, eos_id: int | None) -> "Encoder":
    """The encoder of a worker: opened for its first task and kept, with the words that its engine has met (5 ms/MB of
    a task of 32 MB). What is in memory by then is no garbage: PySpark's daemon collects it after every task, which
    takes 45 ms, and 11 where it need not look at it."""
    encoder = Encoder(info, engine, bos_id=bos_id, eos_id=eos_id)
    gc.collect()
    gc.freeze()
    return encoder


class Encoder:
    """An engine, opened in a worker, and what checks it. One thread: a Spark task has one core."""

    def __init__(self, info: TokenizerInfo, engine: Choice, *, bos_id: int | None, eos_id: int | None) -> None:
        self._engine = engine.open(info.encoding_json)
        self._reference = None if engine.name == REFERENCE else TokenizersEngine(info.encoding_json)
        self._round_trip = RoundTrip(info.json_text)
        self._dtype = np.dtype(info.dtype)
        self._bos_id, self._eos_id = bos_id, eos_id

    def encode(self, rows: pa.RecordBatch, parts: npt.NDArray[np.int64], *, first: bool) -> pa.RecordBatch:
        """Documents (doc_id, n_bytes, text) with their ids and what the checks say, `parts` [n_rows] beside them; the
        first of a file (`first`) is always checked."""
        texts, doc_ids = rows.column("text"), rows.column("doc_id")
        found = self._engine.encode(texts)
        tokens, lengths = found.tokens.astype(self._dtype, copy=False), found.lengths
        whole, longer = with_specials(tokens, lengths, bos_id=self._bos_id, eos_id=self._eos_id)
        return pa.record_batch(
            {
                "part": pa.array(parts.astype(np.int32)),
                "doc_id": doc_ids,
                "n_bytes": rows.column("n_bytes"),
                "tokens": as_binaries(whole, longer),
                "round_trip": self._round_trip.verdicts(doc_ids, texts, tokens, lengths, first=first),
                "difference": self._differences(rows, found, first),
            }
        )

    def _differences(self, rows: pa.RecordBatch, found: Encoded, first: bool) -> pa.StringArray:
        """For each document null, or how its ids differ from those of `tokenizers`."""
        notes: list[str | None] = [None] * rows.num_rows
        if self._reference is not None:
            chosen = order_hash(rows.column("doc_id"), SAMPLE_KEY) < np.uint64(2**64 // SAMPLED)
            chosen[:1] |= first
            small = rows.column("n_bytes").to_numpy() <= MOST_BYTES
            documents = found.documents()
            for place in np.flatnonzero(chosen & small).tolist():
                text = rows.column("text").slice(place, 1)
                difference = first_difference(text, Encoded.of([documents[place]]), self._reference.encode(text))
                if difference is not None:
                    doc_id = rows.column("doc_id")[place].as_py().hex()
                    notes[place] = f"document {doc_id}, {difference.told}"
        return pa.array(notes, pa.string())
