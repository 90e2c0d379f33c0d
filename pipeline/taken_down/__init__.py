"""A finished mix → one whose shards lack some documents: what `shardmill take-down` does, on one machine without Spark.

    lookup.py      the list's entries → doc_ids; what deduplication kept in the place of a listed document
    held.py        which datasets of the mix hold the documents, in which of their samples
    served.py      the positions at which a run of the old plan serves these samples
    new_plan.py    the plan of the new mix, its accounts, and whether sources are served too often now
    report.py      what was found, taken and served: stored beside the new plan, and printed
    take.py        all of these, in their order

The new mix is a folder of its own beside the old one. The ranges and validation sets that hold one of the documents are
written anew (`tokenized.rewritten`); all others are the old mix's datasets, by path. Weights of samples, stages, seed
and budget are the old mix's, so that a source which has fewer samples is served more passes.

*Beside a new mix by the recipe*, whose `take_down` lists the same: there the documents go before deduplication. A copy
that was removed for a listed document comes in; here nothing comes in. A held-out document that goes is replaced by
another; the validation set here is smaller. Where no such thing happens, the tokenizer is the same, and a source is cut
into as many ranges and partitions, its ranges hold the same samples, byte for byte, in datasets of other fingerprints.

*A run that stands in the middle of the old mix* has two ways to go on.

1. With the old mix, leaving out what is listed: the report's file has the positions, and
   `for first, last in ranges: loader.skip(first, last)` after `load_state_dict` keeps them from being served; the state
   remembers them. Nothing else changes. This is right where they are few: a position is a row, other documents in it
   included.
2. With the new mix, `load_state_dict(state, fork=True)`. A source that was rewritten cannot finish its running pass,
   whose samples held the documents, so `fork` refuses it under its old name. With `--rename-sources` the rewritten
   sources have new names (`web-8f3a1c90`), and the run goes over at the border of a block (`fork_position` in
   `pipeline.order`): it serves the old mix up to the last batch before it, the listed positions skipped, then does
   `loader.skip(position, border)`, saves its state, and takes the new mix up. The renamed sources begin a pass of their
   own (what the old ones had not served yet is not made up for); all others go on at their draw.

Nothing is deleted: the old mix, its datasets and those of the stages before still hold the documents.
"""
