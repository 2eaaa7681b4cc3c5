"""How sound a label is: crumbs, holes, conflicts with what was drawn, classes that lack, edges that the image lacks."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._images import to_rgb8
from maskmill.io.doodler import Trial
from maskmill.masks import Masks
from maskmill.studies.coast.timeline import unique_names

TINY = 10
"""Connected parts of fewer pixels are crumbs."""


@dataclass(frozen=True)
class Quality:
    """What is to be looked at in a label. Dicts have a value for each class by its name.

    Attributes
    ----------
    parts : dict of str to int
        Connected parts (4 neighbours) of each class.
    tiny, tiny_pixels : dict of str to int
        Parts of fewer pixels than `TINY`, and the pixels of these.
    holes, hole_pixels : dict of str to int
        Regions that a class encloses, so that no way of 4 neighbours leads out of them, and their pixels.
    conflicts : dict of str to int
        Pixels where the class was drawn, and the label says another one.
    unlabelled : int
        Pixels without a class.
    absent : tuple of str
        Classes that no pixel has.
    lost : tuple of str
        Classes that were drawn, and that no pixel has.
    merged : dict of str to str
        Of the lost classes, what they became if Doodler's rounding did it: before June 2022, ids were stretched as
        shares of 255 and cut off, which makes 7 of 8 where 8 classes were drawn, and merges others of 12 or more.
    undrawn : tuple of str
        Classes that pixels have, and that were never drawn.
    edge_rank : float
        How strong the image's edges are within 2 pixels of the label's edges: the mean rank among all pixels, from 0 to
        1. 0.5 is what edges have that are anywhere; NaN without edges or image.
    """

    parts: dict[str, int]
    tiny: dict[str, int]
    tiny_pixels: dict[str, int]
    holes: dict[str, int]
    hole_pixels: dict[str, int]
    conflicts: dict[str, int]
    unlabelled: int
    absent: tuple[str, ...]
    lost: tuple[str, ...]
    merged: dict[str, str]
    undrawn: tuple[str, ...]
    edge_rank: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def quality(trial: Trial, *, tiny: int = TINY) -> Quality:
    """Look for what is suspicious in the label of a trial.

    Parameters
    ----------
    trial : Trial
    tiny : int
        Connected parts of fewer pixels count as crumbs.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from maskmill.studies.coast import quality, read
    >>> path = Path(tempfile.mkdtemp()) / "dune_db.npz"
    >>> labels = np.zeros((20, 30), int)
    >>> labels[5:7, 5:7] = 1
    >>> np.savez(path, label=np.eye(3, dtype=np.uint8)[labels], classes=["water", "sand", "dev"])
    >>> found = quality(read(path)[0])
    >>> found.tiny_pixels["sand"], found.holes["water"], found.absent
    (4, 1, ('dev',))
    """
    labels = trial.labels()
    doodles = trial.doodles() if "doodles" in trial.arrays else np.zeros_like(labels)
    names = unique_names(trial.classes)
    n = len(names)
    present, drawn = (np.bincount(a.ravel(), minlength=n + 1) for a in (labels, doodles))
    wrong = np.bincount(doodles[(labels != doodles) & (doodles > 0)], minlength=n + 1)
    parts, small, small_pixels, holes, hole_pixels = _shapes(labels, n, tiny)

    def named(values: NDArray[np.int64]) -> dict[str, int]:
        return dict(zip(names, values[1:].tolist(), strict=True))

    def those(which: NDArray[np.bool_]) -> tuple[str, ...]:
        return tuple(name for name, said in zip(names, which[1:], strict=True) if said)

    return Quality(
        named(parts),
        named(small),
        named(small_pixels),
        named(holes),
        named(hole_pixels),
        named(wrong),
        int(present[0]),
        those(present == 0),
        those((present == 0) & (drawn > 0)),
        {names[k - 1]: names[other - 1] for k, other in _rounded(drawn).items() if not present[k]},
        those((present > 0) & (drawn == 0)) if drawn[1:].any() else (),
        _edge_rank(labels, trial),
    )


def _rounded(drawn: NDArray[np.int64]) -> dict[int, int]:
    """Classes + 1 that Doodler's rounding takes for another one, and for which, by the pixels drawn of each.

    >>> _rounded(np.array([0] + [1] * 8)), _rounded(np.array([0] + [1] * 12)), _rounded(np.array([0, 1, 1]))
    ({8: 7}, {4: 3, 7: 6}, {})
    """
    ids = np.flatnonzero(drawn[1:]) + 1
    if len(ids) < 2:
        return {}
    shares = ids / 255  # float64, in this order: the last bits decide
    low, high = shares[0], shares[-1]
    stretched = (ids[-1] - ids[0]) * (shares - low) / (high - low) + ids[0]
    pairs = zip(ids.tolist(), stretched.astype(np.int64).tolist(), strict=True)
    return {k: other for k, other in pairs if k != other}


def _shapes(labels: NDArray[np.uint8], n: int, tiny: int) -> tuple[NDArray[np.int64], ...]:
    """By class + 1: parts, tiny ones, their pixels, holes, their pixels."""
    masks, values = Masks.from_labels(labels)
    parts, of = masks.components(connectivity=4)
    classes, area = values[of], parts.area.astype(np.int64)
    small = area < tiny
    holes, hole_of = (masks.fill_holes() - masks).components(connectivity=4)
    hole_classes, hole_area = values[hole_of], holes.area.astype(np.int64)

    def counted(of_class: NDArray[Any], pixels: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        return np.bincount(of_class, pixels, minlength=n + 1).astype(np.int64)

    return (
        counted(classes),
        counted(classes[small]),
        counted(classes[small], area[small]),
        counted(hole_classes),
        counted(hole_classes, hole_area),
    )


def _edge_rank(labels: NDArray[np.uint8], trial: Trial) -> float:
    """Mean rank of the image's gradient near the label's edges."""
    import cv2

    edges = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        a, b = (np.take(labels, range(k, labels.shape[axis] - 1 + k), axis) for k in (0, 1))
        differ = (a != b) & (a > 0) & (b > 0)
        along = [(0, 0), (0, 0)]
        for side in ((0, 1), (1, 0)):
            along[axis] = side
            edges |= np.pad(differ, along)
    if not edges.any() or "image" not in trial.arrays:
        return float("nan")
    gray = cv2.GaussianBlur(cv2.cvtColor(to_rgb8(trial.image()), cv2.COLOR_RGB2GRAY), (0, 0), 1)
    dx, dy = (cv2.Sobel(gray, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    near = cv2.dilate(cv2.magnitude(dx, dy), np.ones((5, 5), np.uint8))
    ordered, found = np.sort(near.ravel()), near[edges]
    rank = (np.searchsorted(ordered, found) + np.searchsorted(ordered, found, "right")) / (2 * len(ordered))
    return float(rank.mean())


def problems(found: Quality) -> list[str]:
    """The same as sentences, of what there is."""

    def told(values: dict[str, int]) -> str:
        return ", ".join(f"{name} {value}" for name, value in values.items() if value)

    lines = [f"parts: {sum(found.parts.values())} ({told(found.parts)})"]
    if pixels := sum(found.tiny_pixels.values()):
        lines.append(f"crumbs: {sum(found.tiny.values())}, of {pixels} px ({told(found.tiny_pixels)})")
    if sum(found.holes.values()):
        pixels = sum(found.hole_pixels.values())
        lines.append(
            f"enclosed regions: {sum(found.holes.values())}, of {pixels} px ({told(found.hole_pixels)})"
        )
    if pixels := sum(found.conflicts.values()):
        lines.append(f"drawn, with another label: {pixels} px ({told(found.conflicts)})")
    if found.unlabelled:
        lines.append(f"without a class: {found.unlabelled} px")
    for names, said in (
        (found.absent, "absent"),
        (found.lost, "drawn, and absent"),
        (found.undrawn, "never drawn"),
    ):
        if names:
            lines.append(f"{said}: {', '.join(names)}")
    for name, other in found.merged.items():
        lines.append(f"{name} may have become {other} by the rounding of Doodler's versions before June 2022")
    if not np.isnan(found.edge_rank):
        lines.append(
            f"rank of the image's edges at the label's edges: {found.edge_rank:.2f} (0.50: no relation)"
        )
    return lines
