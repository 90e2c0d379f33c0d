"""The groups of fields that a recipe is made of: sources, tokenizer, deduplication, decontamination, stages.

Each group checks what its fields mean together; what concerns several groups is checked by `recipe.Mix`.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from pipeline.documents.records import Format, ReadParams
from pipeline.recipe_fields import (
    MAX_NUMBER,
    Amount,
    FromList,
    Glob,
    Language,
    Name,
    Number,
    Share,
    Signal,
    StageWeight,
    Text,
    Weight,
    known_rules,
)

MAX_VOCABULARY = 2**24
MAX_PASSES = 1e6


class Model(BaseModel):
    """A group of fields: no others, of exactly these types, and never changed."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, arbitrary_types_allowed=True
    )


class TrainTokenizer(Model):
    """Train a byte-level BPE of `vocab_size` ids (special ones included) on `sample_bytes` of the mix's own text."""

    vocab_size: Annotated[int, Field(le=MAX_VOCABULARY)]
    sample_bytes: Amount = 50_000_000


class TokenizerChoice(Model):
    """Exactly one of: `train`, `file` (a tokenizers JSON file), `hub` (a name on the Hugging Face hub). With
    `specials_in_text` a special token spelt out in a document is that token, else it is text as any other."""

    train: TrainTokenizer | None = None
    file: Text | None = None
    hub: Text | None = None
    eos_token: Text | None = None
    bos_token: Text | None = None
    specials_in_text: bool = False

    @model_validator(mode="after")
    def _one_way(self) -> "TokenizerChoice":
        if sum(way is not None for way in (self.train, self.file, self.hub)) != 1:
            raise ValueError("needs exactly one of train, file, hub, as {train: {vocab_size: 16000}}")
        if self.train is not None and (self.eos_token is not None or self.bos_token is not None):
            raise ValueError(
                "eos_token and bos_token name tokens of a file or hub tokenizer; a trained one has its own"
            )
        return self


class Source(Model):
    """One named collection of documents."""

    root: Text
    files: Annotated[tuple[Glob, ...], FromList, Field(min_length=1)]
    format: Literal["jsonl", "parquet", "text"] = "jsonl"
    storage: dict[str, Any] = Field(default_factory=dict)
    text_field: str = "text"
    url_field: str | None = None
    id_field: str | None = None
    rules: Annotated[tuple[Any, ...], FromList, AfterValidator(known_rules)] = ()
    weight: Weight
    priority: Annotated[int, Field(ge=-MAX_NUMBER, le=MAX_NUMBER)] = 100
    max_passes: Annotated[float, Field(gt=0, le=MAX_PASSES)] = 4
    max_document_bytes: Amount = 100_000_000
    max_rejected: Share = 0.95
    languages: Annotated[tuple[Language, ...], FromList, Field(min_length=1)] | None = None
    min_language_score: Share | None = None

    @property
    def read(self) -> ReadParams:
        """How the files are read."""
        return ReadParams(
            format=Format(self.format),
            text_field=self.text_field,
            url_field=self.url_field,
            id_field=self.id_field,
            max_document_bytes=self.max_document_bytes,
        )

    @model_validator(mode="after")
    def _can_be_read(self) -> "Source":
        named = sorted({"text_field", "url_field", "id_field"} & self.model_fields_set)
        if self.format == "text" and named:
            raise ValueError(f"{', '.join(named)} cannot be given: a file of format text has no fields; leave them out")
        _ = self.read
        return self


class Keep(Model):
    """Of duplicates of one priority those stay that have the most, or the least, of a signal."""

    signal: Signal
    prefer: Literal["most", "least"] = "most"


class RepeatedLines(Model):
    """Lines that stand in more than `max_documents` documents of a source are cut out of all of them."""

    max_documents: Number


class Dedup(Model):
    """Deduplication: MinHash over word n-grams, `bands` x `rows` permutations, edges at Jaccard ≥ `threshold`.

    With `num_perm` instead of bands and rows, these are chosen for the threshold (`deduped.bands.shape`)."""

    threshold: Annotated[float, Field(gt=0, le=1)] = 0.8
    ngram: Annotated[int, Field(ge=1, le=64)] = 5
    bands: Annotated[int, Field(ge=1, le=256)] | None = None
    rows: Annotated[int, Field(ge=1, le=64)] | None = None
    num_perm: Annotated[int, Field(ge=1, le=1024)] | None = None
    scope: Literal["global", "within_source"] = "global"
    exact: bool = True
    verify: Literal["signature", "exact"] = "signature"
    url: bool = False
    lines: RepeatedLines | None = None
    keep: Keep | None = None
    against: Annotated[tuple[Text, ...], FromList] = ()
    max_cluster: Amount = 100_000
    max_source_loss: Share = 0.9
    max_bucket: Amount = 100_000

    @model_validator(mode="after")
    def _one_shape(self) -> "Dedup":
        if self.num_perm is not None and (self.bands is not None or self.rows is not None):
            raise ValueError("num_perm chooses bands and rows for the threshold; give either it or them")
        return self

    @model_validator(mode="after")
    def _against_signatures(self) -> "Dedup":
        if self.against and self.verify == "exact":
            raise ValueError(
                "verify: exact cannot be used with against: of these datasets the signatures are read, not the texts; "
                "take verify: signature"
            )
        return self


class ItemSet(Model):
    """An evaluation set: its files, and the fields that make an item's text, one after the other."""

    root: Text
    files: Annotated[tuple[Glob, ...], FromList, Field(min_length=1)]
    format: Literal["jsonl", "parquet", "text"] = "jsonl"
    storage: dict[str, Any] = Field(default_factory=dict)
    fields: Annotated[tuple[Text, ...], FromList, Field(min_length=1)] = ("text",)

    @model_validator(mode="after")
    def _check_fields(self) -> "ItemSet":
        if len(set(self.fields)) < len(self.fields):
            raise ValueError(f"fields: {', '.join(self.fields)} names a field twice; write it once")
        return self


class Decontaminate(Model):
    """Documents that hold an item of an evaluation set, `min_overlap` of its words in order and close together, or all
    of its words in a row if it has fewer than `ngram`, are rejected, or such passages are cut out."""

    sets: Annotated[dict[Name, ItemSet], Field(min_length=1)]
    ngram: Annotated[int, Field(ge=1, le=64)] = 13
    min_overlap: Annotated[float, Field(gt=0, le=1)] = 0.8
    action: Literal["document", "passage"] = "document"


class Holdout(Model):
    """Documents of each source that are kept for validation."""

    documents: Number


class Stage(Model):
    """Weights over a part of the run: `until_tokens` (absent in the last stage), `weights` (absent: the sources')."""

    until_tokens: Amount | None = None
    weights: dict[str, StageWeight] | None = None
