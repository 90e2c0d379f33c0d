import pytest

from pipeline.documents.records import Reason, RefusedError
from pipeline.documents.utf8 import decoded, encoded


def test_text_goes_both_ways() -> None:
    assert decoded("Zoë \0 😀".encode(), "here") == "Zoë \0 😀"
    assert encoded("Zoë \0 😀", "text") == "Zoë \0 😀".encode()


def test_the_first_wrong_byte_is_named() -> None:
    with pytest.raises(RefusedError, match="byte 0xff at offset 2 of the line is not UTF-8") as error:
        decoded(b"ab\xff\xfe", "the line")
    assert error.value.reason == Reason.INVALID_UTF8


def test_the_first_lone_surrogate_is_named() -> None:
    with pytest.raises(
        RefusedError, match=r'the field "text" holds the lone surrogate U\+DC00 at character 1'
    ) as error:
        encoded("a\udc00\ud800", "text")
    assert error.value.reason == Reason.LONE_SURROGATE
