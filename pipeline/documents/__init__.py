"""Raw files become documents; what cannot become one goes to quarantine with its reason, never lost silently.

How to read it: `records` (what comes out: `Record` or `Quarantined`, and `ReadParams`), `compression` (stored bytes →
raw bytes), then one reader a format: `jsonl` (over `lines`), `parquet`, `text`; `meta` keeps a record's remaining
fields as JSON. `reading.read_file` is the one entry; `spark` runs it over the files of a source.

Every record of a file comes out exactly once, in the file's order, as a `Record` or a `Quarantined`. The number of a
record is its place in the file, 0-based: the line (blank lines are counted, though they are no records, so record n of
a JSON lines file is what `sed -n "$((n + 1))p"` prints), the row of a Parquet file, 0 for a text file. Refusing one
record never changes the number of another.
"""
