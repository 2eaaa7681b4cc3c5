"""The classifier of Doodler: a perceptron with two hidden layers, trained as scikit-learn's `MLPClassifier` is.

Doodler asks for ``StandardScaler`` and ``MLPClassifier(solver="adam", alpha=1, random_state=1, max_iter=2000,
early_stopping=True, hidden_layer_sizes=[100, 60])``. The same numbers come out here, up to the rounding of sums of
float64: weights and shuffles are drawn from the same Mersenne Twister in the same order (scikit-learn 0.24 to 1.9).
Adam: Kingma, Ba (2014), arXiv:1412.6980. Weights: Glorot, Bengio (2010).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_BATCH, _EPOCHS, _PATIENCE, _TOLERANCE = 200, 2000, 10, 1e-4
_RATE, _BETA1, _BETA2, _EPSILON = 1e-3, 0.9, 0.999, 1e-8
_HELD_OUT = 0.1
_CHUNK = 4096
"""Rows that are classified at a time: what lies between the layers stays in the cache."""


@dataclass(frozen=True)
class Perceptron:
    """A trained classifier: its state after one epoch.

    Attributes
    ----------
    mean, scale : (F,) float64
        Of the training rows: what comes in is standardised.
    weights : tuple of (inputs + 1, units) float64
        Of each layer. The last rows are the biases. The last layer has a unit for each class, or one for two classes.
    epoch : int
        From 1.
    accuracy : float
        Of the rows that were held out, after this epoch.
    """

    mean: Floats
    scale: Floats
    weights: tuple[Floats, ...]
    epoch: int
    accuracy: float

    def predict(self, rows: NDArray[np.floating]) -> NDArray[np.uint8]:
        """(K,) classes from 0, for (K, F) rows."""
        out = np.empty(len(rows), np.uint8)
        for begin in range(0, len(rows), _CHUNK):
            piece = slice(begin, begin + _CHUNK)
            out[piece] = _decided(self._scores(rows[piece]))
        return out

    def probabilities(self, rows: NDArray[np.floating]) -> Floats:
        """(K, C) of the classes, for (K, F) rows."""
        n = self.weights[-1].shape[1]
        out = np.empty((len(rows), max(n, 2)))
        for begin in range(0, len(rows), _CHUNK):
            piece = slice(begin, begin + _CHUNK)
            scores = self._scores(rows[piece])
            _activate(scores)
            if n == 1:
                np.subtract(1, scores, out=out[piece, :1])
            out[piece, -n:] = scores
        return out

    def _scores(self, rows: NDArray[np.floating]) -> Floats:
        return _forward(_with_ones((rows - self.mean) / self.scale), self.weights)


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
    rows: NDArray[np.floating],
    classes: Integers | Sequence[int],
    *,
    hidden: Sequence[int] = (100, 60),
    alpha: float = 1.0,
    seed: int = 1,
    near: int = 3,
) -> Training:
    """Train a perceptron.

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
    rows, classes = np.asarray(rows, np.float64), np.asarray(classes, np.int64)
    if rows.ndim != 2 or classes.shape != rows.shape[:1]:
        raise ValueError(f"rows and classes must be (M, F) and (M,), not {rows.shape} and {classes.shape}")
    n = int(classes.max(initial=0)) + 1
    if n < 2:
        raise ValueError("there must be two classes or more to tell apart, not one")
    mean, scale = rows.mean(axis=0), rows.std(axis=0)
    if not np.isfinite(scale).all():
        raise ValueError("rows must be finite, not inf or nan")
    scale[scale == 0] = 1
    rng = np.random.RandomState(seed)
    network = _Network([rows.shape[1], *hidden, 1 if n == 2 else n], alpha, rng)
    train, held = _hold_out(classes, n, rng)
    standard = _with_ones((rows - mean) / scale)
    accuracies: list[float] = []
    kept: list[tuple[float, int, Floats]] = []
    held_rows, held_classes = standard[held], classes[held]
    standard, classes = standard[train], classes[train]
    targets = classes[:, None].astype(np.float64) if n == 2 else np.eye(n)[classes]
    order, best, fails = np.arange(len(train)), -np.inf, 0
    while len(accuracies) < _EPOCHS and fails <= _PATIENCE:
        shuffled = np.arange(len(order))
        rng.shuffle(shuffled)
        order = order[shuffled]
        network.epoch(standard, targets, order)
        right = _decided(_forward(held_rows, network.weights)) == held_classes
        accuracies.append(float(np.mean(right)))
        fails = fails + 1 if accuracies[-1] < best + _TOLERANCE else 0
        best = max(best, accuracies[-1])
        least = best - (near + 0.5) / len(held)
        kept = [one for one in kept if one[0] >= least]
        if accuracies[-1] >= least:
            kept.append((accuracies[-1], len(accuracies), network.parameters.copy()))
    kept.sort(key=lambda one: (-one[0], one[1]))
    snapshots = [
        Perceptron(mean, scale, network.layers(parameters), epoch, accuracy)
        for accuracy, epoch, parameters in kept
    ]
    return Training(tuple(snapshots), accuracies, len(held))


class _Network:
    """Weights, what Adam remembers of them, and the memory that an epoch needs."""

    def __init__(self, units: Sequence[int], alpha: float, rng: np.random.RandomState) -> None:
        self.units = list(units)
        pairs = list(zip(units, units[1:], strict=False))
        size = sum((a + 1) * b for a, b in pairs)
        self.parameters = np.empty(size)
        self.gradient, self.first, self.second, self.scratch = (np.zeros(size) for _ in range(4))
        self.decay = np.full(size, float(alpha))
        self.weights, self.gradients = self.layers(self.parameters), self.layers(self.gradient)
        for weights, decay, (a, b) in zip(self.weights, self.layers(self.decay), pairs, strict=True):
            bound = np.sqrt(6 / (a + b))
            weights[:-1] = rng.uniform(-bound, bound, (a, b))
            weights[-1] = rng.uniform(-bound, bound, b)
            decay[-1] = 0
        self.steps = 0
        self.inputs = [np.ones((_BATCH, n + 1)) for n in units[:-1]]
        self.deltas = [np.empty((_BATCH, n)) for n in units[1:]]
        self.active = [np.empty((_BATCH, n), bool) for n in units[1:-1]]

    def layers(self, flat: Floats) -> tuple[Floats, ...]:
        """Views of the parameters, or of as many other numbers, of each layer."""
        found, begin = [], 0
        for a, b in zip(self.units, self.units[1:], strict=False):
            found.append(flat[begin : begin + (a + 1) * b].reshape(a + 1, b))
            begin += (a + 1) * b
        return tuple(found)

    def epoch(self, rows: Floats, targets: Floats, order: Integers) -> None:
        """A step for each batch of the rows, in this order."""
        for begin in range(0, len(order), _BATCH):
            batch = order[begin : begin + _BATCH]
            self._differentiate(rows, targets, batch)
            self._step(len(batch))

    def _differentiate(self, rows: Floats, targets: Floats, batch: Integers) -> None:
        """The gradient of the loss, summed over a batch. Nothing is allocated: that would take half of the time."""
        m, last = len(batch), len(self.weights) - 1
        inputs, deltas = [a[:m] for a in self.inputs], [d[:m] for d in self.deltas]
        np.take(rows, batch, axis=0, out=inputs[0], mode="clip")
        for i in range(last):
            hidden = inputs[i + 1][:, :-1]
            np.matmul(inputs[i], self.weights[i], out=hidden)
            np.maximum(hidden, 0, out=hidden)
        np.matmul(inputs[last], self.weights[last], out=deltas[last])
        _activate(deltas[last])
        deltas[last] -= targets[batch]
        for i in range(last, -1, -1):
            np.matmul(inputs[i].T, deltas[i], out=self.gradients[i])
            if i > 0:
                np.matmul(deltas[i], self.weights[i][:-1].T, out=deltas[i - 1])
                active = np.greater(inputs[i][:, :-1], 0, out=self.active[i - 1][:m])
                np.multiply(deltas[i - 1], active, out=deltas[i - 1])

    def _step(self, m: int) -> None:
        """One of Adam, by the gradient of m rows."""
        self.steps += 1
        gradient, scratch = self.gradient, self.scratch
        gradient += np.multiply(self.parameters, self.decay, out=scratch)
        gradient /= m
        self.first *= _BETA1
        self.first += np.multiply(gradient, 1 - _BETA1, out=scratch)
        self.second *= _BETA2
        np.multiply(gradient, gradient, out=gradient)
        self.second += np.multiply(gradient, 1 - _BETA2, out=gradient)
        np.sqrt(self.second, out=scratch)
        scratch += _EPSILON
        np.divide(self.first, scratch, out=scratch)
        scratch *= _RATE * np.sqrt(1 - _BETA2**self.steps) / (1 - _BETA1**self.steps)
        self.parameters -= scratch


def _with_ones(rows: Floats) -> Floats:
    """Rows with a column of 1 behind, which biases are multiplied with."""
    out = np.ones((len(rows), rows.shape[1] + 1))
    out[:, :-1] = rows
    return out


def _forward(rows: Floats, weights: Sequence[Floats]) -> Floats:
    """What the last layer gives for rows with ones, before its activation."""
    for layer in weights[:-1]:
        hidden = rows @ layer
        rows = _with_ones(np.maximum(hidden, 0, out=hidden))
    return rows @ weights[-1]


def _activate(scores: Floats) -> None:
    """Scores of the last layer to probabilities, in place: logistic for one unit, else softmax."""
    if scores.shape[1] == 1:
        with np.errstate(over="ignore"):
            np.exp(np.negative(scores, out=scores), out=scores)
        scores += 1
        np.reciprocal(scores, out=scores)
    else:
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=1, keepdims=True)


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
