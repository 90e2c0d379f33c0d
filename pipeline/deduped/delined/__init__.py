"""filtered → delined: the documents of a source without the lines that stand in more than N of them. Off by default.

`lines` (pipeline/deduped/lines.py) says what a line is, when two are one, and why this is done.

edit_lists.py   two edit lists, one after the other, as one
tasks.py        what one task does: count the lines of a file, cut the heavy ones out
spark.py        the whole, for one source

The dataset has the table `filtered` with a filtered dataset's columns and the same counts, so that whatever reads the
one reads the other. A row's signals stay those of the raw text, and its edit list leads back to there.
"""
