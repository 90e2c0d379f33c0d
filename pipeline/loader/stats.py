"""What a loader has done so far, counted by all its threads."""

import threading
import time
from collections import Counter

COUNTS = (
    "samples",
    "batches",
    "requests",
    "retries",
    "hedges",
    "fetched_bytes",
    "cache_hits",
    "cache_misses",
    "cache_bytes",
    "in_flight",
)


class Stats:
    """Counts by name: `samples` and `batches` received; `requests` sent to the store, second tries and hedges included;
    `retries` after a failure; `hedges`, more requests beside one that was slow; `fetched_bytes` of bodies received;
    `cache_hits` and `cache_misses`, granules looked for in the disk cache; `cache_bytes` written to it; `in_flight`,
    ranges that are being fetched. Seconds that the training loop has waited; safe for all threads."""

    def __init__(self) -> None:
        self._counts = Counter(dict.fromkeys(COUNTS, 0))
        self._waited_seconds = 0.0
        self._started = time.monotonic()
        self._lock = threading.Lock()

    def add(self, **counts: int) -> None:
        """Add to the counts of these names."""
        with self._lock:
            for name, count in counts.items():
                self._counts[name] += count

    @property
    def has_fetched(self) -> bool:
        """Whether any body has come from the store yet."""
        return self._counts["fetched_bytes"] > 0

    def waited(self, seconds: float) -> None:
        """The training loop has waited so long."""
        with self._lock:
            self._waited_seconds += seconds

    def shown(self, waiting_seconds: float = 0.0) -> dict[str, int | float]:
        """The counts by name, with `wait_seconds` and `samples_per_second` since this was made. `waiting_seconds` are
        not counted yet."""
        with self._lock:
            seconds = max(1e-9, time.monotonic() - self._started)
            return dict(self._counts) | {
                "wait_seconds": self._waited_seconds + waiting_seconds,
                "samples_per_second": self._counts["samples"] / seconds,
            }
