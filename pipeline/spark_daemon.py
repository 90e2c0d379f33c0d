"""PySpark's daemon, which forks the Python workers, without a traceback for each worker that Spark leaves while idle.

A worker that waits for its next task finds its connection closed when the session stops, and says so through it. By TCP
that goes nowhere; a Unix domain socket tells that nobody listens, and PySpark prints the BrokenPipeError of the worker
to the user's terminal, at some stops and not at others.
"""

import sys
import traceback
from types import SimpleNamespace

from pyspark import daemon


def print_exc() -> None:
    """As `traceback.print_exc`, but of what is no broken pipe."""
    if not isinstance(sys.exc_info()[1], BrokenPipeError):
        traceback.print_exc()


if __name__ == "__main__":
    vars(daemon)["traceback"] = SimpleNamespace(print_exc=print_exc, format_exc=traceback.format_exc)
    daemon.manager()
