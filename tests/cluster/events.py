"""What Spark's event log says of a job's tasks."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FAILURES = ("ExceptionFailure", "ExecutorLostFailure", "FetchFailed", "Resubmitted")


@dataclass(frozen=True, kw_only=True)
class Tasks:
    """How the tasks of an application ended: `failures` were tried again, `disk_full` of them because a file could not
    be written; `speculated` tells when (seconds since 1970) a speculative copy had done its work before the task that
    it copies."""

    succeeded: int
    failures: int
    disk_full: int
    speculated: tuple[float, ...]


def tasks_of(folder: Path) -> Tasks:
    """The tasks of all applications whose event logs lie in a folder, also of those that did not end well."""
    ended = [event for path in sorted(folder.iterdir()) for event in _events(path, "SparkListenerTaskEnd")]
    failed = [event for event in ended if event["Task End Reason"]["Reason"] in FAILURES]
    good = [event for event in ended if event["Task End Reason"]["Reason"] == "Success"]
    return Tasks(
        succeeded=len(good),
        failures=len(failed),
        disk_full=sum("File too large" in json.dumps(event["Task End Reason"]) for event in failed),  # EFBIG
        speculated=tuple(
            info["Finish Time"] / 1e3 for info in (event["Task Info"] for event in good) if info["Speculative"]
        ),
    )


def _events(path: Path, kind: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines() if f'"Event":"{kind}"' in line]
