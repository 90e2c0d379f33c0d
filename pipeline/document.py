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
    doc_id, its seed the xxh3-64 of the key's UTF-8.
    """
    ids = doc_id_bytes(doc_ids) if isinstance(doc_ids, pa.Array) else doc_ids
    seed = xxhash.xxh3_64_intdigest(key.encode())
    data = ids.tobytes()
    hashes = (xxhash.xxh3_64_intdigest(data[at : at + DOC_ID_BYTES], seed) for at in range(0, len(data), DOC_ID_BYTES))
    return np.fromiter(hashes, dtype=np.uint64, count=len(ids))


def doc_id_bytes(doc_ids: pa.Array) -> npt.NDArray[np.uint8]:
    """The doc_ids of an Arrow column (any binary type) as uint8 [n, 16]; `ValueError` where one is not 16 bytes."""
    values = doc_ids.to_pylist()
    for row, value in enumerate(values):
        if value is None or len(value) != DOC_ID_BYTES:
            raise ValueError(f"doc_id in row {row} is {value!r}; a doc_id is {DOC_ID_BYTES} bytes")
    return np.frombuffer(b"".join(values), dtype=np.uint8).reshape(len(values), DOC_ID_BYTES)
