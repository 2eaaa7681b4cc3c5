"""Perceptrons: classifiers of rows, trained as scikit-learn trains `MLPClassifier`, without scikit-learn.

The same numbers come out, up to the rounding of sums of float64: weights and shuffles are drawn from the same Mersenne
Twister in the same order (scikit-learn 0.24 to 1.9), so that what Doodler and others classified with it can be rebuilt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill._backend import kernels
from maskmill._device import on_host

__all__ = ["Perceptron", "Training", "fit"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_BATCH, _EPOCHS, _PATIENCE, _TOLERANCE, _RATE = 200, 2000, 10, 1e-4, 1e-3
_HELD_OUT = 0.1


@dataclass(frozen=True, eq=False)
class Perceptron:
    """A trained classifier: its state after one epoch.

    Attributes
    ----------
    units : (L,) int64
        Inputs, hidden layers, outputs: one for each class, or one for two classes.
    mean, scale : (F,) float64
        Of the training rows: what comes in is standardised.
    parameters : (P,) float64
        Layer after layer, (inputs + 1, outputs) row by row; the last rows are the biases.
    epoch : int
        From 1.
    accuracy : float
        Of the rows that were held out, after this epoch.
    backend : str or None
        Who computes.
    """

    units: Integers
    mean: Floats
    scale: Floats
    parameters: Floats
    epoch: int
    accuracy: float
    backend: str | None = None

    def layers(self) -> list[Floats]:
        """Of the parameters, (inputs + 1, outputs) each."""
        return _layers(self.parameters, self.units)

    def predict(self, rows: ArrayLike) -> NDArray[np.intp]:
        """(K,) classes from 0, for (K, F) rows, float32 or float64."""
        return _decided(self._scores(rows))

    def probabilities(self, rows: ArrayLike) -> Floats:
        """(K, C) of the classes, for (K, F) rows."""
        scores = self._scores(rows)
        if scores.shape[1] == 1:
            with np.errstate(over="ignore"):
                second = 1 / (1 + np.exp(-scores))
            return np.hstack([1 - second, second])
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        out: Floats = powers / powers.sum(axis=1, keepdims=True)
        return out

    def _scores(self, rows: ArrayLike) -> Floats:
        given = on_host(rows, "rows")
        if given.ndim != 2 or given.shape[1] != self.units[0]:
            raise ValueError(f"rows must be (K, {self.units[0]}), not {given.shape}")
        given = np.ascontiguousarray(given, np.float32 if given.dtype == np.float32 else np.float64)
        out: Floats = kernels(self.backend).perceptron_scores(
            self.units, given, self.mean, self.scale, self.parameters
        )
        return out


@dataclass(frozen=True)
class Training:
    """What came of a training.

    Attributes
    ----------
    snapshots : tuple of Perceptron
        The one that scikit-learn takes, which is the first of the best, and those that come near, the better first.
    accuracies : list of float
        Of the rows that were held out, after each epoch.
    held_out : int
        How many rows these are.
    """

    snapshots: tuple[Perceptron, ...]
    accuracies: list[float]
    held_out: int


def fit(
    rows: ArrayLike,
    classes: ArrayLike,
    *,
    hidden: Sequence[int] = (100, 60),
    alpha: float = 1.0,
    seed: int = 1,
    near: int = 3,
    backend: str | None = None,
) -> Training:
    """Train a perceptron as scikit-learn's `MLPClassifier` with ``solver="adam", early_stopping=True, max_iter=2000``,
    behind a `StandardScaler`.

    A tenth of the rows is held out, and training ends when their accuracy has not risen for more than 10 epochs.

    Parameters
    ----------
    rows : (M, F) floats
    classes : (M,) integers
        From 0; each one up to the highest should occur.
    hidden : sequence of int
        Units of the hidden layers.
    alpha : float
        Decay of the weights.
    seed : int
    near : int
        Keep also the snapshots that decide up to so many of the rows that were held out worse than the best one. With
        another order of summation, one of them may have been the best.

    Returns
    -------
    Training

    References
    ----------
    Adam: Kingma and Ba (2014), arXiv:1412.6980. First weights: Glorot and Bengio (2010).

    Raises
    ------
    ValueError
        If there are fewer than two classes, values that are not finite, or so few rows that scikit-learn could hold
        none out: up to 10 in all, or one for one of two classes.

    Examples
    --------
    >>> x = np.linspace(-1, 1, 400)
    >>> training = fit(x[:, None], x > 0.25)
    >>> training.held_out, training.snapshots[0].predict(np.array([[-0.9], [0.9]])).tolist()
    (40, [0, 1])
    """
    table, labels = on_host(rows, "rows", np.float64), on_host(classes, "classes", np.int64)
    if table.ndim != 2 or labels.shape != table.shape[:1]:
        raise ValueError(f"rows and classes must be (M, F) and (M,), not {table.shape} and {labels.shape}")
    n = int(labels.max(initial=0)) + 1
    if n < 2:
        raise ValueError("there must be two classes or more to tell apart, not one")
    mean, scale = table.mean(axis=0), table.std(axis=0)
    if not np.isfinite(scale).all():
        raise ValueError("rows must be finite, not inf or nan")
    scale[scale == 0] = 1
    rng = np.random.RandomState(seed)
    units = np.array([table.shape[1], *hidden, 1 if n == 2 else n], np.int64)
    parameters = _drawn(units, rng)
    first, second = np.zeros_like(parameters), np.zeros_like(parameters)
    train, held = _hold_out(labels, n, rng)
    standard = (table[train] - mean) / scale
    targets = labels[train, None].astype(np.float64) if n == 2 else np.eye(n)[labels[train]]
    accuracies: list[float] = []
    kept: list[Perceptron] = []
    order, best, fails, steps = np.arange(len(train)), -np.inf, 0, 0
    while len(accuracies) < _EPOCHS and fails <= _PATIENCE:
        shuffled = np.arange(len(order))
        rng.shuffle(shuffled)
        order = order[shuffled]
        kernels(backend).perceptron_epoch(
            units, standard, targets, order, _BATCH, alpha, _RATE, steps, parameters, first, second
        )
        steps += -(-len(order) // _BATCH)
        now = Perceptron(units, mean, scale, parameters.copy(), len(accuracies) + 1, 0, backend)
        accuracies.append(float(np.mean(now.predict(table[held]) == labels[held])))
        fails = fails + 1 if accuracies[-1] < best + _TOLERANCE else 0
        best = max(best, accuracies[-1])
        kept = [one for one in (*kept, replace(now, accuracy=accuracies[-1]))
                if one.accuracy > best - (near + 0.5) / len(held)]  # fmt: skip
    kept.sort(key=lambda one: (-one.accuracy, one.epoch))
    return Training(tuple(kept), accuracies, len(held))


def _layers(flat: Floats, units: Integers) -> list[Floats]:
    ends = np.cumsum((units[:-1] + 1) * units[1:])
    return [
        part.reshape(-1, n) for part, n in zip(np.split(flat, ends[:-1]), units[1:].tolist(), strict=True)
    ]


def _drawn(units: Integers, rng: np.random.RandomState) -> Floats:
    """The first parameters: uniform, the less the more units there are on both sides."""
    parts = []
    for a, b in zip(units[:-1].tolist(), units[1:].tolist(), strict=True):
        bound = np.sqrt(6 / (a + b))
        parts += [rng.uniform(-bound, bound, a * b), rng.uniform(-bound, bound, b)]
    return np.concatenate(parts)


def _decided(scores: Floats) -> NDArray[np.intp]:
    """Classes by scores: of one unit, whether its probability is above a half."""
    return (scores[:, 0] > 0).astype(np.intp) if scores.shape[1] == 1 else scores.argmax(axis=1)


def _hold_out(classes: Integers, n: int, rng: np.random.RandomState) -> tuple[Integers, Integers]:
    """Rows to train with and rows held out, drawn as `train_test_split` does, which keeps the shares of two classes."""
    m = len(classes)
    held = int(np.ceil(_HELD_OUT * m))
    counts = np.bincount(classes, minlength=n)
    if held < 2:
        raise ValueError(f"there must be 11 rows or more, to train with some and hold others out, not {m}")
    if n == 2 and counts.min() < 2:
        raise ValueError("there must be two rows or more of each class, to hold one out, not one")
    if n > 2:
        drawn = rng.permutation(m)
        return drawn[held:], drawn[:held]
    trained = _shares(counts, m - held, rng)
    tested = _shares(counts - trained, held, rng)
    train, test = [], []
    for k in range(n):
        rows = np.flatnonzero(classes == k)[rng.permutation(counts[k])]
        train.append(rows[: trained[k]])
        test.append(rows[trained[k] : trained[k] + tested[k]])
    return rng.permutation(np.concatenate(train)), rng.permutation(np.concatenate(test))


def _shares(counts: Integers, n: int, rng: np.random.RandomState) -> Integers:
    """n split as counts are: rounded down, and what is missing to the largest remainders; equal ones by lot."""
    exact = counts / counts.sum() * n
    shares = np.floor(exact)
    missing = int(n - shares.sum())
    remainders = exact - shares
    for value in np.unique(remainders)[::-1]:
        if missing == 0:
            break
        (equal,) = np.nonzero(remainders == value)
        drawn = rng.choice(equal, size=min(len(equal), missing), replace=False)
        shares[drawn] += 1
        missing -= len(drawn)
    whole: Integers = shares.astype(np.int64)
    return whole
