"""Who reads: this process's rank and the number of ranks, and whether the global batch can be dealt to them."""

import os
import sys
from collections.abc import Mapping


def resolve_rank(
    rank: int | None, world_size: int | None, environment: Mapping[str, str] = os.environ
) -> tuple[int, int]:
    """(rank, world_size), 0 ≤ rank < world_size.

    The first that says both: the arguments; `torch.distributed`, if the program has imported and initialised it;
    RANK and WORLD_SIZE of the environment (torchrun sets them). Otherwise there is one rank. `ValueError` where only
    one of the two is given, or they do not fit.
    """
    if rank is not None and world_size is not None:
        return _checked(rank, world_size, "the arguments")
    if rank is not None or world_size is not None:
        raise ValueError(f"rank {rank} and world_size {world_size}: give both or neither")
    if (from_torch := _torch_rank()) is not None:
        return _checked(*from_torch, "torch.distributed")
    texts = environment.get("RANK"), environment.get("WORLD_SIZE")
    if texts == (None, None):
        return 0, 1
    if not all(text is not None and text.isdecimal() for text in texts):
        raise ValueError(
            f"the environment has RANK={texts[0]} and WORLD_SIZE={texts[1]}; "
            "set both to integers, unset both, or give the loader rank and world_size"
        )
    return _checked(int(texts[0] or ""), int(texts[1] or ""), "RANK and WORLD_SIZE of the environment")


def check_batch(global_batch_size: int, world_size: int) -> None:
    """`ValueError` that lists usable figures where `global_batch_size` rows cannot be dealt evenly to the ranks."""
    if global_batch_size < 1:
        raise ValueError(f"global_batch_size {global_batch_size}: at least 1 sample, and a multiple of the world_size")
    if global_batch_size % world_size == 0:
        return
    divisors = [size for size in range(1, global_batch_size + 1) if global_batch_size % size == 0]
    sizes = [max(size for size in divisors if size < world_size)]
    sizes += [size for size in divisors if size > world_size][:1]
    below = global_batch_size // world_size * world_size
    batches = [batch for batch in (below, below + world_size) if batch]
    raise ValueError(
        f"world_size {world_size} does not divide global_batch_size {global_batch_size}; "
        f"use a world_size of {_either(sizes)}, or a global_batch_size of {_either(batches)}"
    )


def _torch_rank() -> tuple[int, int] | None:
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return None
    return int(distributed.get_rank()), int(distributed.get_world_size())


def _checked(rank: int, world_size: int, where: str) -> tuple[int, int]:
    if not 0 <= rank < world_size:
        raise ValueError(f"rank {rank} of world_size {world_size} ({where}): 0 ≤ rank < world_size must hold")
    return rank, world_size


def _either(values: list[int]) -> str:
    return " or ".join(map(str, values))
