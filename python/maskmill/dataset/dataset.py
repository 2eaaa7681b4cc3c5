"""`Dataset`: images, categories and instances as columns, the geometry as the source had it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill._device import on_host
from maskmill.dataset.shapes import MASK, POLYGON, Shapes
from maskmill.dataset.table import Table, objects
from maskmill.masks import Masks

if TYPE_CHECKING:
    from maskmill.dataset.checks import Problem
    from maskmill.dataset.statistics import Statistics

__all__ = ["Dataset"]


def _completed(table: Table, n: int, defaults: Mapping[str, Callable[[int], Any]]) -> Table:
    """The table with all standard columns, first and in order."""
    columns = {name: table[name] if name in table else make(n) for name, make in defaults.items()}
    return Table({**columns, **{name: table[name] for name in table.names if name not in columns}}, n)


def _nothing(n: int) -> NDArray[Any]:
    return np.full(n, None, object)


def _unknown(n: int) -> NDArray[np.float64]:
    return np.full(n, np.nan)


_IMAGES: dict[str, Callable[[int], Any]] = {
    "id": lambda n: np.arange(1, n + 1),
    "file_name": lambda n: objects([""] * n),
    "height": lambda n: np.zeros(n, np.int64),
    "width": lambda n: np.zeros(n, np.int64),
    "scale": _unknown,
    "pixels": _nothing,
    "semantic": _nothing,
    "attributes": _nothing,
}
_CATEGORIES: dict[str, Callable[[int], Any]] = {
    "id": lambda n: np.arange(1, n + 1),
    "name": lambda n: objects([str(i + 1) for i in range(n)]),
    "supercategory": lambda n: objects([""] * n),
    "attributes": _nothing,
}
_INSTANCES: dict[str, Callable[[int], Any]] = {
    "id": lambda n: np.arange(1, n + 1),
    "image": lambda n: np.zeros(n, np.int64),
    "category": lambda n: np.full(n, -1),
    "bbox": lambda n: np.full((n, 4), np.nan),
    "area": _unknown,
    "iscrowd": lambda n: np.zeros(n, bool),
    "score": _unknown,
    "attributes": _nothing,
}
_TYPES: dict[str, type[np.generic]] = {
    **dict.fromkeys(("id", "image", "category", "height", "width"), np.int64),
    **dict.fromkeys(("scale", "bbox", "area", "score"), np.float64),
    "iscrowd": np.bool_,
}


def _typed(table: Table) -> Table:
    wrong = {n: table[n].astype(t) for n, t in _TYPES.items() if n in table and table[n].dtype != t}
    return table.with_columns(**wrong) if wrong else table


class Dataset:
    """Images, categories and instances of an annotated data set.

    Parameters
    ----------
    images, categories, instances : Table or mapping of columns
        Standard columns that are missing are filled with their defaults; further ones are kept.
    shapes : Shapes or Masks
        Of the instances, in order. Bounding boxes that `instances` lacks are taken from them.
    info : dict, optional
        What the source said of itself, by format.
    provenance : sequence of dicts, optional
        Where it came from and what was done to it, oldest first.

    Attributes
    ----------
    images : Table
        id, file_name, height, width (0: unknown), scale (µm per pixel, NaN: unknown), pixels and semantic (`Reference`
        or None: the picture, and a label image whose values are ids of categories), attributes (dict or None).
    categories : Table
        id, name, supercategory ("" for none), attributes (dict or None).
    instances : Table
        id, image (row of `images`), category (row of `categories`, -1 for none), bbox (N, 4) as x, y, width, height in
        pixels, area in pixels (NaN where the source did not say), iscrowd, score (NaN for none), attributes.
    shapes : Shapes
    masks : Masks
        Of all instances; rasterised at first use.

    Raises
    ------
    ValueError
        If columns do not fit one another: lengths, rows of images or categories that are not there.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import Dataset, Masks
    >>> masks, values = Masks.from_labels(np.array([[1, 1, 0], [0, 2, 2]]))
    >>> dataset = Dataset({"height": [2], "width": [3]}, {"name": ["grain"]}, {"category": [0, 0]}, masks)
    >>> dataset
    Dataset(1 image, 1 category, 2 instances)
    >>> dataset.masks.area.tolist(), dataset.instances["bbox"].tolist()
    ([2, 2], [[0.0, 0.0, 2.0, 1.0], [1.0, 1.0, 2.0, 1.0]])
    """

    def __init__(
        self,
        images: Table | Mapping[str, ArrayLike],
        categories: Table | Mapping[str, ArrayLike],
        instances: Table | Mapping[str, ArrayLike],
        shapes: Shapes | Masks,
        *,
        info: dict[str, Any] | None = None,
        provenance: Sequence[dict[str, Any]] = (),
    ) -> None:
        if isinstance(shapes, Masks):
            shapes = Shapes.of_masks(shapes)

        def table(given: Table | Mapping[str, ArrayLike]) -> Table:
            return given if isinstance(given, Table) else Table(given)

        first, second, third = table(images), table(categories), table(instances)
        if third.names and len(third) != len(shapes):
            raise ValueError(f"instances must have {len(shapes)} rows, as shapes, not {len(third)}")
        self.images = _typed(_completed(first, len(first), _IMAGES))
        self.categories = _typed(_completed(second, len(second), _CATEGORIES))
        self.instances = _typed(_completed(third, len(shapes), _INSTANCES))
        self.shapes = shapes
        self.info = dict(info or {})
        self.provenance = tuple(provenance)
        self._check()
        self._fill_boxes()

    def _check(self) -> None:
        image, category = self.instances["image"], self.instances["category"]
        for name, rows, n, low in (
            ("image", image, len(self.images), 0),
            ("category", category, len(self.categories), -1),
        ):
            if len(rows) and (rows.min() < low or rows.max() >= n):
                i = int(np.flatnonzero((rows < low) | (rows >= n))[0])
                raise ValueError(f"instance {i}: {name} must be a row from {low} to {n - 1}, not {rows[i]}")
        if self.instances["bbox"].shape != (len(self.shapes), 4):
            raise ValueError(
                f"bbox must have shape ({len(self.shapes)}, 4), not {self.instances['bbox'].shape}"
            )
        masks = self.shapes.kind == MASK
        sizes, known = self.sizes[masks], self.shapes.rles.sizes
        wrong = np.flatnonzero((sizes != known).any(1))
        if len(wrong):
            i = int(np.flatnonzero(masks)[wrong[0]])
            h, w = sizes[wrong[0]]
            raise ValueError(
                f"instance {i}: its mask must be of its image's size {h} x {w}, "
                f"not {known[wrong[0], 0]} x {known[wrong[0], 1]}"
            )

    def _fill_boxes(self) -> None:
        boxes = self.instances["bbox"]
        lacking = np.isnan(boxes).any(1)
        if lacking.any():
            found = self.shapes.take(lacking).bounds() if not lacking.all() else self.shapes.bounds()
            filled = boxes.copy()
            filled[lacking] = found
            self.instances = self.instances.with_columns(bbox=filled)

    # What there is

    def __len__(self) -> int:
        """The number of images."""
        return len(self.images)

    def __repr__(self) -> str:
        def plural(n: int, word: str, words: str) -> str:
            return f"{n:,} {word if n == 1 else words}"

        parts = (
            plural(len(self.images), "image", "images"),
            plural(len(self.categories), "category", "categories"),
            plural(len(self.instances), "instance", "instances"),
        )
        return f"Dataset({', '.join(parts)})"

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(N, 2): height and width of each instance's image."""
        of_images = np.stack([self.images["height"], self.images["width"]], 1)
        return np.ascontiguousarray(of_images[self.instances["image"]])

    @cached_property
    def masks(self) -> Masks:
        """Masks of all instances, in order. What has no surface (points, lines, bare boxes) is empty.

        Raises
        ------
        ValueError
            If the size of an image with polygons is not known; names it.
        """
        sizes = self.sizes
        unknown = np.flatnonzero(((sizes <= 0).any(1)) & (self.shapes.kind >= POLYGON))
        if len(unknown):
            image = self.images.row(int(self.instances["image"][unknown[0]]))
            raise ValueError(
                f"image {image['file_name'] or image['id']!r}: its size is not known, so that its shapes cannot become "
                f"masks; give the folder of the images"
            )
        try:
            return self.shapes.masks(sizes)
        except ValueError as error:
            raise ValueError(f"instances that cannot become masks: {error}") from None

    @property
    def areas(self) -> NDArray[np.float64]:
        """(N,) area in pixels: as the source said, else of the mask, else of the bounding box."""
        area = self.instances["area"].copy()
        lacking = np.isnan(area)
        if lacking.any():
            boxes = self.shapes.kind == 1
            area[lacking] = self.masks.area[lacking] if not (lacking == boxes).all() else 0
            area[lacking & boxes] = self.instances["bbox"][lacking & boxes, 2:].prod(1)
        return area

    @property
    def category_names(self) -> list[str]:
        """The class of each instance, "" for none."""
        names = np.append(self.categories["name"], "")
        return names[self.instances["category"]].tolist()  # type: ignore[no-any-return]

    def rows_of_image(self, i: int) -> NDArray[np.int64]:
        """Rows of the instances of image i, in their order."""
        i = range(len(self.images))[i]
        order, offsets = self._by_image
        return order[offsets[i] : offsets[i + 1]]

    @cached_property
    def _by_image(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        image = self.instances["image"]
        counts = np.bincount(image, minlength=len(self.images))
        return np.argsort(image, kind="stable"), np.concatenate([[0], np.cumsum(counts)])

    # COCO

    @classmethod
    def from_coco(cls, content: Mapping[str, Any]) -> Dataset:
        """From the dict of a COCO file: polygons (filled by COCO's rule), RLEs, boxes, keypoints, scores.

        Fields that COCO does not know become attributes. `maskmill.io.read` reads files, faster.

        Raises
        ------
        ValueError
            If an annotation names an image or category that is not there, or has a malformed segmentation; names it.
        """
        from maskmill.dataset.coco import from_coco

        return from_coco(content)

    def to_coco(self, *, polygons: bool = True) -> dict[str, Any]:
        """The dict of a COCO file, as json.dump takes it.

        Polygons stay polygons where COCO's rule fills them with the same pixels (what was read from COCO); all else
        becomes RLEs, so that no pixel changes. With ``polygons=False`` all become RLEs.
        """
        from maskmill.dataset.coco import to_coco

        return to_coco(self, polygons=polygons)

    # For training

    def __getitem__(self, i: int) -> tuple[NDArray[Any], dict[str, Any]]:
        """Image i and its target, as torchvision's detection models take it, in NumPy arrays.

        Returns
        -------
        image : (H, W) or (H, W, C), as stored
        target : dict
            boxes (N, 4) float32 as x0, y0, x1, y1; labels (N,) int64, ids of categories (0 for none); masks (N, H, W)
            uint8; image_id int; area (N,) float32; iscrowd (N,) int64.

        Raises
        ------
        FileNotFoundError
            If the picture was not found where the annotations were read.
        """
        from maskmill.dataset.targets import image, target

        i = range(len(self))[i]  # raises IndexError, which ends a loop over the data set
        return image(self, i), target(self, i)

    def target(self, i: int) -> dict[str, Any]:
        """The target of image i alone; the picture is not needed."""
        from maskmill.dataset.targets import target

        return target(self, range(len(self))[i])

    def detectron2(self, *, polygons: bool = False) -> list[dict[str, Any]]:
        """detectron2's standard dataset dicts (category_id counts rows of `categories`, from 0).

        Segmentations are RLEs (``cfg.INPUT.MASK_FORMAT = "bitmask"``); with polygons=True what was read as COCO
        polygons stays so.
        """
        from maskmill.dataset.targets import detectron2

        return detectron2(self, polygons=polygons)

    # In numbers

    def stats(self) -> Statistics:
        """Counts, areas, sizes; see `maskmill.dataset.statistics.Statistics`."""
        from maskmill.dataset.statistics import statistics

        return statistics(self)

    def check(self, **rules: str) -> list[Problem]:
        """Look for faults; see `maskmill.dataset.checks.check`."""
        from maskmill.dataset.checks import check

        return check(self, **rules)

    def to_pandas(self) -> Any:
        """A pandas.DataFrame of the instances with the names of their images and categories."""
        return self._joined().to_pandas()

    def to_arrow(self) -> Any:
        """A pyarrow.Table of the instances, with the names of their images and categories, and their masks as
        `Masks.to_arrow` has them (height, width, counts)."""
        table = self._joined().to_arrow()
        masks = self.masks.to_arrow()
        for name in masks.column_names:
            table = table.append_column(name, masks[name])
        return table

    def _joined(self) -> Table:
        names = self.images["file_name"][self.instances["image"]]
        return self.instances.with_columns(
            file_name=names, category_name=objects(self.category_names), area=self.areas
        )

    # Others made of it

    def select(
        self,
        images: Iterable[str] | ArrayLike | None = None,
        categories: Iterable[str] | None = None,
        *,
        where: Callable[[Table], ArrayLike] | None = None,
        min_area: float | None = None,
        max_area: float | None = None,
        crowd: bool | None = None,
        drop_empty: bool = False,
    ) -> Dataset:
        """The part that fits all that is asked.

        Parameters
        ----------
        images : file names, patterns ("train/*.png"), row numbers or a boolean array
        categories : names; the other categories go
        where : function of the table `instances` that gives a boolean array
        min_area, max_area : pixels, both included
        crowd : only crowd regions, or none of them
        drop_empty : leave out images that have no instance (any more)

        Examples
        --------
        >>> from maskmill import Dataset, Masks
        >>> import numpy as np
        >>> masks, _ = Masks.from_labels(np.array([[1, 1, 0], [0, 0, 2]]))
        >>> d = Dataset({"height": [2], "width": [3]}, {"name": ["a", "b"]}, {"category": [0, 1]}, masks)
        >>> d.select(categories=["b"]).masks.area.tolist(), d.select(min_area=2).masks.area.tolist()
        ([1], [2])
        """
        from maskmill.dataset.operations import select

        return select(self, images, categories, where, min_area, max_area, crowd, drop_empty)

    def filter(self, keep: Callable[[dict[str, Any]], bool]) -> Dataset:
        """The instances for whose row, as a dict, `keep` is true. `select` is faster."""
        return self.take(instances=np.array([bool(keep(row)) for row in self.instances], bool))

    def drop(self, problems: Iterable[Problem]) -> Dataset:
        """Without the instances that have these problems (as `check` finds them), and without the images that have some
        of their own.

        Examples
        --------
        >>> from maskmill import Dataset, Masks
        >>> d = Dataset({"height": [2], "width": [2]}, {"name": ["a"]}, {"category": [0]}, Masks.empty([(2, 2)]))
        >>> d.drop(problem for problem in d.check() if problem.rule == "empty")
        Dataset(1 image, 1 category, 0 instances)
        """
        from maskmill.dataset.operations import drop

        return drop(self, problems)

    def merge(self, *others: Dataset, same_images: str = "join") -> Dataset:
        """This and others as one. Categories of one name become one; ids stay where no two are the same.

        same_images : {"join", "keep", "error"}
            Images of the same name and size: one image with all instances, several images, or an error.
        """
        from maskmill.dataset.operations import merge

        return merge([self, *others], same_images)

    def remap(self, classes: Mapping[str, str | None], *, others: str = "keep") -> Dataset:
        """Other names for categories: several may become one, those that become None are dropped with their instances.

        others : {"keep", "drop", "error"}
            What happens to categories that `classes` does not name.
        """
        from maskmill.dataset.operations import remap

        return remap(self, classes, others)

    def clip(self) -> Dataset:
        """Nothing beyond the borders of images: boxes are cut, shapes that reach beyond become masks."""
        from maskmill.dataset.operations import clip

        return clip(self)

    def split(
        self,
        parts: Mapping[str, float],
        *,
        seed: int = 0,
        stratify: bool = False,
        group: str | Callable[[dict[str, Any]], Any] | None = None,
    ) -> dict[str, Dataset]:
        """Parts by name, of all images, none twice.

        Parameters
        ----------
        parts : names and their shares, such as {"train": 0.8, "val": 0.2}; the largest remainders get what is left over
        seed : int
        stratify : share out the instances of every category in proportion
        group : a column or attribute of images, or a function of their rows; images of one group stay together
        """
        from maskmill.dataset.split import split

        return split(self, parts, seed, stratify, group)

    def sample(self, n: int | float, *, seed: int = 0, by: str = "images") -> Dataset:
        """n images (a share, if a float up to 1), in their order.

        by : {"images", "category"}
            At random, or so that rare categories come first.
        """
        from maskmill.dataset.operations import sample

        return sample(self, n, seed, by)

    def tile(
        self,
        size: int | tuple[int, int],
        stride: int | tuple[int, int] | None = None,
        *,
        edge: str = "shift",
        min_visible: float = 0.0,
        drop_empty: bool = False,
    ) -> Dataset:
        """Windows of the images as images of their own, with what is seen of the instances.

        Parameters
        ----------
        size, stride, edge : as `maskmill.patches.grid` has them
        min_visible : instances of which less is seen are left out of a tile
        drop_empty : leave out tiles without instances

        Notes
        -----
        Each instance has attributes source_id and visible (the share that is seen), each image source_image and tile
        (y0, y1, x0, x1). Pictures are cut when they are asked for.
        """
        from maskmill.dataset.tiles import tile

        return tile(self, size, stride, edge, min_visible, drop_empty)

    def replace(self, **parts: Any) -> Dataset:
        """The same with other images, categories, instances, shapes, info or provenance."""
        mine = {
            "images": self.images,
            "categories": self.categories,
            "instances": self.instances,
            "shapes": self.shapes,
            "info": self.info,
            "provenance": self.provenance,
        }
        unknown = set(parts) - set(mine)
        if unknown:
            raise TypeError(f"parts must be of {', '.join(mine)}, not {', '.join(sorted(unknown))}")
        return Dataset(**{**mine, **parts})

    def note(self, **what: Any) -> Dataset:
        """The same with one more step in its provenance."""
        return self.replace(provenance=(*self.provenance, what))

    def take(self, images: ArrayLike | None = None, instances: ArrayLike | None = None) -> Dataset:
        """These images with their instances, or these instances; by row numbers (in the order given) or boolean arrays.

        Instances whose image is not taken are left out. All categories stay.
        """
        kept = np.arange(len(self.instances)) if instances is None else _rows(instances, len(self.instances))
        if images is None:
            return self.replace(
                instances=self.instances.take(kept), shapes=self.shapes.take(kept)
            )._with_masks(self, kept)
        chosen = _rows(images, len(self.images))
        new = np.full(len(self.images), -1)
        new[chosen] = np.arange(len(chosen))
        kept = kept[new[self.instances["image"][kept]] >= 0]
        table = self.instances.take(kept)
        table = table.with_columns(image=new[table["image"]])
        made = self.replace(images=self.images.take(chosen), instances=table, shapes=self.shapes.take(kept))
        return made._with_masks(self, kept)

    def _with_masks(self, source: Dataset, rows: NDArray[np.int64]) -> Dataset:
        """Masks that were made once are not made again."""
        if "masks" in source.__dict__:
            self.__dict__["masks"] = source.masks[rows]
        return self


def _rows(index: ArrayLike, n: int) -> NDArray[np.int64]:
    rows = on_host(index, "rows")
    if rows.dtype == bool:
        if rows.shape != (n,):
            raise IndexError(f"a boolean index must have shape ({n},), not {rows.shape}")
        return np.flatnonzero(rows)
    return rows.astype(np.int64).ravel()
