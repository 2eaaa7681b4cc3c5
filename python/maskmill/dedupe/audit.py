"""The audit: one row per item, with who dropped it and how far it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from maskmill.dedupe.search import Duplicates
from maskmill.dedupe.table import write_columns

COLUMNS = ("id", "kept", "rank", "exemplar", "distance", "reason", "flat", "quality", "code", "profile")


def audit_rows(found: Duplicates) -> list[tuple[Any, ...]]:
    """The columns of COLUMNS for every item, as they were processed."""
    items = found.items
    rows = []
    for rank, item in enumerate(found.order.tolist()):
        by = int(found.exemplar[item])
        kept = by == item
        rows.append(
            (
                items.ids[item],
                kept,
                rank,
                found.name(by),
                int(found.distance[item]),
                found.reason(item),
                None if items.flat is None else bool(items.flat[item]),
                None if items.quality is None else float(items.quality[item]),
                "".join(f"{word:016x}" for word in items.codes[item].tolist()),
                items.profile,
            )
        )
    return rows


def write_audit(found: Duplicates, path: str | Path) -> None:
    """Write who was kept and who was dropped, by whom and how far: `.parquet` (needs pyarrow) or `.csv`.

    Columns: id, kept, rank (place in the order of processing), exemplar (the id of who dropped it; its own if kept),
    distance in bits, reason ("duplicate"; "flat" where flat pictures are one bunch; nothing if kept), flat, quality,
    code (hexadecimal, whole words), profile.
    """
    write_columns(Path(path), COLUMNS, audit_rows(found))
