"""Deduped documents → tokenized: packed samples as MDS shards, with checksums and the way back to each document.

`tokenizer.py` (which ids), `ranges.py` (which documents lie where), `packing.py` (tokens → rows), `shards.py` (rows →
files of a dataset), `spark.py` (the job); `rewritten.py`: a dataset without some documents, from its own tokens.
"""
