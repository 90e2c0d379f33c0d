"""filtered → deduped: exact, same-URL and near duplicates found, one of each kept, and every removal on record.

The pure modules, in the order of the flow (normal forms, exact hashes and canonical URLs are in `texts`)::

    shingles      normal forms → words → hashes of word n-grams; the exact Jaccard similarity of two texts
    minhash       shingle hashes → signatures → band hashes; the similarity estimated from two signatures
    bands         bands and rows for a threshold; how probable a comparison is
    pairs         band buckets → candidate pairs, linear in the bucket
    components    verified pairs (edges) → connected components, in memory
    lines         the lines of texts, and cutting out those that many documents have
    batches       all of these over Arrow batches: what one task does
    in_memory     all decisions on the driver, where it can hold the signatures
    kept          what one task writes at the end
    clusters      similarities and the largest clusters, for the report
    published     counts, report and alarms of a deduped dataset
    inputs, specs what is compared, and what the datasets are made of
    against       deduped datasets of earlier runs, whose documents stand above all new ones

and Spark's part, the glue, which decides the same by joins where there are more documents::

    steps         tables that one step leaves to the next
    compared      signatures → candidate pairs → their similarities
    stars         edges → connected components, where no driver holds them
    delined       filtered documents without the lines that many of a source have; a dataset of its own
    spark         the whole, and which document of a component stays: by source priority, a signal, length, doc_id

Near duplicates as in Broder, "On the resemblance and containment of documents" (1997), banded as in Leskovec,
Rajaraman and Ullman, "Mining of Massive Datasets", section 3.4. Default: 14 bands of 8 rows over 5-word shingles, as
FineWeb (Penedo et al. 2024, section 3.4).
"""
