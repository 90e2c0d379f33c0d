"""What the datasets of this stage are made of."""

import unicodedata
from collections.abc import Sequence
from dataclasses import asdict

from pipeline.deduped.batches import STAGE, DedupParams
from pipeline.manifest import Dataset, Spec

VERSION = 3
SIGNATURES_VERSION = 1
SEED = 1  # datasketch's default
AGAINST = "dedup.against"  # beside the sources among the inputs: no source is called so


def signatures_spec(source: str, filtered: str, params: DedupParams) -> Spec:
    """What the signatures of a source are made of, whatever the other sources are: `filtered` is the fingerprint of its
    filtered documents. The normal form of texts depends on the Unicode data of the running Python."""
    return Spec(
        stage="signatures",
        source=source,
        version=SIGNATURES_VERSION,
        inputs={"filtered": filtered},
        parameters={
            "ngram": params.ngram,
            "num_perm": params.bands * params.rows,
            "seed": SEED,
            "unicode": unicodedata.unidata_version,
        },
    )


def spec(source: str, filtered: Sequence[Dataset], params: DedupParams, against: Sequence[str] = ()) -> Spec:
    """What the deduped documents of a source are made of: in scope `global` all sources it is compared with, and the
    fingerprints of the deduped datasets that `dedup.against` names."""
    inputs = {dataset.manifest.source: dataset.manifest.fingerprint for dataset in filtered}
    return Spec(
        stage=STAGE,
        source=source,
        version=VERSION,
        inputs=inputs | ({AGAINST: sorted(against)} if against else {}),
        parameters=asdict(params) | {"signatures": SIGNATURES_VERSION, "unicode": unicodedata.unidata_version},
    )
