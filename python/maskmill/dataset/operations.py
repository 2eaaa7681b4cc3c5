"""What makes data sets of data sets: select, merge, remap classes, clip, sample."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill._device import on_host
from maskmill.dataset.dataset import Dataset
from maskmill.dataset.shapes import CIRCLE, ELLIPSE, POLYGON, RECTANGLE, Shapes
from maskmill.dataset.table import Table, objects

if TYPE_CHECKING:
    from maskmill.dataset.checks import Problem

__all__ = ["clip", "drop", "merge", "remap", "sample", "select"]


def select(
    dataset: Dataset,
    images: Iterable[str] | ArrayLike | None,
    categories: Iterable[str] | None,
    where: Callable[[Table], ArrayLike] | None,
    min_area: float | None,
    max_area: float | None,
    crowd: bool | None,
    drop_empty: bool,
) -> Dataset:
    """See `Dataset.select`."""
    keep = np.ones(len(dataset.instances), bool)
    if categories is not None:
        keep &= _of_categories(dataset, categories)
    if where is not None:
        said = on_host(where(dataset.instances), "what `where` gives")
        if said.dtype != bool or said.shape != keep.shape:
            raise ValueError(f"where must give {len(keep)} booleans, not {said.dtype} of shape {said.shape}")
        keep &= said
    if min_area is not None or max_area is not None:
        area = dataset.areas
        keep &= (area >= (min_area or 0)) & (area <= (np.inf if max_area is None else max_area))
    if crowd is not None:
        keep &= dataset.instances["iscrowd"] == crowd
    rows = None if images is None else _of_images(dataset, images)
    made = dataset.take(rows, keep)
    if categories is not None:
        made = _without_categories(made, _of_categories(made, categories, of_instances=False))
    if drop_empty:
        made = made.take(np.unique(made.instances["image"]))
    return made


def _of_categories(dataset: Dataset, names: Iterable[str], *, of_instances: bool = True) -> NDArray[np.bool_]:
    asked = [names] if isinstance(names, str) else list(names)
    known = dataset.categories["name"].tolist()
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise ValueError(f"categories must be of {', '.join(known)}, not {', '.join(map(str, unknown))}")
    wanted = np.isin(dataset.categories["name"].astype(str), np.asarray(asked, str))
    return np.append(wanted, False)[dataset.instances["category"]] if of_instances else wanted


def _without_categories(dataset: Dataset, keep: NDArray[np.bool_]) -> Dataset:
    """Categories that no instance has any more, taken away."""
    new = np.append(np.where(keep, np.cumsum(keep) - 1, -1), -1)
    instances = dataset.instances.with_columns(category=new[dataset.instances["category"]])
    return dataset.replace(categories=dataset.categories.take(keep), instances=instances)._with_masks(
        dataset, np.arange(len(instances))
    )


def _of_images(dataset: Dataset, images: Iterable[str] | ArrayLike) -> NDArray[Any]:
    if isinstance(images, str):
        images = [images]
    asked: Any = images if isinstance(images, np.ndarray) else list(images)  # type: ignore[arg-type]
    if len(asked) == 0 or not isinstance(asked[0], str):
        return on_host(asked, "images")
    names = dataset.images["file_name"].tolist()
    rows: list[int] = []
    for pattern in asked:
        found = [i for i, name in enumerate(names) if name == pattern or fnmatchcase(name, pattern)]
        if not found:
            raise ValueError(f"images must be file names or patterns of them: none is {pattern!r}")
        rows += found
    return np.asarray(list(dict.fromkeys(rows)), np.int64)


def drop(dataset: Dataset, problems: Iterable[Problem]) -> Dataset:
    """See `Dataset.drop`."""
    instances, images = np.ones(len(dataset.instances), bool), np.ones(len(dataset), bool)
    rules = set()
    for problem in problems:
        rules.add(problem.rule)
        if problem.row is not None:
            instances[problem.row] = False
        elif problem.image_row is not None:
            images[problem.image_row] = False
    before = len(dataset), len(dataset.instances)
    made = dataset.take(images, instances)
    lost = before[0] - len(made), before[1] - len(made.instances)
    return made.note(step="drop", rules=sorted(rules), images=lost[0], instances=lost[1])


# Merging


def merge(parts: Sequence[Dataset], same_images: str) -> Dataset:
    """See `Dataset.merge`."""
    if same_images not in ("join", "keep", "error"):
        raise ValueError(f"same_images must be 'join', 'keep' or 'error', not {same_images!r}")
    categories, category_rows = _merged_categories(parts)
    images, image_rows = _merged_images(parts, same_images)
    tables = []
    for part, of_image, of_category in zip(parts, image_rows, category_rows, strict=True):
        table = part.instances
        tables.append(
            table.with_columns(
                image=of_image[table["image"]], category=np.append(of_category, -1)[table["category"]]
            )
        )
    instances = _unique_ids(_stacked(tables))
    info: dict[str, Any] = {}
    for part in parts:
        info = {**part.info, **info}
    made = Dataset(
        images,
        categories,
        instances,
        Shapes.concatenate([part.shapes for part in parts]),
        info=info,
        provenance=[step for part in parts for step in part.provenance],
    )
    return made.note(step="merge", data_sets=len(parts))


def _merged_categories(parts: Sequence[Dataset]) -> tuple[Table, list[NDArray[np.int64]]]:
    """One category per name, and each part's rows among them."""
    row_of: dict[str, int] = {}
    kept: list[Table] = []
    rows: list[NDArray[np.int64]] = []
    for part in parts:
        names = part.categories["name"].tolist()
        new = [i for i, name in enumerate(names) if name not in row_of and names.index(name) == i]
        for i in new:
            row_of[names[i]] = len(row_of)
        kept.append(part.categories.take(new))
        rows.append(np.array([row_of[name] for name in names], np.int64))
    return _unique_ids(_stacked(kept)), rows


def _merged_images(parts: Sequence[Dataset], same: str) -> tuple[Table, list[NDArray[np.int64]]]:
    row_of: dict[Any, int] = {}
    tables, rows = [], []
    n = 0
    for k, part in enumerate(parts):
        images = part.images
        new, mine = [], np.empty(len(images), np.int64)
        for i, (name, h, w) in enumerate(
            zip(images["file_name"], images["height"].tolist(), images["width"].tolist(), strict=True)
        ):
            key = (name, h, w) if name and same != "keep" else (k, i)
            if key in row_of and same == "error":
                raise ValueError(f"image {name!r} of {h} x {w} pixels is in more than one data set")
            if key not in row_of:
                row_of[key] = n
                new.append(i)
                n += 1
            mine[i] = row_of[key]
        tables.append(images.take(new))
        rows.append(mine)
    return _unique_ids(_stacked(tables)), rows


def _stacked(tables: Sequence[Table]) -> Table:
    """The rows of all tables; a column that one lacks is None (or NaN) there."""
    names = list(dict.fromkeys(name for table in tables for name in table.names))
    columns = {}
    for name in names:
        made = []
        for table in tables:
            if name in table:
                made.append(table[name])
            else:
                made.append(objects([None] * len(table)))
        columns[name] = np.concatenate(made)
    return Table(columns, sum(map(len, tables)))


def _unique_ids(table: Table) -> Table:
    """Ids as they are where all differ, else counted anew from 1."""
    ids = table["id"]
    return table if len(np.unique(ids)) == len(ids) else table.with_columns(id=np.arange(1, len(ids) + 1))


# Classes


def remap(dataset: Dataset, classes: Mapping[str, str | None], others: str) -> Dataset:
    """See `Dataset.remap`."""
    if others not in ("keep", "drop", "error"):
        raise ValueError(f"others must be 'keep', 'drop' or 'error', not {others!r}")
    names = dataset.categories["name"].tolist()
    unknown = [name for name in classes if name not in names]
    if unknown:
        raise ValueError(f"classes must be of {', '.join(names)}, not {', '.join(unknown)}")
    left = [name for name in names if name not in classes]
    if left and others == "error":
        raise ValueError(f"classes says nothing of {', '.join(left)}")
    target = [classes.get(name, name if others == "keep" else None) for name in names]
    kept = list(dict.fromkeys(name for name in target if name is not None))
    # A category that keeps its name keeps its other columns too.
    source = [names.index(name) if name in names else target.index(name) for name in kept]
    categories = _unique_ids(dataset.categories.take(source).with_columns(name=objects(kept)))
    new = np.array([-2 if name is None else kept.index(name) for name in target] + [-1], np.int64)
    category = new[dataset.instances["category"]]
    made = dataset.take(instances=category != -2)
    instances = made.instances.with_columns(category=category[category != -2])
    return made.replace(categories=categories, instances=instances).note(step="remap", classes=dict(classes))


# Borders


def clip(dataset: Dataset) -> Dataset:
    """See `Dataset.clip`."""
    sizes = dataset.sizes.astype(float)
    known = (sizes > 0).all(1)
    box = dataset.instances["bbox"]
    low = np.clip(box[:, :2], 0, sizes[:, ::-1])
    high = np.clip(box[:, :2] + box[:, 2:], 0, sizes[:, ::-1])
    outside = known & ((low != box[:, :2]) | (high != box[:, :2] + box[:, 2:])).any(1)
    drawn = np.isin(dataset.shapes.kind, (POLYGON, RECTANGLE, CIRCLE, ELLIPSE))
    beyond = ~np.isnan(bounds := dataset.shapes.bounds()).any(1) & (
        (bounds[:, :2] < 0) | (bounds[:, :2] + bounds[:, 2:] > sizes[:, ::-1])
    ).any(1)
    rows = np.flatnonzero(known & drawn & beyond)
    bbox = np.where(outside[:, None], np.concatenate([low, high - low], 1), box)
    area = dataset.instances["area"].copy()
    area[rows] = dataset.masks[rows].area if len(rows) else 0
    made = dataset.replace(
        shapes=dataset.shapes.with_masks(rows, dataset.masks[rows]) if len(rows) else dataset.shapes,
        instances=dataset.instances.with_columns(bbox=bbox, area=area),
    )
    return made._with_masks(dataset, np.arange(len(made.instances))).note(step="clip", instances=len(rows))


# Sampling


def sample(dataset: Dataset, n: int | float, seed: int, by: str) -> Dataset:
    """See `Dataset.sample`."""
    total = len(dataset)
    k = round(n * total) if isinstance(n, float) and n <= 1 else int(n)
    if not 0 <= k <= total:
        raise ValueError(f"n must be from 0 to {total} images, not {n}")
    rng = np.random.default_rng(seed)
    order = rng.permutation(total)
    if by == "images":
        return dataset.take(np.sort(order[:k])).note(step="sample", n=k, seed=seed)
    if by != "category":
        raise ValueError(f"by must be 'images' or 'category', not {by!r}")
    return dataset.take(np.sort(_rarest_first(dataset, order, k))).note(step="sample", n=k, seed=seed, by=by)


def _rarest_first(dataset: Dataset, order: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """k images: in turn, one of the category that has fewest instances so far."""
    counts = category_counts(dataset)
    have = np.zeros(counts.shape[1])
    waiting = list(order.tolist())
    chosen: list[int] = []
    while len(chosen) < k:
        wanted = [c for c in np.argsort(have, kind="stable") if counts[waiting, c].any()]
        i = next((i for i in waiting if counts[i, wanted[0]]), waiting[0]) if wanted else waiting[0]
        waiting.remove(i)
        chosen.append(i)
        have += counts[i]
    return np.asarray(chosen, np.int64)


def category_counts(dataset: Dataset) -> NDArray[np.int64]:
    """(images, categories): how many instances of each category each image has."""
    counts = np.zeros((len(dataset.images), len(dataset.categories) + 1), np.int64)
    np.add.at(counts, (dataset.instances["image"], dataset.instances["category"]), 1)
    return counts[:, :-1]
