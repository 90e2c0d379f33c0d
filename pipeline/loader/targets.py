"""What a model is told besides the tokens: the labels, and where documents begin, for attention inside documents.

Everything follows from the borders that packing made (`borders`), never from the ids: padding may have the id of EOS,
and a text may hold EOS. A *segment* is a run of a row's tokens that attend to each other: a piece of a document, or the
padding behind the last one, which is a segment of its own so that the segments fill the row.
"""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pipeline.loader.borders import RowBorders

LabelKind = Literal["shifted", "same"]

IGNORED = -100  # the ignore_index that torch's cross_entropy has by default

MAX_TOKENS = np.iinfo(np.int32).max


def labels(
    ids: npt.NDArray[Any], borders: RowBorders, kind: LabelKind, *, inside_documents: bool
) -> npt.NDArray[np.int64]:
    """The labels of rows [n, length] of ids: int64 of the same shape, IGNORED where there is nothing to learn.

    "shifted": labels[i] is the token that follows ids[i]; the last of a row has none. "same": labels[i] is ids[i], for
    models that shift by themselves (as those of transformers do). Padding is never a target. With `inside_documents`
    neither is the first token of a piece: nothing before it is seen. Without, it is: a document ends in EOS, and what
    follows EOS is learnt like any other token.
    """
    n, length = ids.shape
    target = ids.astype(np.int64)
    padded = np.flatnonzero(borders.tokens_end < length)
    target[padded] = np.where(np.arange(length) < borders.tokens_end[padded, None], target[padded], IGNORED)
    if inside_documents:  # also at the rows' beginnings: a model that is given rows end to end shifts over them
        row = np.repeat(np.arange(n), np.diff(borders.first))
        target[row, borders.begins] = IGNORED
    if kind == "same":
        return target
    target[:, :-1] = target[:, 1:]
    target[:, -1:] = IGNORED
    return target


def cu_seqlens(borders: RowBorders) -> npt.NDArray[np.int32]:
    """int32 [segments + 1]: where each segment begins in the rows laid end to end, and the count of their tokens.

    The name and layout are those of flash-attention's `flash_attn_varlen_func`.
    """
    length = borders.sequence_length
    if borders.n_rows * length > MAX_TOKENS:
        raise ValueError(
            f"{borders.n_rows} rows of {length} tokens are more tokens than int32 counts, which attention takes; "
            "use a smaller micro_batch_size"
        )
    row_begin = np.arange(borders.n_rows, dtype=np.int64) * length
    pieces = np.repeat(row_begin, np.diff(borders.first)) + borders.begins
    padded = borders.tokens_end < length
    begins = np.sort(np.concatenate([pieces, row_begin[padded] + borders.tokens_end[padded]]))
    return np.append(begins, borders.n_rows * length).astype(np.int32)


def documents(borders: RowBorders) -> dict[str, npt.NDArray[Any]]:
    """Which document each token is of, for n rows.

    `doc_ids` int32 [n, length]: 0, 1, 2, … within the row, -1 in padding. `position_ids` int64 [n, length]: 0, 1, 2, …
    from the beginning of the token's segment. `cu_seqlens` as above, and `max_seqlen`, the longest segment (int32, no
    dimension; 0 where there are no rows).
    """
    shape = borders.n_rows, borders.sequence_length
    cuts = cu_seqlens(borders)
    lengths = np.diff(cuts)
    segment = np.arange(len(lengths))
    begins_row = cuts[:-1] % borders.sequence_length == 0
    in_row = segment - np.maximum.accumulate(np.where(begins_row, segment, 0))
    in_row[cuts[:-1] % shape[1] >= borders.tokens_end[cuts[:-1] // shape[1]]] = -1
    return {
        "doc_ids": np.repeat(in_row.astype(np.int32), lengths).reshape(shape),
        "position_ids": (np.arange(shape[0] * shape[1]) - np.repeat(cuts[:-1], lengths)).reshape(shape),
        "cu_seqlens": cuts,
        "max_seqlen": np.array(lengths.max(initial=0), np.int32),
    }
