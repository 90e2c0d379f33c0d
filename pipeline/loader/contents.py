"""What a batch holds besides the rows' places: the ids, and on request labels and the documents' borders."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy.typing as npt

from pipeline.loader import targets
from pipeline.loader.borders import RowBorders

Arrays = dict[str, npt.NDArray[Any]]
Labels = Literal[False, "shifted", "same"]
Dtype = Literal["int64", "int32", "uint16"]


@dataclass(frozen=True, kw_only=True)
class Contents:
    """`dtype` of `input_ids`; `labels` (False: none) and `documents` as the loader is asked for them."""

    dtype: Dtype
    labels: Labels
    documents: bool

    def __post_init__(self) -> None:
        if self.dtype not in get_args(Dtype):
            raise ValueError(f'dtype {self.dtype!r}: "int64", "int32" or "uint16"')
        if self.labels is not False and self.labels not in get_args(targets.LabelKind):
            raise ValueError(
                f'labels {self.labels!r}: "shifted" (labels[i] is the token after input_ids[i]), "same" (the model '
                "shifts them itself, as those of transformers do), or False"
            )

    @property
    def needs_borders(self) -> bool:
        return bool(self.labels) or self.documents

    def of(self, ids: npt.NDArray[Any], borders: RowBorders | None) -> Arrays:
        """The arrays of rows [n, length] of ids, by name; `borders` are those of the rows, where they are needed."""
        arrays: Arrays = {"input_ids": ids.astype(self.dtype, copy=False)}
        if borders is not None and self.labels:
            arrays["labels"] = targets.labels(ids, borders, self.labels, inside_documents=self.documents)
        if borders is not None and self.documents:
            arrays |= targets.documents(borders)
        return arrays
