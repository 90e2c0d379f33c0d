"""The plan of a mix, `mix.json`: everything that a loader needs to know, written by the stage `mixed` alone.

It depends on the recipe and the data, never on when, where or how often the stages ran. Paths are relative to the
plan's folder, so a copied root is the same root.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from pipeline import storage
from pipeline.manifest import digest
from pipeline.order import Order, OrderStage, block_hash

PLAN = "mix.json"
FORMAT = "shardmill-plan"
VERSION = 2
CERTIFIED_BLOCKS = 4  # whose hashes a plan holds: about 0.1 s each to make, and one of them to check

MAX_BLOCK_SAMPLES = 2**18
MAX_BLOCK_BYTES = 2**30
CHUNK_BYTES = 2**20

KNOWN_FIELDS = ConfigDict(extra="forbid")
Count = Annotated[int, Field(ge=0)]
Size = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One tokenized dataset (a range of a source's documents): `path` from the plan's folder, and its `n_samples`."""

    __pydantic_config__ = KNOWN_FIELDS

    path: str
    fingerprint: str
    n_samples: Count


@dataclass(frozen=True, kw_only=True)
class PlanSource:
    """A source as the loader sees it: samples 0 … n_samples-1 are its parts' samples, one part after the other."""

    __pydantic_config__ = KNOWN_FIELDS

    name: str
    parts: tuple[Part, ...]
    validation: tuple[Part, ...] = ()

    @property
    def n_samples(self) -> int:
        return sum(part.n_samples for part in self.parts)


@dataclass(frozen=True, kw_only=True)
class PlanStage:
    """Weights (exact shares of the samples served, as "2/5") that hold up to position `until` (exclusive; None: on)."""

    __pydantic_config__ = KNOWN_FIELDS

    until: Size | None
    weights: tuple[str, ...]

    def fractions(self) -> tuple[Fraction, ...]:
        return tuple(Fraction(weight) for weight in self.weights)


@dataclass(frozen=True, kw_only=True)
class PlanTokenizer:
    """The tokenizer that made the shards: `path` of its file from the plan's folder, its fingerprint (sha256 of the
    canonical JSON), special ids, and the ids of a canary text, by which a trainer's tokenizer is compared."""

    __pydantic_config__ = KNOWN_FIELDS

    path: str
    fingerprint: str
    vocab_size: Size
    eos_id: Count
    bos_id: Count | None
    pad_id: Count
    canary_text: str
    canary_ids: tuple[Count, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A mix, ready to be served.

    `budget_samples` is what a run is served (budget_tokens div sequence_length); the order of positions does not
    depend on it. `block_samples` and `chunk_samples` are the order's constants, frozen here. `block_hashes` are those
    of the order's first blocks, as the machine had them that made the plan. `accounting` is for people.
    """

    __pydantic_config__ = KNOWN_FIELDS

    name: str
    seed: int
    order_version: int
    sequence_length: Size
    dtype: Annotated[str, Field(pattern="^uint(16|32)$")]
    budget_tokens: Count
    block_samples: Size
    chunk_samples: Size
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


_PLANS = TypeAdapter(Plan)


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
            f"hash {plan.block_hashes[number]}, here it is {computed}. Training would be served other samples. Either "
            "mix.json was changed by hand, or this machine's code or numpy computes another order: compare with "
            "`shardmill verify-order`, and make the mix again with this version to train on what it gives"
        )


def to_json(plan: Plan) -> bytes:
    """The text of `mix.json`: equal plans give equal bytes."""
    fields = {"format": FORMAT, "version": VERSION, "identity": plan.identity} | asdict(plan)
    return (json.dumps(fields, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()


def from_json(text: bytes, where: str) -> Plan:
    """A plan from the text of `mix.json`; `ValueError` that names `where` if it is not one or was changed by hand."""
    try:
        fields = json.loads(text)
        if fields.pop("format") != FORMAT:
            raise ValueError(f'"format" is not {FORMAT!r}')
        if (version := fields.pop("version")) != VERSION:
            raise ValueError(f"its version is {version}, this code reads version {VERSION}; make the mix again")
        identity = fields.pop("identity")
        plan = _PLANS.validate_json(json.dumps(fields), strict=True)
        if len(plan.block_hashes) != CERTIFIED_BLOCKS:
            raise ValueError(f"it has {len(plan.block_hashes)} block_hashes, not {CERTIFIED_BLOCKS}")
        computed = plan.identity
    except ValidationError as error:
        first = error.errors()[0]
        found = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise ValueError(f"{where} is not a plan of this project: {found}; make the mix again") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{where} is not a plan of this project: {error}") from error
    if identity != computed:
        raise ValueError(
            f"{where} was changed after it was made: it says identity {identity}, its contents give {computed}; "
            "make the mix again from its recipe"
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
