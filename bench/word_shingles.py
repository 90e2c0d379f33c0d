"""Shingles as users of datasketch and rensa make them, in Python."""


def shingles(text: str, ngram: int) -> list[bytes]:
    """As `pipeline.deduped` defines them, for ASCII."""
    words = text.lower().split()
    return [" ".join(words[i : i + ngram]).encode() for i in range(max(1, len(words) - ngram + 1))]
