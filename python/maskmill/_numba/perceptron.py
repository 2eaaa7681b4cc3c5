"""Training perceptrons by Adam: the twin of cpp/kernels/perceptron.hpp.

Sums are in the order that is written here; only exponentials may differ from the compiled ones, in the last bit.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from maskmill._numba._runs import Float64s, Int64s, check_array, compiled

PIECE = 56
"""Rows whose gradients are summed before they are added to those of other pieces of the batch."""
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
MOST_UNITS = 1 << 16


def perceptron_epoch(
    units: Int64s,
    rows: Float64s,
    targets: Float64s,
    order: Int64s,
    batch: int,
    alpha: float,
    rate: float,
    steps: int,
    parameters: Float64s,
    first: Float64s,
    second: Float64s,
) -> None:
    """A step for each batch of rows; `steps` were taken before."""
    _check_units(units)
    for name, array in (("rows", rows), ("targets", targets)):
        check_array(name, array, np.float64)
    _require(rows.ndim == 2 and rows.shape[1] == units[0], "rows must have a column for each input")
    _require(
        targets.ndim == 2 and targets.shape[1] == units[-1], "targets must have a column for each output"
    )
    _require(len(targets) == len(rows), "targets must have as many rows as rows")
    for array in (parameters, first, second):
        _check_parameters(array, units)
    _require(1 <= batch <= 1 << 20, "batch must be 1 to 1048576")
    check_array("order", order, np.int64)
    _require(order.ndim == 1, "order must be a vector")
    _require(bool(((order >= 0) & (order < len(rows))).all()), "order must be indices of rows")
    weights = _layers(parameters, units)
    for begin in range(0, len(order), batch):
        mine = order[begin : begin + batch]
        gradient = np.zeros_like(parameters)
        for piece in range(0, len(mine), PIECE):
            chosen = mine[piece : piece + PIECE]
            gradient += _differentiated(weights, rows[chosen], targets[chosen])
        for layer, weight in zip(_layers(gradient, units), weights, strict=True):
            layer[:-1] += weight[:-1] * alpha  # the last row, of biases, does not decay
        gradient /= len(mine)
        steps += 1
        first[:] = first * BETA1 + gradient * (1 - BETA1)
        second[:] = second * BETA2 + gradient * gradient * (1 - BETA2)
        step = rate * math.sqrt(1 - BETA2**steps) / (1 - BETA1**steps)
        parameters -= first / (np.sqrt(second) + EPSILON) * step


def perceptron_scores(
    units: Int64s,
    rows: Float64s | NDArray[np.float32],
    mean: Float64s,
    scale: Float64s,
    parameters: Float64s,
) -> Float64s:
    """What the last layer gives for standardised rows, before its activation."""
    _check_units(units)
    check_array("rows", rows, np.float32 if rows.dtype == np.float32 else np.float64)
    _require(rows.ndim == 2 and rows.shape[1] == units[0], "rows must have a column for each input")
    for name, array in (("mean", mean), ("scale", scale)):
        check_array(name, array, np.float64)
        _require(array.shape == (units[0],), "mean and scale must have a value for each input")
    _check_parameters(parameters, units)
    return _forward(_layers(parameters, units), (rows.astype(np.float64) - mean) / scale)[-1]


def _layers(flat: Float64s, units: Int64s) -> list[Float64s]:
    """Views of each layer: (inputs + 1, outputs)."""
    out, begin = [], 0
    for a, b in zip(units[:-1].tolist(), units[1:].tolist(), strict=True):
        out.append(flat[begin : begin + (a + 1) * b].reshape(a + 1, b))
        begin += (a + 1) * b
    return out


def _forward(weights: list[Float64s], rows: Float64s) -> list[Float64s]:
    """What goes into each layer, with a column of 1 for the biases, and what the last one gives."""
    flow = []
    for i, layer in enumerate(weights):
        flow.append(np.hstack([np.maximum(rows, 0) if i else rows, np.ones((len(rows), 1))]))
        rows = _product(flow[-1], layer)
    return [*flow, rows]


def _differentiated(weights: list[Float64s], rows: Float64s, targets: Float64s) -> Float64s:
    """The flat gradient of the loss, summed over the rows."""
    *flow, scores = _forward(weights, rows)
    delta = _activated(scores) - targets
    gradients = []
    for inputs, layer in zip(reversed(flow), reversed(weights), strict=True):
        gradients.append(_product(np.ascontiguousarray(inputs.T), delta).ravel())
        back = _product(delta, np.ascontiguousarray(layer.T))
        delta = np.where(inputs > 0, back, 0)[:, :-1]
    return np.concatenate(gradients[::-1])


def _activated(scores: Float64s) -> Float64s:
    if scores.shape[1] == 1:
        return np.asarray(1 / (1 + np.exp(-scores)))
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    totals = np.cumsum(powers, axis=1)[:, -1:]  # `sum` would add in another order
    return np.asarray(powers / totals)


@compiled
def _product(a: Float64s, b: Float64s) -> Float64s:
    """Every element is summed from the first term to the last, without fused operations."""
    out = np.zeros((a.shape[0], b.shape[1]))
    for i in range(a.shape[0]):
        for k in range(a.shape[1]):
            for j in range(b.shape[1]):
                out[i, j] += a[i, k] * b[k, j]
    return out


def _check_units(units: Int64s) -> None:
    check_array("units", units, np.int64)
    _require(units.ndim == 1 and len(units) >= 2, "units must be inputs, any hidden layers, and outputs")
    _require(bool(((units >= 1) & (units <= MOST_UNITS)).all()), "units must be 1 to 65536 in each layer")


def _check_parameters(values: Float64s, units: Int64s) -> None:
    check_array("parameters", values, np.float64)
    size = int(((units[:-1] + 1) * units[1:]).sum())
    _require(values.shape == (size,), "parameters and moments must be flat, of the size that units have")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)
