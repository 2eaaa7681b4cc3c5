"""Pictures of the numbers of record tables, under the names that those published with Coast Train have.

Bars are counts by each row's own classes; where the published figure had another number, a line across tells it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill.dataset import Table
from maskmill.studies.coast.counts import WHOLE
from maskmill.studies.coast.drawing import BLUE, ORANGE, SUPERCLASS_COLOURS, bars, figure, save
from maskmill.studies.coast.geography import BINS, CELLS
from maskmill.studies.coast.records import SETTINGS, pixels, rows_of_sets, title
from maskmill.studies.coast.statistics import Statistics

SATELLITES = ("C", "D", "E", "F")
_COLOURS = {
    "C": "#d62728",
    "D": "#2ca02c",
    "E": "#1f77b4",
    "F": "#9467bd",
    "A": "#ff7f0e",
    "B": "#8c564b",
    "G": "#17becf",
    "H": "#bcbd22",
    "I": "#e377c2",
    "J": "#444444",
}
_OTHERS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#17becf", "#bcbd22", "#e377c2")
_KEY = "bars: images, by the classes of each row     orange: as published ("


def set_colours(records: Table) -> dict[str, str]:
    """A colour for each record set; those of Coast Train have the ones of the published maps."""
    names = rows_of_sets(records)
    return {name: _COLOURS.get(name, _OTHERS[i % len(_OTHERS)]) for i, name in enumerate(names)}


def _where(table: Table, **conditions: Any) -> Table:
    rows = np.ones(len(table), bool)
    for name, value in conditions.items():
        rows &= table[name] == value
    return table.take(rows)


def _panels(n: int, width: float, height: float) -> tuple[Any, list[Any]]:
    """Two columns of panels, as many as are needed."""
    rows = max(1, -(-n // 2))
    made, grid = figure(rows, min(2, max(n, 1)), (width, height * rows + 0.5))
    panels = list(grid.flat)
    for unused in panels[n:]:
        unused.set_visible(False)
    return made, panels


def classes(found: Statistics, path: Path) -> None:
    """Images with each class, by record set; sets with lists of several lengths have a panel for each."""
    table = found.tables["classes"]
    labels = list(dict.fromkeys(table["list"].tolist()))
    made, panels = _panels(len(labels), 13, 3.2)
    for panel, label in zip(panels, labels, strict=False):
        part = _where(table, list=label)
        name = part["record_set"][0] if len(part) else label
        if len(part):
            bars(panel, part["class"].tolist(), part["images"].tolist(), published=part["published"].tolist())
        _, dash, length = label.removeprefix(name).partition("-")
        panel.set_title(title(name) + (f", lists of {length}" if dash else ""), fontsize=10)
        panel.set(ylabel="Number of Labeled Images", xlabel="Class Label")
    made.suptitle(_KEY + "the list of the first row for all rows)", fontsize=10)
    save(made, path)


def superclasses(found: Statistics, path: Path) -> None:
    """Images with each superclass, by record set."""
    table = found.tables["superclasses"]
    names = [name for name in dict.fromkeys(table["record_set"].tolist()) if name != WHOLE]
    made, panels = _panels(len(names), 12, 2.9)
    for panel, name in zip(panels, names, strict=False):
        part = _where(table, record_set=name)
        groups = part["superclass"].tolist()
        bars(
            panel,
            groups,
            part["images"].tolist(),
            colour=[SUPERCLASS_COLOURS.get(group, BLUE) for group in groups],
            published=part["published"].tolist(),
        )
        panel.set_title(title(name), fontsize=10)
        panel.set(ylabel="Number of Labeled Images", xlabel="Super-class Label")
    made.suptitle(_KEY + "classes counted, by the list of the first row)", fontsize=10)
    save(made, path)


def superclasses_of_all(found: Statistics, path: Path) -> None:
    """All record sets: images with each superclass, occurrences of its classes, and what was published."""
    part = _where(found.tables["superclasses"], record_set=WHOLE)
    made, panels = figure(1, 1, (9.5, 4.6))
    panel = panels[0, 0]
    at = np.arange(len(part))
    kinds = (
        ("images", "images that have it", BLUE),
        ("occurrences", "classes of it that images have (two in one image count twice)", "#9dc3e0"),
        ("published", "as published: the same by the list of the first row", ORANGE),
    )
    for k, (name, label, colour) in enumerate(kinds):
        drawn = panel.bar(at + 0.28 * (k - 1), part[name], 0.27, color=colour, label=label)
        panel.bar_label(drawn, fontsize=7, padding=1)
    panel.set_xticks(at, part["superclass"])
    panel.set(xlabel="Super-class", ylabel="Number of images, or of classes in images")
    panel.set_ylim(0, 1.25 * max([1, *part["published"].tolist(), *part["occurrences"].tolist()]))
    panel.legend(frameon=False, fontsize=8, loc="upper right")
    panel.spines[["top", "right"]].set_visible(False)
    save(made, path)


def labelers_by_set(found: Statistics, path: Path) -> None:
    """Images of each labeler, by record set."""
    table = found.tables["labelers"]
    names = [name for name in dict.fromkeys(table["record_set"].tolist()) if name != WHOLE]
    made, panels = _panels(len(names), 10, 2.1)
    for panel, name in zip(panels, names, strict=False):
        part = _where(table, record_set=name)
        bars(panel, _ids(part), part["images"].tolist())
        panel.tick_params(axis="x", rotation=0)
        panel.set_title(title(name), fontsize=10)
        panel.set(xlabel="Labeler ID", ylabel="Labeled images")
    save(made, path)


def _ids(table: Table) -> list[str]:
    return [str(k) if k else "none" for k in table["labeler"].tolist()]


def labelers(found: Statistics, path: Path) -> None:
    """Images of each labeler."""
    _labelers(found, path, "images", "Number of images labeled")


def labelers_pixels(found: Statistics, path: Path) -> None:
    """Millions of pixels of each labeler."""
    _labelers(found, path, "megapixels", "Millions of pixels labeled")


def _labelers(found: Statistics, path: Path, column: str, label: str) -> None:
    part = _where(found.tables["labelers"], record_set=WHOLE)
    made, panels = figure(1, 1, (6, 4))
    bars(panels[0, 0], _ids(part), np.round(part[column].astype(float), 4).tolist())
    panels[0, 0].tick_params(axis="x", rotation=0)
    panels[0, 0].set(xlabel="Labeler ID", ylabel=label)
    save(made, path)


def doodled(found: Statistics, path: Path) -> None:
    """Percentage of pixels that were doodled over millions of pixels, a point for each record set."""
    table = found.tables["sets"]
    made, panels = figure(1, 1, (8, 5))
    panel = panels[0, 0]
    colours = set_colours(found.records)
    points = [row for row in table if row["megapixels"] > 0 and row["doodled_percent"] >= 0]
    if points:
        panel.set_xscale("log")
    panel.set(
        xlabel="Millions of pixels labeled",
        ylabel="Percentage of pixels annotated by a human",
        ylim=(0, 1.1 * max([10.0, *(row["doodled_percent"] for row in points)])),
    )
    panel.grid(alpha=0.3, which="both")
    for row in points:
        x, y, published = (row[n] for n in ("megapixels", "doodled_percent", "doodled_percent_published"))
        panel.scatter(x, y, s=45, color=colours[row["record_set"]], zorder=3)
        if row["without_density"]:
            panel.scatter(x, published, s=45, facecolor="none", edgecolor=ORANGE, zorder=4)
            label_point(panel, (x, published), f"published: {published:.4f}", (6, -12), color=ORANGE)
    panel.margins(x=0.16)
    taken: list[tuple[float, float]] = []
    for row in points:
        x, y = row["megapixels"], row["doodled_percent"]
        spot = panel.transData.transform((x, y))
        crowded = any(abs(spot[0] - u) < 110 and abs(spot[1] - v) < 14 for u, v in taken)
        taken.append(tuple(spot))
        label_point(panel, (x, y), row["title"], (6, -12) if crowded else (6, 5))
    save(made, path)


def label_point(
    panel: Any, at: tuple[float, float], text: str, offset: tuple[int, int], **options: Any
) -> None:
    panel.annotate(text, at, xytext=offset, textcoords="offset points", fontsize=8, **options)


def latitudes(found: Statistics, path: Path) -> None:
    """Images by latitude and by longitude: 19 bins from the least to the greatest."""
    made, panels = figure(1, 2, (11, 4.8))
    for k, (panel, name) in enumerate(zip(panels.flat, ("latitude", "longitude"), strict=True)):
        table = found.tables[name]
        middle, size = (table["low"] + table["high"]) / 2, table["high"] - table["low"]
        draw = panel.barh if k == 0 else panel.bar
        drawn = draw(middle, table["images"], size * 0.94, color=BLUE)
        panel.bar_label(drawn, labels=[str(n) if n else "" for n in table["images"]], fontsize=7, padding=2)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0, 0].set(xlabel="Number of images", ylabel="Latitude (degrees)", title="a) latitude", xmargin=0.1)
    panels[0, 1].set(
        ylabel="Number of images", xlabel="Longitude (degrees)", title="b) longitude", ymargin=0.1
    )
    made.suptitle(f"south-west corners of all images, {BINS} bins", fontsize=9)
    save(made, path)


# Maps


def _map(found: Statistics, path: Path, rows: NDArray[np.intp], heading: str) -> None:
    """Marks at the south-west corners, larger for more images at one place."""
    made, panels = figure(1, 1, (11, 5.6))
    panel = panels[0, 0]
    part = found.records.take(rows)
    colours = set_colours(found.records)
    for name, numbers in rows_of_sets(part).items():
        at = np.stack([part["LonMin"][numbers], part["LatMin"][numbers]], 1)
        spots, counts = np.unique(np.round(at[np.isfinite(at).all(1)], 2), axis=0, return_counts=True)
        panel.scatter(
            *spots.T,
            s=18 + 9 * counts,
            color=colours[name],
            alpha=0.55,
            edgecolor=colours[name],
            label=f"{title(name)} ({len(numbers)})",
        )
    _graticule(panel)
    panel.set_title(heading, fontsize=10)
    if len(part):
        shown = panel.legend(frameon=False, fontsize=8, bbox_to_anchor=(1, 1), loc="upper left")
        for handle in shown.legend_handles:
            handle.set_sizes([40])
    save(made, path)


def _graticule(panel: Any) -> None:
    panel.grid(color="#d5dde5")
    panel.set_axisbelow(True)
    panel.set_facecolor("#f4f7fa")
    south, north = panel.get_ylim()
    panel.set_aspect(1 / max(0.1, float(np.cos(np.radians((south + north) / 2)))))
    panel.set(xlabel="Longitude (degrees)", ylabel="Latitude (degrees)")


def _of(found: Statistics, satellite: bool) -> NDArray[np.intp]:
    return np.flatnonzero(np.isin(found.records["record_set"].astype(str), SATELLITES) == satellite)


def map_satellites(found: Statistics, path: Path) -> None:
    """Where the images of satellites are: record sets C to F."""
    _map(found, path, _of(found, True), "Satellite imagery; larger marks for more images within 0.01 degrees")


def map_orthomosaics(found: Statistics, path: Path) -> None:
    """Where the other images are."""
    _map(found, path, _of(found, False), "Orthomosaics; larger marks for more images within 0.01 degrees")


def heat_map(found: Statistics, path: Path) -> None:
    """Images in the cells of a grid of 40 x 40 over the whole extent."""
    table = found.tables["cells"]
    made, panels = figure(1, 1, (11, 5.2))
    panel = panels[0, 0]
    if len(table):
        from matplotlib.collections import PolyCollection
        from matplotlib.colors import LogNorm

        low, high = ([table[f"{axis}_{end}"] for axis in ("lon", "lat")] for end in ("low", "high"))
        corners = ((low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1]))
        squares = PolyCollection(
            list(np.stack([np.stack(corner, 1) for corner in corners], 1)),
            array=table["images"],
            cmap="YlOrRd",
            norm=LogNorm(1, max(2, int(table["images"].max()))),
            edgecolor="#999999",
            linewidth=0.3,
        )
        panel.add_collection(squares)
        panel.autoscale_view()
        made.colorbar(squares, ax=panel, label="Number of images in a cell", shrink=0.8)
    _graticule(panel)
    panel.set_title(
        f"All imagery, {CELLS} x {CELLS} cells where they are (the published map has counts at the upper corners)",
        fontsize=10,
    )
    save(made, path)


def hexagons(found: Statistics, path: Path) -> None:
    """Images in hexagons, 50 across."""
    lon, lat = found.records["LonMin"], found.records["LatMin"]
    known = np.isfinite(lon) & np.isfinite(lat)
    inside = known & (lon >= -125) & (lon <= -65) & (lat >= 25) & (lat <= 50)
    extent = (-125, -65, 25, 50) if inside.sum() == known.sum() else None  # else wherever the images are
    made, panels = figure(1, 1, (11, 5.2))
    panel = panels[0, 0]
    if known.any():
        options = {"extent": extent} if extent else {}
        drawn = panel.hexbin(
            lon[known], lat[known], gridsize=50, bins="log", mincnt=1, cmap="viridis", **options
        )
        made.colorbar(drawn, ax=panel, label="Number of Images", shrink=0.8)
    if extent:
        panel.set(xlim=extent[:2], ylim=extent[2:])
    _graticule(panel)
    save(made, path)


# What the published figures have not


def sizes(found: Statistics, path: Path) -> None:
    """Heights and widths of the images."""
    made, panels = figure(1, 1, (8, 5.6))
    panel = panels[0, 0]
    colours = set_colours(found.records)
    for name, rows in rows_of_sets(found.records).items():
        width, height = found.records["ImageWidthPx"][rows], found.records["ImageHeightPx"][rows]
        known = (width > 0) & (height > 0)
        width, height = width[known], height[known]
        panel.scatter(width, height, s=12, alpha=0.5, color=colours[name], linewidths=0, label=title(name))
    panel.set(xlabel="Width (pixels)", ylabel="Height (pixels)")
    if pixels(found.records).any():
        panel.set(xscale="log", yscale="log")
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")
    panel.grid(alpha=0.3, which="both")
    if len(found.records):
        panel.legend(frameon=False, fontsize=8, bbox_to_anchor=(1, 1), loc="upper left", markerscale=2)
    save(made, path)


def density(found: Statistics, path: Path) -> None:
    """Doodled percentage of the images of each record set: median, quartiles, and all within 1.5 of their distance."""
    made, panels = figure(1, 1, (9, 4.6))
    panel = panels[0, 0]
    groups = rows_of_sets(found.records)
    share = 100 * found.records["doodle_spatial_density"]
    values = [share[rows][np.isfinite(share[rows])] for rows in groups.values()]
    if values:
        panel.boxplot(values, widths=0.6, flierprops={"markersize": 2.5}, medianprops={"color": ORANGE})
    names = [f"{title(name)}\n({len(v)})" for name, v in zip(groups, values, strict=True)]
    panel.set_xticks(
        range(1, len(names) + 1), names, rotation=35, ha="right", rotation_mode="anchor", fontsize=8
    )
    panel.set(ylabel="Pixels annotated by a human (% of an image)", ylim=(0, None))
    panel.grid(alpha=0.3, axis="y")
    save(made, path)


def cooccurrence(found: Statistics, path: Path) -> None:
    """Of the images with one superclass, the percentage that have another one, too."""
    table = found.tables["superclass_pairs"]
    there = {*table["first"].tolist(), *table["second"].tolist()}
    names = [n for n in dict.fromkeys([*found.mapping.values(), *sorted(there)]) if n in there]
    values = np.zeros((len(names), len(names)))
    np.fill_diagonal(values, np.nan)
    for row in table:
        i, j = names.index(row["first"]), names.index(row["second"])
        values[i, j] = 100 * row["images"] / row["first_images"]
        values[j, i] = 100 * row["images"] / row["second_images"]
    made, panels = figure(1, 1, (7.4, 6))
    panel = panels[0, 0]
    if names:
        drawn = panel.imshow(values, cmap="Blues", vmin=0, vmax=100)
        for (i, j), value in np.ndenumerate(values):
            if np.isfinite(value):
                colour = "white" if value > 60 else "black"
                panel.text(j, i, f"{value:.0f}", ha="center", va="center", fontsize=8, color=colour)
        panel.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor")
        panel.set_yticks(range(len(names)), names)
        made.colorbar(drawn, ax=panel, label="Images that also have the column's (%)", shrink=0.85)
    panel.set(xlabel="... that also have", ylabel="Of the images with ...")
    save(made, path)


def settings(found: Statistics, path: Path) -> None:
    """Images by the settings that their rows tell."""
    made, panels = figure(2, 4, (13, 5.6))
    table = found.tables["settings"]
    for panel, name in zip(panels.flat, SETTINGS, strict=False):
        part = _where(table, setting=name)
        values = sorted({v for v in part["value"].tolist() if v == v})
        bottom = np.zeros(len(values))
        for record_set, colour in set_colours(found.records).items():
            mine = {row["value"]: row["images"] for row in _where(part, record_set=record_set)}
            heights = np.array([mine.get(v, 0) for v in values])
            if len(values):
                panel.bar(range(len(values)), heights, bottom=bottom, color=colour, label=title(record_set))
            bottom = bottom + heights
        panel.set_xticks(range(len(values)), [f"{v:g}" for v in values], fontsize=8)
        panel.set_title(name + _CAVEATS.get(name, ""), fontsize=9)
        panel.spines[["top", "right"]].set_visible(False)
    handles = panels.flat[0].get_legend_handles_labels()
    panels.flat[-1].axis("off")
    panels.flat[-1].legend(*handles, frameon=False, fontsize=8, loc="center")
    made.supylabel("Number of images")
    save(made, path)


_CAVEATS = {
    "num_of_scales": "\n(a default: not what was used)",
    "prob_of_unary_potential": "\n(1 or more: a number of trees)",
}

Draw = Callable[[Statistics, Path], None]
PICTURES: Mapping[str, Draw] = {
    "Num_images_per_datarecord_containing_class": classes,
    "Num_images_per_datarecord_containing_superclass": superclasses,
    "NumLabel_all_datarecords_per_superlabel": superclasses_of_all,
    "Label_per_datarecord_per_ID": labelers_by_set,
    "Label_all_datarecords_per_ID": labelers,
    "Label_all_million_pixels_datarecords_per_ID": labelers_pixels,
    "Million_pixels_vs_percentage_doodled": doodled,
    "All_imagery_by_lat_and_lon": latitudes,
    "Map_satellite_imagery": map_satellites,
    "Map_orthomosaic_imagery": map_orthomosaics,
    "Map_heatmap_imagery": heat_map,
    "Heatmap_all_imagery": hexagons,
    "Image_sizes": sizes,
    "Doodled_density": density,
    "Superclass_cooccurrence": cooccurrence,
    "Settings": settings,
}
"""What each picture is called: the published ones as they were."""
