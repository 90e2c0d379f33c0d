"""At which positions a run of a plan serves some samples.

A run that has changed its mix on the way (a fork), or left positions out, was served others from there on.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from pipeline.order import Order
from pipeline.order import served as order_served
from pipeline.order.keys import Ints
from pipeline.taken_down.held import Held

SERVED = pa.schema(
    [
        ("split", pa.string()),
        ("position", pa.int64()),
        ("source", pa.string()),
        ("sample", pa.int64()),
        ("doc_id", pa.string()),
        ("token_from", pa.int64()),
        ("token_to", pa.int64()),
    ]
)
"""A row for each piece of a document that is served: at a position of the run (null in the validation pass), as tokens
[token_from, token_to) of a sample of the source. `doc_id` in hexadecimal digits."""


def served(order: Order, budget_samples: int, found: Sequence[Held]) -> pa.Table:
    """What the positions [0, budget_samples) serve of documents, ascending, and behind it the validation samples.

    Costs a block of the order, about 0.1 s, for each 2¹⁸ positions, or less where few samples are found.
    """
    rows = []
    train = {name: pieces for name in order.names if len(pieces := _pieces(found, name, "train"))}
    wanted = {order.names.index(name): _samples(pieces) for name, pieces in train.items()}
    for source, (positions, sample) in order_served(order, wanted, budget_samples).items():
        name = order.names[source]
        held = train[name].column("sample").to_numpy()
        first, last = np.searchsorted(held, sample), np.searchsorted(held, sample, side="right")
        counts = last - first
        at = np.repeat(first - (np.cumsum(counts) - counts), counts) + np.arange(int(counts.sum()))
        rows.append(_rows(train[name].take(pa.array(at)), name, "train", pa.array(np.repeat(positions, counts))))
    for name in order.names:
        held_out = _pieces(found, name, "validation")
        rows.append(_rows(held_out, name, "validation", pa.nulls(len(held_out), pa.int64())))
    keys = [("split", "ascending"), ("position", "ascending"), ("source", "ascending"), ("sample", "ascending")]
    return pa.concat_tables([SERVED.empty_table(), *rows]).sort_by([*keys, ("token_from", "ascending")])


def _samples(pieces: pa.Table) -> Ints:
    """The samples of pieces, ascending, each once."""
    samples: Ints = np.unique(pieces.column("sample").to_numpy())
    return samples


def _pieces(found: Sequence[Held], source: str, split: str) -> pa.Table:
    """The pieces of a source's samples, ascending."""
    own = [one.pieces for one in found if (one.part.source, one.part.split) == (source, split)]
    return (
        pa.concat_tables(own).sort_by([("sample", "ascending"), ("token_from", "ascending")]) if own else pa.table({})
    )


def _rows(pieces: pa.Table, source: str, split: str, positions: pa.Array) -> pa.Table:
    if not len(pieces):
        return SERVED.empty_table()
    n = len(pieces)
    return pa.table(
        {
            "split": pa.array([split] * n),
            "position": positions,
            "source": pa.array([source] * n),
            "sample": pieces.column("sample"),
            "doc_id": pa.array([doc_id.hex() for doc_id in pieces.column("doc_id").to_pylist()]),
            "token_from": pieces.column("token_from"),
            "token_to": pieces.column("token_to"),
        },
        SERVED,
    )
