import os
import sys
from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from pipeline import session

# Small jobs are over before the JVM's second compiler has paid for itself: 13 % less time for the tests with Spark.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """One Spark on two cores for all tests; started when a test first asks for it."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    started = session.start("tests", cores=2)
    yield started
    started.stop()
