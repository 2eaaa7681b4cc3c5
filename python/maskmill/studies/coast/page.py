"""The numbers and pictures of record tables as one HTML page, which needs no other file and no network."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from maskmill._files import written_whole
from maskmill.dataset import Table
from maskmill.studies.coast.audit import Lint
from maskmill.studies.coast.figures import PICTURES, SATELLITES, set_colours
from maskmill.studies.coast.maps import svg_map
from maskmill.studies.coast.records import rows_of_sets, title
from maskmill.studies.coast.statistics import Statistics

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #222 }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.2rem; border-top: 1px solid #ccc; padding-top: 1rem }
table { border-collapse: collapse; font-size: 13px } th { text-align: left }
td, th { padding: .15rem .9rem .15rem 0; vertical-align: top } td.n, th.n { text-align: right }
td { font-variant-numeric: tabular-nums }
figure { margin: 1.2rem 0 } figure > img, svg { max-width: 100%; height: auto; background: #fff }
figcaption, .note { color: #555; font-size: 13px } pre { font-size: 12px; overflow-x: auto }
circle { cursor: pointer } #images { display: flex; flex-wrap: wrap; gap: .6rem; max-height: 48rem }
#images { overflow-y: auto }
#images figure { margin: 0; width: 150px } #images img { width: 150px }
#images figcaption { overflow-wrap: anywhere }
.key b { font-weight: 400; white-space: nowrap }
.key span { display: inline-block; width: .8em; height: .8em; border-radius: 50%; margin: 0 .3em 0 1em }
"""

_SCRIPT = """
document.querySelectorAll("circle").forEach(mark => mark.addEventListener("click", () => {
  const rows = new Set(mark.dataset.rows.split(" "));
  document.querySelectorAll("#images figure").forEach(f => f.hidden = !rows.has(f.dataset.row));
  const images = document.querySelector("#images");
  if (images) images.scrollIntoView();
}));
"""


def write_page(
    found: Statistics,
    pictures: Mapping[str, bytes],
    path: Path,
    *,
    checked: Lint | None = None,
    thumbnails: Sequence[tuple[str, str, bytes]] = (),
) -> None:
    """Write the page.

    Parameters
    ----------
    found : Statistics
    pictures : dict of str to bytes
        PNGs by their names, as of `PICTURES`.
    path : where to write
    checked : Lint, optional
        What the tables have wrong.
    thumbnails : sequence of (row key, caption, JPEG), optional
        Images to look at; a click on a mark of the maps leaves those of its place.
    """
    sums = found.tables["sets"]
    heading = "Record tables of coasts"
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>{heading}</title><style>{_STYLE}</style><h1>{heading}</h1>",
        f"<p>{len(found.records):,} images, {sums['megapixels'].sum():,.1f} megapixels. Every image is counted by the "
        "classes of its own row; what was published otherwise is told beside it.</p>",
        _table(sums.without("record_set")),
        "<h2>Maps</h2><p class=note>South-west corners of the images. Point at a mark to see which.</p>",
        *_maps(found),
        *_thumbnails(thumbnails),
        "<h2>Pictures</h2>",
        *(_picture(name, data) for name, data in pictures.items()),
        "<h2>Not as published</h2>",
        _table(found.published),
        "<h2>Images that are there twice, or look like it</h2>",
        *_duplicates(found.tables["duplicates"]),
        "<h2>Images of one place</h2><p class=note>Boxes that overlap by a tenth or more. Parts of a split should "
        "not share a place.</p>",
        _table(found.tables["places"]),
    ]
    if "leaks" in found.tables:
        parts += ["<h2>What parts of the split have in common</h2>", _table(found.tables["leaks"])]
    if checked is not None:
        parts += ["<h2>What the tables have wrong</h2>", f"<pre>{escape(checked.summary())}</pre>"]
    if thumbnails:
        parts.append(f"<script>{_SCRIPT}</script>")
    with written_whole(path) as file:
        file.write("\n".join([*parts, "</html>\n"]).encode())


def _maps(found: Statistics) -> list[str]:
    colours = set_colours(found.records)
    key = "".join(
        f'<b><span style="background:{colour}"></span>{escape(title(name))}</b>\n'
        for name, colour in colours.items()
    )
    parts = [f"<p class=key>{key}</p>"]
    groups = rows_of_sets(found.records)
    for heading, wanted in (("Satellite imagery", True), ("Orthomosaics", False)):
        rows = [i for name, part in groups.items() if (name in SATELLITES) == wanted for i in part.tolist()]
        if rows:
            parts.append(f"<figure>{svg_map(found.records.take(rows), colours, heading=heading)}</figure>")
    return parts


def _picture(name: str, data: bytes) -> str:
    caption = (PICTURES[name].__doc__ or "").strip()
    return (
        f"<figure><img alt='{escape(name)}' src='data:image/png;base64,{base64.b64encode(data).decode()}'>"
        f"<figcaption><b>{escape(name)}</b>: {escape(caption)}</figcaption></figure>"
    )


def _thumbnails(thumbnails: Sequence[tuple[str, str, bytes]]) -> list[str]:
    if not thumbnails:
        return []
    figures = [
        f"<figure data-row='{escape(key)}'><img alt='' loading=lazy "
        f"src='data:image/jpeg;base64,{base64.b64encode(data).decode()}'><figcaption>{escape(caption)}</figcaption></figure>"
        for key, caption, data in thumbnails
    ]
    return [
        "<h2>Images</h2><p class=note>A click on a mark of the maps leaves the images of its place.</p>",
        "<div id=images>",
        *figures,
        "</div>",
    ]


def _duplicates(table: Table) -> list[str]:
    kinds = table["kind"].tolist()
    says = {
        "labelers": "images of a record set by several labelers",
        "sets": "images in several record sets",
        "name": "results with several rows",
        "doodles": "different images with the same doodled share to all digits",
    }
    counted = "; ".join(f"{kinds.count(kind)} {text}" for kind, text in says.items() if kind in kinds)
    others = table.take([i for i, kind in enumerate(kinds) if kind != "labelers"])
    return [f"<p>{counted or 'none'}</p>", _table(others) if len(others) else ""]


def _table(table: Table) -> str:
    def cell(name: str, value: Any) -> str:
        if name.endswith("year"):
            return f"<td class=n>{'' if value != value else f'{value:g}'}</td>"
        if isinstance(value, float):
            return f"<td class=n>{'' if value != value else f'{value:,.4f}'.rstrip('0').rstrip('.')}</td>"
        if isinstance(value, int):
            return f"<td class=n>{value:,}</td>"
        return f"<td>{escape(str(value))}</td>"

    head = "".join(
        f"<th{' class=n' if table[name].dtype.kind in 'iuf' else ''}>{escape(name.replace('_', ' '))}</th>"
        for name in table.names
    )
    rows = "".join(f"<tr>{''.join(cell(*item) for item in row.items())}</tr>\n" for row in table)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{rows}</tbody></table>"
