"""Counts of images by class, superclass, labeler and setting: by each row's own classes, and as they were published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill.dataset import Table, objects
from maskmill.studies.coast.comparison import mean_of_known, share
from maskmill.studies.coast.records import SETTINGS, pixels, present, rows_of_sets, title
from maskmill.studies.coast.rules import sides
from maskmill.studies.coast.superclasses import ALL

NO_SUPERCLASS = "(none)"
WHOLE = "all"
"""What stands for a record set in rows that are about all of them."""


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Table:
    """A table of rows, also of none."""

    def column(name: str) -> ArrayLike:
        values = [row[name] for row in rows]
        return objects(values) if not values or isinstance(values[0], str) else np.array(values)

    return Table({name: column(name) for name in columns}, len(rows))


def quartiles(values: NDArray[np.float64], name: str) -> dict[str, float]:
    """Minimum, quartiles and maximum of what is not NaN."""
    known = values[np.isfinite(values)]
    found = np.percentile(known, [0, 25, 50, 75, 100]) if len(known) else np.full(5, np.nan)
    return dict(
        zip((f"{name}_{q}" for q in ("min", "q25", "median", "q75", "max")), found.tolist(), strict=True)
    )


# Classes


def lists(records: Table) -> list[tuple[str, str, NDArray[np.intp]]]:
    """Rows whose lists of classes are of one length: record set, what to call them, row numbers.

    These are the groups of the published figure: a record set, but I, with lists of 8 and of 11, in two parts.
    """
    groups = []
    for name, rows in rows_of_sets(records).items():
        lengths = np.array([len(names) for names in records["classes_array"][rows]])
        kinds = list(dict.fromkeys(lengths.tolist()))
        for n in kinds:
            label = name if len(kinds) == 1 else f"{name}-{n}"
            groups.append((name, label, rows[lengths == n]))
    return groups


def classes(records: Table) -> Table:
    """How many images have each class.

    Returns
    -------
    Table
        ``record_set``, ``list`` (of `lists`), ``class``, ``images`` (by each row's own list) and ``published``: by the
        list of the group's first row for all of its rows, NaN for classes that this has not.
    """
    found = present(records)
    rows = []
    for name, label, numbers in lists(records):
        first = records["classes_array"][numbers[0]]
        own: dict[str, int] = {}
        for i in numbers:
            for known in records["classes_array"][i]:
                own.setdefault(known, 0)
            for known in dict.fromkeys(found[i]):
                own[known] += 1
        index = np.array([k for i in numbers for k in set(records["classes_present_integer"][i])], np.int64)
        published = np.bincount(index[index < len(first)], minlength=len(first))
        for known, images in own.items():
            as_first = float(published[first.index(known)]) if known in first else np.nan
            rows.append(
                {
                    "record_set": name,
                    "list": label,
                    "class": known,
                    "images": images,
                    "published": as_first,
                }
            )
    return table(rows, ("record_set", "list", "class", "images", "published"))


_NONE = (0, 0, 0)


def superclasses(records: Table, mapping: Mapping[str, str] = ALL) -> Table:
    """How many images have each superclass, by record set and of all.

    Returns
    -------
    Table
        ``record_set`` (or "all"), ``superclass``, ``images`` (that have it), ``occurrences`` (of its classes: two of
        them in one image count twice) and ``published`` (occurrences by the list of the first row).
    """
    order = list(dict.fromkeys(mapping.values()))
    by_set: dict[str, dict[str, list[int]]] = {}
    for name, _, numbers in lists(records):
        sums = by_set.setdefault(name, {})
        first = records["classes_array"][numbers[0]]
        for names, indices in zip(
            (present(records.take(numbers))), records["classes_present_integer"][numbers], strict=True
        ):
            own = [mapping.get(known, NO_SUPERCLASS) for known in names]
            as_first = [mapping.get(first[i], NO_SUPERCLASS) for i in indices if i < len(first)]
            for k, found in enumerate((set(own), own, as_first)):
                for group in found:
                    sums.setdefault(group, [0, 0, 0])[k] += 1
    groups = order + [NO_SUPERCLASS] * any(NO_SUPERCLASS in sums for sums in by_set.values())
    by_set[WHOLE] = {
        group: [sum(sums.get(group, _NONE)[k] for sums in by_set.values()) for k in range(3)]
        for group in groups
    }
    columns = ("images", "occurrences", "published")
    rows = [
        {"record_set": name, "superclass": group} | dict(zip(columns, sums.get(group, _NONE), strict=True))
        for name, sums in by_set.items()
        for group in groups
    ]
    return table(rows, ("record_set", "superclass", *columns))


def cooccurrence(records: Table, mapping: Mapping[str, str] | None = None) -> Table:
    """How many images have two classes (superclasses, with a mapping) at once.

    Returns
    -------
    Table
        Of pairs that some image has: ``first``, ``second``, ``images`` with both, ``first_images``,
        ``second_images``, ``iou`` (of the sets of images) and ``lift`` (how many times as often as by chance).
    """
    rows = [
        sorted({name if mapping is None else mapping.get(name, NO_SUPERCLASS) for name in names})
        for names in present(records)
    ]
    each = Counter(name for row in rows for name in row)
    both = Counter(pair for row in rows for pair in combinations(row, 2))
    made = []
    for (first, second), n in sorted(both.items()):
        a, b = each[first], each[second]
        made.append(
            {
                "first": first,
                "second": second,
                "images": n,
                "first_images": a,
                "second_images": b,
                "iou": n / (a + b - n),
                "lift": n * len(rows) / (a * b),
            }
        )
    return table(made, ("first", "second", "images", "first_images", "second_images", "iou", "lift"))


# Labelers, sets, settings


def labelers(records: Table) -> Table:
    """Images and millions of pixels by labeler, of each record set and of all; 0 is a name that does not tell."""
    numbers = np.unique(records["labeler"]).tolist()
    area = pixels(records) / 1e6
    parts = {**rows_of_sets(records), WHOLE: np.arange(len(records))}
    rows = [
        {
            "record_set": name,
            "labeler": k,
            "images": int((records["labeler"][part] == k).sum()),
            "megapixels": float(area[part][records["labeler"][part] == k].sum()),
        }
        for name, part in parts.items()
        for k in numbers
    ]
    return table(rows, ("record_set", "labeler", "images", "megapixels"))


def sets(records: Table) -> Table:
    """What each record set has.

    Returns
    -------
    Table
        ``record_set``, ``title``, ``images`` (rows), ``pictures`` (distinct ones), ``class_lists``, ``classes`` (of the
        longest list), ``megapixels``, ``doodled_percent`` (of the pixels of images with a density),
        ``doodled_percent_published`` (an image without counts as not doodled at all), ``without_density``,
        ``first_year``, ``last_year``, ``pixel_ratio`` (median of the pixel's width by the extent over px_size_m).
    """
    rows = []
    for name, numbers in rows_of_sets(records).items():
        part = records.take(numbers)
        area, density = pixels(part), part["doodle_spatial_density"]
        known = np.isfinite(density)
        doodled = 100 * np.nansum(area * density)
        width, _ = sides(part)
        ratio = share(width, part["px_size_m"])
        years = part["year"][np.isfinite(part["year"])]
        rows.append(
            {
                "record_set": name,
                "title": title(name),
                "images": len(part),
                "pictures": len(set(part["image"].tolist())),
                "class_lists": len(set(part["classes_array"].tolist())),
                "classes": max(map(len, part["classes_array"])),
                "megapixels": float(area.sum() / 1e6),
                "doodled_percent": float(share(doodled, area[known].sum())),
                "doodled_percent_published": float(share(doodled, area.sum())),
                "without_density": int((~known).sum()),
                "first_year": float(years.min()) if len(years) else np.nan,
                "last_year": float(years.max()) if len(years) else np.nan,
                "pixel_ratio": float(np.nanmedian(ratio)) if np.isfinite(ratio).any() else np.nan,
            }
        )
    names = (
        *(
            "record_set",
            "title",
            "images",
            "pictures",
            "class_lists",
            "classes",
            "megapixels",
            "doodled_percent",
        ),
        *("doodled_percent_published", "without_density", "first_year", "last_year", "pixel_ratio"),
    )
    return table(rows, names)


def sizes(records: Table) -> Table:
    """Heights, widths and pixels of the images of each record set, and how many sizes there are."""
    rows = []
    for name, numbers in rows_of_sets(records).items():
        part = records.take(numbers)
        height, width = part["ImageHeightPx"], part["ImageWidthPx"]
        distinct = len({*zip(height.tolist(), width.tolist(), strict=True)})
        rows.append(
            {"record_set": name, "sizes": distinct}
            | quartiles(height, "height")
            | quartiles(width, "width")
            | quartiles(height * width / 1e6, "megapixels")
        )
    names = [f"{what}_{q}" for what in ("height", "width", "megapixels") for q in _QUARTILES]
    return table(rows, ("record_set", "sizes", *names))


_QUARTILES = ("min", "q25", "median", "q75", "max")


def density(records: Table) -> Table:
    """Doodled percent of the images of each record set."""
    rows = [
        {
            "record_set": name,
            **quartiles(100 * records["doodle_spatial_density"][part], "percent"),
            "percent_mean": float(mean_of_known(100 * records["doodle_spatial_density"][part])),
        }
        for name, part in rows_of_sets(records).items()
    ]
    return table(rows, ("record_set", *(f"percent_{q}" for q in _QUARTILES), "percent_mean"))


def settings(records: Table) -> Table:
    """How many images of each record set were made with which settings of Doodler."""
    rows = [
        {"record_set": name, "setting": setting, "value": value, "images": n}
        for name, part in rows_of_sets(records).items()
        for setting in SETTINGS
        for value, n in zip(
            *(found.tolist() for found in np.unique(records[setting][part], return_counts=True)), strict=True
        )
    ]
    return table(rows, ("record_set", "setting", "value", "images"))
