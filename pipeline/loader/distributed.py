"""Who reads: this process's rank and the number of ranks, and whether the global batch can be dealt to them.

Rank and world size are always those of data parallelism. Where a model is also split over processes (tensor, pipeline,
context or sequence parallelism), all processes of one replica of the model have the same data-parallel rank, and so are
given the same rows.
"""

import os
import sys
from collections.abc import Mapping
from typing import Any


def resolve_rank(
    rank: int | None,
    world_size: int | None,
    process_group: Any | None = None,
    environment: Mapping[str, str] = os.environ,
) -> tuple[int, int]:
    """(rank, world_size), 0 ≤ rank < world_size.

    The first that says both: the arguments `rank` and `world_size`; `process_group`, a group of `torch.distributed` or
    a DeviceMesh of one dimension; `torch.distributed`, if the program has imported and initialised it; RANK and
    WORLD_SIZE of the environment (torchrun sets them). Otherwise there is one rank. `ValueError` where only one of the
    two is given, or they do not fit, or this process is not in the group.
    """
    if process_group is not None:
        if rank is not None or world_size is not None:
            raise ValueError("process_group, and rank or world_size: the group says both; give the one or the others")
        return _checked(*_group_rank(process_group), "process_group")
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


def check_batch(global_batch_size: int, world_size: int, *, uneven: bool) -> None:
    """`ValueError` that lists usable figures where the rows of a global batch cannot be dealt to the ranks: evenly, or
    with `uneven` at least one to each."""
    check_whole("global_batch_size", global_batch_size)
    if global_batch_size < 1:
        raise ValueError(f"global_batch_size {global_batch_size}: at least 1 sample, and a multiple of the world_size")
    if uneven and global_batch_size < world_size:
        raise ValueError(
            f"global_batch_size {global_batch_size} has no row for some of the {world_size} ranks, also with "
            f"uneven=True; use at least {world_size}, or fewer data-parallel ranks"
        )
    if uneven or global_batch_size % world_size == 0:
        return
    sizes = _divisors_around(global_batch_size, world_size)
    below = global_batch_size // world_size * world_size
    batches = [batch for batch in (below, below + world_size) if batch]
    raise ValueError(
        f"world_size {world_size} does not divide global_batch_size {global_batch_size}; use a world_size of "
        f"{_either(sizes)}, or a global_batch_size of {_either(batches)}, or uneven=True, with which the ranks' parts "
        "differ by one row"
    )


def check_whole(name: str, value: object) -> None:
    """`ValueError` with both where an argument is no int."""
    if type(value) is not int:  # "8" of a command line, 8.0 of a division, and numpy's, which JSON would refuse later
        raise ValueError(f"{name} is {value!r}, a {type(value).__name__}; give an int")


def check_micro_batch(micro_batch_size: int | None, global_batch_size: int, world_size: int, *, uneven: bool) -> None:
    """`ValueError` that lists usable figures where a rank's part is no whole number of micro-batches; with `uneven`
    they may differ by one row, as the parts do."""
    if micro_batch_size is None:
        return
    check_whole("micro_batch_size", micro_batch_size)
    part = global_batch_size // world_size
    if micro_batch_size < 1:
        raise ValueError(f"micro_batch_size {micro_batch_size}: at least 1 row")
    if uneven or part % micro_batch_size == 0:
        return
    sizes = [part] if micro_batch_size > part else _divisors_around(part, micro_batch_size)
    raise ValueError(
        f"micro_batch_size {micro_batch_size} does not divide the {part} rows that each of {world_size} ranks has of a "
        f"global batch of {global_batch_size}; use {_either(sizes)}"
    )


def _group_rank(group: Any) -> tuple[int, int]:
    if hasattr(group, "get_local_rank"):  # a DeviceMesh
        if group.ndim != 1:
            raise ValueError(
                f"process_group is a DeviceMesh of {group.ndim} dimensions {group.mesh_dim_names}; give that of data "
                'parallelism, as mesh["dp"] (several of them flattened into one: those that split the batch)'
            )
        return int(group.get_local_rank()), int(group.size())
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not isinstance(group, distributed.ProcessGroup):
        raise ValueError(
            f"process_group is a {type(group).__name__}: give a ProcessGroup of torch.distributed (as new_group makes "
            "it) of which this process is a member, or a DeviceMesh"
        )
    return int(distributed.get_rank(group)), int(distributed.get_world_size(group))


def _torch_rank() -> tuple[int, int] | None:
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return None
    return int(distributed.get_rank()), int(distributed.get_world_size())


def _checked(rank: int, world_size: int, where: str) -> tuple[int, int]:
    check_whole("rank", rank)
    check_whole("world_size", world_size)
    if not 0 <= rank < world_size:
        raise ValueError(f"rank {rank} of world_size {world_size} ({where}): 0 ≤ rank < world_size must hold")
    return rank, world_size


def _divisors_around(n: int, size: int) -> list[int]:
    """The largest divisor of n below `size`, 1 ≤ size, and the smallest above, if there is one."""
    divisors = [divisor for divisor in range(1, n + 1) if n % divisor == 0]
    return [max(d for d in divisors if d < size), *[d for d in divisors if d > size][:1]]


def _either(values: list[int]) -> str:
    return " or ".join(map(str, values))
