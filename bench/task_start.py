"""What a task costs that does nothing: Spark's JVM and a Python worker talk by TCP (Spark's default) or by a Unix
domain socket (`session.LOCAL_SETTINGS`).

    python -m bench.task_start       a minute, by itself

Small messages by TCP wait for the kernel's delayed acknowledgement, 40 ms, as neither side sets TCP_NODELAY (Spark's
own account of it, at another connection: SPARK-51667).
"""

import os
import time
from collections.abc import Mapping
from statistics import median

from bench.table import figure, show
from pipeline import session
from pipeline.tables import spark as tables
from pipeline.tables.sink import Sink

SOCKETS = "spark.python.unix.domain.socket.enabled"
TASKS = 64  # a core
WARM_RUNS, ROUNDS = 3, 5


def main() -> None:
    """Measure and print."""
    cores = os.cpu_count() or 1
    ways = {"TCP": "false", "Unix domain socket": "true"}
    taken = {name: _seconds(enabled, cores) for name, enabled in ways.items()}
    show(
        f"a task that does nothing, {TASKS * cores} of them on {cores} cores",
        ["by", "ms a task and core"],
        [[name, figure(seconds / TASKS * 1e3)] for name, seconds in taken.items()],
    )


def _seconds(enabled: str, cores: int) -> float:
    settings: Mapping[str, str] = dict(session.LOCAL_SETTINGS)
    session.LOCAL_SETTINGS[SOCKETS] = enabled
    spark = session.start("bench", cores=cores)
    try:
        found = []
        for _ in range(WARM_RUNS + ROUNDS):
            began = time.perf_counter()
            tables.run_tasks(spark, list(range(TASKS * cores)), _nothing, stage="deduped", attempt_url="")
            found.append(time.perf_counter() - began)
        return median(found[WARM_RUNS:])
    finally:
        spark.stop()
        session.LOCAL_SETTINGS.update(settings)


def _nothing(task: int, sink: Sink) -> None:
    pass


if __name__ == "__main__":
    main()
