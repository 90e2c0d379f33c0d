"""What a loader is asked for, checked before anything is read: format, split, tokenizer, and the mix's place."""

import importlib.util
import os
import re
import sys
from typing import Literal

from pipeline import storage
from pipeline.loader.sequence import Sequence, TrainSequence, ValidationSequence
from pipeline.plan import Plan
from pipeline.tokenizer_id import tokenizer_fingerprint

Format = Literal["torch", "numpy"]
Split = Literal["train", "validation"]


def full_url(url: str | os.PathLike[str]) -> str:
    """A URL that means the same from any working directory."""
    text = os.fspath(url)
    return str(storage.local_path(text).resolve()) if storage.is_local(text) else text


def checked_format(format: str | None) -> str:
    """ "torch" or "numpy"; by default the first where torch is installed."""
    installed = "torch" in sys.modules or importlib.util.find_spec("torch") is not None
    if format is None:
        return "torch" if installed else "numpy"
    if format not in ("torch", "numpy"):
        raise ValueError(f'format {format!r}: "torch" or "numpy"')
    if format == "torch" and not installed:
        raise ValueError('format "torch": torch is not installed; install it, or use format="numpy"')
    return format


def check_dtype(dtype: str, plan: Plan) -> None:
    """`ValueError` where the mix's tokens do not fit."""
    if dtype == "uint16" and plan.dtype != "uint16":
        raise ValueError(f'dtype "uint16" cannot hold the {plan.dtype} tokens of the mix {plan.name}; use "int32"')


def check_flags(**flags: object) -> None:
    """`ValueError` where one is neither True nor False: "no" would mean yes."""
    for name, value in flags.items():
        if type(value) is not bool:
            raise ValueError(f"{name} is {value!r}, a {type(value).__name__}; give True or False")


def check_tokenizer(tokenizer: str | os.PathLike[str], plan: Plan, options: storage.Options = None) -> None:
    """`ValueError`, with both fingerprints, where it is another tokenizer than the mix's; `options` of its store."""
    given = os.fspath(tokenizer)
    if not re.fullmatch("[0-9a-f]{64}", given):
        try:
            given = tokenizer_fingerprint(storage.read(full_url(given), None if storage.is_local(given) else options))
        except FileNotFoundError as error:
            raise ValueError(f"tokenizer {given!r} is neither a file nor a sha256 of 64 hexadecimal digits") from error
    if given != plan.tokenizer.fingerprint:
        raise ValueError(
            f"the tokenizer {os.fspath(tokenizer)} has the fingerprint {given}, the mix {plan.name} was made with "
            f"{plan.tokenizer.fingerprint}: its ids would mean other texts. Train with the mix's tokenizer "
            f"({plan.tokenizer.path}, from the mix's folder) or make the mix with this one"
        )


def sequence_of(plan: Plan, split: str, *, beyond_budget: bool) -> Sequence:
    """The positions that a split serves."""
    if split == "train":
        return TrainSequence(plan, beyond_budget=beyond_budget)
    if split != "validation":
        raise ValueError(f'split {split!r}: "train" or "validation"')
    if beyond_budget:
        raise ValueError("beyond_budget=True is for the train split; a validation pass is finite")
    return ValidationSequence(plan)
