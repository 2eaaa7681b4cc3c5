"""The clusters as one HTML page with pictures, which needs no other file."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import written_whole
from maskmill.dedupe.search import Duplicates

THUMBNAIL = 160

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem }
body { color: #222; background: #fff }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
table { border-collapse: collapse } td, th { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top }
th { font-weight: 600 } td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere }
.facts td:first-child { color: #666; white-space: nowrap } .sweep td, .sweep th { text-align: right; min-width: 4rem }
section { border-top: 1px solid #ccc; padding: .8rem 0; display: flex; flex-wrap: wrap; gap: .8rem }
figure { margin: 0; width: 160px } figure img { max-width: 160px; max-height: 160px; display: block }
figure .none { width: 160px; height: 100px; background: #eee }
figcaption { font-size: 12px; overflow-wrap: anywhere; color: #444 }
.kept img { outline: 3px solid #2a7 } .kept figcaption { font-weight: 600 }
.more { align-self: center; color: #666 }
@media (prefers-color-scheme: dark) {
  body { background: #181818; color: #ddd } section { border-color: #444 }
  figcaption, .facts td:first-child { color: #bbb }
}
"""


def write_report(
    found: Duplicates,
    path: str | Path,
    picture: Callable[[str], NDArray[Any] | None],
    *,
    failed: Sequence[tuple[str, str]] = (),
    sweep: Sequence[tuple[int, int]] = (),
    title: str = "Near-duplicates",
    most_clusters: int = 100,
    most_members: int = 11,
) -> None:
    """Write the clusters as a page: each exemplar with those that it dropped, nearest first; greatest clusters first.

    Parameters
    ----------
    found : Duplicates
    path : file to write
    picture : called with an identifier; its picture (H, W) or (H, W, 3) uint8, or None
    failed : (identifier, reason) of what could not be read
    sweep : (radius, kept), as of `sweep`
    most_clusters, most_members : int
        More are counted, not shown: a page of a million pictures would open in no browser.
    """
    clusters = found.clusters()
    n, kept = len(found.items), len(found.kept)
    facts = [
        ("items", n),
        ("kept", kept),
        ("dropped", n - kept),
        ("clusters", len(clusters)),
        ("flat pictures", 0 if found.items.flat is None else int(found.items.flat.sum())),
        ("failed", len(failed)),
        *found.settings.items(),
    ]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>{escape(title)}</title><style>{_STYLE}</style><h1>{escape(title)}</h1>",
        _table("facts", (), facts),
    ]
    if sweep:
        parts += ["<h2>Kept by radius</h2>", _table("sweep", ("radius", "kept"), sweep)]
    parts.append(f"<h2>Clusters</h2><p>{_shown(len(clusters), most_clusters)} Framed: kept.</p>")
    for exemplar, members in clusters[:most_clusters]:
        figures = [_figure(found.name(exemplar), f"keeps {len(members) + 1}", picture, "kept")]
        for item in members[:most_members].tolist():
            figures.append(_figure(found.items.ids[item], f"{found.distance[item]} bits", picture, ""))
        if len(members) > most_members:
            figures.append(f"<p class=more>and {len(members) - most_members} more</p>")
        parts.append(f"<section>{''.join(figures)}</section>")
    if failed:
        parts += ["<h2>Could not be read</h2>", _table("failed", ("file", "reason"), failed[:1000])]
    with written_whole(Path(path)) as file:
        file.write("\n".join(parts).encode("utf-8", "backslashreplace"))


def _shown(clusters: int, most: int) -> str:
    if clusters == 0:
        return "There are none."
    return f"The greatest {most} of {clusters}." if clusters > most else f"All {clusters}."


def _table(kind: str, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [f"<table class={kind}>"]
    if head:
        lines.append("<tr>" + "".join(f"<th>{escape(name)}</th>" for name in head) + "</tr>")
    for row in rows:
        cells = (
            f"<td>{escape(f'{value:,}' if isinstance(value, int) else str(value))}</td>" for value in row
        )
        lines.append("<tr>" + "".join(cells) + "</tr>")
    return "".join([*lines, "</table>"])


def _figure(name: str, note: str, picture: Callable[[str], NDArray[Any] | None], kind: str) -> str:
    image = picture(name)
    shown = "<div class=none></div>" if image is None else f"<img alt='' src='{_data_uri(image)}'>"
    return f"<figure class='{kind}'>{shown}<figcaption>{escape(name)}<br>{escape(note)}</figcaption></figure>"


def _data_uri(image: NDArray[Any]) -> str:
    """A thumbnail within the page."""
    import cv2

    small = np.ascontiguousarray(image[..., :3] if image.ndim == 3 else image)
    if small.dtype != np.uint8:
        low, high = float(small.min()), float(small.max())
        small = ((small - low) * (255 / max(high - low, 1e-12))).astype(np.uint8)
    scale = THUMBNAIL / max(small.shape[:2])
    if scale < 1:
        size = (max(1, round(small.shape[1] * scale)), max(1, round(small.shape[0] * scale)))
        small = cv2.resize(small, size, interpolation=cv2.INTER_AREA)
    if small.ndim == 3:
        small = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
    _, coded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])
    return "data:image/jpeg;base64," + base64.b64encode(coded.tobytes()).decode("ascii")
