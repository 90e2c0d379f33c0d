"""The loader against litdata, mosaicml-streaming's StreamingDataset and the limit, a numpy gather; the same rows.

    python -m bench.loader              # everything, under 6 minutes on 2 processors that nobody else uses
    python -m bench.loader --quick      # little of it, its figures mean nothing: does it run?

In this order:

1. first batch (`loader_starts`): opened at the start and resumed in the middle, files warm and cold;
2. samples/s (`loader_rates`) of rows of 512, 2,048, 8,192 and 65,536 tokens, in one process and by 2 workers: batches
   of int64 [batch, sequence_length], shuffled, from warm files. Ours verifies each granule when it is first read;
   nobody else verifies. The limit gathers from one plain file and widens, which is what ours has to do too;
3. memory (`loader_memory`), of its own and mapped;
4. imports, each in a new interpreter;
5. resuming (`loader_resume`) in plans of 10⁶ and of 10⁹ samples, in a new process: time and memory;
6. bytes fetched from a store against unique bytes (`loader_fetched`) for 1 to 64 ranks, measured and predicted;
7. what must hold (`loader_goals`).

Each peer has its best setting: litdata as `lightning` says; StreamingDataset with a `predownload` of the whole epoch
and a collation that stacks and widens in one pass (its defaults and reading by index are shown at 2,048 tokens).
Runs of all readers are interleaved and a figure is the median of 3. `loader_readers` has the readers, `loader_data`
and `zero_mix` the data, all below one temporary folder, which goes.
"""

import argparse
import tempfile
from pathlib import Path

from bench import loader_fetched, loader_goals, loader_memory, loader_rates, loader_resume, loader_starts, mosaic
from bench.loader_data import Data, made
from bench.loader_goals import Goal
from bench.loader_sizes import FULL, QUICK, Sizes


def main(sizes: Sizes = FULL) -> None:
    """Measure and print."""
    goals: list[Goal] = []
    with tempfile.TemporaryDirectory() as name, mosaic.contained(Path(name)):
        root = Path(name)
        # the main length first: whatever this process knows of the order later, those forked from it would know too
        for length in sorted(sizes.lengths, key=lambda length: length != sizes.main_length):
            with made(root / str(length), sizes.length_tokens // length, length, sizes.n_shards) as data:
                if length == sizes.main_length:
                    loader_starts.show_first_batch(data, sizes.batch(length), sizes.start_rounds)
                goals += _rates(data, sizes)
                if length == sizes.main_length and sizes.interpreters:
                    loader_memory.show_memory(data, sizes.batch(length), sizes)
        if sizes.interpreters:
            goals.append(loader_goals.of_import(loader_starts.show_imports(sizes.rounds)))
        loader_resume.show_resume(root, sizes)
        loader_fetched.show_fetched(root, sizes)
    loader_goals.show_goals(goals)


def _rates(data: Data, sizes: Sizes) -> list[Goal]:
    """Measure and print the rates of one length; the goals, if it is theirs."""
    goals: list[Goal] = []
    is_main = data.sequence_length == sizes.main_length
    for batch in sorted({sizes.batch(data.sequence_length), *((sizes.small_batch,) if is_main else ())}):
        for workers in sizes.workers if batch == sizes.batch(data.sequence_length) else (0,):
            costs = loader_rates.measure(data, batch, workers, sizes)
            loader_rates.show_rates(data, batch, workers, costs, sizes)
            if is_main and workers == 0:
                goals += loader_goals.of_rates(costs, f"{data.sequence_length:,} tokens, batches of {batch}")
    return goals


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.loader", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="little of everything, for development")
    main(QUICK if parser.parse_args().quick else FULL)
