"""The epochs of a DataLoader that serves a mix: where each begins and ends in the order, in whole global batches."""

from dataclasses import dataclass, replace

from pipeline.loader import skips


@dataclass(frozen=True, kw_only=True)
class Start:
    """Where an iteration begins: at this position of the order, as sample number `sample` of its epoch. The positions
    `skipped` are no samples."""

    epoch: int
    position: int
    sample: int
    skipped: skips.Ranges = ()


@dataclass(frozen=True, kw_only=True)
class Epochs:
    """Epochs of at most `n_samples` samples. `finite`: all of them are the same pass over positions 0 … n_samples - 1,
    the last batch short; else each has whole batches, and begins where the one before it ended."""

    n_samples: int
    global_batch_size: int
    finite: bool

    @property
    def size(self) -> int:
        """Samples of a whole epoch, over all ranks."""
        return self.n_samples if self.finite else self.n_samples // self.global_batch_size * self.global_batch_size

    def part(self, rank: int, world_size: int) -> int:
        """Samples that a rank has of a whole epoch: its equal part of each batch, ⌊rS/W⌋ … of a last one of S rows."""
        whole, rest = divmod(self.size, self.global_batch_size)
        last = (rank + 1) * rest // world_size - rank * rest // world_size
        return whole * self.global_batch_size // world_size + last

    def n_batches(self, start: Start) -> int:
        """How many global batches are left of an epoch."""
        left = max(0, self.n_samples - start.sample)
        return -(-left // self.global_batch_size) if self.finite else left // self.global_batch_size

    def following(self, start: Start) -> Start:
        """Where the next epoch begins, after one that was begun at `start`."""
        end = 0 if self.finite else _behind(start, self.n_batches(start) * self.global_batch_size)
        return replace(start, epoch=start.epoch + 1, position=end, sample=0)

    def beginning(self, start: Start) -> Start:
        """Where the epoch itself began."""
        return replace(start, position=skips.before(start.skipped, start.position, start.sample), sample=0)

    def after(self, start: Start, received: int) -> Start:
        """Behind `received` samples, of all ranks, since `start`. `ValueError` where these are no whole batches. In the
        short last batch the ranks' parts differ, so any number of its samples stands for all."""
        left = self.n_batches(start)
        n_batches = -(-received // self.global_batch_size)
        torn = received % self.global_batch_size != 0 and not (self.finite and n_batches == left)
        if torn or not 0 <= n_batches <= left:
            raise ValueError(
                f"{received} samples since sample {start.sample} of epoch {start.epoch} are no whole number of the "
                f"{left} global batches of {self.global_batch_size} that it had left"
            )
        sample = start.sample + n_batches * self.global_batch_size
        if self.finite:
            sample = min(sample, self.n_samples)
        return replace(start, position=_behind(start, sample - start.sample), sample=sample)


def _behind(start: Start, n_samples: int) -> int:
    """The position behind so many samples."""
    taken = skips.take(start.skipped, start.position, n_samples, None)
    return taken[-1][1] if taken else start.position
