"""Ten sources from 0.5 % to 40 % in rows of 4 KiB: the order that `order` measures. Needs nothing but the order."""

from fractions import Fraction

from pipeline.order import Order, OrderStage

ROW_BYTES = 4096  # 2,048 tokens of uint16
BLOCK_SAMPLES, CHUNK_SAMPLES = 2**18, 256  # what a plan has for such rows: plan.block_samples, plan.chunk_samples
PERCENT = (40, 20, 12, 8, 6, 5, 4, 3, Fraction(3, 2), Fraction(1, 2))


def ten_sources(n_samples: int) -> Order:
    """The order of about `n_samples` samples in all, each source's by its weight."""
    return Order(
        seed=17,
        block_samples=BLOCK_SAMPLES,
        chunk_samples=CHUNK_SAMPLES,
        names=tuple(f"source{i}" for i in range(len(PERCENT))),
        n_samples=tuple(max(1, int(n_samples * percent / 100)) for percent in PERCENT),
        stages=(OrderStage(until=None, weights=tuple(Fraction(percent) for percent in PERCENT)),),
    )
