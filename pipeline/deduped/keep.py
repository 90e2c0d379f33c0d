"""Which document of each group of duplicates stays."""

import numpy as np
import numpy.typing as npt


def kept_index(
    component: npt.NDArray[np.int64],
    *,
    priority: npt.NDArray[np.int64],
    n_bytes: npt.NDArray[np.int64],
    doc_id: npt.NDArray[np.uint8],
    signal: npt.NDArray[np.float64] | None = None,
) -> npt.NDArray[np.int64]:
    """For each of n documents the index of the one that is kept of its component: int64 [n]. A document is kept where
    that is its own index, else removed in favour of that one.

    The first in this order is kept: smaller source `priority`; larger `signal`, if given, NaN (not measured) last;
    longer text (`n_bytes`); smaller `doc_id` (uint8 [n, 16], compared byte by byte). As doc_ids are unique, the order
    of the rows has no say.
    """
    halves = np.ascontiguousarray(doc_id).view(">u8").astype(np.uint64)  # [n, 2], big-endian: ordered as the bytes
    keys = [halves[:, 1], halves[:, 0], -n_bytes, priority, component]  # lexsort takes the last one first
    if signal is not None:
        keys.insert(3, -np.where(np.isnan(signal), -np.inf, signal))
    order = np.lexsort(keys)
    in_order = component[order]
    first = np.concatenate(([True], in_order[1:] != in_order[:-1]))[: len(order)]
    kept = np.empty(len(order), dtype=np.int64)
    kept[order] = order[first][np.cumsum(first) - 1]
    return kept
