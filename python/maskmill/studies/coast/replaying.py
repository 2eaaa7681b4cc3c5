"""Rebuild the labels of Doodler's results from images, doodles and settings, as its versions made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from maskmill._files import FormatError
from maskmill.io.doodler import Trial
from maskmill.masks import Masks
from maskmill.perceptron import Perceptron
from maskmill.studies.coast.cleaning import Floats, Ids, stretched
from maskmill.studies.coast.eras import Candidate, candidates
from maskmill.studies.coast.rebuild import Rebuild

_ALIKE = 1e-3
"""Share of pixels up to which the version that the date speaks for may differ, and no other features are tried."""
_SECOND_TRIES = 3
"""Of classifiers that were nearly the best, when the best one does not give the label."""


@dataclass(frozen=True)
class Attempt:
    """A version of Doodler that was tried.

    Attributes
    ----------
    era, software : str
    epoch : int
        Whose classifier was taken; 0 where a single class was doodled.
    pixels_different : int
        From the label of the trial.
    """

    era: str
    software: str
    epoch: int
    pixels_different: int


@dataclass(frozen=True, eq=False)
class Replay:
    """A rebuilt label, and how far it agrees with that of the trial.

    Attributes
    ----------
    labels : (H, W) uint8
        The class + 1, 0 for none.
    pixels_different : int
    era, software, epoch
        Of the version of Doodler that fits best: see `Attempt`.
    iou : dict of str to float
        Intersection over union of each class, by name; nan where neither label has it.
    boundary_iou : float
        The same of the pixels near the outlines of classes (within 2 % of the diagonal, as Cheng et al. 2021,
        doi:10.1109/CVPR46437.2021.01508), mean over the classes.
    attempts : tuple of Attempt
        All that were tried, the best first.
    """

    labels: Ids
    pixels_different: int
    era: str
    software: str
    epoch: int
    iou: Mapping[str, float]
    boundary_iou: float
    attempts: tuple[Attempt, ...]

    @property
    def runner_up(self) -> Attempt | None:
        """The best of another era or software; None if the label was met before another was tried."""
        return next(
            (one for one in self.attempts if (one.era, one.software) != (self.era, self.software)), None
        )


def replay(
    trial: Trial,
    *,
    era: str | None = None,
    software: str | None = None,
    engine: str = "lattice",
    thorough: bool = False,
) -> Replay:
    """Rebuild the label of a trial from its image, doodles and settings.

    Which version of Doodler made it is found out: from settings, from the date in the name of the folder, and by trying
    until the label is met. Versions of the same features cost little more than one.

    Parameters
    ----------
    trial : Trial
        As `maskmill.studies.coast.read` gives them.
    era, software : str, optional
        Names in `maskmill.studies.coast.eras`, to try no other.
    engine : {"lattice", "exact"}
        Of the CRF: the approximation that Doodler takes, or sums over windows.
    thorough : bool
        Try all versions that may have made it, also when one fits.

    Raises
    ------
    ValueError
        If the label cannot be rebuilt, because of settings (a random forest, none) or because nothing is doodled.
    FormatError
        If an array is missing.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> image = np.zeros((40, 30, 3), np.uint8)
    >>> image[:, 15:] = 200
    >>> doodles = np.zeros((40, 30), np.uint8)
    >>> doodles[5:35, 3], doodles[5:35, 26] = 1, 2
    >>> label = np.eye(2, dtype=np.uint8)[(np.arange(30) >= 15).astype(int) + np.zeros((40, 1), int)]
    >>> path = Path(tempfile.mkdtemp()) / "shore_db.npz"
    >>> np.savez(path, image=image, orig_image=image, doodles=doodles, label=label, classes=["water", "land"],
    ...          settings=[3, 1, 1, 1, 1, 0.9, 2])
    >>> from maskmill.studies.coast import read
    >>> found = replay(read(path)[0], era="MLP-5")
    >>> found.labels.shape, found.era, sorted(found.iou)
    ((40, 30), 'MLP-5', ['land', 'water'])
    """
    if engine not in ("lattice", "exact"):
        raise ValueError(f"engine must be lattice or exact, not {engine!r}")
    possible = candidates(trial, era, software)
    label = trial.labels()
    doodles = trial.doodles().astype(np.uint8)
    doodled = np.unique(doodles[doodles > 0])
    if not len(doodled):
        raise ValueError(
            f"{trial.path}: {trial.prefix}doodles: there must be some, for a label to be rebuilt"
        )
    tried: list[_Try] = []
    if len(doodled) == 1:
        only = np.full_like(doodles, doodled[0])
        tried = [_Try(_attempt(one, 0, only, label), only) for one in possible[:1]]
        return _report(trial, label, tried)
    image = _stretched(trial)
    for kind, group in groupby(possible, key=lambda one: one.software):
        rebuild = Rebuild(trial, image, doodles, kind, engine)
        tried += _tries(rebuild, list(group), label, thorough)
        if not thorough and _settled(tried, possible, label.size):
            break
    return _report(trial, label, tried)


@dataclass(frozen=True, eq=False)
class _Try:
    attempt: Attempt
    labels: Ids


def _stretched(trial: Trial) -> Floats:
    image = trial.array("image")
    try:
        if image.dtype.kind not in "biuf" or image.ndim not in (2, 3):
            raise ValueError(
                f"it must be (H, W) or (H, W, bands) numbers, not {image.dtype} of {image.shape}"
            )
        return stretched(image)
    except ValueError as error:
        raise FormatError(f"{trial.path}: {trial.prefix}image: {error}") from None


def _tries(rebuild: Rebuild, group: Sequence[Candidate], label: Ids, thorough: bool) -> list[_Try]:
    """Versions with the same features: each with the classifier that it would have taken, and the best of them with
    those that rounding may have made it take."""
    tried: list[_Try] = []
    met = False
    for candidate in group:
        if met and not thorough and (candidate.era.rolls > 1 or candidate.era.engine):
            continue  # what refines but once, others have refined already: a runner-up for nothing
        classifier = rebuild.snapshots(candidate.era)[0]
        tried.append(_try(rebuild, candidate, classifier, label))
        met = met or not tried[-1].attempt.pixels_different
    if met:
        return tried
    candidate = group[min(range(len(group)), key=lambda i: tried[i].attempt.pixels_different)]
    others = rebuild.snapshots(candidate.era)[1:]
    # What comes after the classifier takes longer than it: only those that begin closest to the label go on.
    apart = [np.count_nonzero(rebuild.classified(candidate.era, one) != label) for one in others]
    for i in np.argsort(apart, kind="stable")[:_SECOND_TRIES]:
        tried.append(_try(rebuild, candidate, others[i], label))
    return tried


def _try(rebuild: Rebuild, candidate: Candidate, classifier: Perceptron, label: Ids) -> _Try:
    labels = rebuild.label(candidate.era, classifier)
    return _Try(_attempt(candidate, classifier.epoch, labels, label), labels)


def _attempt(candidate: Candidate, epoch: int, labels: Ids, label: Ids) -> Attempt:
    return Attempt(candidate.era.name, candidate.software, epoch, int(np.count_nonzero(labels != label)))


def _settled(tried: Sequence[_Try], possible: Sequence[Candidate], pixels: int) -> bool:
    """Whether the label is met, or as good as met by the version that the date speaks for."""
    best = min((one.attempt for one in tried), key=lambda one: one.pixels_different)
    expected = {(one.era.name, one.software) for one in possible if one.expected}
    likely = (best.era, best.software) in expected and best.pixels_different <= _ALIKE * pixels
    return likely or not best.pixels_different


def _report(trial: Trial, label: Ids, tried: Sequence[_Try]) -> Replay:
    ordered = sorted(tried, key=lambda one: one.attempt.pixels_different)
    best = ordered[0]
    return _compared(trial, label, best.labels, best.attempt, [one.attempt for one in ordered])


def compared(trial: Trial, labels: Ids, era: str, software: str, epoch: int) -> Replay:
    """Any labels (H, W), class + 1, against those of a trial."""
    label = trial.labels()
    attempt = Attempt(era, software, epoch, int(np.count_nonzero(labels != label)))
    return _compared(trial, label, labels, attempt, [attempt])


def _compared(trial: Trial, label: Ids, labels: Ids, best: Attempt, attempts: Sequence[Attempt]) -> Replay:
    ious = _ious(labels, label, len(trial.classes))
    return Replay(
        labels,
        best.pixels_different,
        best.era,
        best.software,
        best.epoch,
        dict(zip(_numbered(trial.classes), ious, strict=True)),
        _boundary_iou(labels, label),
        tuple(attempts),
    )


def _numbered(names: Sequence[str]) -> list[str]:
    """Names, those that come again (or are empty) with their number."""
    return [name if name and names.count(name) == 1 else f"{name}#{k}" for k, name in enumerate(names, 1)]


def _ious(one: Ids, other: Ids, n: int) -> list[float]:
    """Of the ids 1 to n; nan for those that neither has."""
    counts = np.bincount(one.ravel().astype(np.intp) * 256 + other.ravel(), minlength=1 << 16).reshape(
        256, 256
    )
    both = np.diagonal(counts)[1 : n + 1].astype(np.float64)
    either = (counts.sum(axis=0) + counts.sum(axis=1))[1 : n + 1] - both
    return [float(b / e) if e else float("nan") for b, e in zip(both, either, strict=True)]


def _boundary_iou(one: Ids, other: Ids) -> float:
    near = [np.zeros_like(one), np.zeros_like(other)]
    for labels, out in zip((one, other), near, strict=True):
        masks, ids = Masks.from_labels(labels)
        if len(ids):
            masks.boundary().labels(ids, out=out)
    found = [iou for iou in _ious(near[0], near[1], 255) if iou == iou]
    return float(np.mean(found)) if found else float("nan")
