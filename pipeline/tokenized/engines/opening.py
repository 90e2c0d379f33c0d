"""An engine by its name. The fast ones are imported where they are asked for: their packages are optional."""

from pipeline.tokenized.engines.engine import Engine
from pipeline.tokenized.engines.reference import TokenizersEngine

REFERENCE = "tokenizers"
FAST = ("gigatoken", "fastokens")
"""In the order of speed."""


def open_engine(name: str, json_text: str) -> Engine:
    """Open the named engine on a tokenizer's JSON. `ImportError` where its package is not installed; what the package
    raises where it does not know this kind of tokenizer; `ValueError` if there is no such engine."""
    if name == "gigatoken":
        from pipeline.tokenized.engines.gigatoken import GigatokenEngine

        return GigatokenEngine(json_text)
    if name == "fastokens":
        from pipeline.tokenized.engines.fastokens import FastokensEngine

        return FastokensEngine(json_text)
    if name == REFERENCE:
        return TokenizersEngine(json_text)
    raise ValueError(f"there is no engine {name!r}; there are {', '.join((REFERENCE, *FAST))}")
