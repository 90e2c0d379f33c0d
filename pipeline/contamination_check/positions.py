"""The positions of a run that serve what was found."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import plan as plans
from pipeline import schema
from pipeline.contamination_check.documents import Int64s
from pipeline.contamination_check.tasks import STAGE, rows_of
from pipeline.order import served
from pipeline.plan import Plan

TABLE = "positions"


def positions(plan: Plan, matches: pa.Table, before: int, global_batch_size: int | None) -> pa.Table:
    """The table `positions`: for each position below `before`, ascending, the passages of which it serves a part. With
    a batch size each position has its step. What is held out, or lies in no row, is served nowhere."""
    trained = matches.filter(pc.equal(matches.column("split"), "train"))
    own = [trained.filter(pc.equal(trained.column("source"), source.name)) for source in plan.sources]
    pairs = [_pairs(rows) for rows in own]
    looked_for = {number: np.unique(sample) for number, (_, sample) in enumerate(pairs)}
    found = []
    for number, (places, held) in served(plans.order_of(plan), looked_for, before).items():
        match, sample = pairs[number]
        first, last = (np.searchsorted(sample, held, side=side) for side in ("left", "right"))
        n = last - first
        pair = np.repeat(first - (np.cumsum(n) - n), n) + np.arange(int(n.sum()))
        rows = own[number].take(pa.array(match[pair]))
        found.append(_rows(rows, np.repeat(places, n), np.repeat(held, n), global_batch_size))
    wanted = schema.arrow(STAGE, TABLE)
    rows = pa.Table.from_batches(found, wanted)
    once = rows.group_by(rows.column_names).aggregate([])  # a document may hold an item in several passages
    in_order = [(name, "ascending") for name in ("position", "item", "doc_id")]
    return once.select(wanted.names).cast(wanted).sort_by(in_order)


def _pairs(matches: pa.Table) -> tuple[Int64s, Int64s]:
    """(number of a match, sample that holds a part of it), by sample."""
    samples = matches.column("samples").combine_chunks()
    match = pc.list_parent_indices(samples).to_numpy().astype(np.int64)
    sample = pc.list_flatten(samples).to_numpy().astype(np.int64)
    by_sample = np.argsort(sample, kind="stable")
    return match[by_sample], sample[by_sample]


def _rows(matches: pa.Table, places: Int64s, samples: Int64s, batch_size: int | None) -> pa.RecordBatch:
    step = pa.nulls(len(places), pa.int64()) if batch_size is None else pa.array(places // batch_size)
    same = {name: matches.column(name).combine_chunks() for name in ("source", "item", "set", "doc_id")}
    return rows_of(TABLE, {"position": places, "step": step, "sample": samples} | same)
