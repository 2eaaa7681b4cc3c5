"""`maskmill core report`: a classified core as one HTML page, which needs no other file."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, written_whole
from maskmill.dataset import Table
from maskmill.densify.classmaps import ClassMap, read_class_map
from maskmill.densify.labels import checked_photo
from maskmill.densify.legend import Legend
from maskmill.densify.report import LEAK
from maskmill.io._parse import load_json
from maskmill.io.images import read_image
from maskmill.studies.core import pictures
from maskmill.studies.core.logs import WEIGHTS, logs, percentiles
from maskmill.studies.core.scale import Scale
from maskmill.studies.core.shapes import Shapes
from maskmill.studies.core.shapes import shapes as shapes_of
from maskmill.studies.core.tables import sorting, write_table

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 84rem; padding: 0 1rem }
body { color: #222; background: #fff }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
table { border-collapse: collapse } td, th { padding: .2rem 1rem .2rem 0; text-align: right }
td:first-child, th:first-child, .facts td { text-align: left } .facts td:first-child { color: #666 }
th { font-weight: 600 } td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere }
img { max-width: 100%; background: #fff } .swatch { display: inline-block; width: 1em; height: 1em; margin-right: .5em }
.swatch { border: 1px solid #888; vertical-align: -.12em } .leak { color: #c0392b; font-weight: 600 }
"""


def write_page(
    folder: str | os.PathLike[str],
    *,
    photo: str | os.PathLike[str] | None = None,
    legend: Any = None,
    scale: Scale | None = None,
    shapes: Mapping[str, Any] | None = None,
    bin_mm: float = 10.0,
    weights: str = "number",
) -> Path:
    """Write report.html into a folder of `classify`, and with a scale clasts.csv, logs.csv and sorting.csv.

    Parameters
    ----------
    folder : path
        With classes.png (or .tif, .h5), and what there is of report.json and scores.json.
    photo : path, optional
        By default what report.json says, if it is there.
    legend : whatever `Legend.of` takes, optional
        By default what lies beside the class map.
    scale : Scale, optional
        Without it there are no clasts and no depths.
    shapes : mapping, optional
        Keywords of `shapes`.
    bin_mm, weights : of `logs`

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    FormatError
        If the folder has no class map, or one of the files is not what it should be.
    """
    out = Path(folder)
    if weights not in WEIGHTS:
        raise ValueError(f"weights must be one of {', '.join(WEIGHTS)}, not {weights!r}")
    found = opened_map(out, legend)
    about = _mapping(out / "report.json")
    image = _photo(found, photo, about)
    clasts, log = None, None
    if scale is not None:
        clasts = shapes_of(found.values, scale, **{"legend": found.legend, **(shapes or {})})
        log = logs(found.values, clasts, bin_mm=bin_mm, weights=weights)
        write_table(clasts.table, out / "clasts.csv")
        write_table(log, out / "logs.csv")
        write_table(sorting(clasts.table), out / "sorting.csv")
    parts = [
        *_head(about, found, scale),
        "<h2>Classes</h2>",
        _picture(
            pictures.class_map(image, found.values, found.legend, scale, log, _painted(out, found)),
            "photo, labels and class map along depth",
        ),
        _classes(found, about, clasts, weights),
        *(_clasts(clasts) if clasts is not None else []),
        *_scores(_mapping(out / "scores.json")),
    ]
    page = out / "report.html"
    with written_whole(page) as file:
        file.write("\n".join(parts).encode("utf-8", "backslashreplace"))
    return page


def opened_map(folder: str | os.PathLike[str], legend: Any = None) -> ClassMap:
    """The class map of a folder of `classify`."""
    for kind in (".png", ".tif", ".h5"):
        path = Path(folder) / f"classes{kind}"
        if path.is_file():
            return read_class_map(path, legend=legend)
    raise FormatError(f"{folder}: expected a class map, classes.png, .tif or .h5, found none")


def _mapping(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    content = load_json(path)
    if not isinstance(content, dict):
        raise FormatError(f"{path}: expected an object, found {str(content)[:40]!r}")
    return content


def _photo(found: ClassMap, given: Any, about: Mapping[str, Any]) -> NDArray[np.uint8] | None:
    said = given or about.get("photo")
    if said is None or (given is None and not (isinstance(said, str) and Path(said).is_file())):
        return None
    image: NDArray[np.uint8] = checked_photo(read_image(said))
    if image.shape[:2] != found.values.shape:
        size = " x ".join(map(str, image.shape[:2]))
        raise ValueError(f"{said}: the photo must have the size of the map, {found.values.shape}, not {size}")
    return image


def _painted(folder: Path, found: ClassMap) -> NDArray[Any] | None:
    path = folder / "painted.png"
    values = read_class_map(path).values if path.is_file() else None
    return None if values is None or values.shape != found.values.shape else values


# Parts of the page


def _head(about: Mapping[str, Any], found: ClassMap, scale: Scale | None) -> list[str]:
    height, width = found.values.shape
    name = Path(str(about.get("photo") or "Core")).name
    facts = [("size", f"{height:,} x {width:,} pixels")]
    if scale is not None:
        facts.append(("scale", f"{scale.mm:.5f} mm per pixel"))
        facts.append(("depth", f"{float(scale.depth(0)):.3f} to {float(scale.depth(height)):.3f} m"))
    facts += [(key, _text(about[key])) for key in ("profile", "features", "crf", "model") if about.get(key)]
    facts += [(f"seconds to {key}", str(value)) for key, value in dict(about.get("seconds") or {}).items()]
    rows = "".join(f"<tr><td>{escape(key)}</td><td>{escape(value)}</td></tr>" for key, value in facts)
    return [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>{escape(name)}</title><style>{_STYLE}</style><h1>{escape(name)}</h1>",
        f"<table class=facts>{rows}</table>",
    ]


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _picture(figure: Any, text: str) -> str:
    coded = base64.b64encode(pictures.png(figure)).decode("ascii")
    return f"<p><img alt='{escape(text)}' src='data:image/png;base64,{coded}'>"


def _classes(found: ClassMap, about: Mapping[str, Any], clasts: Shapes | None, weights: str) -> str:
    head = ["class", "share", "painted (px)", "blobs"]
    if clasts is not None:
        head += ["mm²", "parts", "mean (mm)", *(f"D{p} (mm)" for p in (10, 50, 90))]
    told = dict(dict(about.get("training") or {}).get("classes") or {})
    rows = []
    for number in np.unique(found.values).tolist():
        pixels = int((found.values == number).sum())
        said = told.get(str(number)) or {}
        cells = [
            f"{pixels / found.values.size:.1%}",
            _number(said.get("painted")),
            _number(said.get("blobs")),
        ]
        if clasts is not None:
            mine = clasts.table.take(clasts.table["class"] == number)
            size = mine["equivalent_diameter"]
            of = percentiles(size, mine["area"], weights=weights)
            mean = float(size.mean()) if len(size) else np.nan
            cells += [
                f"{pixels * clasts.scale.mm**2:,.0f}",
                f"{len(mine):,}",
                *map(_number, (mean, *of.tolist())),
            ]
        rows.append([_named(found.legend, number), *cells])
    return _table(head, rows)


def _named(legend: Legend, number: int) -> str:
    red, green, blue = legend.colour(number) if number else pictures.NONE
    swatch = f"<span class=swatch style='background:rgb({red},{green},{blue})'></span>"
    return f"{swatch}{number} {escape(legend.name(number))}"


def _number(value: Any) -> str:
    if value is None or value != value:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"


def _clasts(clasts: Shapes) -> list[str]:
    table: Table = clasts.table
    cut = int((table["edges"] != 0).sum())
    told = (
        f"{len(table):,} connected parts, of which {cut:,} are cut by the edge of the picture (clasts.csv)."
    )
    return [
        "<h2>Clasts</h2>",
        f"<p>{told}",
        _picture(pictures.sizes(clasts), "sizes, sorting and dips of clasts"),
    ]


def _scores(found: Mapping[str, Any]) -> list[str]:
    rows = [row for row in found.get("scores") or [] if isinstance(row, Mapping)]
    if not rows:
        return []
    leaking = found.get("leaking")
    settings = dict(found.get("settings") or {})
    head = ["columns", "accuracy", "±", "macro F1", "all pixels", "with CRF", "random pixels (leaks)"]
    keys = ("accuracy", "accuracy_sd", "macro_f1", "all_pixels", "with_crf", "random_pixels")
    cells = []
    for row in rows:
        named = escape(f"{row.get('set')} ({row.get('columns')})")
        cells.append([named, *(_number(row.get(key)) for key in keys)])
    told = _text({key: settings[key] for key in ("blocks", "splits", "seed") if key in settings})
    parts = [
        "<h2>Scores</h2>",
        f"<p>On clasts that were held out from training ({escape(told)}).",
        _picture(pictures.scores(rows, leaking), "accuracy by columns"),
        _table(head, cells),
    ]
    if isinstance(leaking, Mapping):
        parts.append(
            f"<p class=leak>The original's own test, 5 % of the pixels at random, gives {leaking['accuracy']:.3f}: "
            f"it {LEAK}."
        )
    return [*parts, *_by_class(dict(found.get("reports") or {}).get("default"))]


def _by_class(report: Any) -> list[str]:
    """Precision and recall of the default, and what few clasts are worth."""
    if not isinstance(report, Mapping):
        return []
    head = ["class", "clasts", "tested", "precision", "recall", "F1"]
    rows = []
    for row in report.get("classes") or []:
        cells = (_number(row.get(key)) for key in ("blobs", "tested_blobs", "precision", "recall", "f1"))
        rows.append([escape(str(row.get("name"))), *cells])
    parts = [
        "<p>The default, by class; a clast is tested once for each split that it is held out from.",
        _table(head, rows),
    ]
    curve = report.get("learning_curve") or {}
    if curve:
        means = {n: float(np.mean([score["accuracy"] for score in scores])) for n, scores in curve.items()}
        told = ", ".join(f"{mean:.3f} with {n}" for n, mean in means.items())
        parts.append(f"<p>Accuracy by the most clasts of a class that are trained with: {escape(told)}.")
    return parts


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are HTML already, heads are not."""
    lines = ["<table><tr>", *(f"<th>{escape(name)}</th>" for name in head), "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows]
    return "".join([*lines, "</table>"])
