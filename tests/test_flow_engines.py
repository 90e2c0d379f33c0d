import pytest

from pipeline.alarms import StageError
from pipeline.flow.tokenized import check_engines
from pipeline.manifest import Dataset, Manifest
from pipeline.tokenized.engines.choice import NOT_INSTALLED, Choice, Refusal


def encoded_by(engine: str) -> Dataset:
    fields = {"source": "code", "version": 2, "fingerprint": "f", "inputs": {}, "parameters": {}, "attempt": "a"}
    made = Manifest(stage="tokenized", files=(), counts={}, report={"engine": {"name": engine}}, **fields)  # type: ignore[arg-type]
    return Dataset(url=f"data/tokenized/code/{engine}", manifest=made)


def choice(*refused: Refusal) -> Choice:
    return Choice(name="tokenizers", version="1", refused=refused)


def test_earlier_ranges_of_an_engine_that_is_refused_now_stop_the_run() -> None:
    wrong = choice(Refusal(name="quick", reason="document 00, token 4"))
    with pytest.raises(StageError, match=r"1 ranges .* refused now: data/tokenized/code/quick; delete these folders"):
        check_engines([encoded_by("tokenizers"), encoded_by("quick")], wrong)
    check_engines([encoded_by("tokenizers")], wrong)


def test_an_engine_that_is_only_not_installed_here_was_right() -> None:
    check_engines([encoded_by("quick")], choice(Refusal(name="quick", reason=NOT_INSTALLED)))
