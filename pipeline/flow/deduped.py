"""Deduped: one document of each group of duplicates, over all sources or within each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline import alarms, manifest
from pipeline.deduped import clusters_table, published, specs
from pipeline.deduped import spark as stage
from pipeline.deduped.bands import shape
from pipeline.deduped.batches import DedupParams
from pipeline.deduped.delined import spark as delined_stage
from pipeline.flow.runner import Runner
from pipeline.manifest import Dataset
from pipeline.recipe import Mix
from pipeline.recipe_files import RecipeFiles


@dataclass(frozen=True, kw_only=True)
class Deduped:
    """What the stage leaves of each source. `delined`: the filtered documents without the lines that many of a source
    have; empty where the recipe does not ask for it."""

    kept: Mapping[str, Dataset]
    delined: Mapping[str, Dataset]


def make(runner: Runner, mix: Mix, named: RecipeFiles, filtered: Mapping[str, Dataset]) -> Deduped:
    """The documents of each source without duplicates."""
    delined = {name: _delined(runner, mix, dataset) for name, dataset in filtered.items()} if mix.dedup.lines else {}
    inputs = delined or filtered
    kept: dict[str, Dataset] = {}
    if mix.dedup.scope == "within_source":
        for name, dataset in inputs.items():
            kept |= _compared(runner, mix, named, {name: dataset})
    else:
        kept |= _compared(runner, mix, named, inputs)
    for dataset in kept.values():
        found = published.alarms(
            dataset,
            max_cluster=mix.dedup.max_cluster,
            max_source_loss=mix.dedup.max_source_loss,
            max_bucket=mix.dedup.max_bucket,
        )
        alarms.raise_unless_acknowledged(found, mix.acknowledge)
    return Deduped(kept=kept, delined=delined)


def params_of(mix: Mix, names: Sequence[str]) -> DedupParams:
    """How the recipe has documents of these sources compared. Of their priorities the order alone counts: other
    numbers in the same order make the same datasets."""
    dedup = mix.dedup
    priorities = sorted({mix.sources[name].priority for name in names})
    bands, rows = shape(dedup.threshold, dedup.bands, dedup.rows, dedup.num_perm)
    return DedupParams(
        threshold=dedup.threshold,
        ngram=dedup.ngram,
        bands=bands,
        rows=rows,
        scope=dedup.scope,
        exact=dedup.exact,
        verify=dedup.verify,
        priorities={name: priorities.index(mix.sources[name].priority) for name in names},
        url=dedup.url,
        keep=dedup.keep.signal if dedup.keep else None,
        keep_most=dedup.keep is None or dedup.keep.prefer == "most",
    )


def _delined(runner: Runner, mix: Mix, filtered: Dataset) -> Dataset:
    """The filtered documents of a source without the lines that many of them have."""
    if mix.dedup.lines is None:
        raise RuntimeError("lines are cut out where the recipe asks for it")
    wanted = delined_stage.spec(filtered, mix.dedup.lines.max_documents)

    def build() -> Dataset:
        built = delined_stage.build(runner.spark, filtered, wanted, runner.root)
        runner.console.print(clusters_table.lines(built))
        return built

    found = runner.ensure(wanted, filtered.manifest.counts["kept_bytes"], build)
    loud = published.line_alarms(found, max_source_loss=mix.dedup.max_source_loss)
    alarms.raise_unless_acknowledged(loud, mix.acknowledge)
    return found


def _compared(runner: Runner, mix: Mix, named: RecipeFiles, group: Mapping[str, Dataset]) -> dict[str, Dataset]:
    """What is kept of sources that are compared with each other: all found, or all made in one go."""
    datasets = list(group.values())
    params = params_of(mix, list(group))
    alone = mix.dedup.scope == "within_source"
    earlier = [dataset for dataset in named.earlier if not alone or dataset.source in group]
    against = [dataset.fingerprint for dataset in earlier]
    wanted = [specs.spec(name, datasets, params, against) for name in group]
    found = runner.find_all(wanted)
    for one, dataset in zip(wanted, found, strict=True):
        manifest.sweep(one.url(runner.root), dataset)
    there = [dataset for dataset in found if dataset is not None]
    if len(there) == len(wanted):
        for name in group:
            runner.say_found(f"deduped {name}")
        return dict(zip(group, there, strict=True))
    runner.may_make("deduped", next(iter(group)))
    signatures = [_signatures(runner, dataset, params) for dataset in datasets]
    n_bytes = sum(dataset.manifest.counts["kept_bytes"] for dataset in datasets)
    with runner.progress(f"deduped {', '.join(group)}", n_bytes):
        built = stage.build(runner.spark, datasets, signatures, params, wanted, runner.root, earlier=earlier)
    runner.console.print(clusters_table.table(built))
    return dict(zip(group, built, strict=True))


def _signatures(runner: Runner, dataset: Dataset, params: DedupParams) -> Dataset:
    wanted = specs.signatures_spec(dataset.manifest.source, dataset.manifest.fingerprint, params)
    return runner.ensure(
        wanted,
        dataset.manifest.counts["kept_bytes"],
        lambda: stage.build_signatures(runner.spark, dataset, wanted, runner.root),
    )
