"""Where a sample's tokens come from and where a document's tokens went, as a person sees it: for `shardmill where`."""

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from pipeline.document import DOC_ID_BYTES
from pipeline.tokenized.origin import Origin
from pipeline.tokenized.quality_table import printable
from pipeline.tokenized.where import NotThereError, Piece, Split, Where

TEXT_CHARACTERS = 60  # shown of a piece


def of_sample(target: str, name: str, most: int) -> RenderableType:
    """The pieces of a sample, at most so many. `target`: a mix or a tokenized dataset (see `Where`); `name` is
    `source:number`, or `source:validation:number` for a held-out sample. `NotThereError` where there is none."""
    where = Where(target)
    source, split, sample = _sample_name(name, where)
    pieces = where.by_sample(source, sample, split)
    return _shown(where, f"sample {sample:,} of {source} ({split})", pieces, most)


def of_document(target: str, name: str, most: int) -> RenderableType:
    """The pieces of a document, at most so many. `name`: its doc_id in hexadecimal digits, or `source:doc_id`."""
    where = Where(target)
    source, _, digits = name.rpartition(":")
    try:
        doc_id = bytes.fromhex(digits)
    except ValueError as error:
        raise NotThereError(f"{digits!r} is no doc_id; one has {2 * DOC_ID_BYTES} hexadecimal digits") from error
    pieces = where.by_document(doc_id, source or None)
    return _shown(where, f"document {digits} of {pieces[0].source} ({pieces[0].split})", pieces, most)


def _sample_name(name: str, where: Where) -> tuple[str, Split, int]:
    source, _, number = name.rpartition(":")
    split: Split = "train"
    if source not in where.sources and source.endswith(":validation"):
        source, split = source.removesuffix(":validation"), "validation"
    if not number.isascii() or not number.isdigit():
        raise NotThereError(f"{name!r} names no sample; write source:number, as {next(iter(where.sources))}:0")
    return source, split, int(number)


def _shown(where: Where, title: str, pieces: Sequence[Piece], most: int) -> RenderableType:
    shown = pieces[:most]
    origins = where.origins(shown)
    found = Table()
    for name in ("sample", "shard", "row", "tokens in the row", "tokens in the document"):
        found.add_column(name, justify="right", no_wrap=True)
    found.add_column("document", no_wrap=True)
    found.add_column("raw record", overflow="fold")
    found.add_column("text", overflow="fold")
    for piece in shown:
        found.add_row(*_cells(piece, origins), escape(_text(where, piece)))
    n_documents = len({piece.doc_id for piece in pieces})
    rest = f"; the first {most:,} are shown" if len(pieces) > most else ""
    about = f"{title}: {len(pieces):,} pieces of {n_documents:,} document{'s' if n_documents > 1 else ''}{rest}"
    return Group(escape(about), found)


def _text(where: Where, piece: Piece) -> str:
    try:
        return printable(where.text(piece)[:TEXT_CHARACTERS])
    except NotThereError:
        return "(its tokenizer is not here)"


def _cells(piece: Piece, origins: Mapping[bytes, Origin]) -> tuple[str, ...]:
    end = piece.doc_token_from + piece.token_to - piece.token_from
    record = origins.get(piece.doc_id)
    return (
        "left over" if piece.sample is None else f"{piece.sample:,}",
        "" if piece.shard is None else str(piece.shard),
        "" if piece.row is None else f"{piece.row:,}",
        f"{piece.token_from:,} – {piece.token_to - 1:,}",
        f"{piece.doc_token_from:,} – {end - 1:,}",
        piece.doc_id.hex(),
        "not known here" if record is None else escape(f"{record.file} : {record.record}"),
    )
