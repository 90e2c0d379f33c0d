"""What a document is called, where it stands in hash order, and the normal form in which texts are compared.

The normal form of a text: every character becomes its own lower case letter (Unicode's simple mapping, character by
character: whether a capital sigma ends its word does not matter), each run of white space (`str.isspace`: Unicode's
white space and the separators U+001C to U+001F) becomes one space, none at the beginning and the end. Nothing else is
folded: accents, punctuation, digits and composition (NFC, NFD) stay. It depends on the Unicode data of the running
Python, so its version (`unicodedata.unidata_version`) belongs into the manifest of what is made with it.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

DOC_ID_BYTES = 16


def folded(character: str) -> str:
    """The one character that a character becomes in the normal form; a space for white space.

    Only İ (U+0130) has a lower case of two characters, of which the first, i, is the simple mapping.
    """
    return " " if character.isspace() else character.lower()[0]


def normal_form(text: str) -> str:
    """The normal form of one text, by definition; `texts.normal` computes the same for columns, compiled."""
    return " ".join("".join(map(folded, text)).split())


def content_hash(text: str) -> bytes:
    """The 16 bytes that name a text: the xxh3-128 (big-endian) of its normal form in UTF-8. Deduplication's exact
    copies, and take-down lists (`pipeline.take_down`), go by it."""
    return xxhash.xxh3_128_digest(normal_form(text).encode())


def doc_id(source: str, file: str, record: int) -> bytes:
    """The 16 bytes that name a document: where it comes from, and nothing else. See `doc_ids`."""
    return doc_ids(source, file, np.array([record], dtype=np.int64))[0]


def doc_ids(source: str, file: str, records: npt.NDArray[np.int64]) -> list[bytes]:
    """The doc_ids of records of one file: `source` by name, `file` as path below the source's root, `records` 0-based.

    A doc_id is the xxh3-128 (big-endian) of: the bytes in the source's name as uint64, the name, the path, the record
    number as uint64; integers little-endian, texts as UTF-8. Both ends have a fixed size and the name's length is
    given, so different origins never share an encoding. Undecodable bytes of local file names, which Python holds as
    lone surrogates, are encoded as these.
    """
    if len(records) and records.min() < 0:
        raise ValueError(f"record {records.min()} of {file!r} in source {source!r}: records are numbered from 0")
    name = source.encode()
    prefix = len(name).to_bytes(8, "little") + name + file.encode(errors="surrogatepass")
    numbers = records.astype("<u8").tobytes()
    return [xxhash.xxh3_128_digest(prefix + numbers[at : at + 8]) for at in range(0, len(numbers), 8)]


def order_hash(doc_ids: npt.NDArray[np.uint8] | pa.Array, key: str) -> npt.NDArray[np.uint64]:
    """The place of each document in the hash order of `key`: uint64 [n], uniform, independent between keys.

    `doc_ids`: uint8 [n, 16], or an Arrow array of binaries of 16 bytes without nulls. The hash is the xxh3-64 of the
    doc_id, its seed the xxh3-64 of the key's UTF-8. Computed as xxHash 0.8 defines it for 9 to 16 bytes
    (`XXH3_len_9to16_64b`), for all at once: a call of the library for each took as long as the rest of the sort.
    """
    ids = doc_id_bytes(doc_ids) if isinstance(doc_ids, pa.Array) else doc_ids
    seed = xxhash.xxh3_64_intdigest(key.encode())
    words = np.ascontiguousarray(ids).view("<u8").astype(np.uint64, copy=False).reshape(-1, 2)
    low = words[:, 0] ^ np.uint64((_SECRET[0] + seed) % 2**64)
    high = words[:, 1] ^ np.uint64((_SECRET[1] - seed) % 2**64)
    found = np.uint64(DOC_ID_BYTES) + low.byteswap() + high + _folded_product(low, high)
    found ^= found >> np.uint64(37)
    found *= np.uint64(0x165667919E3779F9)
    found ^= found >> np.uint64(32)
    return found


_SECRET = (0x1F67B3B7A4A44072 ^ 0x78E5C0CC4EE679CB, 0x2172FFCC7DD05A82 ^ 0x8E2443F7744608B8)
"""Words of xxHash's `XXH3_kSecret` at bytes 24 to 55, by pairs."""


def _folded_product(one: npt.NDArray[np.uint64], other: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The lower half of the 128 bits of each product, XOR the upper."""
    half, mask = np.uint64(32), np.uint64(2**32 - 1)
    low = (one & mask) * (other & mask)
    cross = (one >> half) * (other & mask)
    middle = (low >> half) + (cross & mask) + (one & mask) * (other >> half)
    upper = (cross >> half) + (middle >> half) + (one >> half) * (other >> half)
    return upper ^ ((middle << half) | (low & mask))


def doc_id_bytes(doc_ids: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.uint8]:
    """The doc_ids of an Arrow column (any binary type) as uint8 [n, 16]; `ValueError` where one is not 16 bytes."""
    whole = doc_ids.combine_chunks() if isinstance(doc_ids, pa.ChunkedArray) else doc_ids
    wide = whole.cast(pa.large_binary())
    offsets = np.frombuffer(wide.buffers()[1] or b"", np.int64)[wide.offset : wide.offset + len(wide) + 1]
    if wide.null_count or (np.diff(offsets) != DOC_ID_BYTES).any():
        values = doc_ids.to_pylist()
        row = next(row for row, value in enumerate(values) if value is None or len(value) != DOC_ID_BYTES)
        raise ValueError(f"doc_id in row {row} is {values[row]!r}; a doc_id is {DOC_ID_BYTES} bytes")
    first = int(offsets[0]) if len(wide) else 0
    data = np.frombuffer(wide.buffers()[2] or b"", np.uint8)[first : first + DOC_ID_BYTES * len(wide)]
    return data.reshape(len(wide), DOC_ID_BYTES)
