"""The take-down of a finished mix, from the list to the new plan."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import manifest, plan, storage
from pipeline.manifest import Dataset
from pipeline.plan import Plan
from pipeline.recipe_fields import check_name
from pipeline.take_down import TakeDown
from pipeline.taken_down import lookup, new_plan, report
from pipeline.taken_down.held import Held, MixPart, held, parts_of
from pipeline.taken_down.lookup import Copy
from pipeline.taken_down.new_plan import Change
from pipeline.taken_down.report import Entries, Served, Taken
from pipeline.taken_down.served import served
from pipeline.tokenized import rewritten

DIGITS = 8  # of the list's digest, in names


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The documents of `listed` out of the mix in the folder `mix_url`. `name` of the new mix (None: the old one's and
    the list's digest); `max_passes`: see `Change`; `rename_sources`: call rewritten sources otherwise, so that a run
    can take the mix up; in so many `processes` at once."""

    mix_url: str
    listed: TakeDown
    name: str | None = None
    max_passes: float | None = None
    rename_sources: bool = False
    processes: int = 1


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """`url` of the new mix; None where no document of the list is in the mix. `copies`: documents of the mix, not
    listed themselves, that deduplication kept in the place of listed ones. `positions`: as in `served`."""

    url: str | None
    entries: Entries
    copies: tuple[Copy, ...]
    taken: tuple[Taken, ...]
    served: Served
    positions: pa.Table


def take_down(asked: Asked, say: Callable[[str], None]) -> Outcome:
    """Make the new mix beside the old one, or find that it is made; `say` is told what is being done. Datasets that are
    there are taken as they are, and the plan is written last: a run that was killed is simply run again."""
    old = plan.load(asked.mix_url)
    digits = asked.listed.digest[:DIGITS]
    name = _name(asked.name or f"{old.name}-without-{digits}", old)
    parts = parts_of(asked.mix_url, old)
    any_part = {
        source.name: next(part.dataset for part in parts if part.source == source.name) for source in old.sources
    }
    documents = lookup.documents(asked.listed, any_part)
    gone = frozenset(doc_id for doc_ids in documents.values() for doc_id in doc_ids)
    found = held(parts, gone)
    in_mix = frozenset(doc_id for one in found for doc_id in one.doc_ids)
    known = lookup.known(gone - in_mix, any_part)
    positions = served(plan.order_of(old), old.budget_samples, found)
    made = _rewritten(found, asked.processes, say)
    outcome = Outcome(
        url=plan.resolve(asked.mix_url, f"../{name}") if found else None,
        entries=report.entries(documents, asked.listed.entries, in_mix, known),
        copies=_copies(parts, gone - in_mix, gone, any_part),
        taken=tuple(report.taken(parts, found, made)),
        served=report.summary(positions, old.budget_samples),
        positions=positions,
    )
    if outcome.url is not None:
        touched = {one.part.source for one in found if one.part.split == "train"} if asked.rename_sources else set()
        change = Change(
            name=name,
            parts=parts,
            rewritten=made,
            renamed={source: f"{source}-{digits}" for source in touched},
            max_passes=asked.max_passes,
        )
        _publish(asked, old, new_plan.build(old, change), outcome, say)
    return outcome


def _name(name: str, old: Plan) -> str:
    try:
        check_name(name)
    except ValueError as error:
        raise ValueError(f"the name {name!r} of the new mix {error}; give another --name") from error
    if name == old.name:
        raise ValueError(f"the new mix cannot have the name of the old one, {name}; give another --name")
    return name


def _rewritten(found: Sequence[Held], processes: int, say: Callable[[str], None]) -> dict[str, Dataset]:
    """The datasets without their documents, by the fingerprint of the old ones; found where they are there."""
    made = {}
    with rewritten.processes(processes) or nullcontext() as pool:
        for one in found:
            dataset = one.part.dataset
            root = dataset.url.rsplit("/", 3)[0]
            what = f"tokenized {one.part.source} {dataset.manifest.parameters['range']}"
            new = manifest.take(root, rewritten.spec(dataset, one.doc_ids))
            if new is None:
                say(f"{what}: {len(one.doc_ids):,} of {dataset.manifest.counts['documents']:,} documents are taken out")
                new = rewritten.without(dataset, one.doc_ids, root, pool)
            else:
                say(f"{what}: found")
            made[dataset.manifest.fingerprint] = new
    return made


def _copies(
    parts: Sequence[MixPart], missing: frozenset[bytes], gone: frozenset[bytes], sources: Mapping[str, Dataset]
) -> tuple[Copy, ...]:
    """What stays in the mix in the place of listed documents that are not in it."""
    every = lookup.copies(missing, sources)
    kept = {copy.kept_doc_id for copy in every} - gone
    stays = {doc_id for one in held(parts, kept) for doc_id in one.doc_ids}
    return tuple(copy for copy in every if copy.kept_doc_id in stays)


def _publish(asked: Asked, old: Plan, new: Plan, outcome: Outcome, say: Callable[[str], None]) -> None:
    """Write tokenizer, report and plan; `ValueError` where another plan has the name."""
    url = str(outcome.url)
    text, place = plan.to_json(new), storage.join(url, plan.PLAN)
    if storage.exists(place):
        if storage.read(place) != text:
            raise ValueError(f"{place} is the plan of another mix, which is not overwritten; give another --name")
        say(f"mix {new.name}: found")
        return
    mixes = {key: {"name": mix.name, "identity": mix.identity} for key, mix in (("mix", old), ("made", new))}
    told = report.to_json(asked.listed.digest, mixes, outcome.entries, outcome.copies, outcome.taken, outcome.served)
    tokenizer = storage.read(plan.resolve(asked.mix_url, old.tokenizer.path))
    storage.write(storage.join(url, new.tokenizer.path), tokenizer)
    storage.write(storage.join(url, report.SERVED_FILE), table_bytes(outcome.positions, report.SERVED_FILE))
    storage.write(storage.join(url, report.REPORT), (json.dumps(told, indent=1, ensure_ascii=False) + "\n").encode())
    if not storage.publish_once(place, text) and storage.read(place) != text:
        raise ValueError(f"{place} was written by another run meanwhile, for another mix; give another --name")


def table_bytes(rows: pa.Table, name: str) -> bytes:
    """The rows as a file of that name: `.jsonl` (one object a line) or `.parquet`. `ValueError` for other endings."""
    if name.endswith(".jsonl"):
        return "".join(json.dumps(row) + "\n" for row in rows.to_pylist()).encode()
    if not name.endswith(".parquet"):
        raise ValueError(f"{name}: positions are written as .jsonl or .parquet")
    buffer = io.BytesIO()
    pq.write_table(rows, buffer, compression="zstd")
    return buffer.getvalue()
