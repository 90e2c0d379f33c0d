"""The arguments of `shardmill` and what it says of wrong ones; its tables are tested with their stages."""

from pathlib import Path

import pytest

from pipeline import cli, manifest
from pipeline.manifest import Dataset, Spec

FINGERPRINT = "0123456789abcdef0123456789abcdef"


def publish(root: Path, stage: str) -> Dataset:
    """A finished dataset without files."""
    spec = Spec(stage=stage, source="web", version=1, inputs={}, parameters={})
    attempt = manifest.new_attempt()
    (Path(spec.url(str(root))) / attempt).mkdir(parents=True)
    return manifest.publish(str(root), spec, attempt=attempt, files=[], counts={}, report={})


def error_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What is said of arguments that lead nowhere: one line, and exit code 1."""
    assert cli.main(list(arguments)) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert (printed.err.count("\n"), printed.out) == (1, "")
    return printed.err.removeprefix("error: ").rstrip("\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: command"),
        (["waterfal"], "invalid choice: 'waterfal' (choose from"),
        (["waterfall"], "the following arguments are required: dataset"),
        (["waterfall", "x", "--examples", "-1"], "argument --examples: '-1' is not a number from 0 to 20"),
        (["waterfall", "x", "--examples", "21"], "argument --examples: '21' is not a number from 0 to 20"),
        (["waterfall", "x", "--examples", "9" * 5000], "is not a number from 0 to 20"),
        (["duplicates", "x", "--clusters", "-3"], "argument --clusters: '-3' is not a number from 0 to 20"),
        (["duplicates", "x", "--clusters", "all"], "argument --clusters: 'all' is not a number from 0 to 20"),
        (["duplicates", "x", "--cluster", "3"], "unrecognized arguments: --cluster 3"),
        (["contamination", "x"], "the following arguments are required: --sets"),
        (["contamination", "x", "--sets", "y", "--workers", "0"], "argument --workers: '0' is not a number from 1"),
        (["duplicates", "x", "y"], "unrecognized arguments: y"),
    ],
)
def test_wrong_arguments(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(arguments)
    assert message in capsys.readouterr().err


def test_what_is_no_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = str(tmp_path / "nowhere")
    wanted = "holds no finished dataset, no _manifest.json; give a finished one, as ROOT/filtered/SOURCE/FINGERPRINT"
    assert error_of(capsys, "waterfall", nowhere) == f"{nowhere} {wanted}"
    (tmp_path / "filtered" / "web" / FINGERPRINT).mkdir(parents=True)
    above = str(tmp_path / "filtered" / "web")
    assert error_of(capsys, "waterfall", above) == f"{above} {wanted} (below it: {FINGERPRINT})"
    (tmp_path / "file").touch()
    assert f"{tmp_path}/file is a file, not the folder" in error_of(capsys, "waterfall", str(tmp_path / "file"))
    assert "the path of a file or folder is empty" in error_of(capsys, "duplicates", "")
    assert "Protocol not known: nope" in error_of(capsys, "duplicates", "nope://x")


def test_a_dataset_of_another_stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = publish(tmp_path, "deduped").url
    message = error_of(capsys, "waterfall", url)
    assert f"{url} is a dataset of stage deduped, not filtered; look at it by shardmill duplicates, or give" in message
    url = publish(tmp_path, "tokenized").url
    message = error_of(capsys, "duplicates", url)
    assert message.endswith("not deduped; give a finished one, as ROOT/deduped/SOURCE/FINGERPRINT")


def test_a_damaged_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "_manifest.json").write_text("[]")
    told = error_of(capsys, "waterfall", str(tmp_path))
    assert "/_manifest.json is not a manifest of this version of the project" in told


def test_a_report_that_this_version_cannot_read_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = publish(tmp_path, "filtered").url
    assert error_of(capsys, "waterfall", url).endswith("(the whole story: --trace)")
    with pytest.raises(KeyError):
        cli.main(["--trace", "waterfall", url])
