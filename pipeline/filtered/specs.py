"""What filtered documents, and what is measured on the way to them, are made of."""

from typing import Any

from pipeline.filtered import commonness, compression, contamination, language, signals
from pipeline.filtered.decisions import Choice
from pipeline.filtered.evaluation_items import EvaluationItems, StoredItems
from pipeline.manifest import Dataset, Spec
from pipeline.texts.unicode_tables import UNICODE_VERSION

STAGE = "filtered"
VERSION = 4


def signals_spec(documents: Dataset) -> Spec:
    """What the signals of a source are made of: its documents, the kernel's version, the Unicode data."""
    return _measured("signals", signals.VERSION, documents, {"unicode": UNICODE_VERSION})


def languages_spec(documents: Dataset) -> Spec:
    """What the languages of a source are made of: its documents and the model."""
    return _measured("languages", language.VERSION, documents, {"model": language.MODEL})


def compression_spec(documents: Dataset) -> Spec:
    """What the compression ratios of a source are made of: its documents and the compressor."""
    return _measured("compression", 2, documents, dict(compression.PARAMETERS))


def commonness_spec(documents: Dataset, items: EvaluationItems | StoredItems) -> Spec:
    """What is made of a sample of a source's documents: which parts of evaluation items are common there."""
    versions = {"matching": contamination.VERSION, "unicode": UNICODE_VERSION}
    return _measured(commonness.STAGE, commonness.VERSION, documents, versions | {"items": items.digest})


def measured_specs(documents: Dataset, choice: Choice) -> list[Spec]:
    """What must have been measured before it can be decided."""
    wanted = [signals_spec(documents)]
    if choice.needs_language:
        wanted.append(languages_spec(documents))
    if choice.needs_compression:
        wanted.append(compression_spec(documents))
    return wanted


def spec(documents: Dataset, choice: Choice) -> Spec:
    """What the filtered documents are made of: documents, what is measured on them, and what the recipe chooses."""
    measured = {wanted.stage: wanted.fingerprint for wanted in measured_specs(documents, choice)}
    return Spec(
        stage=STAGE,
        source=documents.manifest.source,
        version=VERSION,
        inputs={"documents": documents.manifest.fingerprint} | measured,
        parameters=choice.parameters,
    )


def _measured(stage: str, version: int, documents: Dataset, parameters: dict[str, Any]) -> Spec:
    return Spec(
        stage=stage,
        source=documents.manifest.source,
        version=version,
        inputs={"documents": documents.manifest.fingerprint},
        parameters=parameters,
    )
