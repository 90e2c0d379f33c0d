"""Ctrl-C in a notebook: wherever it comes, the next call goes on with the next batch, and no thread is left behind."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.loader import StreamingLoader, loader, prefetch
from pipeline.loader.standing import Standing

PLACES = [
    (loader, "Batches"),  # nothing has begun
    (prefetch.Prefetcher, "__init__"),
    (threading.Thread, "start"),
    (prefetch.Prefetcher, "_make"),
    (prefetch.Prefetcher, "_next"),  # a batch was handed over
    (Standing, "after"),
    (loader, "tensors"),
]


def interrupt_once(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, *, behind: bool) -> None:
    """Ctrl-C comes before the next call of this, or at its end."""
    real: Callable[..., Any] = getattr(owner, name)

    def interrupted(*args: Any, **options: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            return real(*args, **options)  # Python interrupts the main thread alone
        monkeypatch.setattr(owner, name, real)
        if behind:
            real(*args, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(owner, name, interrupted)


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("n_before", [0, 3])
@pytest.mark.parametrize(("owner", "name"), PLACES)
def test_no_batch_is_lost(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, n_before: int, behind: bool
) -> None:
    monkeypatch.setattr(prefetch, "HAND_OVER_SECONDS", 60.0)  # the training loop makes its batches, as a fast one does
    with StreamingLoader(tiny, global_batch_size=24, rank=0, world_size=1) as whole:
        expected = [batch["position"].tolist() for batch in whole]
    with StreamingLoader(tiny, global_batch_size=24, rank=0, world_size=1) as served:
        batches = iter(served)
        got = [next(batches)["position"].tolist() for _ in range(n_before)]
        with monkeypatch.context() as patched:
            interrupt_once(patched, owner, name, behind=behind)
            if n_before:
                served.load_state_dict(served.state_dict())  # it begins again, so that each place is come by
                batches = iter(served)
            with pytest.raises(KeyboardInterrupt):
                got.extend(batch["position"].tolist() for batch in batches)
        got += [batch["position"].tolist() for batch in batches]
        assert got == expected
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("shardmill-loader")] == []
