"""Which ranges of a source to make beside its first one, before anything of it is measured: those that a sample of its
documents says a mix needs. They are made in one job with the first one, which reads the text once.

Only how soon a range is made hangs on it. Which ranges a mix is made of follows from measured counts alone, so that it
is the same whether they were found, made ahead, or made one after the other.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from pipeline.alarms import StageError
from pipeline.flow.runner import Runner
from pipeline.manifest import Dataset
from pipeline.mixed import expected_table
from pipeline.mixed.expected import expect
from pipeline.mixed.ranges import Extent
from pipeline.recipe import Mix
from pipeline.tokenized.engines.choice import Choice
from pipeline.tokenized.parts import Part, TokenizeParams, spec
from pipeline.tokenized.ranges import ranges_of
from pipeline.tokenized.spark import sample


def beside(
    runner: Runner, mix: Mix, params: TokenizeParams, first: Sequence[Part], choose: Callable[[], Choice]
) -> tuple[list[Part], Choice | None]:
    """The ranges to make beside the first ones, of the sources that have none yet, and the engine that encoded their
    samples, which `choose` chooses; None where there was nothing to do. What is expected of all sources is printed.

    No ranges of a mix that cannot be: the counts of whole ranges refuse it, and until then not much should be made."""
    there = {part.source: dataset for part in first if (dataset := runner.find(spec(part, params))) is not None}
    unseen = [part for part in first if part.source not in there]
    if all(extent_of(part.deduped).n_ranges == 1 for part in unseen):
        return [], None
    runner.may_make("tokenized", unseen[0].source)
    counts, engine = sample(runner.spark, [part.deduped for part in unseen], params, choose())
    measured = {name: [dataset] for name, dataset in there.items()}
    measured |= {part.source: [_counted(part.deduped, own)] for part, own in zip(unseen, counts, strict=True)}
    extents = {part.source: _extent(part.deduped, params, sampled=part.source not in there) for part in first}
    try:
        expected = expect(mix, measured, extents)
    except StageError:
        return [], engine
    runner.console.print(expected_table.table(expected, "a sample of the documents"))
    surely = [part for part in unseen if expected[part.source].error is not None]  # the others are small: a few files
    return [
        replace(part, number=number) for part in surely for number in range(1, expected[part.source].ranges)
    ], engine


def _extent(deduped: Dataset, params: TokenizeParams, *, sampled: bool) -> Extent:
    """What there is of a source beside a validation set of documents of the mean length; a byte at least, as it is the
    stage that refuses a set of all documents."""
    counts = deduped.manifest.counts
    held_bytes = params.holdout_documents * counts["kept_bytes"] // max(1, counts["kept_documents"])
    whole = extent_of(deduped)
    return replace(whole, n_bytes=max(1, whole.n_bytes - held_bytes), sampled=sampled)


def extent_of(deduped: Dataset, validation: Dataset | None = None) -> Extent:
    """What there is of a source, without its validation set."""
    held_bytes = validation.manifest.counts["bytes"] if validation else 0
    n_bytes = deduped.manifest.counts["kept_bytes"]
    return Extent(n_ranges=ranges_of(n_bytes).n_ranges, n_bytes=n_bytes - held_bytes)


def _counted(deduped: Dataset, counts: dict[str, int]) -> Dataset:
    """A sample as though it were a range."""
    return replace(deduped, manifest=replace(deduped.manifest, counts=counts))
