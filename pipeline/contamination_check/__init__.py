"""The check of a finished mix: which evaluation items stand in what a run is served. For `shardmill contamination`.

::

    asked            what is looked for, by the recipe's `decontaminate` (or that block alone)
    documents        the shards of a range → its documents, put back together from the provenance
    texts            tokens → text, and where each row of a document begins in it
    tasks            what a worker does of a partition: sample what is common, look for items
    workers          the tasks of a mix on several processes
    check            source by source: the index for it, all matches, what is reported of them
    positions        the positions of a run that serve the matches
    files, table     what is written, what a person sees

The matching is that of the filter pass (`pipeline.filtered.contamination`), on what the tokens decode to. Everything
that the mix may serve is looked at, and nothing else: the ranges that the plan names with their packed tails, the
tokens left over that filled no row, and the documents held out for validation, which are told apart. So a document that
lies across rows is looked at as a whole. What is common is measured on a sample of the mix's own documents, which has
lost its duplicates: an item may be common in a source as it was filtered, and not here.

A mix is called contaminated (exit code 1, as for whatever is wrong) if training may be served a part of a passage,
before or behind the budget's end; what stands in held-out documents, or in no row, is told and does not count.

Tokenizers that change texts (lower case, NFKC, words without the spaces between them) give what they decode to, which
mostly has the same words.

Memory: each worker holds the items' index, one shard with its provenance (mapped where it is local), some 8 MiB of text
and the largest document; the process that started them all matches, about 200 bytes each. None grows with the mix.
"""
