"""Proof of an order: a hash of each block that stands alone, and the chain of the hashes of the blocks served.

Two runs with equal block hashes were given the same samples of the same datasets at the same positions of the block.
"""

import hashlib
import json
from collections.abc import Sequence

import numpy as np

from pipeline.order.counts import block_range
from pipeline.order.definition import Order
from pipeline.order.rows import Rows, samples

CHAIN_START = ""


def block_hash(order: Order, number: int, fingerprints: Sequence[str]) -> str:
    """The hash of a block as the order has it; `fingerprints` are those of the sources' datasets, one a source.

    Only the sources that the block draws from count, so absent ones do not matter. Of a source that has grown it is
    the fingerprint of what the block draws from.
    """
    return rows_hash(order, number, samples(order, *block_range(order, number)), fingerprints)


def rows_hash(order: Order, number: int, rows: Rows, fingerprints: Sequence[str]) -> str:
    """The hash of the rows (in any order) that were served of a block, all of them: 32 hexadecimal digits.

    It covers the block's number and positions, the names and fingerprints of the sources that it draws from, and the
    source and sample at each position. Sources are taken by name, so the order in which a mix lists them does not
    matter, nor which others it lists.
    """
    if len(fingerprints) != len(order.names):
        raise ValueError(f"{len(order.names)} sources but {len(fingerprints)} fingerprints; give one a source")
    first, last = block_range(order, number)
    by_position = np.argsort(rows.position, kind="stable")
    if not np.array_equal(rows.position[by_position], np.arange(first, last, dtype=np.int64)):
        raise ValueError(f"these rows are not block {number}, whose positions are [{first}, {last})")
    by_name = sorted(np.unique(rows.source).tolist(), key=order.names.__getitem__)
    place_by_name = np.zeros(len(order.names), dtype=np.int64)
    place_by_name[by_name] = np.arange(len(by_name), dtype=np.int64)
    head = {
        "block": number,
        "positions": [first, last],
        "sources": [[order.names[source], fingerprints[source]] for source in by_name],
    }
    digest = hashlib.sha256(json.dumps(head, sort_keys=True, separators=(",", ":")).encode())
    digest.update(place_by_name[rows.source[by_position]].astype("<i2").tobytes())
    digest.update(rows.sample[by_position].astype("<i8").tobytes())
    return digest.hexdigest()[:32]


def chain(previous: str, served: str) -> str:
    """The chain after one more block, from the chain before it (CHAIN_START at first) and that block's hash."""
    return hashlib.sha256(f"{previous}\n{served}".encode()).hexdigest()[:32]
