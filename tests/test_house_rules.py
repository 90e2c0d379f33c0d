"""The house rules of `pipeline/__init__.py`, on the source text: what is imported where, and how things are named."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from pipeline import schema
from pipeline.recipe import Mix
from pipeline.recipe_parts import Dedup, Holdout, Source, Stage, TokenizerChoice, TrainTokenizer

ROOT = Path(__file__).parent.parent
STAGES = ("documents", "filtered", "deduped", "tokenized", "mixed")
SHARED = ("tables", "texts", "mds", "order")
MADE_BY = {
    "signals": "filtered",
    "languages": "filtered",
    "compression": "filtered",
    "commonness": "filtered",
    "contamination": "contamination_check",
    "delined": "deduped",
    "signatures": "deduped",
    "steps": "deduped",
}
MODULES = sorted((ROOT / "pipeline").rglob("*.py"))
JOBS = sorted((ROOT / "jobs").glob("*.py"))


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def nodes_of(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes that run; what stands under `if TYPE_CHECKING` is for the type checker alone."""
    if isinstance(tree, ast.If) and ast.unparse(tree.test) == "TYPE_CHECKING":
        return
    yield tree
    for child in ast.iter_child_nodes(tree):
        yield from nodes_of(child)


@cache
def imports_of(path: Path) -> frozenset[str]:
    """The modules that a file imports, at its top or in a function: `from a import b` is a and a.b."""
    found: set[str] = set()
    for node in nodes_of(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{shown(path)} imports relatively"
            found |= {node.module or "", *(f"{node.module}.{name.name}" for name in node.names)}
    return frozenset(found)


def imports_any(path: Path, package: str) -> bool:
    return any(name == package or name.startswith(package + ".") for name in imports_of(path))


def file_of(module: str) -> Path | None:
    base = ROOT / Path(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def reached_from(package: str) -> set[Path]:
    """The files of ours that the files of a package import, over any number of steps, itself included; but not what a
    package has for Spark's tables."""
    reached: set[Path] = set()
    files = (ROOT / "pipeline" / package).rglob("*.py")
    waiting = sorted(path for path in files if path.name != "datasource.py" and not path.name.startswith("arrow_"))
    while waiting:
        path = waiting.pop()
        if path not in reached:
            reached.add(path)
            waiting += [found for name in imports_of(path) if (found := file_of(name)) is not None]
    return reached


def test_the_walk_sees_what_it_should() -> None:
    runner = ROOT / "pipeline" / "flow" / "runner.py"
    assert {"pipeline.manifest", "pipeline.storage", "pipeline.session"} <= imports_of(runner)
    assert ROOT / "pipeline" / "storage.py" in reached_from("loader")
    assert imports_any(ROOT / "pipeline" / "deduped" / "minhash.py", "numba")


@pytest.mark.parametrize("path", MODULES, ids=shown)
def test_spark_is_imported_by_glue_only(path: Path) -> None:
    session = {f"pipeline/{name}.py" for name in ("session", "spark_daemon", "job")}
    glue = path.name in ("spark.py", "datasource.py") or shown(path) in session
    assert glue or not imports_any(path, "pyspark")


@pytest.mark.parametrize("package", ["loader", "order", "mds"])
@pytest.mark.parametrize("heavy", ["numba", "pyspark", "pyarrow"])
def test_what_trainers_import_needs_no_jobs_library(package: str, heavy: str) -> None:
    assert [shown(path) for path in reached_from(package) if imports_any(path, heavy)] == []


def test_torch_is_imported_where_a_tensor_is_made() -> None:
    allowed = {f"pipeline/loader/{name}.py" for name in ("batches", "mosaic", "pinned", "torch_dataset")}
    assert {shown(path) for path in MODULES if imports_any(path, "torch")} <= allowed


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_no_sibling(stage: str) -> None:
    allowed = {stage, *SHARED, *(path.stem for path in (ROOT / "pipeline").glob("*.py"))} - {"flow", "job", "report"}
    for path in (ROOT / "pipeline" / stage).rglob("*.py"):
        used = {name.split(".")[1] for name in imports_of(path) if name.startswith("pipeline.")}
        assert used <= allowed, shown(path)


@pytest.mark.parametrize("package", [*SHARED, "loader"])
def test_what_all_stages_share_knows_no_stage(package: str) -> None:
    for path in (ROOT / "pipeline" / package).rglob("*.py"):
        assert [stage for stage in STAGES if imports_any(path, f"pipeline.{stage}")] == [], shown(path)


@pytest.mark.parametrize("path", [*MODULES, *JOBS], ids=shown)
def test_only_the_dataframe_api(path: Path) -> None:
    forbidden = {"rdd", "sparkContext", "_jvm", "_jsc", "_jdf", "_jsparkSession", "_sc", "parallelize", "checkpoint"}
    used = {node.attr for node in nodes_of(tree_of(path)) if isinstance(node, ast.Attribute)}
    assert shown(path) == "pipeline/session.py" or not used & forbidden


def test_importing_the_loader_is_fast_and_light() -> None:
    code = (
        "import sys, time; start = time.process_time(); import pipeline.loader; "  # CPU: others may be running
        "print(time.process_time() - start, *(m for m in ('torch', 'pyarrow', 'pyspark', 'numba') if m in sys.modules))"
    )
    runs = [subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True) for _ in range(3)]
    assert {len(run.stdout.split()) for run in runs} == {1}, [run.stdout + run.stderr for run in runs]
    assert min(float(run.stdout) for run in runs) < 0.5


def test_a_recipe_is_checked_without_spark_and_without_a_compiler() -> None:
    code = "import sys, pipeline.recipe; print(*(m for m in ('pyspark', 'numba', 'pyarrow') if m in sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


@pytest.mark.parametrize("path", JOBS, ids=shown)
def test_jobs_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 50


def test_each_stage_has_its_job_package_and_schema() -> None:
    assert {path.stem for path in JOBS} == {*STAGES, "mix"}
    for stage in STAGES:
        assert (ROOT / "pipeline" / stage / "__init__.py").is_file()
    assert {path.stem for path in (ROOT / "schemas").glob("*.json")} == {*STAGES, *MADE_BY} - {"mixed"}


def test_files_are_named_by_what_they_hold() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "core", "base", "misc"}
    here = [path for top in ("pipeline", "jobs", "tests", "bench", "examples") for path in (ROOT / top).rglob("*")]
    assert [shown(path) for path in here if path.stem in vague] == []


@pytest.mark.parametrize("path", [path for path in MODULES if path.stat().st_size], ids=shown)
def test_each_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(tree_of(path))


def test_pipeline_itself_holds_no_code() -> None:
    assert len(tree_of(ROOT / "pipeline" / "__init__.py").body) == 1


@pytest.mark.parametrize("stage", sorted(path.stem for path in (ROOT / "schemas").glob("*.json")))
def test_schemas_are_complete_and_used(stage: str) -> None:
    fields = json.loads((ROOT / "schemas" / f"{stage}.json").read_text(encoding="utf-8"))
    assert fields["stage"] == stage
    assert set(fields) == {"stage", "about", "tables"}
    package = ROOT / "pipeline" / MADE_BY.get(stage, stage)
    texts = {
        node.value
        for path in package.rglob("*.py")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    for table, content in fields["tables"].items():
        assert table in texts, f"{stage}.{table} is written by nobody"
        assert set(content) == {"about", "columns"}
        names = [column["name"] for column in content["columns"]]
        assert len(set(names)) == len(names)
        for column in content["columns"]:
            assert set(column) == {"name", "type", "nullable", "meaning", "unit"}, column
            assert column["type"] in schema.TYPES
            assert isinstance(column["nullable"], bool)
            assert column["meaning"]
            assert column["unit"] is None or column["unit"]
    assert set(schema.TYPES) == set(schema.SQL_TYPES)


@pytest.mark.parametrize("model", [Mix, Source, Dedup, Holdout, Stage, TokenizerChoice, TrainTokenizer])
def test_every_field_of_a_recipe_does_something(model: type[Mix]) -> None:
    outside = [path for path in MODULES if path.name not in ("recipe.py", "recipe_parts.py")]
    read = {node.attr for path in outside for node in ast.walk(tree_of(path)) if isinstance(node, ast.Attribute)}
    assert sorted(set(model.model_fields) - read) == []
