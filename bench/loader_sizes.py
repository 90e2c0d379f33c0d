"""How much the loader's bench measures: all of it, or little for development."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """`lengths` in tokens a row, each with `length_tokens` in all (a multiple of every length), of which
    StreamingDataset reads `peer_samples` rows at most; a batch has `batch_tokens`. `main_length` is the one of the
    goals, read also in batches of `small_batch` and in more ways. `workers`: processes of a DataLoader, 0 for none.
    `rounds` of readings and imports, `start_rounds` of first batches. `interpreters`: measure imports and memory, each
    in a new one.

    `resumed`: (samples, shards) of the plans that are opened at their start and in their middle. `fetched_samples` are
    read over the network by each of `fetched_ranks` worlds.
    """

    lengths: tuple[int, ...] = (512, 2048, 8192, 65_536)
    main_length: int = 2048
    length_tokens: int = 2**26  # 134 MB
    batch_tokens: int = 2**19
    small_batch: int = 64
    peer_samples: int = 8192
    n_shards: int = 16
    workers: tuple[int, ...] = (0, 2)
    rounds: int = 3
    start_rounds: int = 3
    interpreters: bool = True
    resumed: tuple[tuple[int, int], ...] = ((10**6, 60), (10**9, 60_000))
    fetched_samples: int = 2**19  # two blocks
    fetched_ranks: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)

    def batch(self, length: int) -> int:
        """Rows of a batch."""
        return max(1, self.batch_tokens // length)


FULL = Sizes()
QUICK = Sizes(
    lengths=(2048,),
    length_tokens=2**24,
    batch_tokens=2**18,
    peer_samples=2048,
    rounds=1,
    start_rounds=1,
    resumed=((10**6, 60), (10**7, 600)),
    fetched_samples=2**17,
    fetched_ranks=(1, 4, 64),
)
