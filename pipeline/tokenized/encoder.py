"""Documents of a source → their ids; some are checked on the way.

An *engine* makes the ids. Whatever it is, on one document in `SAMPLED`, chosen by hash, and on the first of each file
its ids are compared with those of the `tokenizers` library, which define what is right, and decoded again.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa

from pipeline.document import order_hash
from pipeline.tokenized.engines.choice import Choice
from pipeline.tokenized.engines.engine import Encoded, first_difference
from pipeline.tokenized.engines.opening import REFERENCE
from pipeline.tokenized.engines.reference import TokenizersEngine
from pipeline.tokenized.round_trip import RoundTrip
from pipeline.tokenized.tokenizer import TokenizerInfo

SAMPLE_KEY = "engine"
SAMPLED = 1000
MOST_BYTES = 2**20  # of a document that is compared: `tokenizers` may take a hundred times that in memory


@dataclass(frozen=True, kw_only=True, eq=False)
class Checked:
    """Ids of documents, without BOS and EOS; `RoundTrip.verdicts` of each; and how one of them differs from what
    `tokenizers` gives, None where none of those that were compared does."""

    encoded: Encoded
    verdicts: pa.StringArray
    difference: str | None


@lru_cache(maxsize=1)
def opened(info: TokenizerInfo, engine: Choice) -> "Encoder":
    """The encoder of a worker: opened for its first task and kept, with the words that its engine has met (5 ms/MB of
    a task of 32 MB)."""
    return Encoder(info, engine)


class Encoder:
    """An engine, opened in a worker, and what checks it. One thread: a Spark task has one core."""

    def __init__(self, info: TokenizerInfo, engine: Choice) -> None:
        self._engine = engine.open(info.encoding_json)
        self._reference = None if engine.name == REFERENCE else TokenizersEngine(info.encoding_json)
        self._round_trip = RoundTrip(info.json_text)

    def encode(self, rows: pa.RecordBatch, *, first: bool) -> "Checked":
        """The ids of documents (doc_id, n_bytes, text), and what the checks say; the first of a file (`first`) is
        always checked."""
        found = self._engine.encode(rows.column("text"))
        verdicts = self._round_trip.verdicts(
            rows.column("doc_id"), rows.column("text"), found.tokens, found.lengths, first=first
        )
        return Checked(encoded=found, verdicts=verdicts, difference=self._difference(rows, found, first))

    def _difference(self, rows: pa.RecordBatch, found: Encoded, first: bool) -> str | None:
        """How the ids of a document differ from those of `tokenizers`, of the first that does."""
        if self._reference is None:
            return None
        chosen = order_hash(rows.column("doc_id"), SAMPLE_KEY) < np.uint64(2**64 // SAMPLED)
        chosen[:1] |= first
        small = rows.column("n_bytes").to_numpy() <= MOST_BYTES
        ends = np.cumsum(found.lengths)
        for place in np.flatnonzero(chosen & small).tolist():
            text = rows.column("text").slice(place, 1)
            own = found.tokens[ends[place] - found.lengths[place] : ends[place]]
            difference = first_difference(text, Encoded.of([own]), self._reference.encode(text))
            if difference is not None:
                doc_id = rows.column("doc_id")[place].as_py().hex()
                return f"document {doc_id}, {difference.told}"
        return None
