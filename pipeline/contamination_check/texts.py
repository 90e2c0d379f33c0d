"""Tokens → text, in runs that follow each other, so that no document is too long to be decoded."""

from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise

from tokenizers import Tokenizer

from pipeline import storage
from pipeline.contamination_check.documents import Tokens
from pipeline.tokenizer_id import tokenizer_fingerprint

RUN_TOKENS = 1 << 20  # decoded at once: `tokenizers` takes 60 to 90 bytes for each
CONTEXT_TOKENS = 16  # decoded with a run, as a token's text may depend on those before it
CUT = "\ufffd"  # what stands for a character of which bytes are missing


@lru_cache(maxsize=1)
def opened(url: str, fingerprint: str) -> Tokenizer:
    """The tokenizer in the file at `url`; `ValueError` where it is not the one with this fingerprint."""
    text = storage.read(url)
    if (found := tokenizer_fingerprint(text)) != fingerprint:
        raise ValueError(f"{url} is not the tokenizer of the mix: its fingerprint is {found}, not {fingerprint}")
    return Tokenizer.from_str(text.decode())


def text_of(tokenizer: Tokenizer, tokens: Tokens) -> str:
    """What tokens decode to."""
    if len(tokens) <= RUN_TOKENS:
        return _decoded(tokenizer, tokens)
    return "".join(runs(tokenizer, tokens, [*range(RUN_TOKENS, len(tokens), RUN_TOKENS), len(tokens)]))


def runs(tokenizer: Tokenizer, tokens: Tokens, ends: Iterable[int]) -> list[str]:
    """What runs of tokens, that end at `ends` (ascending, the last one their number), decode to, one after the other.
    A character that a border cuts belongs to the run in which it ends."""
    found: list[str] = []
    for start, end in pairwise([0, *ends]):
        before = max(0, start - CONTEXT_TOKENS)
        head, whole = _decoded(tokenizer, tokens[before:start]), _decoded(tokenizer, tokens[before:end])
        if not whole.startswith(head):
            kept = head.rstrip(CUT)
            _shorten(found, len(head) - len(kept))
            head = kept
        found.append(whole[len(head) :])
    return found


def without_specials(tokens: Tokens, bos_id: int | None, eos_id: int) -> slice:
    """Which of a document's tokens are its text: all but BOS and EOS at its ends."""
    first = int(bos_id is not None and len(tokens) > 0 and tokens[0] == bos_id)
    return slice(first, len(tokens) - int(len(tokens) > first and tokens[-1] == eos_id))


def _decoded(tokenizer: Tokenizer, tokens: Tokens) -> str:
    return str(tokenizer.decode(tokens.tolist(), skip_special_tokens=False))


def _shorten(parts: list[str], n: int) -> None:
    """Take the last `n` characters off what the parts are together."""
    for at in range(len(parts) - 1, -1, -1):
        taken = min(n, len(parts[at]))
        parts[at] = parts[at][: len(parts[at]) - taken]
        n -= taken
