import pytest

from pipeline.documents.records import Format, ReadParams, Reason, Record, RefusedError, quarantined


def test_the_defaults_are_those_of_the_recipe() -> None:
    assert ReadParams() == ReadParams(
        format=Format.JSONL, text_field="text", url_field=None, id_field=None, max_document_bytes=100_000_000
    )


def test_wrong_parameters_are_named() -> None:
    with pytest.raises(ValueError, match="format is 'csv'; known are jsonl, parquet, text"):
        ReadParams(format="csv")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_document_bytes is 0; it must be at least 1"):
        ReadParams(max_document_bytes=0)
    with pytest.raises(ValueError, match="must be different fields, not text, text"):
        ReadParams(url_field="text")
    with pytest.raises(ValueError, match="is empty; give the field's name"):
        ReadParams(id_field="")


def test_the_size_of_a_record_is_that_of_its_text() -> None:
    assert Record(record=0, text="Zoë".encode(), url=None, meta="{}").n_bytes == 4


def test_a_quarantine_entry_is_one_short_line_that_can_be_stored() -> None:
    refused = RefusedError(Reason.BROKEN_JSON, "two\nlines \ud800 " + "x" * 1000)
    entry = quarantined(refused, record=3, head=b"h" * 5000, n_bytes=5000)
    assert entry.detail.startswith(r"two lines \ud800 xxx")
    assert (len(entry.detail), len(entry.head), entry.n_bytes, entry.whole_file) == (300, 1024, 5000, False)
