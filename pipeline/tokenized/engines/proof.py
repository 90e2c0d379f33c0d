"""Whether an engine gives the ids of `tokenizers` on the hard texts: a program of its own, as engines may crash.

`python -m pipeline.tokenized.engines.proof NAME < tokenizer.json` prints the reason against the engine, or nothing.
"""

import sys

from tokenizers import Tokenizer

from pipeline.tokenized.engines.engine import Engine, first_difference
from pipeline.tokenized.engines.hard_texts import hard_texts
from pipeline.tokenized.engines.opening import open_engine
from pipeline.tokenized.engines.reference import TokenizersEngine


def objection(engine: Engine, json_text: str) -> str | None:
    """What speaks against this engine for this tokenizer. The texts are encoded twice: ids must not depend on what an
    engine has met before."""
    texts = hard_texts(Tokenizer.from_str(json_text))
    reference = TokenizersEngine(json_text).encode(texts)
    for _ in range(2):
        if difference := first_difference(texts, engine.encode(texts), reference):
            return f"differs from tokenizers: {difference}"
    return None


def main() -> None:
    """Any error is a reason too; so is a panic of Rust, which is no `Exception`."""
    json_text = sys.stdin.buffer.read().decode()
    try:
        found = objection(open_engine(sys.argv[1], json_text), json_text)
    except BaseException as error:  # pyo3's PanicException
        found = f"{type(error).__name__}: {' '.join(str(error).split())}"
    sys.stdout.buffer.write((found or "").encode())


if __name__ == "__main__":
    main()
