import importlib.util
import shutil
from pathlib import Path

import pytest

from pipeline import cli
from tests.tiny_mix import make_tiny_mix
from tests.tokenized.test_tokenized_where import RANGES, corpus, mix_of, written


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.main(["shuffle-report", *arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_a_report_and_its_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mix = mix_of(tmp_path, {"code": ([written(tmp_path, "code", corpus("code", 70), 0, RANGES)], [])})
    picture = tmp_path / "report.png"
    code, out, err = run(capsys, mix, "--global-batch-size", "8", "--world-sizes", "2,3", "--png", str(picture))
    assert (code, err) == (0, "")
    assert "│ code   │ document │" in out
    assert f"picture: {picture}" in out
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_plan_whose_datasets_are_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mix = make_tiny_mix(tmp_path)
    shutil.rmtree(tmp_path / "tokenized")
    code, out, _ = run(capsys, str(mix), "--global-batch-size", "8")
    assert code == 0
    assert "without the datasets, shards and documents are not known: " in out
    assert "512" in out
    assert "document │" not in out


def test_a_picture_needs_matplotlib(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    code, out, err = run(capsys, str(tmp_path), "--global-batch-size", "8", "--png", "x.png")
    assert (code, out) == (1, "")
    assert err == "error: --png needs matplotlib: pip install 'shardmill[plot]', or leave --png out\n"
