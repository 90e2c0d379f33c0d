"""A deduped dataset as it is published: its counts, its report, and the alarms that follow from them."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline import manifest
from pipeline.alarms import Alarm, check_balance
from pipeline.deduped import clusters
from pipeline.deduped.bands import candidate_probability
from pipeline.deduped.inputs import Inputs
from pipeline.manifest import Dataset, Spec
from pipeline.tables.reading import read_rows
from pipeline.tables.spark import Receipt, all_counts, all_files
from pipeline.versions import made

KINDS = ("exact", "url", "near")
SIMILARITIES = (0.5, 0.6, 0.7, 0.8, 0.9)  # for which the report says how probable a comparison is
EXCERPT_CHARACTERS = 300
BEGINNINGS, BEGINNING_CHARACTERS = 3, 60  # that an alarm shows


def publish(
    root: str,
    wanted: Spec,
    attempt: str,
    receipts: Sequence[Receipt],
    inputs: Inputs,
    number: int,
    largest_bucket: Mapping[str, Any],
) -> Dataset:
    """Publish the documents of source `number`; `receipts` are those of its files.

    The report: `removed_by_kept_source` (documents by kind and by the source of the document that stays),
    `similarities` of near duplicates, `cluster_sizes`, the `largest_clusters` that documents of this source or, if
    they made some of it go, of earlier datasets stand for, the `largest_bucket` over all sources,
    `candidate_probability`; and what earlier datasets made go.
    """
    counts = all_counts(receipts)
    by_source: dict[str, dict[str, int]] = {kind: {} for kind in KINDS}
    for name, n in sorted(counts.items()):
        if name.startswith("removed:"):
            _, kind, kept_source = name.split(":")
            by_source[kind][kept_source] = n
    before = inputs.filtered[number].manifest.counts
    removed = {kind: sum(of_kind.values()) for kind, of_kind in by_source.items() if of_kind}
    totals = {
        "documents": before["kept_documents"],
        "bytes": before["kept_bytes"],
        "kept_documents": counts["kept_documents"],
        "kept_bytes": counts["kept_bytes"],
        "removed": removed,
        "removed_bytes": {kind: counts[f"removed_bytes:{kind}"] for kind in removed},
    }
    name = f"deduped {wanted.source}"
    check_balance(name, "documents", totals["documents"], totals["kept_documents"], totals["removed"])
    check_balance(name, "bytes", totals["bytes"], totals["kept_bytes"], totals["removed_bytes"])
    files = all_files(receipts)
    report = {
        "removed_by_kept_source": by_source,
        "similarities": clusters.histogram(counts),
        "cluster_sizes": _sizes(counts, "cluster:"),
        "largest_clusters": _largest_clusters(receipts, inputs),
        "largest_bucket": dict(largest_bucket),
        "candidate_probability": _probabilities(wanted.parameters),
    }
    if inputs.earlier:
        report |= {"against": _against(inputs, by_source), "against_cluster_sizes": _sizes(counts, "against_cluster:")}
    return manifest.publish(root, wanted, attempt=attempt, files=files, counts=totals, report=report, made=made())


def excerpt(text: str) -> str:
    """The beginning of a text, for a report."""
    return text[:EXCERPT_CHARACTERS] + ("…" if len(text) > EXCERPT_CHARACTERS else "")


def alarms(dataset: Dataset, *, max_cluster: int, max_source_loss: float, max_bucket: int) -> list[Alarm]:
    """A source that lost more than a share, a cluster or a bucket larger than a limit."""
    counts, source = dataset.manifest.counts, dataset.manifest.source
    found = []
    against = {name: sum(of[kind] for kind in KINDS) for name, of in dataset.manifest.report.get("against", {}).items()}
    loss = (counts["documents"] - counts["kept_documents"]) / max(1, counts["documents"])
    if loss > max_source_loss:
        found.append(
            Alarm(
                name=f"max_source_loss:{source}",
                message=f"source {source} loses {loss:.1%} of {counts['documents']} documents to deduplication, "
                f"max_source_loss is {max_source_loss:.1%} ({counts['removed']}"
                + (f", of these for documents of dedup.against: {against})" if against else ")"),
            )
        )
    largest = max((int(size) for size in dataset.manifest.report["cluster_sizes"]), default=1)
    largest_against = max((int(size) for size in dataset.manifest.report.get("against_cluster_sizes", {})), default=1)
    if max(largest, largest_against) > max_cluster:
        stands = f"source {source}" if largest > max_cluster else f"dedup.against, with some of source {source},"
        found.append(
            Alarm(
                name=f"max_cluster:{source}",
                message=f"a document of {stands} stands for a cluster of "
                f"{largest if largest > max_cluster else largest_against} documents, max_cluster is {max_cluster}; "
                f"look at the removed ones in {dataset.url}; the largest begin {_beginnings(dataset)}",
            )
        )
    bucket = dataset.manifest.report["largest_bucket"]
    if bucket["vertices"] > max(1, max_bucket):
        found.append(
            Alarm(
                name="max_bucket",
                message=f"{bucket['vertices']} texts share a band of their signatures, max_bucket is {max_bucket}: "
                f"boilerplate, of which not all pairs are compared; one of them: {bucket['excerpt']!r}",
            )
        )
    return found


def line_alarms(dataset: Dataset, *, max_source_loss: float) -> list[Alarm]:
    """A source that lost more than a share of its bytes, or of its documents, to its repeated lines."""
    counts, source = dataset.manifest.counts, dataset.manifest.source
    kept_shares = (counts[f"kept_{unit}"] / max(1, counts[unit]) for unit in ("bytes", "documents"))
    loss = 1 - min(kept_shares) if counts["documents"] else 0.0
    if loss <= max_source_loss:
        return []
    shown = ", ".join(
        f"{line['text'][:BEGINNING_CHARACTERS]!r} ({line['documents']} documents)"
        for line in dataset.manifest.report["heaviest"][:BEGINNINGS]
    )
    most = dataset.manifest.parameters["max_documents"]
    message = (
        f"source {source} loses {loss:.1%} to lines that stand in more than {most} documents (of {counts['bytes']} "
        f"bytes {counts['kept_bytes']} stay, of {counts['documents']} documents {counts['kept_documents']}), "
        f"max_source_loss is {max_source_loss:.1%}; the heaviest lines: {shown}"
    )
    return [Alarm(name=f"max_source_loss:{source}", message=message)]


def _beginnings(dataset: Dataset) -> str:
    shown = [cluster["excerpt"][:BEGINNING_CHARACTERS] for cluster in dataset.manifest.report["largest_clusters"]]
    return ", ".join(repr(text) for text in shown[:BEGINNINGS])


def _largest_clusters(receipts: Sequence[Receipt], inputs: Inputs) -> list[dict[str, Any]]:
    """The largest clusters: how many `documents`, the `doc_id` and the `source` of the one that stays, and an `excerpt`
    of it; where that is one of an earlier dataset, whose texts are not read, of one that went because of it."""
    urls = [url for _, url in inputs.text_urls()]
    return [
        {
            "documents": cluster.size,
            "doc_id": cluster.doc_id.hex(),
            "source": inputs.names[cluster.src],
            "excerpt": excerpt(read_rows([urls[cluster.task]], [cluster.row], ["text"]).column("text")[0].as_py()),
        }
        for cluster in clusters.chosen((receipt.task, receipt.notes["largest"]) for receipt in receipts)
    ]


def _sizes(counts: Mapping[str, int], prefix: str) -> dict[str, int]:
    """Counts by cluster size: of kept documents that stand for such a cluster, or (`against_cluster:`) of removed ones
    in a cluster that an earlier document stands for."""
    sizes = {int(name.removeprefix(prefix)): n for name, n in counts.items() if name.startswith(prefix)}
    return {str(size): sizes[size] for size in sorted(sizes)}


def _against(inputs: Inputs, removed: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, Any]]:
    """For each earlier dataset, under the name that stands in `kept_source`: which one it is, how many documents were
    compared with, and how many went because of them."""
    names = inputs.names[len(inputs.filtered) :]
    return {
        name: {
            "fingerprint": dataset.fingerprint,
            "documents": dataset.n_documents,
            **{kind: of_kind.get(name, 0) for kind, of_kind in removed.items()},
        }
        for name, dataset in zip(names, inputs.earlier, strict=True)
    }


def _probabilities(parameters: Mapping[str, Any]) -> dict[str, float]:
    """How probable it is that texts of a similarity are compared, to 6 digits, by similarity."""
    found = candidate_probability(SIMILARITIES, bands=parameters["bands"], rows=parameters["rows"])
    return {f"{s:.1f}": round(p, 6) for s, p in zip(SIMILARITIES, found.tolist(), strict=True)}
