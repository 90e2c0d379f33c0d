import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from pipeline.documents.meta import MAX_NESTING, split_fields, to_json
from pipeline.documents.records import ReadParams, Reason, RefusedError


def nested(n_levels: int) -> Any:
    value: Any = 1
    for _ in range(n_levels):
        value = [value]
    return value


def test_fields_keep_their_order_and_their_letters() -> None:
    fields = {"text": "gone", "title": "Zoë", "a": [1, {"b": None}], "big": 2**70, "x": 0.1}
    assert split_fields(fields, ReadParams()) == (
        None,
        '{"title":"Zoë","a":[1,{"b":null}],"big":1180591620717411303424,"x":0.1}',
    )


def test_a_record_of_text_alone_has_an_empty_object() -> None:
    assert split_fields({"text": "gone"}, ReadParams()) == (None, "{}")


def test_the_url_is_taken_out_if_it_is_a_string() -> None:
    params = ReadParams(url_field="link")
    assert split_fields({"link": "http://a", "n": 1}, params) == ("http://a", '{"n":1}')
    assert split_fields({"link": None}, params) == (None, '{"link":null}')
    assert split_fields({"link": 7}, params) == (None, '{"link":7}')
    assert split_fields({"n": 1}, params) == (None, '{"n":1}')
    with pytest.raises(RefusedError, match=r'the field "link" holds the lone surrogate U\+D800'):
        split_fields({"link": "http://\ud800"}, params)


def test_the_id_comes_first_and_displaces_no_other_field() -> None:
    params = ReadParams(id_field="uuid")
    assert split_fields({"n": 1, "uuid": "u-7"}, params) == (None, '{"id":"u-7","n":1}')
    assert split_fields({"id": 5, "uuid": "u-7", "id_": 6}, params) == (None, '{"id":"u-7","id__":5,"id_":6}')
    assert split_fields({"n": 1}, params) == (None, '{"n":1}')
    assert split_fields({"n": 1, "id": 5}, ReadParams(id_field="id")) == (None, '{"id":5,"n":1}')


def test_the_callers_fields_stay_as_they_are() -> None:
    fields = {"text": "t", "link": "http://a", "uuid": 1}
    split_fields(fields, ReadParams(url_field="link", id_field="uuid"))
    assert fields == {"text": "t", "link": "http://a", "uuid": 1}


def test_what_json_cannot_hold_becomes_what_it_can() -> None:
    fields = {
        "nan": float("nan"),
        "list": [float("inf"), {"deep": float("-inf"), "fine": 1.5}],
        "binary": b"\x00\xff",
        "day": date(2024, 2, 29),
        "time": datetime(2024, 2, 29, 12, 30, tzinfo=UTC),
        "price": Decimal("1.10"),
        "took": timedelta(seconds=90),
        "pairs": [("k", 1)],
    }
    assert json.loads(to_json(fields)) == {
        "nan": None,
        "list": [None, {"deep": None, "fine": 1.5}],
        "binary": "00ff",
        "day": "2024-02-29",
        "time": "2024-02-29T12:30:00+00:00",
        "price": "1.10",
        "took": "0:01:30",
        "pairs": [["k", 1]],
    }


def test_lone_surrogates_stay_escapes() -> None:
    assert to_json({"title": "\ud800", "other": "é"}) == r'{"title":"\ud800","other":"\u00e9"}'


def test_nesting_is_limited_by_its_depth_not_by_the_number_of_brackets() -> None:
    assert to_json({"a": [[1]] * 10_000}).count("[") == 10_001
    assert json.loads(to_json({"a": nested(MAX_NESTING - 1)})) == {"a": nested(MAX_NESTING - 1)}
    for n_levels in (MAX_NESTING, 900, 100_000):
        with pytest.raises(RefusedError, match="more than 200 levels deep") as error:
            to_json({"a": nested(n_levels)})
        assert error.value.reason == Reason.TOO_NESTED
