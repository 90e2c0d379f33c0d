"""The plan of a mix, `mix.json`: everything that a loader needs to know, written by the stage `mixed` alone.

It depends on the recipe and the data, never on when, where or how often the stages ran. Paths are relative to the
plan's folder, so a copied root is the same root.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from typing import Any

from pipeline import storage
from pipeline.manifest import digest
from pipeline.order import Order, OrderStage, block_hash
from pipeline.tokenizer_id import tokenizer_fingerprint

PLAN = "mix.json"
FORMAT = "shardmill-plan"
VERSION = 3
CERTIFIED_BLOCKS = 4  # whose hashes a plan holds: about 0.1 s each to make, and one of them to check

MAX_BLOCK_SAMPLES = 2**18
MAX_BLOCK_BYTES = 2**30
CHUNK_BYTES = 2**20


@dataclass(frozen=True, kw_only=True)
class Part:
    """One tokenized dataset (a range of a source's documents): `path` from the plan's folder, and its `n_samples`."""

    path: str
    fingerprint: str
    n_samples: int


@dataclass(frozen=True, kw_only=True)
class PlanSource:
    """A source as the loader sees it: samples 0 … n_samples-1 are its parts' samples, one part after the other."""

    name: str
    parts: tuple[Part, ...]
    validation: tuple[Part, ...] = ()

    @property
    def n_samples(self) -> int:
        return sum(part.n_samples for part in self.parts)


@dataclass(frozen=True, kw_only=True)
class PlanStage:
    """Weights (exact shares of the samples served, as "2/5") that hold up to position `until` (exclusive; None: on)."""

    until: int | None
    weights: tuple[str, ...]

    def fractions(self) -> tuple[Fraction, ...]:
        return tuple(Fraction(weight) for weight in self.weights)


@dataclass(frozen=True, kw_only=True)
class PlanTokenizer:
    """The tokenizer that made the shards: `path` of its file from the plan's folder, its fingerprint (sha256 of the
    canonical JSON), special ids, and the ids of a canary text, by which a trainer's tokenizer is compared."""

    path: str
    fingerprint: str
    vocab_size: int
    eos_id: int
    bos_id: int | None
    pad_id: int
    canary_text: str
    canary_ids: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A mix, ready to be served.

    `budget_samples` is what a run is served (budget_tokens div sequence_length); the order of positions does not
    depend on it. `block_samples` and `chunk_samples` are the order's constants, frozen here. `block_hashes` are those
    of the order's first blocks, as the machine had them that made the plan. `accounting` is for people.
    """

    name: str
    seed: int
    order_version: int
    sequence_length: int
    dtype: str
    budget_tokens: int
    block_samples: int
    chunk_samples: int
    tokenizer: PlanTokenizer
    sources: tuple[PlanSource, ...]
    stages: tuple[PlanStage, ...]
    block_hashes: tuple[str, ...] = ()
    accounting: Mapping[str, Any] = field(default_factory=dict)

    @property
    def budget_samples(self) -> int:
        return self.budget_tokens // self.sequence_length

    @property
    def row_bytes(self) -> int:
        return self.sequence_length * {"uint16": 2, "uint32": 4}[self.dtype]

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """What the order's certificate says of each source's data."""
        return tuple(
            parts_digest([(part.fingerprint, part.n_samples) for part in source.parts if part.n_samples])
            for source in self.sources
        )

    @property
    def identity(self) -> str:
        """What must not change under a running job: all that the order and the samples' bytes depend on, the samples'
        counts included, the budget, paths, hashes and accounting left out. 32 hexadecimal digits."""
        return digest(
            {
                "seed": self.seed,
                "order_version": self.order_version,
                "sequence_length": self.sequence_length,
                "dtype": self.dtype,
                "block_samples": self.block_samples,
                "chunk_samples": self.chunk_samples,
                "tokenizer": self.tokenizer.fingerprint,
                "sources": [
                    [source.name, [[part.fingerprint, part.n_samples] for part in source.parts]]
                    for source in self.sources
                ],
                "stages": [asdict(stage) for stage in self.stages],
            }
        )


def parts_digest(parts: Sequence[tuple[str, int]]) -> str:
    """What tells the samples of a source apart from others: (fingerprint, samples) of each part that has any."""
    return digest([list(part) for part in parts])


def block_samples(row_bytes: int) -> int:
    """Positions in a block: the largest power of two ≤ 2¹⁸ whose rows fit 1 GiB (at least 1)."""
    return min(MAX_BLOCK_SAMPLES, 1 << max(0, (MAX_BLOCK_BYTES // row_bytes).bit_length() - 1))


def chunk_samples(row_bytes: int) -> int:
    """Samples in a chunk, the unit of permutation: about 1 MiB, at least 1."""
    return max(1, CHUNK_BYTES // row_bytes)


def order_of(plan: Plan) -> Order:
    """The order that a plan describes."""
    return Order(
        seed=plan.seed,
        block_samples=plan.block_samples,
        chunk_samples=plan.chunk_samples,
        names=tuple(source.name for source in plan.sources),
        n_samples=tuple(source.n_samples for source in plan.sources),
        stages=tuple(OrderStage(until=stage.until, weights=stage.fractions()) for stage in plan.stages),
    )


def certified(plan: Plan) -> Plan:
    """The plan with the hashes of its first blocks, computed here."""
    order = order_of(plan)
    hashes = tuple(block_hash(order, number, plan.fingerprints) for number in range(CERTIFIED_BLOCKS))
    return replace(plan, block_hashes=hashes)


def check_block(plan: Plan, number: int) -> None:
    """`ValueError` with both values if this machine's order gives block `number` another hash than the plan holds."""
    computed = block_hash(order_of(plan), number, plan.fingerprints)
    if computed != plan.block_hashes[number]:
        raise ValueError(
            f"the mix {plan.name} is not the one that was made: its plan says that block {number} of the order has the "
            f"hash {plan.block_hashes[number]}, here it is {computed}. Training would be served other samples: this "
            "machine's code or numpy computes another order. Compare with `shardmill verify-order`, and make the mix "
            "again with this version to train on what it gives"
        )


def to_json(plan: Plan) -> bytes:
    """The text of `mix.json`, with the digest of all its fields: equal plans give equal bytes."""
    fields = {"format": FORMAT, "version": VERSION, "identity": plan.identity} | asdict(plan)
    fields["digest"] = digest(json.loads(json.dumps(fields)))
    return (json.dumps(fields, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()


def tokenizer_text(url: str, plan: Plan) -> str:
    """The JSON of the tokenizer that made the plan in the folder `url`; `ValueError` that names its file where that is
    gone or another tokenizer's."""
    where = resolve(url, plan.tokenizer.path)
    remedy = "make the mix again from its recipe, which writes it"
    try:
        text = storage.read(where)
        found = tokenizer_fingerprint(text)
    except FileNotFoundError as error:
        raise ValueError(f"{where}, the mix's tokenizer, is gone; {remedy}") from error
    except ValueError as error:
        raise ValueError(f"{where} is damaged: {error}; {remedy}") from error
    if found != plan.tokenizer.fingerprint:
        raise ValueError(
            f"{where} is another tokenizer than the one that made the mix: its fingerprint is {found}, not "
            f"{plan.tokenizer.fingerprint}; {remedy}"
        )
    return text.decode()


def from_json(text: bytes, where: str) -> Plan:
    """A plan from the text of `mix.json`; `ValueError` that names `where` if it is not one or was changed by hand."""
    try:
        fields = json.loads(text)
        if not isinstance(fields, dict):
            raise ValueError("it is no JSON object")
        if fields.pop("format") != FORMAT:
            raise ValueError(f'"format" is not {FORMAT!r}')
        if (version := fields["version"]) != VERSION:
            raise ValueError(f"its version is {version}, this code reads version {VERSION}")
        changed = fields.pop("digest") != digest({"format": FORMAT} | fields)
        identity = fields["identity"]
        plan = _plan(fields)
        if len(plan.block_hashes) != CERTIFIED_BLOCKS:
            raise ValueError(f"it has {len(plan.block_hashes)} block_hashes, not {CERTIFIED_BLOCKS}")
        computed = plan.identity
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(
            f"{where} is not a plan of this project: {message}; make the mix again from its recipe"
        ) from error
    if changed:
        raise ValueError(f"{where} was changed after it was made; make the mix again from its recipe")
    if identity != computed:
        raise ValueError(
            f"{where} says identity {identity}, this version gives its contents {computed}; make the mix again"
        )
    return plan


def load(mix_url: str) -> Plan:
    """The plan in the folder `mix_url` (as `data/mixes/demo`)."""
    url = storage.join(mix_url, PLAN)
    try:
        text = storage.read(url)
    except FileNotFoundError as error:
        raise ValueError(f"no plan at {url}; `make mix MIX=…` writes it") from error
    except NotADirectoryError as error:
        raise ValueError(f"{mix_url} is a file; give the folder of a mix, as ROOT/mixes/NAME") from error
    return from_json(text, url)


def resolve(mix_url: str, relative: str) -> str:
    """A path of the plan ("../../tokenized/code/1f…") as a URL, from the plan's folder. Local folders may be relative
    to the working directory, also "." and ".."."""
    if storage.is_local(mix_url):
        mix_url = str(storage.local_path(mix_url).absolute())
    parts = [part for part in storage.normalise(mix_url).split("/") if part != "."]
    for part in relative.split("/"):
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def _plan(fields: dict[str, Any]) -> Plan:
    del fields["version"], fields["identity"]
    tokenizer = fields.pop("tokenizer")
    return Plan(
        tokenizer=PlanTokenizer(**tokenizer | {"canary_ids": tuple(tokenizer["canary_ids"])}),
        sources=tuple(_source(source) for source in fields.pop("sources")),
        stages=tuple(PlanStage(**stage | {"weights": tuple(stage["weights"])}) for stage in fields.pop("stages")),
        block_hashes=tuple(fields.pop("block_hashes")),
        **fields,
    )


def _source(fields: dict[str, Any]) -> PlanSource:
    return PlanSource(
        name=fields["name"],
        parts=tuple(Part(**part) for part in fields["parts"]),
        validation=tuple(Part(**part) for part in fields["validation"]),
    )
