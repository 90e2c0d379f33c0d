"""Which engine encodes with this tokenizer: the first fast one that proves itself, else `tokenizers`."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from pipeline.tokenized.engines.engine import Engine
from pipeline.tokenized.engines.opening import FAST, REFERENCE, open_engine

NOT_INSTALLED = "not installed"
PROOF_SECONDS = 300  # a vocabulary of 16,000 takes some 5


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why an engine was not taken."""

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The engine taken, by its package's name and version, and those refused before it. Small: sent to workers."""

    name: str
    version: str
    refused: tuple[Refusal, ...]

    def __str__(self) -> str:
        told = [f"{one.name} refused: {one.reason}" for one in self.refused if one.reason != NOT_INSTALLED]
        return "; ".join([f"{self.name} {self.version}", *told])

    def refuse(self, reason: str) -> "Choice":
        """`tokenizers` in this one's place."""
        refusal = Refusal(name=self.name, reason=reason)
        return Choice(name=REFERENCE, version=version(REFERENCE), refused=(*self.refused, refusal))

    def open(self, json_text: str) -> Engine:
        """The engine, in a worker. `RuntimeError` if the version installed there is not the one that proved itself."""
        if (here := version(self.name)) != self.version:
            raise RuntimeError(
                f"{self.name} {self.version} proved itself on the driver, but {here} is installed on this worker; "
                "install the same packages everywhere"
            )
        return open_engine(self.name, json_text)


def choose(json_text: str, *, candidates: Sequence[str] = FAST) -> Choice:
    """Try the candidates in order, each in a process of its own. Seconds; done once, on the driver."""
    refused: list[Refusal] = []
    for name in candidates:
        reason = _objection(name, json_text)
        if reason is None:
            return Choice(name=name, version=version(name), refused=tuple(refused))
        refused.append(Refusal(name=name, reason=reason))
    return Choice(name=REFERENCE, version=version(REFERENCE), refused=tuple(refused))


def _objection(name: str, json_text: str) -> str | None:
    try:
        version(name)
    except PackageNotFoundError:
        return NOT_INSTALLED
    command = [sys.executable, "-m", "pipeline.tokenized.engines.proof", name]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    try:
        done = subprocess.run(
            command, input=json_text.encode(), capture_output=True, env=environment, timeout=PROOF_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"encoded the hard texts for more than {PROOF_SECONDS} seconds"
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        return f"its process ended with status {done.returncode}: {''.join(last)}"
    return done.stdout.decode() or None
