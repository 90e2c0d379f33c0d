"""A small mix like the demo's, made on this machine alone without any disturbance: what every disturbed run must leave.

Its sources have rules, documents that these reject, and exact and near copies of each other's documents.
"""

import gzip
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.standalone import REPOSITORY
from tests.corpus import near, text_of

RULES = ("[gopher_quality, gopher_repetition]", "[gopher_quality]", "[code]", "[]")  # of the sources s0, s1, …
N_DOCUMENTS = 120
N_WORDS = 700  # with these, 2 MB of text
N_COPIES = 10  # of the first source's documents in every other, and of them as many again with a word changed

RECIPE = """
name: killed
seed: 5
sequence_length: 128
budget_tokens: 200K
tokenizer: {train: {vocab_size: 2000, sample_bytes: 1M}}
holdout: {documents: 10}
sources:
"""


@dataclass(frozen=True, kw_only=True)
class Undisturbed:
    """A recipe, and the root at which its mix was made."""

    recipe: Path
    root: Path


def make_undisturbed(folder: Path) -> Undisturbed:
    """Raw text, recipe and finished mix below `folder`. RuntimeError, with what the job printed, if it fails."""
    for number in range(len(RULES)):
        lines = "".join(json.dumps({"text": text}) + "\n" for text in _texts(number))
        path = folder / "raw" / f"s{number}" / "a.jsonl.gz"
        path.parent.mkdir(parents=True)
        path.write_bytes(gzip.compress(lines.encode(), 1))
    made = Undisturbed(recipe=folder / "recipe.yaml", root=folder / "root")
    sources = [
        f'  s{number}: {{root: "{folder}/raw/s{number}", files: ["*.gz"], rules: {rules}, weight: {number + 1}}}'
        for number, rules in enumerate(RULES)
    ]
    made.recipe.write_text(RECIPE + "\n".join(sources))
    command = [sys.executable, "jobs/mix.py", "--mix", str(made.recipe), "--root", str(made.root), "--cores", "2"]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(f"the undisturbed run failed:\n{run.stdout}\n{run.stderr}")
    return made


def _texts(source: int) -> list[str]:
    own = [text_of(source * N_DOCUMENTS + place, N_WORDS) for place in range(N_DOCUMENTS)]
    first = [text_of(place, N_WORDS) for place in range(2 * N_COPIES)]
    return [*own, "too short", *first[:N_COPIES], *map(near, first[N_COPIES:])]
