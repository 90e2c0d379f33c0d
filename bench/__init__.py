"""Side by side with the peers: `make bench`, or `python -m bench [loader order …]`, run from the repository.

What is published of a run are its *ratios*: the figures themselves depend on the machine and on its mood. So each bench
measures this project, a real peer (the release that constraints.txt pins, or peers.txt for an environment apart) and,
where there is one, a limit of the hardware in one run, on the same data, their runs interleaved; a figure is the median
of 3 runs (5 where they are short). Wall seconds and CPU seconds (of all threads) stand side by side. Warm: the data was
written a moment ago, so it lies in the page cache. Nothing else should run on the machine.

* `loader`: samples/s of shuffled rows of 512 to 65,536 tokens, first batch warm and cold, memory, imports, resuming at
  10⁹ samples, bytes fetched by 1 to 64 ranks; litdata, StreamingDataset, numpy gather
* `order`: first global batch, at the start and in the middle of 10⁶ … 10¹² samples, and later ones; StreamingDataset's
  py1e
* `minhash`: signatures, MB/s on one core; datasketch, rensa
* `mds`: rows into shards and back; MDSWriter and MDSReader, plain files
* `engines`: encoding in one thread, ids compared; tokenizers
* `tokenized`: from deduped documents to committed shards through Spark; LLM Foundry's steps, the engine alone
* `filtered`: rule sets, MB/s a core, memory, through Spark, and the agreement of decisions; datatrove
* `decontaminated`: hidden evaluation items, recall and precision by kind; its cost beside that of the filters, and a
  worker's memory; datatrove
* `deduped`: planted near-duplicates, the stage through Spark, and whether its cost is linear, components; datatrove

Each bench runs in a process of its own, needs Linux (peak memory is read from /proc) and no network, and leaves no
file. `measure` holds the clock, `table` the print, `fixture` and `zero_mix` the mixes that `loader` reads, `prose` the
text that `filtered` and `deduped` read, and `peers` the way to datatrove, whose environment `make bench` makes.
"""
