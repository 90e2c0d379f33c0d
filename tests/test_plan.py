import dataclasses
import json
from fractions import Fraction
from pathlib import Path

import pytest

from pipeline import plan, storage
from pipeline.order import ORDER_VERSION, OrderStage, block_hash
from pipeline.plan import Part, Plan, PlanSource, PlanStage, PlanTokenizer
from tests.tiny_mix import TINY_TOKENIZER, make_tiny_mix

TOKENIZER = PlanTokenizer(
    path="tokenizer.json",
    fingerprint="ab" * 32,
    vocab_size=300,
    eos_id=0,
    bos_id=None,
    pad_id=0,
    canary_text="x é",
    canary_ids=(1, 2),
)
PLAN = Plan(
    name="demo",
    seed=17,
    order_version=ORDER_VERSION,
    sequence_length=8,
    dtype="uint16",
    budget_tokens=1001,
    block_samples=64,
    chunk_samples=4,
    tokenizer=TOKENIZER,
    sources=(
        PlanSource(name="code", parts=(Part(path="../../t/c/1", fingerprint="1", n_samples=7),)),
        PlanSource(
            name="docs",
            parts=(
                Part(path="../../t/d/2", fingerprint="2", n_samples=5),
                Part(path="../../t/d/3", fingerprint="3", n_samples=6),
            ),
            validation=(Part(path="../../t/d/4", fingerprint="4", n_samples=1),),
        ),
    ),
    stages=(PlanStage(until=50, weights=("2/5", "3/5")), PlanStage(until=None, weights=("1", "0"))),
    accounting={"tokens_served": 1000},
)
CERTIFIED = plan.certified(PLAN)


def test_json_and_back() -> None:
    text = plan.to_json(CERTIFIED)
    assert plan.from_json(text, "here") == CERTIFIED
    assert plan.to_json(plan.from_json(text, "here")) == text
    assert text.endswith(b"\n")


def test_derived_figures() -> None:
    assert PLAN.budget_samples == 125
    assert PLAN.row_bytes == 16
    assert dataclasses.replace(PLAN, dtype="uint32").row_bytes == 32
    assert [source.n_samples for source in PLAN.sources] == [7, 11]


def test_the_order_of_a_plan() -> None:
    order = plan.order_of(PLAN)
    assert (order.seed, order.block_samples, order.chunk_samples) == (17, 64, 4)
    assert (order.names, order.n_samples) == (("code", "docs"), (7, 11))
    assert order.stages == (
        OrderStage(until=50, weights=(Fraction(2, 5), Fraction(3, 5))),
        OrderStage(until=None, weights=(Fraction(1), Fraction(0))),
    )


def test_an_identity_keeps_its_digits() -> None:
    assert PLAN.identity == "a063450bd9f7ad958eda7ce3d5750f65"


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"},
        {"budget_tokens": 5000},
        {"accounting": {}},
        {"tokenizer": dataclasses.replace(TOKENIZER, path="elsewhere.json")},
    ],
)
def test_what_changes_no_sample_keeps_the_identity(changes: dict[str, object]) -> None:
    assert dataclasses.replace(PLAN, **changes).identity == PLAN.identity  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 18},
        {"order_version": 0},
        {"sequence_length": 16},
        {"dtype": "uint32"},
        {"block_samples": 128},
        {"chunk_samples": 8},
        {"tokenizer": dataclasses.replace(TOKENIZER, fingerprint="cd" * 32)},
        {"sources": PLAN.sources[:1]},
        {"sources": PLAN.sources[::-1]},
        {"stages": PLAN.stages[1:]},
    ],
)
def test_what_changes_a_sample_changes_the_identity(changes: dict[str, object]) -> None:
    assert dataclasses.replace(PLAN, **changes).identity != PLAN.identity  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value"),
    [("seed", 18), ("budget_tokens", 1002), ("budget_tokens", "x"), ("accounting", {}), ("tokenizer", {}), ("more", 1)],
)
def test_a_plan_changed_by_hand_is_refused(field: str, value: object) -> None:
    fields = json.loads(plan.to_json(CERTIFIED)) | {field: value}
    with pytest.raises(ValueError, match=r"here was changed after it was made|here is not a plan of this project"):
        plan.from_json(json.dumps(fields).encode(), "here")


def test_another_version_is_refused() -> None:
    fields = json.loads(plan.to_json(CERTIFIED))
    fields["version"] = 99
    with pytest.raises(ValueError, match="its version is 99, this code reads version 3; make the mix again"):
        plan.from_json(json.dumps(fields).encode(), "here")


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"1", b"null", b"{}", b'{"format": "mds"}', b"\xff"])
def test_what_is_no_plan_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"here is not a plan of this project: .*; make the mix again from its recipe"):
        plan.from_json(text, "here")


@pytest.mark.parametrize("field", ["seed", "sources", "tokenizer", "stages", "dtype", "block_hashes"])
def test_a_plan_without_a_field_is_refused(field: str) -> None:
    fields = json.loads(plan.to_json(CERTIFIED))
    del fields[field]
    with pytest.raises(ValueError, match="here is not a plan of this project: "):
        plan.from_json(json.dumps(fields).encode(), "here")


def test_the_first_blocks_are_certified() -> None:
    order = plan.order_of(PLAN)
    assert CERTIFIED.block_hashes == tuple(block_hash(order, number, PLAN.fingerprints) for number in range(4))
    assert len(set(CERTIFIED.block_hashes)) == 4
    assert CERTIFIED.identity == PLAN.identity
    for number in range(4):
        plan.check_block(CERTIFIED, number)


def test_a_plan_without_its_certificate_is_refused() -> None:
    with pytest.raises(ValueError, match="here is not a plan of this project: it has 0 block_hashes, not 4"):
        plan.from_json(plan.to_json(PLAN), "here")


def test_fingerprints_tell_the_parts_of_a_source() -> None:
    code, docs = PLAN.fingerprints
    one_less = dataclasses.replace(PLAN.sources[1], parts=PLAN.sources[1].parts[:1])
    assert dataclasses.replace(PLAN, sources=(PLAN.sources[0], one_less)).fingerprints[0] == code
    assert dataclasses.replace(PLAN, sources=(PLAN.sources[0], one_less)).fingerprints[1] != docs


def test_a_plan_whose_order_is_another_here_is_refused() -> None:
    first, second, *rest = CERTIFIED.block_hashes
    other = dataclasses.replace(PLAN, block_hashes=(first, "0" * 32, *rest))
    plan.check_block(other, 0)
    with pytest.raises(ValueError, match=f"block 1 of the order has the hash 0{{32}}, here it is {second}"):
        plan.check_block(other, 1)


def test_load_names_the_plan_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no plan at .*/mix\.json; `make mix MIX=…` writes it"):
        plan.load(str(tmp_path))


def test_parts_are_found_from_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_tiny_mix(tmp_path)
    part = plan.load(str(folder)).sources[0].parts[0].path
    assert storage.exists(plan.resolve(str(folder), part))
    for place, mix in ((tmp_path, "mixes/tiny"), (folder, "."), (folder.parent, "tiny")):
        monkeypatch.chdir(place)
        assert storage.exists(plan.resolve(mix, part))


@pytest.mark.parametrize(
    ("mix", "expected"),
    [
        ("s3a://bucket/data/mixes/demo/", "s3://bucket/data/tokenized/code/1f"),
        ("s3://bucket/mixes/demo", "s3://bucket/tokenized/code/1f"),
        ("/data/mixes/demo", "/data/tokenized/code/1f"),
        ("file:///data/mixes/demo", "/data/tokenized/code/1f"),
    ],
)
def test_resolve(mix: str, expected: str) -> None:
    assert plan.resolve(mix, "../../tokenized/code/1f") == expected


@pytest.mark.parametrize(
    ("row_bytes", "block", "chunk"),
    [(1, 2**18, 2**20), (4096, 2**18, 256), (4097, 2**17, 255), (2**20, 1024, 1), (2**30, 1, 1), (2**31, 1, 1)],
)
def test_blocks_and_chunks_by_the_size_of_a_row(row_bytes: int, block: int, chunk: int) -> None:
    assert plan.block_samples(row_bytes) == block
    assert plan.chunk_samples(row_bytes) == chunk


def test_the_tokenizer_of_a_mix_is_the_one_that_made_it(tmp_path: Path) -> None:
    mix = str(make_tiny_mix(tmp_path))
    found = plan.load(mix)
    path = Path(plan.resolve(mix, found.tokenizer.path))
    assert plan.tokenizer_text(mix, found) == path.read_text()
    path.write_bytes(TINY_TOKENIZER.replace(b'"a": 1', b'"b": 1'))
    with pytest.raises(ValueError, match=rf"{path.name} is another tokenizer than the one that made the mix: its fing"):
        plan.tokenizer_text(mix, found)
    path.write_bytes(TINY_TOKENIZER[:30])
    with pytest.raises(ValueError, match=rf"{path.name} is damaged: not a tokenizer's JSON"):
        plan.tokenizer_text(mix, found)
    path.unlink()
    with pytest.raises(ValueError, match=rf"{path.name}, the mix's tokenizer, is gone; make the mix again"):
        plan.tokenizer_text(mix, found)
