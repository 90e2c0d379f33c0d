"""Filtered: the documents of each source that pass its rules."""

from collections.abc import Iterable, Mapping

from pipeline import alarms
from pipeline.filtered import contamination_table, rules, specs, waterfall_table
from pipeline.filtered import spark as stage
from pipeline.filtered.decisions import Choice
from pipeline.filtered.evaluation_items import EvaluationItems
from pipeline.flow.runner import Runner
from pipeline.manifest import Dataset, Spec
from pipeline.recipe import Mix
from pipeline.recipe_files import RecipeFiles
from pipeline.tables.reading import read_batches
from pipeline.take_down import TakeDown

SHOWN = 5  # entries of a take-down list that list nothing


def make(runner: Runner, mix: Mix, named: RecipeFiles, documents: Mapping[str, Dataset]) -> dict[str, Dataset]:
    """What is kept of each source, and the numbers that it was decided by."""
    found = {}
    for name, raw in documents.items():
        found[name] = _of_source(runner, raw, _choice(mix, named, name))
        loud = stage.alarms(found[name], mix.sources[name].max_rejected)
        if loud:
            runner.console.print(waterfall_table.table(found[name]))
        alarms.raise_unless_acknowledged(loud, mix.acknowledge)
    if named.take_down is not None:
        _tell_what_is_nowhere(runner, named.take_down, found.values())
    return found


def _tell_what_is_nowhere(runner: Runner, listed: TakeDown, sources: Iterable[Dataset]) -> None:
    """Print which entries of a take-down list no document: a slip in one of them must not look like success."""
    files = [url for source in sources for url in source.urls("taken_down")]
    found = {entry for url in files for rows in read_batches(url, ["entry"]) for entry in rows.column(0).to_pylist()}
    missed = sorted(listed.entries - found)
    if missed:
        shown = ", ".join(missed[:SHOWN]) + (", …" if len(missed) > SHOWN else "")
        told = (
            f"take_down: {len(missed):,} of {len(listed.entries):,} entries list no document of these sources: {shown}"
        )
        runner.console.print(told, markup=False, soft_wrap=True)


def _of_source(runner: Runner, documents: Dataset, choice: Choice) -> Dataset:
    wanted = specs.spec(documents, choice)
    n_bytes = documents.manifest.counts["kept_bytes"]

    def measured(measure: Spec) -> Dataset:
        return runner.ensure(
            measure, n_bytes, lambda: stage.build_measured(runner.spark, documents, measure, runner.root)
        )

    def build() -> Dataset:
        numbers = [measured(measure) for measure in specs.measured_specs(documents, choice)]
        common = _common(runner, documents, choice)
        with runner.progress(f"filtered {wanted.source}", n_bytes):
            built = stage.build(runner.spark, documents, numbers, common, choice, wanted, runner.root)
        runner.console.print(waterfall_table.table(built))
        for line in contamination_table.lines(built):
            runner.console.print(line)
        return built

    return runner.found_or(wanted, build)


def _common(runner: Runner, documents: Dataset, choice: Choice) -> Dataset | None:
    """What of the evaluation items is common in the source; None where none are looked for."""
    items = choice.items
    if not isinstance(items, EvaluationItems):
        return None
    wanted = specs.commonness_spec(documents, items)
    return runner.ensure(
        wanted,
        documents.manifest.counts["kept_bytes"],
        lambda: stage.build_commonness(runner.spark, documents, items, wanted, runner.root),
    )


def _choice(mix: Mix, named: RecipeFiles, name: str) -> Choice:
    """What the recipe chooses for a source."""
    source = mix.sources[name]
    asked = rules.resolve(source.rules)
    return Choice(
        rules=asked.rules,
        languages=source.languages or (),
        min_language_score=source.min_language_score,
        take_down=named.take_down,
        items=named.items,
        min_overlap=mix.decontaminate.min_overlap if mix.decontaminate else 1.0,
        cut_passages=mix.decontaminate is not None and mix.decontaminate.action == "passage",
        lines=asked.lines,
        bad_words=named.bad_words.get(name),
        masks=asked.masks,
    )
