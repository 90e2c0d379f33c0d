"""What `make package` puts into the archive beside the project."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parent.parent / ".ci" / "package.py"


@pytest.fixture(scope="module")
def package() -> ModuleType:
    spec = importlib.util.spec_from_file_location("package", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _names(package: ModuleType, *more: str) -> set[str]:
    return {distribution.metadata["Name"].lower() for distribution in package.needed(more)}


def test_what_the_jobs_need_is_there_and_spark_itself_is_not(package: ModuleType) -> None:
    names = _names(package)
    assert {"pyarrow", "numba", "llvmlite", "tokenizers", "s3fs", "aiobotocore"} <= names
    assert not {"shardmill", "pyspark", "py4j", "pytest", "flask"} & names


def test_a_package_that_is_named_comes_with_what_it_requires(package: ModuleType) -> None:
    assert {"flask", "werkzeug", "jinja2"} <= _names(package, "flask") - _names(package)


def test_a_package_that_is_not_installed_is_an_error_that_tells_the_remedy(package: ModuleType) -> None:
    with pytest.raises(SystemExit, match=r"no-such-fs is not in the environment; \.venv/bin/pip install no-such-fs"):
        package.needed(["no-such-fs"])
