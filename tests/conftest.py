import os
import sys
from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from pipeline import session

# Small jobs are over before the JVM's second compiler has paid for itself: 13 % less time for the tests with Spark.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests with Spark go to one of the two processes, so that there is one Spark (`--dist loadgroup`)."""
    for item in items:
        if "spark" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("spark"))


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """One Spark on two cores for all tests; started when a test first asks for it."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    started = session.start("tests", cores=2)
    yield started
    started.stop()
