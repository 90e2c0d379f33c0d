"""The loader: from a finished mix to the batches of a training loop. No Spark, no worker processes, no state on disk.

    from pipeline.loader import StreamingLoader

    loader = StreamingLoader("data/mixes/demo", global_batch_size=64)   # rank and world_size from torch.distributed
    loader.load_state_dict(checkpoint["loader"])                        # on any number of ranks
    for batch in loader:
        batch["input_ids"]                                # int64 [global_batch_size / world_size, sequence_length]
        batch["position"]                                 # int64 [rows]: the samples' places in the global order
        batch["source"], batch["sample"]                  # int16, int64 [rows]: source number in the plan, its sample
        checkpoint["loader"] = loader.state_dict()        # small, JSON-able, equal on all ranks

What is served. The global batch at position p is the samples of positions p … p + B - 1, in an order of rows that
depends on nothing but the plan; rank r of W is given rows ⌊rB/W⌋ … ⌊(r+1)B/W⌋-1 of it. So the sequence of global
batches is the same for every W. A run is served floor(N / B) batches of its budget of N samples (`len(loader)`), or
goes on without end with `beyond_budget=True`. `split="validation"` serves the held-out samples once, in their order;
the last batch is short, and a rank's part of it may be empty. For another validation pass make another loader: that
is cheap.

Going on. `iter(loader)` goes on where the loader stands and never restarts; making a second iterator ends the first
with an error. `state_dict` counts what the training loop has received, not what was prepared ahead. A state of
another plan, split, seed, order or tokenizer is refused with both values. A larger budget and another
global_batch_size are accepted: the order does not depend on them. `skip_batches(n)` leaves batches out and remembers
their positions.

Safety. Each granule (about 32 KiB) is compared with its checksum before it is first served; damage is a
`DamagedDatasetError` that names shard file, granule, expected and found. Exceptions of the thread are raised in the
training loop, where their batch was due. `close()`, the end of a `with` block, and forgetting the loader end the
thread and unmap the shards.

How it works, in the order of the flow: `distributed` (who am I), `parts` (open a tokenized dataset), `sequence`
(position → samples), `granules` (samples → verified rows), `batches` (one after the other), `prefetch` (in a thread,
two ahead), `state` (what a checkpoint keeps), `loader` (the class). Each batch is new memory, the caller's own.

Limits: the mix must lie on this machine's disks (or a mounted one), and a shard file that is cut short while it is
mapped ends the process (SIGBUS): datasets are never changed in place.
"""

from pipeline.loader.loader import StreamingLoader
from pipeline.loader.parts import DamagedDatasetError

__all__ = ["DamagedDatasetError", "StreamingLoader"]
