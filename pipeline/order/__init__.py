"""The order of samples, position → sample: a pure function of integers, the same on any number of ranks.

::

    position ──▶ block ──▶ source and lane ──▶ draw ──▶ pass, slot ──▶ chunk ──▶ sample
              counts    blocks (spread, lanes)      draws        permutation

Conventions: everything counts from 0, and ranges are [first, last), the end exclusive. A *position* is a place in the
global order of a run, which has no end. A *source* is an index into `Order.names`, a *sample* a number below its
`n_samples`. A source's *draws* are numbered 0, 1, 2, … over the whole run; draw j is of its *pass* j div n_samples
(as long as it has that many samples: forks change that at the end of a pass).

* *Blocks* (`counts`): `block_samples` positions each, starting anew at a stage's border, numbered on; how many draws of
  each source the blocks before block k hold is closed form, so no run is ever walked.
* *Inside a block* (`blocks`): each source is spread evenly; its draws go to its places by (pass, lane).
* *Draws* (`draws`, `permutation`): each pass serves the source's chunks in a keyed permutation of its own.
* *A global batch* (`rows`): any run of positions, its rows sorted by (lane, block). Rank r of W takes the rows
  floor(rB/W) … floor((r+1)B/W) - 1. What stands at a position depends on neither B nor W, and the batch, the order of
  its rows included, not on W; since neighbours in lane are neighbours in a chunk, each rank reads neighbours.
* *Forks* (`forks`, `eras`): from a block's border on another mix holds, each source at its own draw; one whose number
  of samples has changed finishes its running pass first. `forget` leaves out what is over.
* *The inverse* (`inverse`) and the *certificate* (`certificate`).
* What it is worth: is it the same for all ranks (`verification`), how even are batches (`composition`), who meets in
  them (`meetings`), also where a pass ends (`course`), and what ranks must read (`reads`).

Promises, each a test in `tests/order`: every sample once a pass; a source's count in the positions from a stage's start
to a block's border within 2 of weight × positions, to any position within 6; counts never decrease; no sample of the
next pass before the last of this one.

Every key is a hash of `ORDER_VERSION`, the seed and a source's name and pass (or a block's number), so another source
in a mix changes no permutation. All arithmetic is on integers, no random generator is used, and no sort has ties.

Cost: a block of 2¹⁸ positions in about 0.1 s wherever it lies, 4 MB; what lies in the last few blocks is a slice.

Reads: granules fetched by all ranks / granules there are, in a block of 2¹⁸ rows of 4 KiB, ten sources from 0.5 % to
40 % of 10⁹ samples, granules of 8 rows: 1.002, 1.012, 1.016, 1.129 at 8, 48, 64, 512 ranks, for any 4 … 64 whole rows a
rank (`reads`). Lanes divide exactly into 2^j and 3·2^j parts; 40 ranks have 1.21, 1.11, 1.07, 1.06 with 4, 8, 16, 32
rows a rank. (Owen's scrambling alone, exact for 2^j only, gave 1.13 at 48 ranks, and 1.16 at 40.) A batch that a rank's
number does not divide costs more: 1,000 rows 1.08 and 1.12 at 48 and 64 ranks.

Trade-offs, with batches of 2,048 of these rows: of the largest source's rows 87 % meet another of their chunk in the
batch (in a uniform shuffle few would), whose texts have nothing in common; with chunks of 256 KiB 24 %, at four times
the requests of 8 ranks and half as many again of 512. Blocks of 2¹⁹: 1.066 at 512 ranks, and twice the memory.
"""

from pipeline.order.certificate import CHAIN_START, block_hash, chain, rows_hash
from pipeline.order.counts import block_at, block_range, first_block
from pipeline.order.definition import Beginning, Era, Order, OrderStage
from pipeline.order.forks import forget, fork, fork_position
from pipeline.order.inverse import pass_at, positions_of, served
from pipeline.order.keys import ORDER_VERSION
from pipeline.order.rows import Rows, batch_rows, batches_rows, rank_rows, samples, source_counts

__all__ = [
    "CHAIN_START",
    "ORDER_VERSION",
    "Beginning",
    "Era",
    "Order",
    "OrderStage",
    "Rows",
    "batch_rows",
    "batches_rows",
    "block_at",
    "block_hash",
    "block_range",
    "chain",
    "first_block",
    "forget",
    "fork",
    "fork_position",
    "pass_at",
    "positions_of",
    "rank_rows",
    "rows_hash",
    "samples",
    "served",
    "source_counts",
]
