"""From an object store what a loader is asked for is served as from disk: labels, documents, DataLoader workers."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.utils.data import DataLoader

from pipeline.loader import StreamingLoader
from pipeline.loader.torch_dataset import LoaderDataset
from tests.loader.s3_server import s3_server, storage_options, upload
from tests.tiny_mix import make_tiny_mix

pytestmark = [
    pytest.mark.filterwarnings("ignore:datetime.datetime.utc:DeprecationWarning"),  # botocore, moto
    pytest.mark.filterwarnings("ignore:Boto3 will no longer support:Warning"),
]

ASKED: dict[str, Any] = {
    "global_batch_size": 24,
    "micro_batch_size": 6,
    "rank": 1,
    "world_size": 2,
    "labels": "shifted",
    "documents": True,
    "format": "numpy",
}


@pytest.fixture(scope="module")
def mix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_mix(tmp_path_factory.mktemp("remote"), budget_samples=240, padded=True)


@pytest.fixture(scope="module")
def there(mix: Path) -> Iterator[StreamingLoader]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with s3_server() as endpoint:
        upload(endpoint, mix.parent.parent, "data")
        url = "s3://bucket/data/mixes/tiny"
        with StreamingLoader(url, storage_options=storage_options(endpoint), **ASKED) as loader:
            yield loader


@pytest.fixture(scope="module")
def expected(mix: Path) -> list[dict[str, Any]]:
    with StreamingLoader(mix, **ASKED) as loader:
        return list(loader)


def check(batches: list[Any], expected: list[dict[str, Any]]) -> None:
    assert len(batches) == len(expected) == 20
    for batch, wanted in zip(batches, expected, strict=True):
        assert batch.keys() == wanted.keys()
        assert all(np.array_equal(batch[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("n_workers", [1, 2])
def test_workers_serve_from_a_store(there: StreamingLoader, expected: list[dict[str, Any]], n_workers: int) -> None:
    check(list(DataLoader(LoaderDataset(there), batch_size=None, num_workers=n_workers)), expected)


def test_documents_are_read_from_a_store(there: StreamingLoader, expected: list[dict[str, Any]]) -> None:
    check(list(there.copy()), expected)
