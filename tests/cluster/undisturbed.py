"""A mix made on this machine alone, without any disturbance: what every disturbed run must leave, too."""

import gzip
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.standalone import REPOSITORY
from tests.corpus import text_of

N_SOURCES = 4  # many small sources give a stage many tasks
N_DOCUMENTS = 240
N_WORDS = 700  # with these, 4 MB of text

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
    for number in range(N_SOURCES):
        texts = (text_of(number * N_DOCUMENTS + place, N_WORDS) for place in range(N_DOCUMENTS))
        lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
        path = folder / "raw" / f"s{number}" / "a.jsonl.gz"
        path.parent.mkdir(parents=True)
        path.write_bytes(gzip.compress(lines.encode(), 1))
    made = Undisturbed(recipe=folder / "recipe.yaml", root=folder / "root")
    sources = [
        f'  s{number}: {{root: "{folder}/raw/s{number}", files: ["*.gz"], weight: 1}}' for number in range(N_SOURCES)
    ]
    made.recipe.write_text(RECIPE + "\n".join(sources))
    command = [sys.executable, "jobs/mix.py", "--mix", str(made.recipe), "--root", str(made.root), "--cores", "2"]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(f"the undisturbed run failed:\n{run.stdout}\n{run.stderr}")
    return made
