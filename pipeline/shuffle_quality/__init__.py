"""What a mix's shuffle is worth, in figures that a person can judge: for `shardmill shuffle-report`.

`datasets` (where a source's shards begin, which documents its samples are of) and the pure functions of
`pipeline.order` (`composition`, `meetings`, `course`, `reads`) give the figures (`measured`), which `table` and `plot`
show.
"""
