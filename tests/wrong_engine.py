"""An engine whose ids are wrong, importable where a task runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline.tokenized.engines.choice import Choice
from pipeline.tokenized.engines.engine import Encoded
from pipeline.tokenized.engines.reference import TokenizersEngine


@dataclass(frozen=True, kw_only=True)
class Shortening(Choice):
    """The choice of an engine that loses each text's last id."""

    def open(self, json_text: str) -> "ShorteningEngine":
        return ShorteningEngine(json_text)


class ShorteningEngine(TokenizersEngine):
    name = "shortening"

    def encode(self, texts: pa.Array | Sequence[str]) -> Encoded:
        return Encoded.of([ids[:-1] for ids in super().encode(texts).documents()])
