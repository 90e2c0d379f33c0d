"""What a batch holds, by the loader's own batches; when a sample is served, by walking the run."""

import re
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipeline import cli, plan, storage
from pipeline.loader import StreamingLoader
from pipeline.order import samples
from pipeline.tokenized import batch, batch_table, where_table
from pipeline.tokenized.ranges import Ranges
from pipeline.tokenized.where import NotThereError, Where
from tests.tokenized.test_tokenized_where import LENGTH, RANGES, corpus, mix_of, row_of, written

BUDGET = 10**4 // LENGTH  # samples, of the mixes of `mix_of`


@pytest.fixture(scope="module")
def mix(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Source `code` packed without padding, `docs` with; both serve half of the samples."""
    root = tmp_path_factory.mktemp("root")
    code = [written(root, "code", corpus("code", 70), number, RANGES) for number in (0, 1)]
    held = written(root, "code", corpus("held", 12), "validation", Ranges(n_ranges=1, n_partitions=1))
    docs = written(root, "docs", corpus("docs", 45), 0, Ranges(n_ranges=1, n_partitions=2), "best_fit")
    return mix_of(root, {"code": (code, [held]), "docs": ([docs], [])})


def shown(renderable: Any) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


@pytest.mark.parametrize(("rank", "world_size"), [(0, 1), (0, 3), (1, 3), (2, 3), (3, 4)])
def test_the_rows_of_a_rank_are_those_that_the_loader_gives_it(mix: str, rank: int, world_size: int) -> None:
    where, texts = Where(mix), {"code": corpus("code", 70), "docs": corpus("docs", 45)}
    size, number = 24, 2
    with StreamingLoader(mix, global_batch_size=size, rank=rank, world_size=world_size, format="numpy") as loader:
        given = [one for one, _ in zip(loader, range(number + 1), strict=False)][number]
        rows = {key: given[key].tolist() for key in ("position", "source", "sample", "input_ids")}
    found = batch.batch(where, number * size, size, rank, world_size, most=1000)
    assert found.n_rows == len(found.rows) == len(rows["position"]) == size // world_size
    assert [row.position for row in found.rows] == rows["position"]
    assert [row.source for row in found.rows] == [("code", "docs")[source] for source in rows["source"]]
    assert [row.sample for row in found.rows] == rows["sample"]
    for row, ids in zip(found.rows, rows["input_ids"], strict=True):
        held = [token for _, _, run in row_of(list(row.pieces), texts[row.source]) for token in run]
        assert ids[: len(held)] == held
        assert row.pieces[0].token_from == 0 and row.pieces[-1].token_to == len(held)


def test_only_the_granules_of_the_rows_that_are_shown_are_read(mix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[str, int]] = []
    real = storage.read_range

    def counted(url: str, start: int, stop: int) -> bytes:
        read.append((url, stop - start))
        return real(url, start, stop)

    monkeypatch.setattr(storage, "read_range", counted)
    batch_table.of_batch(mix, 48, 24, 0, 1, most=0, characters=10)
    assert read == []
    found = batch.batch(Where(mix), 48, 24, 0, 1, most=2)
    assert len(found.rows) == 2 and found.n_rows == 24
    batch_table.of_batch(mix, 48, 24, 0, 1, most=2, characters=10)
    pieces = sum(len(row.pieces) for row in found.rows)
    assert len(read) == 2 * pieces  # the granule and its checksum


def test_what_is_told_of_a_batch(mix: str) -> None:
    found = batch.batch(Where(mix), 0, 6, 1, 2, most=9)
    text = shown(batch_table.of_batch(mix, 0, 6, 1, 2, most=9, characters=5))
    assert text.startswith("mix tiny, the global batch of the positions 0 – 5: rank 1 of 2 is given 3 of its 6 rows")
    assert [int(number) for number in re.findall(r"row \d: position (\d+), sample", text)] == [
        row.position for row in found.rows
    ]
    for row in found.rows:
        assert f"sample {row.sample} of {row.source}" in text
        assert all(piece.doc_id.hex() in text for piece in row.pieces)
    padded = [row for row in found.rows if row.pieces[-1].token_to < LENGTH]
    assert text.count("(padding)") == len(padded)
    assert "beyond the budget" not in text and "are shown" not in text
    text = shown(batch_table.of_batch(mix, BUDGET - 2, 4, 0, 1, most=3, characters=5))
    assert f": all of its 4 rows, in this order; positions from {BUDGET} on are beyond the budget; the first 3 " in text
    alone = batch.batch(Where(mix), BUDGET - 2, 4, 0, 1, most=3)
    assert text.count("(beyond the budget)") == sum(row.position >= BUDGET for row in alone.rows)


def test_padding_is_told(mix: str) -> None:
    everything = batch.batch(Where(mix), 0, 64, 0, 1, most=64)
    ends = [row.pieces[-1].token_to for row in everything.rows if row.source == "docs"]
    assert min(ends) < LENGTH
    text = shown(batch_table.of_batch(mix, 0, 64, 0, 1, most=64, characters=5))
    assert text.count("(padding)") == sum(end < LENGTH for end in ends)


@pytest.mark.parametrize("passes", [1, 3])
def test_a_sample_is_served_where_the_order_has_it(mix: str, passes: int) -> None:
    made = plan.load(mix)
    rows = samples(plan.order_of(made), 0, 4000)
    for source, one in enumerate(made.sources):
        for sample in range(0, one.n_samples, 7):
            walked = rows.position[(rows.source == source) & (rows.sample == sample)].tolist()
            assert batch.positions(made, one.name, sample, passes) == walked[:passes]


def test_when_a_document_is_served(mix: str) -> None:
    made, where = plan.load(mix), Where(mix)
    piece = where.by_sample("code", 5)[0]
    pieces = where.by_document(piece.doc_id)
    n_passes = 2 * BUDGET // made.sources[0].n_samples  # half of the run is `code`'s, so these end far beyond it
    text = shown(where_table.of_document(mix, piece.doc_id.hex(), 50, n_passes))
    assert f"served (the budget ends before position {BUDGET})" in text
    served = text.partition("served (")[2]
    for sample in {piece.sample for piece in pieces if piece.sample is not None}:
        for number, position in enumerate(batch.positions(made, "code", sample, n_passes)):
            [line] = [
                line for line in served.splitlines() if re.match(rf"│ +{sample} │ +{number} │ +{position:,} │", line)
            ]
            assert ("beyond the budget" in line) == (position >= BUDGET)
    assert "beyond the budget" in served
    assert batch.positions(made, "code", 5, 1)[0] < BUDGET
    assert "served (" in shown(where_table.of_sample(mix, "code:5", 50))
    assert "no position of the run serves it" in shown(where_table.of_sample(mix, "code:validation:1", 50, 2))


def test_a_dataset_alone_has_no_positions(mix: str) -> None:
    dataset = Where(mix).by_sample("docs", 0)[0].dataset
    assert "served (" not in shown(where_table.of_sample(dataset, "docs:0", 50))
    with pytest.raises(NotThereError, match="is one tokenized dataset, which has no order of its own; give a mix"):
        where_table.of_sample(dataset, "docs:0", 50, 1)
    with pytest.raises(NotThereError, match="is one tokenized dataset"):
        batch_table.of_batch(dataset, 0, 8, 0, 1, most=1, characters=1)


def test_a_source_that_rests_at_the_end_is_told_never(tmp_path: Path) -> None:
    code = written(tmp_path, "code", corpus("code", 70), 0, Ranges(n_ranges=1, n_partitions=1))
    docs = written(tmp_path, "docs", corpus("docs", 45), 0, Ranges(n_ranges=1, n_partitions=1))
    url = mix_of(tmp_path, {"code": ([code], []), "docs": ([docs], [])})
    made = plan.load(url)
    stages = (plan.PlanStage(until=10, weights=("1/2", "1/2")), plan.PlanStage(until=None, weights=("0", "1")))
    fields = {name: getattr(made, name) for name in made.__dataclass_fields__} | {"stages": stages}
    storage.write(storage.join(url, plan.PLAN), plan.to_json(plan.Plan(**fields)))
    served = samples(plan.order_of(plan.load(url)), 0, 10)
    kept = set(served.sample[served.source == 0].tolist())
    [rests] = sorted(set(range(code.manifest.counts["samples"])) - kept)[:1]
    assert "never" in shown(where_table.of_sample(url, f"code:{rests}", 50))
    text = shown(where_table.of_sample(url, f"code:{min(kept)}", 50, 2))
    assert re.search(r"│ 1 on │ +never │", text)


def test_positions_of_a_large_mix_take_no_time() -> None:
    row = {"path": "p", "fingerprint": "f", "n_samples": 10**9}
    made = plan.Plan(
        name="large", seed=1, order_version=1, sequence_length=2048, dtype="uint16", budget_tokens=10**12,
        block_samples=2**18, chunk_samples=256,
        tokenizer=plan.PlanTokenizer(
            path="t", fingerprint="f", vocab_size=9, eos_id=0, bos_id=None, pad_id=0, canary_text="", canary_ids=()
        ),
        sources=tuple(plan.PlanSource(name=f"s{n}", parts=(plan.Part(**row),)) for n in range(10)),  # type: ignore[arg-type]
        stages=(plan.PlanStage(until=None, weights=("1/10",) * 10),),
    )  # fmt: skip
    batch.positions(made, "s0", 1, 1)
    start = time.process_time()
    assert len(batch.positions(made, "s3", 123_456_789, 3)) == 3
    assert time.process_time() - start < 3 * 0.6  # 0.3 s a pass on an idle machine


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--position", "-1"], "argument --position: '-1' is not a position"),
        (["--position", "1"], "the following arguments are required: --global-batch-size"),
        (["--position", "1", "--global-batch-size", "0"], "argument --global-batch-size: '0' is not a number from 1"),
        (["--position", "1", "--global-batch-size", "8", "--most", "x"], "argument --most: 'x' is not a number"),
        (["--position", "1", "--global-batch-size", "8", "--rank", "x"], "argument --rank: 'x' is not a position"),
    ],
)
def test_wrong_arguments(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["inspect", "mix", *arguments])
    assert message in capsys.readouterr().err


def test_what_cannot_be_inspected_is_one_line(mix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def error(target: str, *more: str) -> str:
        assert cli.main(["inspect", target, "--position", "0", "--global-batch-size", "8", *more]) == 1
        printed = capsys.readouterr()
        assert printed.out == "" and printed.err.count("\n") == 1
        return printed.err

    assert "--rank and --world-size belong together" in error(mix, "--rank", "1")
    assert "--rank and --world-size belong together" in error(mix, "--world-size", "1")
    assert "rank 2 does not exist in a world of 2" in error(mix, "--rank", "2", "--world-size", "2")
    assert "holds neither a mix (mix.json) nor a finished dataset" in error(str(tmp_path))
    assert cli.main(["where", mix, "--sample", "code:5", "--passes", "2"]) == 0
    assert "served (the budget" in capsys.readouterr().out
    assert (
        cli.main(["inspect", mix, "--position", "8", "--global-batch-size", "8", "--rank", "1", "--world-size", "2"])
        == 0
    )
    assert "rank 1 of 2 is given 4 of its 8 rows" in capsys.readouterr().out
