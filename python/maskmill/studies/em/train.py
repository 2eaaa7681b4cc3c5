"""Train a filter on labelled patches: a forest on features, or the ResNet-34 of cem-dataset.

SAVEDIR/filter.npz or patch_quality_classifier_nn.pth   what `em filter --model` takes
SAVEDIR/metrics.json                                    how it does on data sets that it did not learn from
SAVEDIR/patch_quality_nn_roc_curve.png                  if matplotlib is installed
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import written_whole
from maskmill._version import __version__
from maskmill.studies.em.features import QUICK, features
from maskmill.studies.em.forest import Forest, fit
from maskmill.studies.em.labels import Labelled
from maskmill.studies.em.sources import read_picture

SEED = 1227
FEWEST = 64
"""Labelled patches to learn from; as many as a batch of the network."""
HELD_BACK = 0.15


@dataclass(frozen=True)
class Split:
    """Which patches are learnt from and which are held back.

    Attributes
    ----------
    training, validation : arrays of indices
    by : "dataset" or "patch"
        Whether data sets were kept together. Patches of one data set resemble one another: figures of a split by patch
        flatter.
    """

    training: NDArray[np.int64]
    validation: NDArray[np.int64]
    by: str


def split(good: NDArray[np.bool_], groups: Sequence[str], *, seed: int = SEED) -> Split:
    """Hold back about 15 %: whole data sets, with as many good ones among them as among all.

    Of 500 random choices the one nearest to both is taken. If none has both labels on both sides, as with a single data
    set, patches are drawn from each label instead.

    Raises
    ------
    ValueError
        If there are too few labelled patches of either kind.
    """
    n, good = len(good), np.asarray(good, np.bool_)
    if min(good.sum(), (~good).sum()) < 2:
        raise ValueError(
            f"at least 2 good and 2 bad patches are needed, not {good.sum()} and {(~good).sum()}"
        )
    rng = np.random.default_rng(seed)
    kinds, group = np.unique(np.asarray(groups, str), return_inverse=True)
    best, chosen = np.inf, None
    for _ in range(500 if len(kinds) > 1 else 0):
        order = rng.permutation(len(kinds))
        sizes = np.bincount(group, minlength=len(kinds))[order].cumsum()
        last = int(np.argmin(np.abs(sizes - HELD_BACK * n))) + 1
        held = np.isin(group, order[:last])
        sides = [good[held], good[~held]]
        if any(not len(side) or side.all() or not side.any() for side in sides):
            continue
        cost = abs(held.mean() - HELD_BACK) + abs(sides[0].mean() - good.mean())
        if cost < best:
            best, chosen = cost, held
    by = "dataset"
    if chosen is None:
        by, chosen = "patch", np.zeros(n, np.bool_)
        for label in (True, False):
            own = rng.permutation(np.flatnonzero(good == label))
            chosen[own[: max(1, round(HELD_BACK * len(own)))]] = True
    if (~chosen).sum() < FEWEST:
        raise ValueError(
            f"at least {FEWEST} labelled patches are needed to learn from, not {(~chosen).sum()} "
            f"(of {n}, {chosen.sum()} are held back to check)"
        )
    return Split(np.flatnonzero(~chosen), np.flatnonzero(chosen), by)


def roc(
    scores: NDArray[np.float64], good: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """False and true positive rates for falling thresholds, and the area below; ties count half.

    Examples
    --------
    >>> roc(np.array([0.9, 0.4, 0.4, 0.1]), np.array([True, True, False, False]))[2]
    0.875
    """
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)  # of equal scores
    true = np.append(0, good[order].cumsum()[last]) / good.sum()
    false = np.append(0, (~good[order]).cumsum()[last]) / (~good).sum()
    area = float((np.diff(false) * (true[1:] + true[:-1]) / 2).sum())
    return false, true, area


def measure(scores: NDArray[np.float64], good: NDArray[np.bool_], threshold: float = 0.5) -> dict[str, float]:
    """TP, TN, FP, FN, accuracy and the area below the ROC curve."""
    accepted = scores > threshold
    return {
        "TP": int((accepted & good).sum()),
        "TN": int((~accepted & ~good).sum()),
        "FP": int((accepted & ~good).sum()),
        "FN": int((~accepted & good).sum()),
        "accuracy": float((accepted == good).mean()),
        "AUC": roc(scores, good)[2],
    }


def train(
    labelled: Labelled,
    savedir: str | Path,
    *,
    cnn: bool = False,
    weights: str | Path | None = None,
    epochs: int = 30,
    seed: int = SEED,
    device: str = "cpu",
    progress: Callable[[int, int, str], None] | None = None,
) -> dict[str, Any]:
    """Train a filter, and say how it does on patches that were held back.

    Parameters
    ----------
    labelled : Labelled
        As `read_labelled` gives them.
    savedir : path
        A folder; made if missing.
    cnn : bool
        The ResNet-34 instead of the forest; needs torch.
    weights : path, optional
        State dict of a ResNet-34 to start from, such as torchvision's of ImageNet: only its last stage is trained then.
        Without, the whole network is, from random weights.
    epochs : int
        Of the network; the weights of the best one are kept.
    seed : int
    device : str
        Of torch.
    progress : callable, optional
        Called with steps done, steps in all, and what is next.

    Returns
    -------
    dict
        What `metrics.json` holds.

    Raises
    ------
    ValueError
        If there are too few labels, or a parameter is out of range.
    FileNotFoundError, FormatError
        If a picture is missing or is no 8-bit grey one.
    """
    if epochs < 1:
        raise ValueError(f"epochs must be 1 or more, not {epochs}")
    parts = split(labelled.good, labelled.datasets, seed=seed)
    patches = []
    for place, path in enumerate(labelled.paths):
        if progress:
            progress(place, len(labelled.paths), "read")
        patches.append(read_picture(path))
    savedir = Path(savedir)
    savedir.mkdir(parents=True, exist_ok=True)
    about: dict[str, Any] = {"maskmill": __version__, "seed": seed, "split by": parts.by}
    about |= {"training": len(parts.training), "validation": len(parts.validation)}
    if cnn:
        from maskmill.studies.em.train_cnn import train_network

        path = savedir / "patch_quality_classifier_nn.pth"
        scores, history = train_network(
            patches,
            labelled.good,
            parts,
            path,
            weights=weights,
            epochs=epochs,
            seed=seed,
            device=device,
            progress=progress,
        )
        about |= history
    else:
        path = savedir / "filter.npz"
        forest = _train_forest(patches, labelled.good, parts, seed)
        forest.save(path)
        scores = forest.scores([patches[i] for i in parts.validation])
    held = labelled.good[parts.validation]
    metrics = {"model": path.name, **about, **measure(scores, held)}
    with written_whole(savedir / "metrics.json") as file:
        file.write(json.dumps(metrics, indent=2).encode())
    _draw(savedir / "patch_quality_nn_roc_curve.png", scores, held)
    return metrics


def _train_forest(
    patches: Sequence[NDArray[np.uint8]], good: NDArray[np.bool_], parts: Split, seed: int
) -> Forest:
    table = features([patches[i] for i in parts.training], QUICK)
    about = {"trained on": f"{len(table)} labelled patches, seed {seed}"}
    return fit(table, good[parts.training], QUICK, seed=seed, about=about)


def train_default(path: str | Path, *, n: int = 3000, seed: int = SEED) -> Forest:
    """Make the default filter again: a forest on n patches of `maskmill.studies.em.textures`. Takes a minute or two.

    The file that comes with maskmill was made by `train_default("default_filter.npz")`.
    """
    from maskmill.studies.em import textures

    patches, kinds = textures.make(n, seed)
    about = {"trained on": f"{n} made patches (maskmill.studies.em.textures), seed {seed}"}
    forest = fit(features(patches, QUICK), np.array(kinds) == "tissue", QUICK, seed=seed, about=about)
    forest.save(path)
    return forest


def _draw(path: Path, scores: NDArray[np.float64], good: NDArray[np.bool_]) -> None:
    """The ROC curve; nothing without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    false, true, area = roc(scores, good)
    figure = Figure(figsize=(4.5, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axes.plot(false, true)
    axes.set(
        xlabel="share of bad patches accepted",
        ylabel="share of good patches accepted",
        title=f"{len(good)} patches held back, area {area:.3f}",
        aspect="equal",
    )
    with written_whole(path) as file:
        figure.savefig(file, format="png", dpi=150)
