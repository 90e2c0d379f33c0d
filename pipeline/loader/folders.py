"""The folders of a mix that a plain `streaming.StreamingDataset` reads: shards in MDS with their index.json.

    folders = shard_folders("data/mixes/demo")                         # {"code": ("…", "…"), "docs": ("…",)}
    streams = [Stream(local=folder) for parts in folders.values() for folder in parts]
    dataset = StreamingDataset(streams=streams, batch_size=8, shuffle=True)

It serves every sample of every part once an epoch, in an order of its own. The mix's weights, stages and budget are not
followed: give the streams a `proportion`, or use `pipeline.loader.mosaic`. Nothing is verified: the package compares
hashes (`validate_hash="xxh3_64"`) of shards that it downloads, never of those that are local.
"""

import os

from pipeline import manifest, storage
from pipeline import plan as plans
from pipeline.loader.options import Split, full_url
from pipeline.loader.state import split_parts


def shard_folders(mix: str | os.PathLike[str], split: Split = "train") -> dict[str, tuple[str, ...]]:
    """The folders of each source, one for each of its parts that has samples: those that the datasets' manifests name.
    What else lies beside them, of attempts that were given up, does not count."""
    url = full_url(mix)
    return {
        source.name: tuple(_attempt(url, part) for part in split_parts(source, split) if part.n_samples)
        for source in plans.load(url).sources
    }


def _attempt(mix_url: str, part: plans.Part) -> str:
    dataset = manifest.load(plans.resolve(mix_url, part.path))
    return storage.join(dataset.url, dataset.manifest.attempt)
