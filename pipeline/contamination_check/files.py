"""What a check leaves on disk: tables as Parquet, the report as JSON."""

import io
import json
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.contamination_check.check import Findings

REPORT = "report.json"


def check_free(folder: str) -> None:
    """`ValueError` where another check has left its report."""
    if storage.exists(storage.join(folder, REPORT)):
        raise ValueError(f"{folder} holds the {REPORT} of another check; give another folder, or delete it")


def write(folder: str, found: Findings, positions: pa.Table | None) -> None:
    """Write `matches.parquet`, `items.parquet`, `passages.parquet`, perhaps `positions.parquet`, and last the report
    (`schemas/contamination.json` tells the columns)."""
    tables = {"matches": found.matches} | ({} if positions is None else {"positions": positions})
    for name in ("items", "passages"):
        tables[name] = pa.concat_tables([getattr(source, name) for source in found.sources])
    for name, table in tables.items():
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        storage.write(storage.join(folder, f"{name}.parquet"), buffer.getbuffer())
    storage.write(storage.join(folder, REPORT), (json.dumps(report(found), indent=1) + "\n").encode())


def report(found: Findings) -> dict[str, Any]:
    """What was looked at and found, by source, split and set, as plain JSON values."""
    return {
        "mix": found.plan.name,
        "plan": found.plan.identity,
        "sets": list(found.sets),
        "contaminated_documents": found.n_contaminated,
        "sources": {
            source.name: {
                "ranges": [source.n_ranges, source.of_ranges],
                "looked_at": {split: asdict(amount) for split, amount in source.looked_at.items()},
                "contamination": dict(source.report),
            }
            for source in found.sources
        },
    }
