"""Deduped documents → tokenized: packed samples as MDS shards, with checksums and the way back to each document.

`tokenizer.py` (which ids), `ranges.py` (which documents lie where), `sampled.py` (how many tokens to expect),
`encoder.py` (documents → ids), `runs.py` (ids on their way to the partition of their document), `packing.py` (tokens →
rows), `shards.py` (rows → files of a dataset), `tasks.py` (what a task does), `spark.py` (the job), `commit.py` (its
end); `rewritten.py`: a dataset without some documents, from its own tokens.
"""
