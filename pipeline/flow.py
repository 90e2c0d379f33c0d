"""The flow of a mix: recipe → the datasets that follow from it, stage by stage, each made unless it is there.

This is the one place that knows all stages. A job runs the flow up to its own stage and makes only that; `make mix`
makes whatever is missing, in one Spark session, which is started only if something is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

from py4j.protocol import Py4JError
from rich.console import Console

from pipeline import alarms, manifest, plan, recipe_files, storage
from pipeline.alarms import StageError
from pipeline.deduped import clusters_table, published
from pipeline.deduped import spark as deduped_stage
from pipeline.deduped import specs as deduped_specs
from pipeline.deduped.bands import shape
from pipeline.deduped.batches import DedupParams
from pipeline.deduped.delined import spark as delined_stage
from pipeline.documents import spark as documents_stage
from pipeline.documents.spark import DocumentsParams
from pipeline.filtered import rules, waterfall_table
from pipeline.filtered import spark as filtered_stage
from pipeline.filtered import specs as filtered_specs
from pipeline.filtered.decisions import Choice
from pipeline.manifest import Dataset, Spec
from pipeline.mixed import plan as mixed
from pipeline.mixed import ranges as needs
from pipeline.plan import Plan, PlanTokenizer
from pipeline.recipe import Mix
from pipeline.recipe_files import RecipeFiles
from pipeline.storage import FileInfo
from pipeline.tokenized import spark as tokenized_stage
from pipeline.tokenized import tokenizer as tokenizers
from pipeline.tokenized.ranges import ranges_of
from pipeline.tokenized.shards import Shape
from pipeline.tokenized.spark import Part, TokenizeParams
from pipeline.tokenized.tokenizer import TokenizerInfo

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

STAGES = ("documents", "filtered", "deduped", "tokenized", "mixed")
MADE_BY = {
    "signals": "filtered",
    "languages": "filtered",
    "compression": "filtered",
    "delined": "deduped",
    "signatures": "deduped",
    "tokenizer": "tokenized",
}
"""Datasets that a job makes on the way to its own."""

WRITTEN = (*STAGES[:-1], *MADE_BY, "mixes")
"""The folders that a flow writes below its root."""

ByName = dict[str, Dataset]


@dataclass(frozen=True, kw_only=True)
class Tokenized:
    """What the stage `tokenized` leaves: the tokenizer, each source's ranges from the first on, the validation sets,
    and how many ranges each source has in all."""

    info: TokenizerInfo
    measured: Mapping[str, Sequence[Dataset]]
    validation: Mapping[str, Dataset]
    n_ranges: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A mix with all that it was made of: for the report."""

    url: str
    plan: Plan
    documents: ByName
    filtered: ByName
    delined: ByName
    deduped: ByName
    tokenized: Tokenized


class Flow:
    """The flow of one recipe below one root. `makes` are the stages that may be made; others must be there. `spark`: a
    session to use; without one, a session is started when it is first needed, and stopped by `stop`."""

    def __init__(
        self,
        mix: Mix,
        root: str,
        *,
        console: Console,
        makes: Collection[str],
        cores: int | None = None,
        spark: SparkSession | None = None,
    ) -> None:
        self._mix = mix
        self._root = storage.normalise(root)
        self._console = console
        self._makes = makes
        self._cores = cores
        self._spark = spark
        self._own_session = spark is None

    @cached_property
    def documents(self) -> ByName:
        """The documents of each source."""
        found = {}
        for name, files in self._named.raw.items():
            source = self._mix.sources[name]
            params = DocumentsParams(
                source=name, root=source.root, files=source.files, storage=source.storage, read=source.read
            )
            wanted = documents_stage.spec(params, self._digests(params, files))
            n_bytes = sum(info.bytes for info in files)
            found[name] = self._ensure(wanted, n_bytes, partial(self._read, params, files, wanted))
            self._check(documents_stage.alarms(found[name], self._mix.max_quarantined))
        return found

    @cached_property
    def _named(self) -> RecipeFiles:
        """The files that the recipe names."""
        written = [storage.join(self._root, folder) for folder in WRITTEN]
        found = recipe_files.look(self._mix, written, self._dedup_params(list(self._mix.sources)))
        for remark in found.remarks:
            self._console.print(remark)
        return found

    def _read(self, params: DocumentsParams, files: Sequence[FileInfo], wanted: Spec) -> Dataset:
        return documents_stage.build(self.spark, params, files, wanted, self._root)

    @cached_property
    def filtered(self) -> ByName:
        """The documents of each source that pass its rules."""
        found = {}
        for name, raw in self.documents.items():
            choice = self._choice(name)
            wanted = filtered_specs.spec(raw, choice)
            found[name] = self._ensure(wanted, 0, partial(self._filter, raw, choice, wanted), own_progress=True)
            loud = filtered_stage.alarms(found[name], self._mix.sources[name].max_rejected)
            if loud:
                self._console.print(waterfall_table.table(found[name]))
            self._check(loud)
        return found

    def _filter(self, raw: Dataset, choice: Choice, wanted: Spec) -> Dataset:
        n_bytes = raw.manifest.counts["kept_bytes"]

        def measured(measure: Spec) -> Dataset:
            build = partial(filtered_stage.build_measured, documents=raw, wanted=measure, root=self._root)
            return self._ensure(measure, n_bytes, lambda: build(self.spark))

        numbers = [measured(measure) for measure in filtered_specs.measured_specs(raw, choice)]
        with self._progress(f"filtered {wanted.source}", n_bytes):
            built = filtered_stage.build(self.spark, raw, numbers, choice, wanted, self._root)
        self._console.print(waterfall_table.table(built))
        return built

    def _choice(self, name: str) -> Choice:
        source = self._mix.sources[name]
        overlap = self._mix.decontaminate.min_overlap if self._mix.decontaminate else 1.0
        asked = rules.resolve(source.rules)
        return Choice(
            rules=asked.rules,
            languages=source.languages or (),
            min_language_score=source.min_language_score,
            take_down=self._named.take_down,
            items=self._named.items,
            min_overlap=overlap,
            lines=asked.lines,
            bad_words=self._named.bad_words.get(name),
            masks=asked.masks,
        )

    @cached_property
    def _delined(self) -> ByName:
        """The filtered documents without the lines that many of a source have, where the recipe asks for it."""
        lines = self._mix.dedup.lines
        if lines is None:
            return {}
        found = {}
        for name, dataset in self.filtered.items():
            wanted = delined_stage.spec(dataset, lines.max_documents)
            build = partial(delined_stage.build, filtered=dataset, wanted=wanted, root=self._root)
            n_bytes = dataset.manifest.counts["kept_bytes"]
            found[name] = self._ensure(wanted, n_bytes, partial(self._cut_lines, build))
            loss = self._mix.dedup.max_source_loss
            self._check(published.line_alarms(found[name], max_source_loss=loss))
        return found

    def _cut_lines(self, build: Callable[[SparkSession], Dataset]) -> Dataset:
        built = build(self.spark)
        self._console.print(clusters_table.lines(built))
        return built

    @cached_property
    def deduped(self) -> ByName:
        """The documents of each source without duplicates."""
        inputs = self._delined or self.filtered
        alone = self._mix.dedup.scope == "within_source"
        groups = [{name: dataset} for name, dataset in inputs.items()] if alone else [inputs]
        found: ByName = {}
        for group in groups:
            params = self._dedup_params(list(group))
            earlier = [dataset for dataset in self._named.earlier if not alone or dataset.source in group]
            against = [dataset.fingerprint for dataset in earlier]
            specs = {name: deduped_specs.spec(name, list(group.values()), params, against) for name in group}
            there = {name: manifest.find(wanted.url(self._root)) for name, wanted in specs.items()}
            if all(there.values()):
                found |= {name: self._ensure(specs[name], 0, _unreachable) for name in group}
                continue
            self._may_make("deduped", next(iter(group)))
            measured = [self._signatures(dataset, params) for dataset in group.values()]
            n_bytes = sum(dataset.manifest.counts["kept_bytes"] for dataset in group.values())
            for wanted in specs.values():
                manifest.sweep(wanted.url(self._root))
            with self._progress(f"deduped {', '.join(group)}", n_bytes):
                built = deduped_stage.build(
                    self.spark,
                    list(group.values()),
                    measured,
                    params,
                    list(specs.values()),
                    self._root,
                    earlier=earlier,
                )
            self._console.print(clusters_table.table(built))
            found |= dict(zip(group, built, strict=True))
        for dataset in found.values():
            dedup = self._mix.dedup
            found_alarms = published.alarms(
                dataset,
                max_cluster=dedup.max_cluster,
                max_source_loss=dedup.max_source_loss,
                max_bucket=dedup.max_bucket,
            )
            self._check(found_alarms)
        return found

    @cached_property
    def tokenized(self) -> Tokenized:
        """The tokenizer, and as many ranges of each source as the budget needs."""
        return self._make_tokenized(self.deduped)

    @cached_property
    def mixed(self) -> Finished:
        """The plan, written beside its tokenizer below `mixes/`."""
        tokens = self.tokenized
        url = storage.join(self._root, "mixes", self._mix.name)
        tokenizer = PlanTokenizer(
            path=f"tokenizer-{tokens.info.fingerprint[:12]}.json",  # a plan never stands beside another's tokenizer
            fingerprint=tokens.info.fingerprint,
            vocab_size=tokens.info.vocab_size,
            eos_id=tokens.info.eos_id,
            bos_id=tokens.info.bos_id,
            pad_id=tokens.info.pad_id,
            canary_text=tokenizers.CANARY,
            canary_ids=tokens.info.canary_ids,
        )
        made_plan = mixed.build(
            self._mix, tokenizer, tokens.info.dtype, tokens.measured, tokens.validation, tokens.n_ranges
        )
        self._write_once(storage.join(url, tokenizer.path), tokens.info.json_text.encode())
        self._write_once(storage.join(url, plan.PLAN), plan.to_json(made_plan))
        return Finished(
            url=url,
            plan=made_plan,
            documents=self.documents,
            filtered=self.filtered,
            delined=self._delined,
            deduped=self.deduped,
            tokenized=tokens,
        )

    @property
    def spark(self) -> SparkSession:
        """The session, started when it is first needed."""
        if self._spark is None:
            from pipeline import session

            self._console.print("starting Spark …", style="dim")
            self._spark = session.start(f"shardmill {self._mix.name}", cores=self._cores)
        return self._spark

    def stop(self) -> None:
        """Stop the session, if one was started."""
        if self._spark is not None and self._own_session:
            with suppress(Py4JError, OSError):  # a JVM that died has been told of already
                self._spark.stop()
            self._spark = None

    def _make_tokenized(self, unique: ByName) -> Tokenized:
        info = self._tokenizer(unique)
        mix = self._mix
        params = TokenizeParams(
            info=info,
            shape=Shape(sequence_length=mix.sequence_length, dtype=info.dtype, packing=mix.packing, pad_id=info.pad_id),
            bos=mix.bos,
            eos=mix.eos,
            holdout_documents=mix.holdout.documents if mix.holdout else 0,
        )
        n_ranges = {name: ranges_of(data.manifest.counts["kept_bytes"]).n_ranges for name, data in unique.items()}
        first = [Part(deduped=dataset, number=0) for dataset in unique.values()]
        held = [Part(deduped=dataset, number=None) for dataset in unique.values()] if mix.holdout else []
        built = self._parts([*first, *held], params)
        measured = {part.source: [built[part.source, 0]] for part in first}
        while True:
            need = needs.needed(mix, measured, n_ranges)
            wanted = {name: needs.wanted_ranges(need[name], parts, n_ranges[name]) for name, parts in measured.items()}
            more = [
                Part(deduped=unique[name], number=number)
                for name, parts in measured.items()
                for number in range(len(parts), wanted[name])
            ]
            if not more:
                break
            built |= self._parts(more, params)
            measured = {name: [built[name, number] for number in range(wanted[name])] for name in measured}
        validation = {part.source: built[part.source, None] for part in held}
        return Tokenized(info=info, measured=measured, validation=validation, n_ranges=n_ranges)

    def _parts(self, parts: Sequence[Part], params: TokenizeParams) -> dict[tuple[str, int | None], Dataset]:
        """Datasets of ranges; the missing ones are made in one job."""
        specs = {(part.source, part.number): tokenized_stage.spec(part, params) for part in parts}
        found = {key: manifest.find(wanted.url(self._root)) for key, wanted in specs.items()}
        missing = [part for part in parts if found[part.source, part.number] is None]
        if missing:
            self._may_make("tokenized", missing[0].source)
            for part in missing:
                manifest.sweep(specs[part.source, part.number].url(self._root))
            names = ", ".join(sorted({part.source for part in missing}))
            n_bytes = sum(
                part.deduped.manifest.counts["kept_bytes"] // part.ranges(params).n_ranges
                for part in missing
                if part.number is not None
            )
            with self._progress(f"tokenized {names}", n_bytes):
                for part, dataset in zip(
                    missing, tokenized_stage.build(self.spark, missing, params, self._root), strict=True
                ):
                    found[part.source, part.number] = dataset
        else:
            names = ", ".join(f"{name} {'holdout' if number is None else number}" for name, number in specs)
            self._console.print(f"tokenized {names}: found", style="dim")
        return {key: dataset for key, dataset in found.items() if dataset is not None}

    def _tokenizer(self, unique: ByName) -> TokenizerInfo:
        choice = self._mix.tokenizer
        if self._named.tokenizer is not None:
            return self._named.tokenizer
        if choice.train is None:
            raise RuntimeError("a recipe's tokenizer is given or trained")
        sources = list(unique.values())
        wanted = tokenized_stage.tokenizer_spec(
            sources, choice.train.vocab_size, choice.train.sample_bytes, bos=self._mix.bos
        )
        dataset = self._ensure(
            wanted,
            choice.train.sample_bytes,
            lambda: tokenized_stage.build_tokenizer(self.spark, sources, wanted, self._root),
        )
        return recipe_files.described(self._mix, storage.read(dataset.urls("tokenizer")[0]).decode(), dataset.url)

    def _dedup_params(self, names: Sequence[str]) -> DedupParams:
        dedup = self._mix.dedup
        bands, rows = shape(dedup.threshold, dedup.bands, dedup.rows, dedup.num_perm)
        return DedupParams(
            threshold=dedup.threshold,
            ngram=dedup.ngram,
            bands=bands,
            rows=rows,
            scope=dedup.scope,
            exact=dedup.exact,
            verify=dedup.verify,
            priorities={name: self._mix.sources[name].priority for name in names},
            url=dedup.url,
            keep=dedup.keep.signal if dedup.keep else None,
            keep_most=dedup.keep is None or dedup.keep.prefer == "most",
        )

    def _signatures(self, dataset: Dataset, params: DedupParams) -> Dataset:
        wanted = deduped_specs.signatures_spec(dataset.manifest.source, dataset.manifest.fingerprint, params)
        n_bytes = dataset.manifest.counts["kept_bytes"]
        return self._ensure(
            wanted, n_bytes, lambda: deduped_stage.build_signatures(self.spark, dataset, wanted, self._root)
        )

    def _digests(self, params: DocumentsParams, files: Sequence[FileInfo]) -> dict[str, str]:
        """The contents' digests of raw files. Size and stamp only decide whether a file must be read again."""
        url = storage.join(self._root, "documents", params.source, "_raw_digests.json")
        known: dict[str, list[object]] = {}
        if storage.exists(url):
            known = json.loads(storage.read(url))
        root = str(storage.local_path(params.root).absolute()) if storage.is_local(params.root) else params.root
        key = {info.path: f"{root}/{info.path}" for info in files}
        fresh = [info for info in files if known.get(key[info.path], [])[:2] != [info.bytes, info.stamp]]
        if fresh:
            self._may_make("documents", params.source)
            with self._progress(f"reading {params.source}", sum(info.bytes for info in fresh)):
                digests = documents_stage.digest(self.spark, params, fresh)
            known |= {key[info.path]: [info.bytes, info.stamp, digests[info.path]] for info in fresh}
            storage.write(url, json.dumps(known, indent=1, sort_keys=True).encode())
        return {info.path: str(known[key[info.path]][2]) for info in files}

    def _ensure(
        self, wanted: Spec, n_bytes: int, build: Callable[[], Dataset], *, own_progress: bool = False
    ) -> Dataset:
        """The dataset of a spec: found, or made now."""
        what = f"{wanted.stage} {wanted.source}"
        url = wanted.url(self._root)
        manifest.sweep(url)
        dataset = manifest.find(url)
        if dataset is not None:
            self._console.print(f"{what}: found", style="dim")
            return dataset
        self._may_make(MADE_BY.get(wanted.stage, wanted.stage), wanted.source)
        if own_progress:
            return build()
        with self._progress(what, n_bytes):
            return build()

    def _may_make(self, stage: str, source: str) -> None:
        if stage not in self._makes:
            raise StageError(
                f"{stage} of source {source} has not been made below {self._root} for this recipe and these files; run "
                f"jobs/{stage}.py first"
            )

    def _progress(self, what: str, n_bytes: int) -> AbstractContextManager[None]:
        from pipeline import session

        return session.progress(self.spark, self._console, what, n_bytes)

    def _check(self, found: Sequence[alarms.Alarm]) -> None:
        alarms.raise_unless_acknowledged(found, self._mix.acknowledge)

    def _write_once(self, url: str, data: bytes) -> None:
        if not (storage.exists(url) and storage.read(url) == data):
            storage.write(url, data)


def _unreachable() -> Dataset:
    raise RuntimeError("a dataset that was there a moment ago is gone")
