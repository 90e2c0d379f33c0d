"""What was found of evaluation items, as a person sees it: a few lines for a terminal."""

from pipeline.manifest import Dataset


def lines(dataset: Dataset) -> list[str]:
    """A line for each set; none where no set was looked for."""
    found = []
    for row in dataset.manifest.report.get("contamination", []):
        line = (
            f"{row['set']} in {dataset.manifest.source}: {row['found']:,} of {row['items']:,} items found, in "
            f"{row['documents']:,} documents ({row['bytes'] / 1e6:,.1f} MB); {row['never_found']:,} never"
        )
        reasons = [f"{n:,} {reason.replace('_', ' ')}" for reason, n in row["not_looked_for"].items()]
        found.append(line + (f"; not looked for: {', '.join(reasons)}" if reasons else ""))
    return found
