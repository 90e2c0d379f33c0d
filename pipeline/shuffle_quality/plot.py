"""A shuffle report as a picture. The only module that needs matplotlib, an optional dependency."""

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.order.course import PARTS
from pipeline.order.meetings import Meetings
from pipeline.shuffle_quality.measured import Figures

DOTS_PER_INCH = 110
FLOOR = 1e-3  # pairs a batch: less is drawn as this, since the scale is a logarithm


def png(figures: Figures) -> bytes:
    """The picture as the bytes of a PNG file."""
    picture = Figure(figsize=(13, 9), layout="constrained")
    picture.suptitle(_plain(f"mix {figures.mix}, batches of {figures.batch_size:,}"))
    axes = picture.subplots(2, 2)
    _composition(axes[0, 0], figures)
    _meetings(axes[0, 1], figures)
    _course(axes[1, 0], figures)
    _reads(axes[1, 1], figures)
    stream = io.BytesIO()
    picture.savefig(stream, format="png", dpi=DOTS_PER_INCH)
    return stream.getvalue()


def _composition(axes: Axes, figures: Figures) -> None:
    place = np.arange(len(figures.sources))
    axes.bar(place - 0.2, [source.composition.by_chance for source in figures.sources], 0.4, label="by chance")
    axes.bar(place + 0.2, [source.composition.deviation for source in figures.sources], 0.4, label="here")
    axes.set_xticks(place, [_plain(source.name) for source in figures.sources], rotation=30, ha="right")
    axes.set_title("a batch's composition: off the ideal by (root mean square)")
    axes.set_ylabel("rows a batch")
    axes.legend()


def _meetings(axes: Axes, figures: Figures) -> None:
    kinds: dict[str, list[Meetings | None]] = {
        "chunk": [source.chunks for source in figures.sources],
        "shard": [source.shards for source in figures.sources],
        "document": [source.documents for source in figures.sources],
    }
    for place, (kind, of_sources) in enumerate(kinds.items()):
        for source, found in enumerate(of_sources):
            if found is not None:
                x, colour, label = source + 0.2 * (place - 1), f"C{place}", kind if source == 0 else None
                here, uniform = found.pairs / found.n_batches, found.uniform_pairs / found.n_batches
                axes.plot([x, x], [max(FLOOR, uniform), max(FLOOR, here)], color=colour, linewidth=1)
                axes.plot(x, max(FLOOR, here), "o", color=colour, label=label)
                axes.plot(x, max(FLOOR, uniform), "_", color=colour, markersize=12)
    axes.set_yscale("log")
    axes.set_xticks(range(len(figures.sources)), [_plain(one.name) for one in figures.sources], rotation=30, ha="right")
    axes.set_title("pairs that meet in a batch (dot), in a uniform shuffle (dash)")
    axes.legend()


def _course(axes: Axes, figures: Figures) -> None:
    for name in dict.fromkeys(point.name for point in figures.course):
        points = [point for point in figures.course if point.name == name]
        axes.plot(
            [point.part + 1 for point in points], [point.chunks.company for point in points], "o-", label=_plain(name)
        )
    axes.set_xlim(0.5, PARTS + 0.5)
    axes.set_xticks(range(1, PARTS + 1))
    axes.set_ylim(0, 1)
    axes.set_title("rows that meet another of their chunk, over the first pass")
    axes.set_xlabel("tenth of the source's pass")
    if figures.course:
        axes.legend()


def _reads(axes: Axes, figures: Figures) -> None:
    place = np.arange(len(figures.reads))
    bars = axes.bar(place, [reads.amplification for reads in figures.reads.values()], 0.6)
    axes.bar_label(bars, fmt="%.3f")
    axes.set_xticks(place, [f"{world:,} ranks" for world in figures.reads])
    axes.set_title("bytes fetched / unique bytes")


def _plain(text: str) -> str:
    """Without formulas, which matplotlib finds between dollar signs."""
    return text.replace("$", r"\$")
