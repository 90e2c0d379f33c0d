"""MDS, the shard format of mosaicml-streaming (version 2): arrays in, bytes out, exactly what its `MDSWriter` writes.

A folder of shards is `index.json` and the files it lists; readers open listed files only. Modules, from the inside out:

    encodings     one value ⇄ its bytes, for each encoding (`str`, `int`, `ndarray:uint16:2048`, …)
    layout        the columns, a shard's header, a row's size, and where rows lie in the file
    writer        rows or arrays → a shard's bytes → its index entry → `index.json`; `write_folder` does it all
    reader        a shard as rows, or as an array without copying; the index; corrupt files refused
    compression   shards that mosaicml-streaming compressed (zstd, gz, bz2, br, snappy), for the reader
    frames        shards that we compress: a zstd frame for each granule, so that they are read by granules too
    checksums     whole-file hashes, and our own tables beside the shards: granule checksums and shard starts

and for tables, with Arrow and (`datasource` alone) Spark, which the modules above never import:

    arrow_types   Arrow type ⇄ encoding: what a column is written with, what it is read as
    arrow_encode  a record batch's columns → values; one that does not fit is named by row and column
    arrow_shards  the record batches of a partition → its shards, split by size
    arrow_decode  a shard → record batches of the columns asked for
    commit        how shards of many tasks become one dataset, exactly once
    datasource    `df.write.format("mds")`, `spark.read.format("mds")`

Source of the format's facts: mosaicml-streaming 0.13.0, `streaming/base/format`; the tests compare with that package.
"""
