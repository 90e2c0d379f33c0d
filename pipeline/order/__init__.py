"""The order of samples, position → sample: a pure function of integers, the same on any number of ranks.

::

    position ──▶ block ──▶ source and lane ──▶ draw ──▶ pass, slot ──▶ chunk ──▶ sample
              counts    blocks (spread, lanes)      draws        permutation

Conventions: everything counts from 0, and ranges are [first, last), the end exclusive. A *position* is a place in the
global order of a run, which has no end. A *source* is an index into `Order.names`, a *sample* a number below its
`n_samples`. A source's *draws* are numbered 0, 1, 2, … over the whole run; draw j is of its *pass* j div n_samples.

* *Blocks* (`counts`): `block_samples` positions each, starting anew at a stage's border, numbered on; how many draws of
  each source the blocks before block k hold is closed form, so no run is ever walked.
* *Inside a block* (`blocks`): each source is spread evenly; its draws go to its places by (pass, lane).
* *Draws* (`draws`, `permutation`): each pass serves the source's chunks in a keyed permutation of its own.
* *A global batch* (`rows`): any run of positions, its rows sorted by (block, lane). Rank r of W takes the rows
  floor(rB/W) … floor((r+1)B/W) - 1. What stands at a position depends on neither B nor W, and the batch, the order of
  its rows included, not on W; since neighbours in lane are neighbours in a chunk, each rank reads neighbours.
* *The inverse* (`inverse`) and the *certificate* (`certificate`).

Promises, each a test in `tests/order`: every sample once a pass; a source's count in the positions from a stage's start
to a block's border within 2 of weight × positions, to any position within 6; counts never decrease; no sample of the
next pass before the last of this one.

Every key is a hash of `ORDER_VERSION`, the seed and a source's name and pass (or a block's number), so another source
in a mix changes no permutation. All arithmetic is on integers, no random generator is used, and no sort has ties.

Cost: a block of 2¹⁸ positions in about 0.1 s wherever it lies, 4 MB; what lies in the last few blocks is a slice.

Reads: granules fetched by all ranks / granules there are, in a block of 2¹⁸ rows of 4 KiB, ten sources from 0.5 % to
40 % of 10⁹ samples, granules of 8 rows: 1.002, 1.016, 1.126 at 8, 64, 512 ranks, for 4 rows a rank as for 32. Lanes
divide exactly only batches of a power of two: 48 ranks have 1.132, 1.070, 1.040, 1.025 with 4, 8, 16, 32 rows a rank.
"""

from pipeline.order.certificate import CHAIN_START, block_hash, chain, rows_hash
from pipeline.order.counts import block_at, block_range
from pipeline.order.definition import Order, OrderStage
from pipeline.order.inverse import positions_of
from pipeline.order.keys import ORDER_VERSION
from pipeline.order.rows import Rows, batch_rows, rank_rows, samples, source_counts

__all__ = [
    "CHAIN_START",
    "ORDER_VERSION",
    "Order",
    "OrderStage",
    "Rows",
    "batch_rows",
    "block_at",
    "block_hash",
    "block_range",
    "chain",
    "positions_of",
    "rank_rows",
    "rows_hash",
    "samples",
    "source_counts",
]
