import os
import sys
from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from pipeline import session


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """One Spark on two cores for all tests; started when a test first asks for it."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    started = session.start("tests", cores=2)
    yield started
    started.stop()
