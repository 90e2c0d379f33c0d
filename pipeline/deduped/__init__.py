"""filtered → deduped: exact and near duplicates found, one of each kept, and every removal on record.

The flow, from top to bottom; each module is pure and knows nothing of Spark, `spark.py` joins them::

    normal        texts → normal forms → exact hashes (xxh3-128)
    shingles      normal forms → words → hashes of word n-grams; the exact Jaccard similarity of two texts
    minhash       shingle hashes → signatures → band hashes; the similarity estimated from two signatures
    pairs         band buckets → candidate pairs, linear in the bucket
    components    verified pairs (edges) → connected components, in memory or in rounds of large-star and small-star
    keep          components → which document stays, by source priority, signal, length, doc_id

Near duplicates as in Broder, "On the resemblance and containment of documents" (1997), banded as in Leskovec,
Rajaraman and Ullman, "Mining of Massive Datasets", section 3.4. Default: 14 bands of 8 rows over 5-word shingles, as
FineWeb (Penedo et al. 2024, section 3.4).
"""
