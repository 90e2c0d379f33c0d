"""The recipes in mixes/: MPT-7B's published table as arithmetic, and what nests in a scaling ladder."""

from fractions import Fraction
from pathlib import Path

import pytest

from pipeline import recipe, recipe_files
from pipeline.alarms import StageError
from pipeline.flow import deduped
from pipeline.manifest import Dataset, Manifest
from pipeline.mixed import plan
from pipeline.mixed.ranges import Extent
from pipeline.plan import Plan, PlanTokenizer
from pipeline.recipe import Mix

MIXES = Path(__file__).parent.parent.parent / "mixes"
TOKENIZER = PlanTokenizer(
    path="t",
    fingerprint="ab" * 32,
    vocab_size=50_277,
    eos_id=0,
    bos_id=None,
    pad_id=1,
    canary_text="x",
    canary_ids=(1,),
)

# The table of the model card of mosaicml/mpt-7b: tokens in the source (billions), proportion, epochs.
MPT_7B = {
    "mc4": ("417.99", "0.33", "0.14"),
    "c4": ("100.42", "0.299", "2.98"),
    "commoncrawl": ("878.45", "0.1", "0.11"),
    "stack": ("463.78", "0.1", "0.22"),
    "wikipedia": ("4.87", "0.04", "8.21"),
    "markdown": ("107.07", "0.035", "0.33"),
    "s2orc": ("48.85", "0.033", "0.68"),
    "books": ("26.02", "0.03", "1.15"),
    "arxiv": ("28.10", "0.019", "0.68"),
    "stackexchange": ("20.54", "0.014", "0.68"),
}
MC4_OF_MPT_30B = "2417.99"  # the same source, in the table of mosaicml/mpt-30b


def ranges_of(name: str, n_samples: int, n_ranges: int) -> list[Dataset]:
    """Ranges of a source that has so many samples, without padding."""
    found = []
    for number in range(n_ranges):
        n = n_samples * (number + 1) // n_ranges - n_samples * number // n_ranges
        manifest = Manifest(
            stage="tokenized", source=name, version=1, fingerprint=f"{name}{number}", inputs={}, parameters={},
            attempt="attempt-1", files=(), counts={"samples": n, "padding_tokens": 0},
        )  # fmt: skip
        found.append(Dataset(url=f"data/tokenized/{name}/{number}", manifest=manifest))
    return found


def built(mix: Mix, tokens: dict[str, int], n_ranges: int) -> Plan:
    """The plan of a mix whose sources have so many tokens."""
    measured = {name: ranges_of(name, n // mix.sequence_length, n_ranges) for name, n in tokens.items()}
    extents = {name: Extent(n_ranges=n_ranges, n_bytes=4 * n) for name, n in tokens.items()}
    return plan.build(mix, TOKENIZER, "uint16", measured, {}, extents)


def billions(text: str) -> int:
    return int(Fraction(text) * 10**9)


def published(mc4: str) -> dict[str, int]:
    return {name: billions(mc4 if name == "mc4" else row[0]) for name, row in MPT_7B.items()}


def test_the_recipe_asks_for_the_published_weights() -> None:
    mix = recipe.load(MIXES / "mpt-7b.yaml")
    assert {name: source.weight for name, source in mix.sources.items()} == {
        name: Fraction(row[1]) for name, row in MPT_7B.items()
    }
    assert sum(source.weight for source in mix.sources.values()) == 1
    assert (mix.budget_tokens, mix.sequence_length, mix.tokenizer.hub) == (10**12, 2048, "EleutherAI/gpt-neox-20b")


def test_nine_rows_of_the_published_table_agree_and_the_first_does_not() -> None:
    accounts = built(recipe.load(MIXES / "mpt-7b.yaml"), published(MPT_7B["mc4"][0]), 1).accounting["sources"]
    passes = {name: f"{account['passes']:.2f}" for name, account in accounts.items()}
    assert {name for name in passes if passes[name] != MPT_7B[name][2]} == {"mc4"}
    assert passes["mc4"] == "0.79"
    assert round(accounts["mc4"]["tokens_served"] / 1e9) == 330
    # What the claimed passes would have been: 59B tokens, 6 % of the run.
    assert round(0.14 * accounts["mc4"]["tokens_available"] / 1e9) == 59


def test_with_the_tokens_of_mpt_30b_all_ten_agree() -> None:
    accounts = built(recipe.load(MIXES / "mpt-7b.yaml"), published(MC4_OF_MPT_30B), 1).accounting["sources"]
    assert {name: f"{account['passes']:.2f}" for name, account in accounts.items()} == {
        name: row[2] for name, row in MPT_7B.items()
    }


@pytest.mark.parametrize("name", ["mpt-7b", "ladder-1b", "ladder-3b", "ladder-7b"])
def test_files_that_are_not_there_are_told_with_the_place_in_the_recipe(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mix = recipe.load(MIXES / f"{name}.yaml")
    first = next(iter(mix.sources))
    message = rf"sources\.{first}\.root = data/raw/.*: there is no file; put the source's files there, or write the"
    with pytest.raises(StageError, match=message):
        recipe_files.look(mix, [], deduped.params_of(mix, list(mix.sources)))


def test_the_rungs_of_the_ladder_differ_in_name_and_budget_alone_and_are_nested() -> None:
    rungs = [recipe.load(MIXES / f"ladder-{size}.yaml") for size in ("1b", "3b", "7b")]
    assert [rung.budget_tokens for rung in rungs] == [20 * size * 10**9 for size in (1, 3, 7)]
    assert len({repr(rung.model_copy(update={"name": "", "budget_tokens": 0})) for rung in rungs}) == 1
    tokens = dict.fromkeys(rungs[0].sources, 200 * 10**9)
    plans = [built(rung, tokens, 64) for rung in rungs]
    assert len({repr(one.stages) for one in plans}) == 1
    for source in range(len(tokens)):
        small, middle, large = (one.sources[source].parts for one in plans)
        assert middle[: len(small)] == small and large[: len(middle)] == middle
        assert len(small) < len(large) < 64
