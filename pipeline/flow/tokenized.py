"""Tokenized: the tokenizer, as many ranges of each source as the budget needs, and the validation sets."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline import manifest, recipe_files, storage
from pipeline.alarms import StageError
from pipeline.flow.ahead import beside, extent_of
from pipeline.flow.runner import Runner
from pipeline.manifest import Dataset
from pipeline.mixed import expected_table
from pipeline.mixed import ranges as needs
from pipeline.mixed.expected import expect
from pipeline.mixed.ranges import Extents
from pipeline.recipe import Mix
from pipeline.recipe_files import RecipeFiles
from pipeline.tokenized import spark as stage
from pipeline.tokenized.engines.choice import NOT_INSTALLED, Choice, choose
from pipeline.tokenized.parts import Part, TokenizeParams, spec
from pipeline.tokenized.shards import Shape
from pipeline.tokenized.tokenizer import TokenizerInfo


@dataclass(frozen=True, kw_only=True)
class Tokenized:
    """What the stage leaves: the tokenizer, each source's ranges from the first on, the validation sets, and how much
    there is of each source in all."""

    info: TokenizerInfo
    measured: Mapping[str, Sequence[Dataset]]
    validation: Mapping[str, Dataset]
    extents: Extents


def make(runner: Runner, mix: Mix, named: RecipeFiles, deduped: Mapping[str, Dataset]) -> Tokenized:
    """As many ranges of each source as a sample of its documents says that the budget needs, the first one at least;
    then more, until measured counts say that they are enough. What is estimated is told before it is made."""
    info = named.tokenizer or _trained(runner, mix, list(deduped.values()))
    params = _params(mix, info)
    first = [Part(deduped=dataset, number=0) for dataset in deduped.values()]
    held = [Part(deduped=dataset, number=None) for dataset in deduped.values()] if mix.holdout else []
    ahead, engine = beside(runner, mix, params, first, lambda: choose(info.encoding_json))
    _tell(runner, engine, None)
    built, engine = _parts(runner, [*first, *ahead, *held], params, engine)
    check_engines(built.values(), engine)
    validation = {part.source: built[part.source, None] for part in held}
    extents = {name: extent_of(data, validation.get(name)) for name, data in deduped.items()}
    measured = {part.source: [built[part.source, 0]] for part in first}
    while True:
        need = needs.needed(mix, measured, extents)
        wanted = {name: needs.wanted_ranges(need[name], parts, extents[name]) for name, parts in measured.items()}
        more = [
            Part(deduped=deduped[name], number=number)
            for name, parts in measured.items()
            for number in range(len(parts), wanted[name])
        ]
        if not more:
            break
        if all(len(parts) == 1 for parts in measured.values()):
            expected = expect(mix, measured, extents)
            if None in runner.find_all([spec(part, params) for part in _missing(more, built)]):
                runner.console.print(expected_table.table(expected, "the first range of each source"))
        found, engine = _parts(runner, _missing(more, built), params, engine)
        built |= found
        check_engines(built.values(), engine)
        measured = {name: [built[name, number] for number in range(wanted[name])] for name in measured}
    return Tokenized(info=info, measured=measured, validation=validation, extents=extents)


def _missing(parts: Sequence[Part], built: Collection[tuple[str, int | None]]) -> list[Part]:
    return [part for part in parts if (part.source, part.number) not in built]


def _trained(runner: Runner, mix: Mix, deduped: Sequence[Dataset]) -> TokenizerInfo:
    """The tokenizer that the recipe has trained on the mix's own text."""
    choice = mix.tokenizer.train
    if choice is None:
        raise RuntimeError("a recipe's tokenizer is given or trained")
    wanted = stage.tokenizer_spec(deduped, choice.vocab_size, choice.sample_bytes, bos=mix.bos)
    dataset = runner.ensure(
        wanted, choice.sample_bytes, lambda: stage.build_tokenizer(runner.spark, deduped, wanted, runner.root)
    )
    return recipe_files.described(mix, storage.read(dataset.urls("tokenizer")[0]).decode(), dataset.url)


def _params(mix: Mix, info: TokenizerInfo) -> TokenizeParams:
    """How the recipe has documents made rows."""
    return TokenizeParams(
        info=info,
        shape=Shape(
            sequence_length=mix.sequence_length,
            dtype=info.dtype,
            packing=mix.packing,
            pad_id=info.pad_id,
            vocab_size=info.vocab_size,
            compression=mix.compression,
        ),
        bos=mix.bos,
        eos=mix.eos,
        holdout_documents=mix.holdout.documents if mix.holdout else 0,
    )


def _parts(
    runner: Runner, parts: Sequence[Part], params: TokenizeParams, engine: Choice | None
) -> tuple[dict[tuple[str, int | None], Dataset], Choice | None]:
    """Datasets of ranges, by source and number; the missing ones are made in one job. The engine that made them, chosen
    (which takes seconds) where none was before."""
    specs = {(part.source, part.number): spec(part, params) for part in parts}
    there = zip(specs, runner.find_all(list(specs.values())), strict=True)
    found = {key: dataset for key, dataset in there if dataset is not None}
    missing = [part for part in parts if (part.source, part.number) not in found]
    if not missing:
        names = ", ".join(f"{name} {'holdout' if number is None else number}" for name, number in specs)
        runner.say_found(f"tokenized {names}")
        return found, engine
    runner.may_make("tokenized", missing[0].source)
    urls = [specs[part.source, part.number].url(runner.root) for part in missing]
    storage.at_once(lambda url: manifest.sweep(url, None), urls, runner.root)
    n_bytes = sum(
        part.deduped.manifest.counts["kept_bytes"] // part.ranges(params).n_ranges
        for part in missing
        if part.number is not None
    )
    with runner.progress(f"tokenized {', '.join(sorted({part.source for part in missing}))}", n_bytes):
        built, used = stage.build(
            runner.spark, missing, params, engine or choose(params.info.encoding_json), runner.root
        )
    _tell(runner, used, engine)
    return found | {(part.source, part.number): one for part, one in zip(missing, built, strict=True)}, used


def _tell(runner: Runner, engine: Choice | None, told: Choice | None) -> None:
    """Say which engine encodes, unless that has been `told`."""
    if engine is not None and engine != told:
        runner.console.print(f"encoded by {engine}", style="dim", markup=False, soft_wrap=True)


def check_engines(found: Iterable[Dataset], used: Choice | None) -> None:
    """`StageError` where ranges were encoded, in this run or an earlier one, by an engine that has been refused since:
    its ids may be wrong there too, where no document was compared. `used`: None where nothing was encoded now."""
    if used is None:
        return
    refused = {refusal.name for refusal in used.refused if refusal.reason != NOT_INSTALLED}
    suspect = [dataset for dataset in found if dataset.manifest.report["engine"]["name"] in refused]
    if suspect:
        raise StageError(
            f"encoded by {used}; but {len(suspect)} ranges that were there already are the work of an engine refused "
            f"now: {', '.join(dataset.url for dataset in suspect)}; delete these folders and run again"
        )
