"""The loader: from a finished mix to the batches of a training loop. No Spark, no worker processes, no state on disk.

    from pipeline.loader import StreamingLoader

    loader = StreamingLoader("data/mixes/demo", global_batch_size=64)   # rank and world_size from torch.distributed
    loader.load_state_dict(checkpoint["loader"])                        # on any number of ranks
    for batch in loader:
        batch["input_ids"]                                # int64 [global_batch_size / world_size, sequence_length]
        batch["position"]                                 # int64 [rows]: the samples' places in the global order
        batch["source"], batch["sample"]                  # int16, int64 [rows]: source number in the plan, its sample
        batch["next_position"]                            # int64, one number: where a state after this batch goes on
        checkpoint["loader"] = loader.state_dict()        # small, JSON-able, equal on all ranks

What is served. The global batch at position p is the samples of positions p … p + B - 1, in an order of rows that
depends on nothing but the plan; rank r of W is given rows ⌊rB/W⌋ … ⌊(r+1)B/W⌋-1 of it. So the sequence of global
batches is the same for every W. A run is served floor(N / B) batches of its budget of N samples (`len(loader)`), or
goes on without end with `beyond_budget=True`. `split="validation"` serves the held-out samples once, in their order;
the last batch is short, and a rank's part of it may be empty (an array of 0 rows: every rank takes the same number of
batches). For another validation pass make another loader: that is cheap.

Who reads. Rank and world size are those of data parallelism. All processes that hold one replica of the model (tensor,
pipeline, context or sequence parallelism) give the same data-parallel rank and so get the same rows:

    mesh = init_device_mesh("cuda", (16, 8), mesh_dim_names=("dp", "tp"))
    loader = StreamingLoader(mix, global_batch_size=512, process_group=mesh["dp"])      # or mesh["dp"].get_group(), or
    loader = StreamingLoader(mix, global_batch_size=512, rank=dist.get_rank() // 8, world_size=16)

A world size must divide the global batch; with `uneven=True` it need not: parts then differ by one row, so the loss of
the global batch is the sum over all rows divided by their number, not the mean of the ranks' means.

Gradient accumulation. With `micro_batch_size=n` a rank's part comes in micro-batches of n rows (n must divide it; with
`uneven=True`, and in the short last validation batch, of at most n rows, perhaps none: always as many on every rank):

    for micro_batch in loader:
        (model(micro_batch) / loader.micro_batches).backward()
        if loader.at_batch_end:
            optimizer.step()

A state moves at the ends of global batches alone: gradients of an unfinished batch are not in a checkpoint, so it is
repeated, whole, after a resume. (Another `iter(loader)` on the same loader goes on with the next micro-batch.)

Labels. `labels="shifted"`: labels[i] is the token after input_ids[i], the last of a row -100: for a loss that compares
logits and labels as they stand. `labels="same"`: labels[i] is input_ids[i], for models that shift themselves, as those
of transformers do. Padding is -100, told by the borders that packing recorded, not by its id, which may be that of EOS.
The first token of a document is a target of the EOS before it, as usual in training on packed rows; with
`documents=True` it is none (-100), since attention inside documents sees nothing to tell it from.

Documents. `documents=True` adds, for rows of L tokens: `doc_ids` int32 [rows, L] (0, 1, 2, … in the row, -1 in
padding), `position_ids` int64 [rows, L] (0, 1, 2, … within the document), `cu_seqlens` int32 [pieces + 1] (where each
document begins in the rows laid end to end, and the count of their tokens; padding is a piece of its own), `max_seqlen`
int32, one number: the length of the longest. So `flash_attn_varlen_func(q, k, v, cu, cu, n, n, causal=True)` takes q of
[rows · L, …]. A document that is cut by the end of a row begins anew in the next one: rows are not neighbours.

Pinned memory. With `pin_memory=True` all tensors of a batch lie in page-locked memory, so that
`batch["input_ids"].to("cuda", non_blocking=True)` returns at once. Torch takes the memory again when the batch is gone
and the copies from it have ended: hold as many batches as you like, or forget one while it is copied. (Copies by other
means must have ended before the batch is forgotten.) Each rank sets its device (`torch.cuda.set_device`) before the
first batch. Inside a DataLoader give pin_memory to the DataLoader.

Going on. `iter(loader)` goes on where the loader stands and never restarts; making a second iterator ends the first
with an error. `state_dict` counts what the training loop has received, not what was prepared ahead. A state of
another plan, split, seed, order or tokenizer is refused with both values. A larger budget and another
global_batch_size are accepted: the order does not depend on them (a larger budget that takes more of a source's parts
is another plan). The state holds the chain of the hashes of all blocks (2¹⁸ positions) served, whatever the number of
ranks was: equal chains are equal samples. Going on makes the last of these blocks again and refuses where code or data
now give another one; `shardmill verify-order MIX --state FILE …` makes them all again.

Skipping. `skip(first, last)` leaves out positions from the current one on, say those of a loss spike after going back
to a state before it; `skip_batches(n)` the next n global batches. A global batch is then the next B positions that are
not left out, whatever B and W are. The ranges are in the state. What was left out is not served in this pass of its
source; the next pass has it at other positions. Skip on every rank alike.

Inside other loaders. `pipeline.loader.torch_dataset.LoaderDataset(loader)` goes into torch's DataLoader and torchdata's
StatefulDataLoader; its docstring tells which state to keep. Trainers that save what has `state_dict` and
`load_state_dict` take the loader itself: Lightning as a dataloader of `fit`, Accelerate by
`accelerator.register_for_checkpointing(loader)` (and without `prepare`: the loader has dealt the batch already);
Composer asks the dataset of a DataLoader with a count of samples. These protocols are tested with stand-ins, not with
the packages. Whatever takes batches ahead of the training loop makes `state_dict()` count what it took: then save
`loader.state_dict(batch)`, the state after the batch that was trained on last.

Changing the mix. `StreamingLoader(new_mix, …).load_state_dict(state, fork=True)` takes a changed mix up knowingly:
other weights, stages and sources, more or fewer parts of a source. The running block (up to 2¹⁸ positions) is served
as it was begun; from its end on the new mix holds, its stages at their places, each source at its own draw: nothing is
served again before its pass is over, and a source that has grown or shrunk finishes its running pass with the samples
it had (a smaller weight takes fewer parts; the old ones must still lie beside them). A source that the running block
still needs must stay in the recipe, with weight 0. The states saved from then on belong to the new mix (see `forks`).
Refused also then: another seed, order, tokenizer, shape of rows; a source with other samples under its old name.

Object stores. `StreamingLoader("s3://bucket/mixes/demo", storage_options={…}, …)` takes any URL of fsspec (`s3://`
needs `pip install shardmill[s3]`). The order is known, so what the rank needs of this block of positions and the next
is fetched ahead, in the order of need, neighbours in one request, each granule once a block, the borders of documents
with them. `memory_bytes` holds it, by default 2 · block rows · row bytes / world_size (at most 2 GiB / world_size;
`stats()["memory_bytes"]` is the whole bound, with 64 MiB on the way). Less is an error that names the figure, unless
there is `cache_dir` with `cache_bytes`: a disk cache for all processes of the node, least recently used out first, each
entry verified when it is read, nothing to clean up after a kill. Two loaders of different mixes may share it.

Faults. Failed requests (timeouts, resets, cut bodies, 429, 5xx) are repeated after random waits that grow, slow ones
get others beside them, expired credentials a new client; after `deadline_seconds` (120) for a range the error is
a `StorageError` with the last failure as its cause. Missing credentials and wrong options, which show at the first
read, are one at once. `stats()` counts requests, retries, hedges, bytes, cache hits, and the seconds that the training
loop has waited.

Safety. Each granule (about 32 KiB) is compared with its checksum before it is first served; a wrong one is read again,
and damage that stays is a `DamagedDatasetError` that names shard file, granule, expected and found. A local file that
was replaced is noticed within seconds, and verified anew. Names that lead out of a dataset's folder or of the cache are
refused. Exceptions of threads are raised in the training loop, where their batch was due. `close()`, the end of a
`with` block, and forgetting the loader end the thread and unmap the shards. A loader is used in the process that
iterates over it first; after a fork make another (or `copy()` it).

How it works, in the order of the flow: `distributed` (who am I), `options`, `parts` (open a tokenized dataset),
`sequence` (position → samples), `dealing` and `skips` (global batches, ranks' parts, micro-batches, what is left out),
`reading` (the door to the rows): `granules`, `places`, `hashes` and `mapped` (local), or `remote`, `window`, `checked`,
`known`, `fetch` and `cache` (object stores); `buffers` and `pinned` (memory that is taken again); `borders`, `ahead`,
`targets` and `contents` (documents, labels, what a batch holds), `batches` (one after the other), `prefetch` (in a
thread, two ahead), `standing` (what was received), `state`, `forks` and `served` (what a checkpoint keeps), `loader`
(the class). A batch is its receiver's own for good.

Compressed mixes (`compression: zstd` in the recipe; `pip install shardmill[zstd]`) are served alike, a granule being a
frame of its shard (`mds.frames`): so nothing is read whole, and order and ranks' shares are those of the same mix
without. They cannot be mapped: also on local disks they are read ahead into `memory_bytes`, and a `cache_dir` may help.

Limits: a shard file that is cut short while it is mapped ends the process (SIGBUS): datasets are never changed in
place.
"""

from pipeline.loader.loader import StreamingLoader
from pipeline.manifest import DamagedDatasetError
from pipeline.retries import StorageError

__all__ = ["DamagedDatasetError", "StorageError", "StreamingLoader"]
