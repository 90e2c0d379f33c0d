"""The tiny mix, made once for all tests that only read it."""

from pathlib import Path

import pytest

from tests.tiny_mix import make_tiny_mix


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_mix(tmp_path_factory.mktemp("tiny"))
