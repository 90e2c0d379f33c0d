"""The recipe of a mix: a YAML file → a frozen `Mix`, with every check made on load, before anything expensive.

`load` raises `RecipeError`: one paragraph that names the file, the field, the value and the remedy.
"""

import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from fsspec.utils import glob_translate
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from pipeline import recipe_errors, strict_yaml
from pipeline.documents.records import Format, ReadParams
from pipeline.filtered import rules
from pipeline.filtered.catalogue import SIGNALS
from pipeline.filtered.language_codes import LANGUAGES

UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
MAX_AMOUNT = 10**18
MAX_SEQUENCE_LENGTH = 2**24
MAX_PRIORITY = 2**31 - 1
ALARMS = ("max_quarantined", "max_rejected", "max_cluster", "max_source_loss")
MIX_ALARMS = ("max_bucket",)
NUMBER = r"[0-9][0-9_]*(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,3})?"  # more digits of an exponent would fill the memory


class RecipeError(ValueError):
    """A recipe that cannot be followed; the message is for the person who wrote it."""


def parse_amount(value: object) -> int:
    """`20M` → 20000000. Numbers with an optional K, M, B or T (powers of 1000); the result is a whole number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("is not an amount; write a number with an optional K, M, B or T, as 20M")
    match = re.fullmatch(rf"\s*({NUMBER})\s*([KMBT]?)\s*", str(value), re.IGNORECASE)
    if match is None:
        raise ValueError("is not an amount; write a positive number with an optional K, M, B or T, as 20M")
    amount = Fraction(match[1].replace("_", "")) * UNITS[match[2].upper()]
    if amount < 1 or amount > MAX_AMOUNT:
        raise ValueError(f"must be from 1 to {MAX_AMOUNT // UNITS['T']}T")
    if amount.denominator != 1:
        raise ValueError(f"is {float(amount)}, which is not a whole number; leave out the fraction")
    return amount.numerator


def parse_weight(value: object) -> Fraction:
    """A share as an exact fraction: 0.4 is 2/5, never the binary number next to it; `1/3` is taken too."""
    if isinstance(value, Fraction):
        return value
    match = re.fullmatch(rf"\s*(-?{NUMBER})\s*(?:/\s*({NUMBER}))?\s*", "" if isinstance(value, bool) else str(value))
    if match is None or (match[2] and not Fraction(match[2])):
        raise ValueError("is not a number; write it as 0.4 or 2/5")
    return Fraction(match[1]) / Fraction(match[2] or 1)


def _positive(value: Fraction) -> Fraction:
    if value <= 0:
        raise ValueError("must be above 0; leave the source out if it is not to be served")
    return value


def _not_negative(value: Fraction) -> Fraction:
    if value < 0:
        raise ValueError("must not be below 0")
    return value


def _name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", value):
        raise ValueError(
            "must be made of at most 64 lower-case letters, digits, '-' and '_' (it becomes the name of a folder)"
        )
    return value


def _relative_glob(value: str) -> str:
    if not value or value.startswith("/") or ".." in value.split("/") or "://" in value:
        raise ValueError("must be a path or glob below the source's root, as '2024/*.jsonl.zst'")
    try:
        re.compile(glob_translate(value))
    except (ValueError, re.error) as error:
        raise ValueError(f"is not a glob: {error}; write it as '2024/*.jsonl.zst' or '**/*.parquet'") from error
    return value


def _listed(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _known_rules(entries: tuple[Any, ...]) -> tuple[Any, ...]:
    rules.resolve(entries)
    return entries


Amount = Annotated[int, BeforeValidator(parse_amount)]
FromList = BeforeValidator(_listed)
Weight = Annotated[Fraction, BeforeValidator(parse_weight), AfterValidator(_positive)]
StageWeight = Annotated[Fraction, BeforeValidator(parse_weight), AfterValidator(_not_negative)]
Name = Annotated[str, AfterValidator(_name)]
Glob = Annotated[str, AfterValidator(_relative_glob)]
Share = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, Field(min_length=1)]


def _language(value: str) -> str:
    if value not in LANGUAGES:
        raise ValueError(f"is not a language that the identification knows; known are {', '.join(sorted(LANGUAGES))}")
    return value


def _signal(value: str) -> str:
    if value not in SIGNALS:
        raise ValueError(f"is not a signal; known are {', '.join(SIGNALS)}")
    return value


def _action(value: object) -> object:
    if value == "passage":
        raise ValueError("cutting passages is not done yet by this version; take document, or leave it out")
    return value


class Model(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, arbitrary_types_allowed=True
    )


class TrainTokenizer(Model):
    """Train a byte-level BPE of `vocab_size` ids (special ones included) on `sample_bytes` of the mix's own text."""

    vocab_size: Annotated[int, Field(le=2**24)]
    sample_bytes: Amount = 50_000_000


class TokenizerChoice(Model):
    """Exactly one of: `train`, `file` (a tokenizers JSON file), `hub` (a name on the Hugging Face hub)."""

    train: TrainTokenizer | None = None
    file: Text | None = None
    hub: Text | None = None
    eos_token: Text | None = None
    bos_token: Text | None = None

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
    rules: Annotated[tuple[Any, ...], FromList, AfterValidator(_known_rules)] = ()
    weight: Weight
    priority: Annotated[int, Field(ge=-MAX_PRIORITY, le=MAX_PRIORITY)] = 100
    max_passes: Annotated[float, Field(gt=0)] = 4
    max_document_bytes: Amount = 100_000_000
    max_rejected: Share = 0.95
    languages: (
        Annotated[tuple[Annotated[str, AfterValidator(_language)], ...], FromList, Field(min_length=1)] | None
    ) = None
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

    signal: Annotated[str, AfterValidator(_signal)]
    prefer: Literal["most", "least"] = "most"


class RepeatedLines(Model):
    """Lines that stand in more than `max_documents` documents of a source are cut out of all of them."""

    max_documents: Annotated[int, Field(ge=1)]


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


class Decontaminate(Model):
    """Documents that hold an item of an evaluation set, `min_overlap` of its n-grams close together, are rejected."""

    sets: Annotated[dict[Name, ItemSet], Field(min_length=1)]
    ngram: Annotated[int, Field(ge=1, le=64)] = 13
    min_overlap: Annotated[float, Field(gt=0, le=1)] = 0.8
    action: Annotated[Literal["document"], BeforeValidator(_action)] = "document"


class Holdout(Model):
    """Documents of each source that are kept for validation."""

    documents: Annotated[int, Field(ge=1)]


class Stage(Model):
    """Weights over a part of the run: `until_tokens` (absent in the last stage), `weights` (absent: the sources')."""

    until_tokens: Amount | None = None
    weights: dict[str, StageWeight] | None = None


class Mix(Model):
    """A whole recipe."""

    name: Name
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    sequence_length: Annotated[int, Field(ge=2, le=MAX_SEQUENCE_LENGTH)]
    budget_tokens: Amount
    tokenizer: TokenizerChoice
    sources: Annotated[dict[Name, Source], Field(min_length=1)]
    dedup: Dedup = Field(default_factory=Dedup)
    holdout: Holdout | None = None
    stages: Annotated[tuple[Stage, ...], FromList] = ()
    decontaminate: Decontaminate | None = None
    take_down: Text | None = None
    redistribute: bool = False
    max_quarantined: Share = 0.01
    acknowledge: Annotated[tuple[str, ...], FromList] = ()
    packing: Literal["concat", "best_fit", "none"] = "concat"
    bos: bool = False
    eos: bool = True

    @model_validator(mode="after")
    def _stages_follow(self) -> "Mix":
        start = 0  # in samples: a stage ends with the last whole sample before until_tokens
        for number, stage in enumerate(self.stages):
            ends = stage.until_tokens
            if ends is None and number < len(self.stages) - 1:
                raise ValueError(f"stages: stage {number} needs until_tokens; only the last goes on to the end")
            if ends is not None and number == len(self.stages) - 1:
                raise ValueError(
                    f"stages: the last stage, {number}, has until_tokens {ends}, but it goes on to the end of the "
                    "budget; leave until_tokens out, or add a stage after it"
                )
            if ends is not None and ends // self.sequence_length <= start:
                raise ValueError(
                    f"stages: until_tokens {ends} of stage {number} is less than one sample of sequence_length "
                    f"{self.sequence_length} after the stage before it; each stage must end later than the one before"
                )
            start = (ends or 0) // self.sequence_length
            if stage.weights is not None:
                self._check_stage_weights(number, stage.weights)
        if self.stages and self.redistribute:
            raise ValueError("redistribute: has no defined meaning with stages; set the stages' weights to what fits")
        return self

    def _check_stage_weights(self, number: int, weights: Mapping[str, Fraction]) -> None:
        if unknown := sorted(set(weights) - set(self.sources)):
            raise ValueError(
                f"stages: stage {number} weights unknown sources {unknown}; known are {sorted(self.sources)}"
            )
        if missing := sorted(set(self.sources) - set(weights)):
            raise ValueError(f"stages: stage {number} has no weight for {missing}; write 0 to leave a source out")
        if sum(weights.values()) == 0:
            raise ValueError(f"stages: all weights of stage {number} are 0")

    @model_validator(mode="after")
    def _budget_holds_a_sample(self) -> "Mix":
        if self.budget_tokens < self.sequence_length:
            raise ValueError(
                f"budget_tokens: {self.budget_tokens} is less than one sample of sequence_length {self.sequence_length}"
            )
        return self

    @model_validator(mode="after")
    def _special_tokens_are_used(self) -> "Mix":
        if self.tokenizer.bos_token is not None and not self.bos:
            raise ValueError(
                f"tokenizer.bos_token = {self.tokenizer.bos_token}: is never written without `bos: true`; "
                "add that, or leave bos_token out"
            )
        train = self.tokenizer.train
        if train is not None and train.vocab_size < 257 + self.bos:
            raise ValueError(
                f"tokenizer.train.vocab_size = {train.vocab_size}: must be at least {257 + self.bos}: 256 bytes, EOS"
                + (" and BOS" if self.bos else "")
            )
        return self

    @model_validator(mode="after")
    def _alarms_exist(self) -> "Mix":
        known = [*(f"{alarm}:{source}" for source in self.sources for alarm in ALARMS), *MIX_ALARMS]
        if unknown := [name for name in self.acknowledge if name not in known]:
            raise ValueError(f"acknowledge = {unknown[0]}: there is no such alarm; known are {', '.join(known)}")
        return self


def load(path: str | Path) -> Mix:
    """The recipe in the YAML file `path`; `RecipeError` where it cannot be followed."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise RecipeError(f"there is no recipe at {path}; give the path of a YAML file, or a name in mixes/") from error
    except IsADirectoryError as error:
        raise RecipeError(f"{path} is a folder; give the path of a YAML file in it, or a name in mixes/") from error
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} cannot be read as UTF-8 text: {error}; save it as plain UTF-8") from error
    return parse(text, str(path))


def parse(text: str, where: str) -> Mix:
    """The recipe in a YAML text; `where` names it in errors."""
    try:
        fields = strict_yaml.load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date that is none, a huge number
        raise RecipeError(f"{where} is not valid YAML: {' '.join(str(error).split())}; mend or quote it") from error
    if not isinstance(fields, dict):
        found = "nothing" if fields is None else f"a {type(fields).__name__}"
        raise RecipeError(f"{where} holds {found}; a recipe holds fields, as name: …, sources: …")
    try:
        return Mix.model_validate(fields)
    except ValidationError as error:
        raise RecipeError(f"{where}: {recipe_errors.explain(Mix, error)}") from error
