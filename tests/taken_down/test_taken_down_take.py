"""Take-downs of a mix of tiny datasets, compared with datasets made of the other documents, and with the loader."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline import cli, manifest, plan, storage
from pipeline.alarms import StageError
from pipeline.loader import StreamingLoader
from pipeline.order import fork_position, samples
from pipeline.plan import Plan
from pipeline.take_down import parse
from pipeline.taken_down.take import Asked, Outcome, take_down
from pipeline.tokenized.ranges import Ranges
from pipeline.tokenized.where import NotThereError, Where
from tests.tokenized.test_tokenized_where import corpus, ids_of, mix_of, written

CODE, DOCS, HELD = corpus("code", 70), corpus("docs", 45), corpus("held", 12)
FOUR = Ranges(n_ranges=4, n_partitions=2)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def mix(root: Path) -> str:
    """Source `code` in four ranges with a validation set, `docs` in one, packed by best_fit."""
    code = [written(root, "code", CODE, number, FOUR) for number in range(4)]
    held = written(root, "code", HELD, "validation", Ranges(n_ranges=1, n_partitions=1))
    docs = written(root, "docs", DOCS, 0, Ranges(n_ranges=1, n_partitions=2), "best_fit")
    return mix_of(root, {"code": (code, [held]), "docs": ([docs], [])})


def without(mix: str, *doc_ids: bytes, **more: object) -> Outcome:
    listed = parse("\n".join(doc_id.hex() for doc_id in doc_ids), "gone.txt")
    return take_down(Asked(mix_url=mix, listed=listed, **more), lambda _: None)  # type: ignore[arg-type]


def in_first_range(mix: str, n: int) -> list[bytes]:
    """Documents of the second range of `code`."""
    where = Where(mix)
    url = where.sources["code"].train[1].url
    return [doc_id for doc_id in CODE if where.by_document(doc_id)[0].dataset == url][:n]


def tokens_in(mix: str) -> Counter[bytes]:
    """How many tokens of each document the provenance and tails of a mix's datasets tell of."""
    found: Counter[bytes] = Counter()
    for source in plan.load(mix).sources:
        for part in (*source.parts, *source.validation):
            dataset = manifest.load(plan.resolve(mix, part.path))
            for url in dataset.urls("provenance"):
                for piece in pq.read_table(url).to_pylist():
                    found[piece["doc_id"]] += piece["token_to"] - piece["token_from"]
            for url in dataset.urls("tails"):
                for piece in pq.read_table(url).to_pylist():
                    found[piece["doc_id"]] += len(piece["tokens"]) // 2
    return found


def rows_of(mix: str, split: str = "train") -> dict[tuple[int, int], list[int]]:
    """(source, sample) → ids of all rows that a loader serves."""
    found = {}
    with StreamingLoader(mix, global_batch_size=5, rank=0, world_size=1, format="numpy", split=split) as loader:  # type: ignore[arg-type]
        for batch in loader:
            for source, sample, ids in zip(batch["source"], batch["sample"], batch["input_ids"], strict=True):
                found[int(source), int(sample)] = ids.tolist()
    return found


def test_only_touched_ranges_are_rewritten_and_nothing_else_is_lost(mix: str) -> None:
    gone = in_first_range(mix, 3)
    files = {info.path: info.stamp for info in storage.list_files(str(Path(mix).parent.parent))}
    made = without(mix, *gone)
    old, new = plan.load(mix), plan.load(str(made.url))
    assert new.name == f"tiny-without-{Path(str(made.url)).name[-8:]}"
    changed = [a != b for a, b in zip(old.sources[0].parts, new.sources[0].parts, strict=True)]
    assert changed == [False, True, False, False]
    assert (new.sources[1], new.sources[0].validation) == (old.sources[1], old.sources[0].validation)
    now = {info.path: info.stamp for info in storage.list_files(str(Path(mix).parent.parent))}
    assert files.items() <= now.items()  # the old ones were not touched
    folders = {path.split("/")[2 if path.startswith("tokenized") else 1] for path in set(now) - set(files)}
    assert folders == {new.sources[0].parts[1].fingerprint, new.name}
    assert tokens_in(mix) - tokens_in(str(made.url)) == {doc_id: len(ids_of(CODE[doc_id])) for doc_id in gone}
    assert made.entries.in_mix == tuple(sorted(doc_id.hex() for doc_id in gone))
    [row] = [row for row in made.taken if row.documents]
    assert (row.documents, row.tokens) == (3, sum(len(ids_of(CODE[doc_id])) for doc_id in gone))
    assert (row.shared, len(row.rewritten)) == (3, 1)


def test_the_loader_serves_the_new_mix_and_where_says_what_became_of_a_document(mix: str) -> None:
    gone = in_first_range(mix, 3)
    new = str(without(mix, *gone).url)
    where = Where(new)
    made = plan.load(new)
    rows = rows_of(new)
    assert {source: len([key for key in rows if key[0] == source]) for source in (0, 1)} == {
        number: source.n_samples for number, source in enumerate(made.sources)
    }
    for (source, sample), ids in list(rows.items())[::9]:
        pieces = where.by_sample(made.sources[source].name, sample)
        assert [token for piece in pieces for token in where.tokens(piece).tolist()] == ids[: pieces[-1].token_to]
    why = rf"no sample holds .*: it was taken down, from .*{made.sources[0].parts[1].fingerprint}"
    for doc_id in gone:
        with pytest.raises(NotThereError, match=why):
            where.by_document(doc_id)
    assert rows_of(new, "validation") == rows_of(mix, "validation")


@pytest.mark.parametrize("source", ["code", "docs", "held"])
def test_positions_are_those_at_which_the_loader_served_them(mix: str, source: str) -> None:
    gone = list({"code": CODE, "docs": DOCS, "held": HELD}[source])[2:9:2]
    where = Where(mix)
    pieces = [piece for doc_id in gone for piece in where.by_document(doc_id) if piece.sample is not None]
    held: dict[tuple[str, int | None], list[tuple[int, str, int]]] = {}
    for piece in pieces:
        runs = held.setdefault((piece.source, piece.sample), [])
        runs.append((piece.token_from, piece.doc_id.hex(), piece.token_to))
    expected: list[tuple[str | int | None, ...]] = []
    if source != "held":
        with StreamingLoader(mix, global_batch_size=1, rank=0, world_size=1, format="numpy") as loader:
            for batch in loader:
                name, sample = ("code", "docs")[int(batch["source"][0])], int(batch["sample"][0])
                expected += [
                    ("train", int(batch["position"][0]), name, sample, doc_id, first, last)
                    for first, doc_id, last in sorted(held.get((name, sample), []))
                ]
    else:
        expected = [
            ("validation", None, name, sample, doc_id, first, last)
            for (name, sample), runs in sorted(held.items())
            for first, doc_id, last in sorted(runs)
        ]
    made = without(mix, *gone)
    assert [tuple(row.values()) for row in made.positions.to_pylist()] == expected
    assert len(expected) > 3
    assert made.served.positions == len({row[1] for row in expected} - {None})
    assert made.served.validation_samples == (len(held) if source == "held" else 0)
    assert pq.read_table(f"{made.url}/take-down-served.parquet").equals(made.positions)


def test_a_second_run_does_nothing_and_another_root_gives_the_same_bytes(mix: str, tmp_path: Path) -> None:
    def files(root: Path) -> dict[str, bytes]:
        listed = {info.path: info.stamp for info in storage.list_files(str(root))}
        return {
            path if path.startswith("mixes") else path.split("/")[2] + path.split("/", 4)[4]: (root / path).read_bytes()
            for path in listed
            if not path.endswith(manifest.MANIFEST)
        }

    root = Path(mix).parent.parent
    gone = [*in_first_range(mix, 2), list(DOCS)[4], list(HELD)[3]]
    before = {info.path for info in storage.list_files(str(root))}
    storage_copy = tmp_path / "root"
    for path in before:
        storage.write(str(storage_copy / path), (root / path).read_bytes())
    without(mix, *gone)
    stamps = {info.path: info.stamp for info in storage.list_files(str(root))}
    said: list[str] = []
    listed = parse("\n".join(doc_id.hex() for doc_id in gone[::-1]), "gone.txt")
    take_down(Asked(mix_url=mix, listed=listed), said.append)
    assert stamps == {info.path: info.stamp for info in storage.list_files(str(root))}
    assert [line.rsplit(": ", 1)[1] for line in said] == ["found"] * 4
    without(str(storage_copy / "mixes" / "tiny"), *gone)
    assert files(storage_copy) == files(root)


def test_a_shard_that_is_gone_is_told_in_the_old_mix_and_in_what_an_earlier_run_made(
    mix: str, root: Path, tmp_path: Path
) -> None:
    gone = in_first_range(mix, 7)[3:]
    mix = str(tmp_path / "root" / Path(mix).relative_to(root))
    root = Path(shutil.copytree(root, tmp_path / "root"))
    before = set(root.glob("tokenized/*/*/*/*.mds"))
    without(mix, *gone)
    made = sorted(set(root.glob("tokenized/*/*/*/*.mds")) - before)
    for shard in (made[0], next(Path(Where(mix).sources["code"].train[0].url).glob("*/*.mds"))):
        data = shard.read_bytes()
        shard.unlink()
        with pytest.raises(manifest.DamagedDatasetError, match=r"gone or of another size, as .*\.mds; put it back"):
            without(mix, *gone)
        shard.write_bytes(data)
    without(mix, *gone)


def test_two_lists_one_after_the_other_give_the_datasets_of_both(mix: str) -> None:
    first, second = [*in_first_range(mix, 2), list(DOCS)[4]], [in_first_range(mix, 4)[3], list(HELD)[3]]
    step = without(str(without(mix, *first).url), *second, name="steps")
    both = without(mix, *first, *second, name="both")
    steps, at_once = plan.load(str(step.url)), plan.load(str(both.url))
    assert (steps.sources, steps.stages, steps.block_hashes) == (
        at_once.sources,
        at_once.stages,
        at_once.block_hashes,
    )
    assert sum(row.documents for row in step.taken) == len(second)
    assert step.entries.in_mix == tuple(sorted(doc_id.hex() for doc_id in second))
    assert without(str(step.url), *first).entries.not_in_mix == ()  # no stage before is here that knows them


def test_a_run_leaves_listed_positions_out_and_takes_renamed_sources_up(mix: str) -> None:
    gone = in_first_range(mix, 3)
    made = without(mix, *gone, rename_sources=True, name="tiny-renamed")
    old, new = plan.load(mix), plan.load(str(made.url))
    assert [source.name for source in new.sources] == [f"code-{made_digest(made)}", "docs"]
    with _loader(mix) as loader:
        next(iter(loader))
        state = json.loads(json.dumps(loader.state_dict()))
    border = fork_position(plan.order_of(old), state["position"])
    with _loader(str(without(mix, *gone).url)) as same_names, pytest.raises(ValueError, match="'code' has changed"):
        same_names.load_state_dict(state, fork=True)
    lacks = rf"lacks the source 'code', of which .* still serves \d+ samples up to position {border}"
    with _loader(str(made.url)) as loader, pytest.raises(ValueError, match=lacks):
        loader.load_state_dict(state, fork=True)
    listed = {row["position"] for row in made.positions.to_pylist()}
    with _loader(mix) as loader:
        loader.load_state_dict(state)
        for position in sorted(listed):
            if state["position"] <= position < border:
                loader.skip(position, position + 1)
        batch = next(iter(loader))
        last = int(batch["next_position"])
        assert sorted(batch["position"].tolist()) == [one for one in range(24, last) if one not in listed]
        assert listed & set(range(24, last))
        loader.skip(last, border)
        state = loader.state_dict()
    with _loader(str(made.url)) as loader:
        loader.load_state_dict(state, fork=True)
        batches = [batch for batch, _ in zip(loader, range(5), strict=False)]
    assert sorted(batches[0]["position"].tolist()) == list(range(border, border + 24))
    drawn = samples(plan.order_of(old), 0, border + 5 * 24)  # where a source is in the old mix, and the new one's docs
    of_docs = np.concatenate([batch["sample"][batch["source"] == 1] for batch in batches])
    assert sorted(of_docs.tolist()) == sorted(drawn.sample[(drawn.source == 1) & (drawn.position >= border)].tolist())
    renamed = np.concatenate([batch["sample"][batch["source"] == 0] for batch in batches])
    assert sorted(renamed.tolist())[: new.sources[0].n_samples] == list(range(new.sources[0].n_samples))[: len(renamed)]


def made_digest(made: Outcome) -> str:
    stored = json.loads(storage.read(f"{made.url}/take-down.json"))
    return str(stored["list"]["digest"])[:8]


def _loader(mix: str) -> StreamingLoader:
    return StreamingLoader(mix, global_batch_size=24, rank=0, world_size=1, format="numpy")


def test_entries_that_mean_nothing_here_are_told(mix: str) -> None:
    made = without(mix, b"x" * 16)
    assert (made.url, made.entries.unknown) == (None, ((b"x" * 16).hex(),))
    assert made.served.positions == 0
    asked = Asked(mix_url=mix, listed=parse("https://x.org/a", "gone.txt"))
    with pytest.raises(ValueError, match=r"the texts of source code are not there any more: .* List doc_ids"):
        take_down(asked, lambda _: None)


def test_a_source_that_gives_too_little_is_refused(mix: str, root: Path) -> None:
    with pytest.raises(StageError, match="source docs has no sample left"):
        without(mix, *DOCS)
    most = list(DOCS)[:36]
    with pytest.raises(StageError, match=r"source docs would be served .* max_passes is 10; accept that by --max-pass"):
        without(mix, *most)
    made: Plan = plan.load(str(without(mix, *most, max_passes=1000.0).url))
    account = made.accounting["sources"]["docs"]
    assert account["passes"] > 10
    assert account["samples"] == made.sources[1].n_samples
    assert sum(one["weight_achieved"] for one in made.accounting["sources"].values()) == pytest.approx(1)


def test_all_held_out_documents_and_a_whole_range_can_go(mix: str) -> None:
    url = Where(mix).sources["code"].train[1].url
    whole = [doc_id for doc_id in CODE if Where(mix).by_document(doc_id)[0].dataset == url]
    new = str(without(mix, *HELD, *whole).url)
    [code, _] = plan.load(new).sources
    assert [part.n_samples for part in (code.parts[1], *code.validation)] == [0, 0]
    assert len(rows_of(new)) == sum(source.n_samples for source in plan.load(new).sources)
    with pytest.raises(ValueError, match="has no validation samples"):
        rows_of(new, "validation")
    assert not set(tokens_in(new)) & {*HELD, *whole}


def test_the_command_says_what_is_wrong(mix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(*arguments: str) -> str:
        assert cli.main(["take-down", mix, *arguments]) == 1
        return capsys.readouterr().err

    gone = tmp_path / "gone.txt"
    assert f"there is no list at {gone}" in told("--list", str(gone))
    gone.write_text("# nothing\n")
    assert "lists nothing" in told("--list", str(gone))
    gone.write_text(f"{'0' * 32}\nwww.x.org\n")
    assert f"{gone}, line 2: 'www.x.org' is neither a doc_id" in told("--list", str(gone))
    doc_id = in_first_range(mix, 1)[0].hex()
    gone.write_text(doc_id)
    assert "must end in .jsonl or .parquet" in told("--list", str(gone), "--positions-to", "x.csv")
    assert "cannot have the name of the old one" in told("--list", str(gone), "--name", "tiny")
    assert "the name 'A b' of the new mix must be made of" in told("--list", str(gone), "--name", "A b")
    where, other = tmp_path / "served.jsonl", ("--name", "other", "--processes", "1")
    assert cli.main(["take-down", mix, "--list", str(gone), "--positions-to", str(where), *other]) == 0
    printed = capsys.readouterr().out
    assert "1 entries: 1 of documents in the mix" in printed
    assert json.loads(where.read_text().splitlines()[0])["doc_id"] == doc_id
    gone.write_text("\n".join(one.hex() for one in in_first_range(mix, 2)))
    assert "is the plan of another mix, which is not overwritten" in told("--list", str(gone), *other)
