"""A job's arguments and what it says of errors; whole runs are tested with the stages."""

from pathlib import Path

import pytest

from pipeline import job
from pipeline.recipe import RecipeError

CLASSIC = """An exception was thrown from the Python worker:
Traceback (most recent call last):
  File "/opt/pipeline/tables/sink.py", line 6, in write
    raise ValueError("documents.documents: column 'x' is missing;\\nit has ['y']")
ValueError: documents.documents: column 'x' is missing;
it has ['y']"""
OLDER = """An exception was thrown from the Python worker. Please see the stack trace below.
Traceback (most recent call last):
  File "x.py", line 1, in f
KeyError: 'a'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "x.py", line 3, in f
OSError: [Errno 28] No space left on device


JVM stacktrace:
org.apache.spark.api.python.PythonException
\tat org.apache.spark.api.python.BasePythonRunner.run(PythonRunner.scala:1)
Caused by: something else"""
JAVA = """Job aborted due to stage failure: Task 0 in stage 1.0 failed: java.lang.OutOfMemoryError: Java heap space
\tat org.apache.spark.memory.MemoryConsumer.throwOom(MemoryConsumer.java:1)

Driver stacktrace:"""


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (CLASSIC, "ValueError: documents.documents: column 'x' is missing; it has ['y']"),
        (OLDER, "OSError: [Errno 28] No space left on device"),
        (JAVA, JAVA.splitlines()[0]),
        ("[UNSUPPORTED_CALL] Cannot call it.  SQLSTATE: 0A000", "[UNSUPPORTED_CALL] Cannot call it.  SQLSTATE: 0A000"),
        ("", "no message"),
    ],
)
def test_the_cause_of_sparks_errors(text: str, cause: str) -> None:
    assert job._cause(text) == cause


def test_a_recipe_is_a_name_or_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mixes").mkdir()
    (tmp_path / "mixes" / "demo.yaml").touch()
    assert job._recipe_path("demo") == Path("mixes/demo.yaml")
    assert job._recipe_path("mixes/demo.yaml") == Path("mixes/demo.yaml")
    assert job._recipe_path("s3://bucket/demo.yaml") == "s3://bucket/demo.yaml"
    with pytest.raises(RecipeError, match=r"there is no recipe at other; .* or a name in mixes/ \(demo\)"):
        job._recipe_path("other")
    (tmp_path / "demo").touch()
    assert job._recipe_path("demo") == Path("demo")


@pytest.mark.parametrize("stage", ["mix", "documents", "mixed"])
def test_a_missing_recipe_is_one_line_and_exit_code_1(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert job.run(stage, ["--mix", "mine.yaml"]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("error: there is no recipe at mine.yaml; give the path of a YAML file, or a name in")
    assert (printed.err.count("\n"), printed.out) == (1, "")


def test_trace_shows_the_traceback() -> None:
    with pytest.raises(ValueError, match="there is no recipe"):
        job.run("mix", ["--mix", "nowhere.yaml", "--trace"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: --mix"),
        (["--mix", "demo", "--cores", "0"], "argument --cores: '0' is not a number of cores; give 1 to 1024"),
        (["--mix", "demo", "--cores", "-2"], "argument --cores"),
        (["--mix", "demo", "--cores", "all"], "argument --cores: 'all' is not a number of cores"),
        (["--mix", "demo", "--cores", "99999999999"], "argument --cores: '99999999999' is not a number of cores"),
        (["--mix", "demo", "--cor", "2"], "unrecognized arguments: --cor 2"),
        (["--mix", "demo", "more"], "unrecognized arguments: more"),
        (["--mix", "demo", "--rot", "data"], "unrecognized arguments: --rot data"),
    ],
)
def test_wrong_arguments(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        job.run("mix", arguments)
    assert message in capsys.readouterr().err


def raw_source(tmp_path: Path, root: str) -> str:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        "name: mine\nsequence_length: 16\nbudget_tokens: 1K\ntokenizer: {train: {vocab_size: 300}}\n"
        f'sources:\n  code: {{root: "{root}", files: ["*.jsonl"], weight: 1}}\n'
    )
    return str(recipe)


def test_what_the_disk_refuses_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n')
    (tmp_path / "file").touch()
    arguments = ["--mix", raw_source(tmp_path, str(tmp_path)), "--root", str(tmp_path / "file" / "below")]
    assert job.run("filtered", arguments) == 1  # a stage that makes no documents starts no Spark
    assert capsys.readouterr().err.startswith("error: ")


def test_a_source_without_files_is_found_before_spark_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--mix", raw_source(tmp_path, str(tmp_path / "raw")), "--root", str(tmp_path)]
    assert job.run("mix", arguments) == 1
    message = f"error: sources.code.root = {tmp_path / 'raw'}: there is no file; put the source's files there, or write"
    assert capsys.readouterr().err.startswith(message)


def test_a_root_that_is_a_file_is_told_as_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "raw").touch()
    arguments = ["--mix", raw_source(tmp_path, str(tmp_path / "raw")), "--root", str(tmp_path)]
    assert job.run("mix", arguments) == 1
    message = f"error: sources.code.root = {tmp_path / 'raw'} is a file; give its folder there, and its name in sources"
    assert capsys.readouterr().err.startswith(message)


def test_cores_say_nothing_to_spark_submit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "1")
    with pytest.raises(SystemExit, match="2"):
        job.run("mix", ["--mix", "demo", "--cores", "2"])
    assert "argument --cores: says nothing to spark-submit" in capsys.readouterr().err


def test_a_root_that_cannot_be_one_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    for root, message in [
        ("", "--root '' cannot be used: the path of a file or folder is empty"),
        ("nope://x", "--root 'nope://x' cannot be used: Protocol not known: nope"),
        (str(tmp_path / "file"), "file' is a file; give a folder, there or to be made"),
    ]:
        assert job.run("mix", ["--mix", raw_source(tmp_path, str(tmp_path)), "--root", root]) == 1
        printed = capsys.readouterr().err
        assert message in printed
        assert (printed.startswith("error: "), printed.count("\n")) == (True, 1)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{train: {vocab_size: 300}}", "{file: 'nope://x'}", "tokenizer.file = nope://x: it cannot be read: Protocol"),
        ("{train: {vocab_size: 300}}", "{file: HERE}", "it cannot be read: [Errno 21] Is a directory"),
        ("{train: {vocab_size: 300}}", "{file: HERE/latin}", "latin: it is not UTF-8 text"),
        (
            "name: mine",
            "name: mine\ntake_down: nope://x",
            "take_down = nope://x: it cannot be read: Protocol not known",
        ),
        ("weight: 1", "weight: 1, rules: [{c4: {bad_words: HERE/none}}]", "rules: c4.bad_words = "),
    ],
)
def test_files_that_a_recipe_names_in_vain(
    old: str, new: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n')
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    path = Path(raw_source(tmp_path, str(tmp_path)))
    path.write_text(path.read_text().replace(old, new.replace("HERE", str(tmp_path))))
    assert job.run("mix", ["--mix", str(path), "--root", str(tmp_path / "root")]) == 1
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.startswith("error: ")
