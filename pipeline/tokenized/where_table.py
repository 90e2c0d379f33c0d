"""Where a sample's tokens come from and where a document's tokens went, as a person sees it: for `shardmill where`."""

from collections.abc import Iterable, Sequence
from typing import Literal

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from pipeline.document import DOC_ID_BYTES
from pipeline.tokenized import batch as batches
from pipeline.tokenized.quality_table import printable
from pipeline.tokenized.where import NotThereError, Piece, Split, Where

TEXT_CHARACTERS = 60  # shown of a piece

Column = tuple[str, Literal["left", "right"], Literal["ellipsis", "fold"]]
PLACE_COLUMNS: tuple[Column, ...] = tuple((name, "right", "ellipsis") for name in ("sample", "shard", "row"))
ORIGIN_COLUMNS: tuple[Column, ...] = (
    ("tokens in the row", "right", "ellipsis"),
    ("tokens in the document", "right", "ellipsis"),
    ("document", "left", "ellipsis"),
    ("raw record", "left", "fold"),
    ("text", "left", "fold"),
)


class Told:
    """What is told of pieces, whose raw records are looked up together, in `ORIGIN_COLUMNS`."""

    def __init__(self, where: Where, pieces: Iterable[Piece], characters: int) -> None:
        """`characters`: how many of a piece's text are told."""
        self._where = where
        self._origins = where.origins(pieces)
        self._characters = characters

    def cells(self, piece: Piece) -> tuple[str, ...]:
        """Of one of the pieces."""
        end = piece.doc_token_from + piece.token_to - piece.token_from
        record = self._origins.get(piece.doc_id)
        return (
            f"{piece.token_from:,} – {piece.token_to - 1:,}",
            f"{piece.doc_token_from:,} – {end - 1:,}",
            piece.doc_id.hex(),
            "not known here" if record is None else escape(f"{record.file} : {record.record}"),
            escape(self._text(piece)),
        )

    def _text(self, piece: Piece) -> str:
        try:
            return printable(self._where.text(piece)[: self._characters])
        except NotThereError:
            return "(its tokenizer is not here)"


def of_sample(target: str, name: str, most: int, passes: int | None = None) -> RenderableType:
    """The pieces of a sample, at most so many, and the positions at which it is served in so many passes (see
    `_served`). `target`: a mix or a tokenized dataset (see `Where`); `name` is `source:number`, or
    `source:validation:number` for a held-out sample. `NotThereError` where there is none."""
    where = Where(target)
    source, split, sample = _sample_name(name, where)
    pieces = where.by_sample(source, sample, split)
    return _shown(where, f"sample {sample:,} of {source} ({split})", pieces, most, passes)


def of_document(target: str, name: str, most: int, passes: int | None = None) -> RenderableType:
    """The pieces of a document, at most so many, and the positions at which their samples are served. `name`: its
    doc_id in hexadecimal digits, or `source:doc_id`."""
    where = Where(target)
    source, _, digits = name.rpartition(":")
    try:
        doc_id = bytes.fromhex(digits)
    except ValueError as error:
        raise NotThereError(f"{digits!r} is no doc_id; one has {2 * DOC_ID_BYTES} hexadecimal digits") from error
    pieces = where.by_document(doc_id, source or None)
    return _shown(where, f"document {digits} of {pieces[0].source} ({pieces[0].split})", pieces, most, passes)


def _sample_name(name: str, where: Where) -> tuple[str, Split, int]:
    source, _, number = name.rpartition(":")
    split: Split = "train"
    if source not in where.sources and source.endswith(":validation"):
        source, split = source.removesuffix(":validation"), "validation"
    if not number.isascii() or not number.isdigit():
        raise NotThereError(f"{name!r} names no sample; write source:number, as {next(iter(where.sources))}:0")
    return source, split, int(number)


def _shown(where: Where, title: str, pieces: Sequence[Piece], most: int, passes: int | None) -> RenderableType:
    shown = pieces[:most]
    told = Told(where, shown, TEXT_CHARACTERS)
    found = Table()
    for name, justify, overflow in (*PLACE_COLUMNS, *ORIGIN_COLUMNS):
        found.add_column(name, justify=justify, overflow=overflow, no_wrap=overflow != "fold")
    for piece in shown:
        found.add_row(*_place(piece), *told.cells(piece))
    n_documents = len({piece.doc_id for piece in pieces})
    rest = f"; the first {most:,} are shown" if len(pieces) > most else ""
    about = f"{title}: {len(pieces):,} pieces of {n_documents:,} document{'s' if n_documents > 1 else ''}{rest}"
    return Group(escape(about), found, *_served(where, shown, passes))


def _place(piece: Piece) -> tuple[str, ...]:
    return (
        "left over" if piece.sample is None else f"{piece.sample:,}",
        "" if piece.shard is None else str(piece.shard),
        "" if piece.row is None else f"{piece.row:,}",
    )


def _served(where: Where, pieces: Sequence[Piece], passes: int | None) -> list[RenderableType]:
    """The positions at which the pieces' samples are served in the first `passes` (None: one) of their source; nothing
    of a dataset alone, which has no order, unless its passes are asked for: `NotThereError`."""
    if where.plan is None and passes is None:
        return []
    plan = batches.plan_of(where)
    samples = dict.fromkeys((piece.source, piece.sample) for piece in pieces if piece.sample is not None)
    if not samples:
        return []
    if pieces[0].split == "validation":
        return ["held out for validation: no position of the run serves it"]
    found = Table(title=f"served (the budget ends before position {plan.budget_samples:,})", title_justify="left")
    for name in ("sample", "pass", "position"):
        found.add_column(name, justify="right")
    found.add_column("")
    for source, sample in samples:
        positions = batches.positions(plan, source, sample, passes or 1)
        for number, position in enumerate(positions):
            beyond = "beyond the budget" if position >= plan.budget_samples else ""
            found.add_row(f"{sample:,}", f"{number:,}", f"{position:,}", beyond)
        if len(positions) < (passes or 1):
            found.add_row(f"{sample:,}", f"{len(positions):,} on", "never", "the last weight of its source is 0")
    return [found]
