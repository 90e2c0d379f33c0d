"""Bytes to text and back, refusing what is not UTF-8."""

from pipeline.documents.records import Reason, RefusedError

BOM = b"\xef\xbb\xbf"


def decoded(data: bytes, where: str) -> str:
    """The text; `RefusedError` (invalid_utf8) that names the first wrong byte of `where`."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        detail = f"byte 0x{data[error.start]:02x} at offset {error.start} of {where} is not UTF-8"
        raise RefusedError(Reason.INVALID_UTF8, detail) from None


def encoded(text: str, field: str) -> bytes:
    """The bytes; `RefusedError` (lone_surrogate) where `field` holds half a pair, for which UTF-8 has no form."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        detail = f'the field "{field}" holds the lone surrogate U+{code:04X} at character {error.start}'
        raise RefusedError(Reason.LONE_SURROGATE, detail) from None
