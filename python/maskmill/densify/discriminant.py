"""Linear discriminant analysis that knows which pixels were painted in one stroke.

Pixels of one blob are much alike, and one blob of a class differs from the next as a whole: lighter, coarser, wetter. A
classifier that takes pixels for independent sees the small differences within blobs many thousand times, and trusts in
whatever separates the few blobs that there are. Here both spreads are estimated, that of pixels within blobs and that
of blobs within classes, and classes are told apart along directions in which neither is large. Speaker recognition does
so with recordings (Hatch, Kajarekar and Stolcke 2006, "Within-class covariance normalization").
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def discriminant(
    table: NDArray[Any],
    target: NDArray[np.intp],
    blob: NDArray[Any],
    *,
    between: float = 0.3,
    shrinkage: float = 0.2,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights (F, L) and biases (L,) of scores, whose softmax are probabilities; all classes are equally likely before.

    Parameters
    ----------
    table : (N, F) floats
        Standardised columns.
    target : (N,) integers
        Classes 0, 1, ... L - 1.
    blob : (N,) integers
        Blobs weigh as the square roots of their numbers of pixels.
    between : float, 0 to 1
        Share of the covariance of blobs; the rest is that of pixels within blobs.
    shrinkage : float, above 0 to 1
        Share of the identity that is mixed into the covariance.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill.densify.discriminant import discriminant
    >>> table = np.array([[0, 0.0], [0, 1], [9, 0], [9, 1]])     # the first column tells blobs apart, not classes
    >>> weights, _ = discriminant(table, np.array([0, 1, 0, 1]), np.array([1, 2, 3, 4]))
    >>> (weights[:, 1] - weights[:, 0]).astype(float).round(2).tolist()
    [0.0, 0.82]
    """
    if not 0 <= between <= 1:
        raise ValueError(f"between must be within 0 and 1, not {between}")
    if not 0 < shrinkage <= 1:
        raise ValueError(f"shrinkage must be above 0 and up to 1, not {shrinkage}")
    rows = np.asarray(table, np.float64)
    f, classes = rows.shape[1], int(target.max()) + 1
    within, among = np.zeros((f, f)), np.zeros((f, f))
    means = np.empty((classes, f))
    spare = 0
    for k in range(classes):
        groups = [rows[(target == k) & (blob == b)] for b in np.unique(blob[target == k])]
        centres = np.array([group.mean(0) for group in groups])
        for group, centre in zip(groups, centres, strict=True):
            within += (group - centre).T @ (group - centre)
        weight = np.sqrt([len(group) for group in groups])
        weight /= weight.sum()
        means[k] = weight @ centres
        apart = centres - means[k]
        among += len(groups) * (apart.T * weight) @ apart
        spare += len(groups) - 1
    covariance = (1 - between) * within / len(rows) + between * among / max(spare, 1)
    scale = np.trace(covariance) / f
    covariance = (1 - shrinkage) * covariance + shrinkage * (scale if scale > 0 else 1.0) * np.eye(f)
    weights = np.linalg.solve(covariance, means.T)
    biases = -0.5 * np.einsum("kf,fk->k", means, weights)
    return weights.astype(np.float32), biases.astype(np.float32)
