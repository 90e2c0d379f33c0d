"""Stage tables as datasets: Parquet files that a manifest lists.

`sink.py` writes the tables of one task and counts; `spark.py` runs the tasks. A task writes files under names that no
other try of the same task uses and hands back *receipts* (file, size, hash, rows, counts) as the rows of the job's
result. Spark accepts the result of each partition exactly once, however often it was tried, killed or speculated; files
that no accepted receipt names are never listed in the manifest, so they do not exist for any reader.
"""
