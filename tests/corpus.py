"""A small corpus with the faults of real ones, made from a seed: raw files of two sources and the recipe that reads
them. Some documents are exact copies, some near ones, within and across the sources."""

import gzip
import json
import random
from pathlib import Path

import zstandard

from pipeline import recipe
from pipeline.recipe import Mix

N_DOCUMENTS = 240
WORDS = [
    f"{start}{middle}{end}" for start in "bdfgklmnprst" for middle in "aeiou" for end in ("n", "rd", "st", "lling")
]
GLUE = ["the", "of", "and", "to", "that", "with", "be", "have"]


def text_of(number: int, n_words: int = 120) -> str:
    """A text of its own for each number; it passes Gopher's quality rules."""
    chance = random.Random(number)
    words = [chance.choice(GLUE if place % 4 == 3 else WORDS) for place in range(n_words)]
    lines = [" ".join(words[start : start + 12]) + "." for start in range(0, n_words, 12)]
    return "\n".join(lines)


def near(text: str) -> str:
    """The same text with its last word changed."""
    return text.rsplit(" ", 1)[0] + " changed."


def make_raw(folder: Path) -> Path:
    """Two sources below `folder`: `notes` (two gzip files) and `pages` (one zstd file)."""
    notes = [text_of(number) for number in range(N_DOCUMENTS)] + ["too short"] * 3
    notes += [text_of(0), near(text_of(1)), text_of(2).replace("\n", "\n\n ").upper()]
    pages = [text_of(number) for number in range(1000, 1000 + N_DOCUMENTS)] + [text_of(5), near(text_of(6))]
    for name, texts in (("a.jsonl.gz", notes[:150]), ("b.jsonl.gz", notes[150:])):
        path = folder / "notes" / "2026" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(_lines(texts)))
    (folder / "pages").mkdir()
    (folder / "pages" / "pages.jsonl.zst").write_bytes(zstandard.compress(_lines(pages)))
    return folder


def make_recipe(raw: Path, **changes: str) -> Mix:
    """A recipe over the corpus; `changes` replace or add top-level fields, given as YAML."""
    return recipe.parse(recipe_text(raw, **changes), "the test's recipe")


def recipe_text(raw: Path, **changes: str) -> str:
    """The YAML of `make_recipe`."""
    fields = {
        "name": "tiny",
        "seed": "3",
        "sequence_length": "64",
        "budget_tokens": "100K",
        "tokenizer": "{train: {vocab_size: 500, sample_bytes: 100K}}",
        "holdout": "{documents: 10}",
        "sources": f"""
  notes: {{root: "{raw}/notes", files: ["**/*.jsonl.gz"], rules: [gopher_quality], weight: 0.7, priority: 2}}
  pages: {{root: "{raw}/pages", files: ["*.jsonl.zst"], rules: [gopher_quality], weight: 0.3, priority: 1}}""",
    } | changes
    return "\n".join(f"{name}: {value}" for name, value in fields.items())


def _lines(texts: list[str]) -> bytes:
    return "".join(json.dumps({"text": text, "number": i}) + "\n" for i, text in enumerate(texts)).encode()
