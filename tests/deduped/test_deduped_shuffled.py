"""How many partitions the joins have: by the documents, not by the session."""

from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.deduped.batches import DedupParams
from pipeline.deduped.compared.spark import shuffled


class Conf(dict[str, str]):
    def set(self, key: str, value: str) -> None:
        self[key] = value


@pytest.mark.parametrize(
    ("n_documents", "verify", "partitions"),
    [
        (0, "signature", 1),
        (9_000, "signature", 1),
        (95_000, "signature", 10),
        (2_000_000, "signature", 64),
        (500_000_000, "signature", 2042),  # 548 bytes each
        (500_000_000, "exact", 2042 + 7451),  # and 2,000 bytes of text
    ],
)
def test_partitions_follow_from_the_documents(n_documents: int, verify: str, partitions: int) -> None:
    params = DedupParams(
        threshold=0.8, ngram=5, bands=14, rows=8, scope="global", exact=True, verify=verify, priorities={}
    )
    counts = {"kept_bytes": 2_000 * n_documents}
    dataset = SimpleNamespace(manifest=SimpleNamespace(counts=counts))
    inputs: Any = SimpleNamespace(n_documents=n_documents, filtered=[dataset])
    conf = Conf({"spark.sql.shuffle.partitions": "200"})
    spark: Any = SimpleNamespace(conf=conf)
    with pytest.raises(ZeroDivisionError), shuffled(spark, inputs, params):
        assert abs(int(conf["spark.sql.shuffle.partitions"]) - partitions) <= 1
        raise ZeroDivisionError
    assert conf["spark.sql.shuffle.partitions"] == "200"
