"""The dataset that an argument names."""

from pipeline import manifest, storage
from pipeline.manifest import Dataset

COMMANDS = {"filtered": "waterfall", "deduped": "duplicates"}
SHOWN = 20  # names of what lies there instead


def finished(url: str, stage: str) -> Dataset:
    """The finished dataset of that stage at `url`; `ValueError` that tells what is there instead."""
    wanted = f"give a finished one, as ROOT/{stage}/SOURCE/FINGERPRINT"
    try:
        dataset = manifest.find(url)
    except NotADirectoryError as error:
        raise ValueError(f"{url} is a file, not the folder of a dataset; {wanted}") from error
    if dataset is None:
        below = [name for name in storage.list_folders(url) if not name.startswith((".", "attempt-"))]
        there = f" (below it: {', '.join(below[:SHOWN])})" if below else ""
        raise ValueError(f"{url} holds no finished dataset, no {manifest.MANIFEST}; {wanted}{there}")
    found = dataset.manifest.stage
    if found != stage:
        hint = f"look at it by shardmill {COMMANDS[found]}, or {wanted}" if found in COMMANDS else wanted
        raise ValueError(f"{url} is a dataset of stage {found}, not {stage}; {hint}")
    return dataset
