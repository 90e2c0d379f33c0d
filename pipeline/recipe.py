"""The recipe of a mix: a YAML file → a frozen `Mix`, with every check made on load, before anything expensive.

`load` raises `RecipeError`: one paragraph that names the file, the field, the value and the remedy. The groups of
fields stand in `recipe_parts`, what a field may hold in `recipe_fields`, what is said of errors in `recipe_errors`.
"""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import yaml
from pydantic import Field, ValidationError, model_validator

from pipeline import recipe_errors, storage, strict_yaml
from pipeline.recipe_fields import Amount, Compression, FromList, Name, Share, Text
from pipeline.recipe_parts import Decontaminate, Dedup, Holdout, Model, Source, Stage, TokenizerChoice

MAX_SEQUENCE_LENGTH = 2**24
ALARMS = ("max_quarantined", "max_rejected", "max_cluster", "max_source_loss")
MIX_ALARMS = ("max_bucket",)

Checked = TypeVar("Checked", bound=Model)


class RecipeError(ValueError):
    """A recipe that cannot be followed; the message is for the person who wrote it."""


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
    compression: Compression | None = None

    @model_validator(mode="after")
    def _stages_follow(self) -> "Mix":
        start = 0  # in samples: a stage ends with the last whole sample before until_tokens
        for number, stage in enumerate(self.stages):
            ends = stage.until_tokens
            place = f"stages.{number}"
            if ends is None and number < len(self.stages) - 1:
                raise ValueError(f"{place}: until_tokens is missing; only the last stage goes on to the end")
            if ends is not None and number == len(self.stages) - 1:
                raise ValueError(
                    f"{place}.until_tokens = {ends}: the last stage goes on to the end of the budget; leave "
                    "until_tokens out, or add a stage after it"
                )
            if ends is not None and ends // self.sequence_length <= start:
                raise ValueError(
                    f"{place}.until_tokens = {ends}: is less than one sample of sequence_length {self.sequence_length} "
                    "after the stage before it; each stage must end later than the one before"
                )
            start = (ends or 0) // self.sequence_length
            if stage.weights is not None:
                self._check_stage_weights(f"{place}.weights", stage.weights)
        if self.stages and self.redistribute:
            raise ValueError("redistribute: has no defined meaning with stages; set the stages' weights to what fits")
        return self

    def _check_stage_weights(self, place: str, weights: Mapping[str, Fraction]) -> None:
        known = ", ".join(self.sources)
        if unknown := [name for name in weights if name not in self.sources]:
            raise ValueError(f"{place}: there is no source {unknown[0]!r:.80}; known are {known}")
        if missing := [name for name in self.sources if name not in weights]:
            raise ValueError(f"{place}: no weight for {', '.join(missing)}; write 0 to leave a source out")
        if not any(weights.values()):
            raise ValueError(f"{place}: all are 0, of {known}; give one at least")

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
    def _urls_are_known(self) -> "Mix":
        if self.dedup.url and all(source.url_field is None for source in self.sources.values()):
            raise ValueError("dedup.url: no source has a url_field to compare by; give one, or leave dedup.url out")
        return self

    @model_validator(mode="after")
    def _alarms_exist(self) -> "Mix":
        known = [*(f"{alarm}:{source}" for source in self.sources for alarm in ALARMS), *MIX_ALARMS]
        if unknown := [name for name in self.acknowledge if name not in known]:
            raise ValueError(f"acknowledge = {unknown[0]:.80}: there is no such alarm; known are {', '.join(known)}")
        return self


def load(path: str | Path) -> Mix:
    """The recipe in the YAML file `path`, which may be a URL; `RecipeError` where it cannot be followed."""
    return check(read(path), str(path))


def parse(text: str, where: str) -> Mix:
    """The recipe in a YAML text; `where` names it in errors."""
    return check(_fields(text, where), where)


def read(path: str | Path) -> object:
    """What the YAML file `path`, which may be a URL, holds; `RecipeError` where it cannot be read."""
    try:
        text = storage.read(str(path)).decode()
    except FileNotFoundError as error:
        raise RecipeError(f"there is no recipe at {path}; give the path of a YAML file, or a name in mixes/") from error
    except IsADirectoryError as error:
        raise RecipeError(f"{path} is a folder; give the path of a YAML file in it, or a name in mixes/") from error
    except OSError as error:
        raise RecipeError(
            f"{path} cannot be read: {error}; give the path of a YAML file, or a name in mixes/"
        ) from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is not UTF-8 text: {error}; save it as plain UTF-8") from error
    return _fields(text, str(path))


def check(fields: object, where: str) -> Mix:
    """The recipe of what YAML gives; `where` names it in errors."""
    return check_as(Mix, fields, where, "name: …, sources: …")


def check_as(model: type[Checked], fields: object, where: str, example: str) -> Checked:
    """What YAML gives as this group of fields; `RecipeError` that names `where`. `example`: fields that it has."""
    if not isinstance(fields, dict):
        found = "nothing" if fields is None else "a list" if isinstance(fields, list) else "a single value"
        raise RecipeError(f"{where} holds {found}; a recipe holds fields, as {example}")
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise RecipeError(f"{where}: {recipe_errors.explain(model, error)}") from error


def _fields(text: str, where: str) -> object:
    try:
        return strict_yaml.load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{where} is not valid YAML: {recipe_errors.explain_yaml(error)}") from error
