"""Agreement between labelers over many images: of each pair, of each class, of each labeler, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill.dataset import Table, objects
from maskmill.studies.coast.comparison import Comparison, Labels, boundary_f, confusion, mean_of_known, share
from maskmill.studies.coast.consensus import Truth, Votes, estimate_truth, fleiss_kappa, majority, vote
from maskmill.studies.coast.labelers import Labelling, common_space, labellings

MEASURES = ("agreement", "kappa", "mean_iou", "mean_dice")

EachImage = Callable[[str, "ImageMaps"], None]


@dataclass(frozen=True)
class ImageMaps:
    """What labelers of one image say together, as images.

    Attributes
    ----------
    labelers : tuple of str
    labels : list of (H, W) uint8
        Class + 1 of each labeler in the common classes, 0 for none.
    votes : Votes
    """

    labelers: tuple[str, ...]
    labels: list[Labels]
    votes: Votes

    @cached_property
    def estimated(self) -> Truth:
        return estimate_truth(self.votes)

    def majority(self) -> Labels:
        """(H, W) uint8: class + 1 that most gave, the lowest of several; 0 where one gave none."""
        return self.votes.image(majority(self.votes)[0])

    def tied(self) -> NDArray[np.bool_]:
        """(H, W): where several classes have the most votes."""
        return self.votes.image(majority(self.votes)[1])

    def truth(self) -> Labels:
        """(H, W) uint8: class + 1 by `estimate_truth`."""
        return self.votes.image(self.estimated.labels)

    def disagreement(self) -> NDArray[np.float64]:
        """(H, W): share of the labelers that are not with the majority; NaN where one gave no class."""
        counts = self.votes.counts()
        found = 1 - counts.max(1) / self.votes.patterns.shape[1]
        return self.votes.image(np.where(self.votes.known, found, math.nan))


@dataclass(frozen=True)
class Agreement:
    """How far labelers agree.

    Attributes
    ----------
    classes : tuple of str
    images : Table
        A row for each image: ``image``, ``labelers``, ``pixels`` that all labelled, ``left_out``, ``unanimous``,
        ``tied``, ``fleiss_kappa``.
    pairs : Table
        A row for each two labelers of an image: ``image``, ``first``, ``second``, ``pixels``, ``left_out``,
        ``agreement``, ``kappa``, ``mean_iou``, ``mean_dice``, ``boundary_f``.
    confusions : (P, n, n) int64
        Of each pair.
    per_class : Table
        A row for each class: pixels by first and second labelers, ``iou`` and ``dice`` of all pixels, ``mean_iou`` of
        the pairs that have it.
    labelers : Table
        A row for each labeler and class: the share of the pixels that they gave it, that the other labelers of the same
        images did, and the difference (``bias``); ``reliability`` is how much of the estimated truth of this class they
        found (with two labelers hardly more than a guess, as nobody decides between them).
    summary : dict
        The measures of all pixels together and as means of pairs, with confidence intervals by images.
    """

    classes: tuple[str, ...]
    images: Table
    pairs: Table
    confusions: NDArray[np.int64]
    per_class: Table
    labelers: Table
    summary: dict[str, Any]


def agreement(
    source: str | Path | Sequence[str | Path] | Sequence[Sequence[Labelling]],
    *,
    mapping: Mapping[str, str | None] | None = None,
    by: str = "name",
    trials: str = "newest",
    tolerance: float = 2.0,
    samples: int = 2000,
    seed: int = 0,
    each: EachImage | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Agreement:
    """Compare the labels that several labelers gave the same images.

    Parameters
    ----------
    source : folder, files, or groups of `Labelling`
        Result files of Doodler; see `labellings` for `by` and `trials`.
    mapping : dict of str to str, optional
        For each class of the files, the common class that it means; None leaves its pixels out. Needed where files have
        different classes.
    tolerance : float
        Pixels, of `boundary_f`.
    samples, seed : int
        Of the bootstrap over images.
    each : callable, optional
        Called with the name and the `ImageMaps` of each image, to write them for example.
    progress : callable, optional
        Called with how many images are done, how many there are, and the name of the next.

    Raises
    ------
    ValueError
        No image has two labelers, or classes differ and there is no mapping.
    FormatError
        A file is damaged, or labels of one image differ in size.

    Notes
    -----
    Pixels that a labeler gave no class are left out, and counted. Of more than two labelers of an image, every two are
    a pair. Confusions have the labeler whose name comes first in their rows.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for user, shore in (("ID1", 4), ("ID2", 5)):
    ...     label = np.eye(2, dtype=np.uint8)[(np.arange(8) >= shore).astype(int)[None].repeat(6, 0)]
    ...     zeros = np.zeros((6, 8), np.uint8)
    ...     np.savez(folder / f"dune_{user}.npz", image=zeros, label=label, doodles=zeros, classes=["water", "sand"])
    >>> found = agreement(folder)
    >>> found.confusions[0].tolist(), found.summary["agreement"]["all_pixels"]
    ([[24, 0], [6, 18]], 0.875)
    """
    groups = _groups(source, by, trials)
    space = common_space(groups, mapping)
    n = len(space.classes)
    images, pairs, confusions, sums = [], [], [], _Sums(n)
    for done, group in enumerate(groups):
        if progress is not None:
            progress(done, len(groups), group[0].image)
        names = tuple(labelling.labeler for labelling in group)
        maps = ImageMaps(names, (labels := [space.labels(labelling) for labelling in group]), vote(labels, n))
        images.append({"image": group[0].image, "labelers": ", ".join(names), **_of_image(maps)})
        for i, j in combinations(range(len(group)), 2):
            found, left_out = confusion(labels[i], labels[j], n)
            confusions.append(found)
            row: dict[str, Any] = {"image": group[0].image, "first": names[i], "second": names[j]}
            row |= {"pixels": int(found.sum()), "left_out": left_out}
            row |= {name: float(getattr(Comparison(found), name)) for name in MEASURES}
            pairs.append({**row, "boundary_f": boundary_f(labels[i], labels[j], tolerance)})
        sums.add(maps)
        if each is not None:
            each(group[0].image, maps)
    stack = np.array(confusions)
    of_image = np.repeat(np.arange(len(groups)), [len(group) * (len(group) - 1) // 2 for group in groups])
    table = _table(pairs)
    return Agreement(
        space.classes,
        _table(images),
        table,
        stack,
        _per_class(space.classes, stack),
        sums.table(space.classes),
        _summary(table, stack, of_image, tolerance, samples, seed),
    )


def _groups(source: Any, by: str, trials: str) -> Sequence[Sequence[Labelling]]:
    grouped = not isinstance(source, str | Path) and len(source) > 0 and not isinstance(source[0], str | Path)
    groups: Sequence[Sequence[Labelling]] = source if grouped else labellings(source, by=by, trials=trials)
    if not groups:
        raise ValueError(
            "there must be an image with two labelers or more: names of files that are equal up to what stands "
            "behind the last _ (by='pixels' goes by the pictures)"
        )
    return groups


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    def column(name: str) -> Any:
        values = [row[name] for row in rows]
        return objects(values) if isinstance(values[0], str) else np.array(values)

    return Table({name: column(name) for name in rows[0]})


def _of_image(maps: ImageMaps) -> dict[str, Any]:
    votes = maps.votes
    agreed = votes.counts().max(1) == len(maps.labels)
    return {
        "pixels": int(votes.weights[votes.known].sum()),
        "left_out": votes.left_out,
        "unanimous": int(votes.weights[agreed & votes.known].sum()),
        "tied": int(votes.weights[majority(votes)[1]].sum()),
        "fleiss_kappa": fleiss_kappa(votes),
    }


def _per_class(classes: Sequence[str], confusions: NDArray[np.int64]) -> Table:
    whole, each = Comparison(confusions.sum(0)), Comparison(confusions)
    return Table(
        {
            "class": objects(list(classes)),
            "first_pixels": whole.confusion.sum(1),
            "second_pixels": whole.confusion.sum(0),
            "iou": whole.iou,
            "dice": whole.dice,
            "pairs": np.isfinite(each.iou).sum(0),
            "mean_iou": mean_of_known(each.iou, 0),
        }
    )


def _summary(
    pairs: Table,
    confusions: NDArray[np.int64],
    of_image: NDArray[Any],
    tolerance: float,
    samples: int,
    seed: int,
) -> dict[str, Any]:
    """Each measure of all pixels and as the mean of pairs, with the middle 95 % of means of images drawn anew."""
    n = int(of_image.max()) + 1
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), samples)[:, of_image].astype(float)
    flat = drawn @ confusions.reshape(len(confusions), -1).astype(float)
    resampled = Comparison(flat.reshape(samples, *confusions.shape[1:]))
    whole = Comparison(confusions.sum(0))
    made: dict[str, Any] = {
        "images": n,
        "pairs": len(pairs),
        "pixels": int(confusions.sum()),
        "left_out": int(pairs["left_out"].sum()),
        "tolerance": tolerance,
        "bootstrap_samples": samples,
        "seed": seed,
    }
    for name in (*MEASURES, "boundary_f"):
        values = pairs[name]
        known = np.isfinite(values)
        means = share(drawn @ np.where(known, values, 0), drawn @ known.astype(float))
        made[name] = {"mean_of_pairs": float(mean_of_known(values)), "mean_interval": _interval(means, n)}
        if name in MEASURES:
            made[name] |= {
                "all_pixels": float(getattr(whole, name)),
                "all_pixels_interval": _interval(getattr(resampled, name), n),
            }
    return made


def _interval(values: NDArray[np.float64], images: int) -> list[float] | None:
    """From the 2.5th to the 97.5th percentile; None of one image, which tells of no other."""
    known = values[np.isfinite(values)]
    return np.percentile(known, [2.5, 97.5]).tolist() if images > 1 and len(known) else None


class _Sums:
    """What each labeler gave each class, and what the others of the same images did."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.own: dict[str, NDArray[np.float64]] = {}
        self.others: dict[str, NDArray[np.float64]] = {}
        self.found: dict[str, NDArray[np.float64]] = {}
        self.images: dict[str, int] = {}

    def add(self, maps: ImageMaps) -> None:
        votes = maps.votes
        patterns, weights = votes.patterns[votes.known] - 1, votes.weights[votes.known].astype(float)
        given = np.array([np.bincount(said, weights, self.n) for said in patterns.T])
        sure = maps.estimated.probabilities[votes.known] * weights[:, None]
        found = [sure[np.arange(len(sure)), said] for said in patterns.T]
        right = [np.bincount(said, own, self.n) for said, own in zip(patterns.T, found, strict=True)]
        for r, name in enumerate(maps.labelers):
            zero = np.zeros(self.n)
            self.own[name] = self.own.get(name, zero) + given[r]
            rest = (given.sum(0) - given[r]) / (len(given) - 1)
            self.others[name] = self.others.get(name, zero) + rest
            self.found[name] = self.found.get(name, np.zeros((2, self.n))) + [right[r], sure.sum(0)]
            self.images[name] = self.images.get(name, 0) + 1

    def table(self, classes: Sequence[str]) -> Table:
        rows = []
        for name in sorted(self.own):
            own, others = (share(given, given.sum()) for given in (self.own[name], self.others[name]))
            reliability = share(*self.found[name])
            for c, label in enumerate(classes):
                rows.append(
                    {
                        "labeler": name,
                        "images": self.images[name],
                        "class": label,
                        "share": float(own[c]),
                        "others_share": float(others[c]),
                        "bias": float(own[c] - others[c]),
                        "reliability": float(reliability[c]),
                    }
                )
        return _table(rows)
