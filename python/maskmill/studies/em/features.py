"""Numbers that tell an informative patch from an empty, noisy or blurred one, for a forest of decision trees."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Patch: TypeAlias = NDArray[np.uint8]
"""(H, W) uint8."""

V01 = ("lbp_std", "geometric_median", "entropy_std", "canny_mean")
"""The four features of cem-dataset v0.1."""
QUICK = (
    "lbp_std",
    "geometric_median",
    "canny_mean",
    "mean",
    "std",
    "commonest",
    "clipped",
    "grey_entropy",
    "band1",
    "band2",
    "band4",
    "band8",
    "tail2",
    "tail4",
    "coherence1",
    "coherence4",
    "local_low",
    "local_median",
    "local_high",
)
"""What the default model looks at. v0.1's entropy is left out, as it takes longer than all the others together."""


def features(patches: Iterable[Patch], names: Sequence[str] = QUICK) -> NDArray[np.float64]:
    """Features of patches.

    Parameters
    ----------
    patches : iterable of (H, W) uint8
        They may differ in size.
    names : sequence of str
        Which features, in this order:

        ==================== ==================================================================================
        lbp_std              standard deviation of the local binary pattern (8 points, radius 8)
        geometric_median     median of the geometric mean in squares of 11 pixels
        entropy_std          standard deviation of the entropy in squares of 7 pixels, in bits
        canny_mean           share of pixels on edges, by Canny's detector with sigma 1
        mean, std            of the grey values
        commonest            share of the commonest grey value
        clipped              share of 0 and 255
        grey_entropy         entropy of the histogram, in bits
        band1, 2, 4, 8       log2 of the contrast in details of so many pixels
        tail2, tail4         log2 of the kurtosis of those details: noise has 1.58, few sharp edges have more
        coherence1, 4        how much neighbouring gradients agree in direction, 0 to 1, at full and quarter size
        local_low, _median,  10th, 50th and 90th percentile of the contrast in squares of 32 pixels
        _high
        ==================== ==================================================================================

    Returns
    -------
    (N, len(names)) float64

    Raises
    ------
    TypeError, ValueError
        If a patch is not two-dimensional, uint8 and at least one pixel; or a name is unknown.

    Notes
    -----
    The first four are those of cem-dataset v0.1 and equal scikit-image's `local_binary_pattern`, `rank.geometric_mean`,
    `rank.entropy` and `canny`.

    Examples
    --------
    >>> flat = np.full((64, 64), 90, np.uint8)
    >>> features([flat], ["mean", "std", "commonest"])
    array([[90.,  0.,  1.]])
    """
    unknown = [name for name in names if name not in FEATURES]
    if unknown:
        raise ValueError(f"features must be among {', '.join(FEATURES)}, not {unknown[0]!r}")
    rows = []
    for patch in patches:
        check(patch)
        known: dict[Any, Any] = {}  # what several features share
        rows.append([FEATURES[name](patch, known) for name in names])
    return np.array(rows, np.float64).reshape(-1, len(names))


def check(patch: Any) -> None:
    """Raise TypeError or ValueError for what is no patch."""
    if not isinstance(patch, np.ndarray) or patch.dtype != np.uint8:
        found = patch.dtype if isinstance(patch, np.ndarray) else type(patch).__name__
        raise TypeError(f"patches must be uint8 arrays, not {found}")
    if patch.ndim != 2 or not patch.size:
        raise ValueError(f"patches must have shape (H, W) of at least one pixel, not {patch.shape}")


# cem-dataset v0.1


def lbp(patch: Patch, radius: float = 8.0) -> NDArray[np.uint8]:
    """Local binary pattern of 8 points: bit p is set where the point at angle p/8 of a turn is not darker. Points
    between pixels are interpolated, those outside are 0 (Ojala et al. 2002; scikit-image's method "default")."""
    h, w = patch.shape
    padded = np.pad(patch.astype(np.float64), int(radius) + 2)
    out = np.zeros((h, w), np.uint8)
    for p in range(8):
        angle = 2 * np.pi * p / 8
        row, col = round(-radius * np.sin(angle), 5), round(radius * np.cos(angle), 5)
        # Sums, not shifts, as rounding in the last bit decides ties on flat ground.
        y, x = np.arange(h) + row, np.arange(w) + col
        dy, dx = (y - np.floor(y))[:, None], x - np.floor(x)
        top, bottom = (int(f(row)) + int(radius) + 2 for f in (np.floor, np.ceil))
        left, right = (int(f(col)) + int(radius) + 2 for f in (np.floor, np.ceil))
        upper = (1 - dx) * padded[top : top + h, left : left + w] + dx * padded[
            top : top + h, right : right + w
        ]
        lower = (1 - dx) * padded[bottom : bottom + h, left : left + w]
        lower += dx * padded[bottom : bottom + h, right : right + w]
        out |= ((1 - dy) * upper + dy * lower >= patch).astype(np.uint8) << p
    return out


def geometric_mean(patch: Patch, side: int = 11) -> NDArray[np.uint8]:
    """exp(mean(log(value + 1))) - 1 in a square around each pixel, rounded; at the border, of what is inside."""
    import cv2

    logs = np.log(np.arange(256) + 1.0)[patch]
    mean = cv2.boxFilter(logs, cv2.CV_64F, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT)
    mean /= _inside(patch.shape, side)
    out: NDArray[np.uint8] = np.rint(np.exp(mean) - 1).astype(np.uint8)
    return out


def entropy(patch: Patch, side: int = 7) -> NDArray[np.float64]:
    """Entropy, in bits, of the grey values in a square around each pixel; at the border, of what is inside."""
    import cv2

    count = np.arange(1.0, 256.0)
    weigh = np.concatenate([[0.0], count * np.log2(count)])
    total = np.zeros(patch.shape)
    for value in np.flatnonzero(np.bincount(patch.reshape(-1))):
        same = (patch == value).view(np.uint8)
        n = cv2.boxFilter(same, cv2.CV_8U, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT)
        total += weigh[n]
    inside = _inside(patch.shape, side)
    return np.maximum(np.log2(inside) - total / inside, 0.0)


def canny(patch: Patch, sigma: float = 1.0, low: float = 0.1, high: float = 0.2) -> NDArray[np.bool_]:
    """Edges (Canny 1986, DOI 10.1109/TPAMI.1986.4767851) of grey values scaled to 0..1, as scikit-image finds them:
    what lies beyond the border is unknown, and border pixels are no edges."""
    import cv2

    if min(patch.shape) < 3:
        return np.zeros(patch.shape, np.bool_)
    side = 2 * int(4 * sigma + 0.5) + 1
    blur = partial(cv2.GaussianBlur, ksize=(side, side), sigmaX=sigma, borderType=cv2.BORDER_CONSTANT)
    smooth = blur(patch / 255.0) / (_share_inside(patch.shape, blur) + np.finfo(float).eps)
    across = cv2.Sobel(smooth, cv2.CV_64F, 1, 0, borderType=cv2.BORDER_REFLECT)
    down = cv2.Sobel(smooth, cv2.CV_64F, 0, 1, borderType=cv2.BORDER_REFLECT)
    size = np.sqrt(down * down + across * across)
    y, x = np.nonzero(size[1:-1, 1:-1] >= low)
    ridge = _on_ridge(size, down, across, y + 1, x + 1)
    y, x = y[ridge] + 1, x[ridge] + 1
    weak = np.zeros(patch.shape, np.uint8)
    weak[y, x] = 1
    _, parts = cv2.connectedComponents(weak, connectivity=8)
    strong = np.zeros(int(parts.max()) + 1, np.bool_)
    strong[parts[y, x][size[y, x] >= high]] = True
    edges: NDArray[np.bool_] = strong[parts]
    return edges


def _on_ridge(size: Any, down: Any, across: Any, y: Any, x: Any) -> NDArray[np.bool_]:
    """Whether the gradient at (y, x) is not smaller than its two neighbours along its direction, interpolated."""
    dy, dx = down[y, x], across[y, x]
    steep = np.abs(dy) > np.abs(dx)
    rising = dy * dx >= 0
    steep |= ~rising & (np.abs(dy) == np.abs(dx))
    with np.errstate(invalid="ignore"):  # no gradient at all: no ridge
        share = np.where(steep, np.abs(dx), np.abs(dy)) / np.where(steep, np.abs(dy), np.abs(dx))
    step_y, step_x = np.where(rising, 1, -1), np.ones_like(y)  # to the diagonal neighbour
    near_y, near_x = np.where(steep, step_y, 0), np.where(steep, 0, step_x)
    here, ridge = size[y, x], np.ones(len(y), np.bool_)
    for sign in (1, -1):
        near = size[y + sign * near_y, x + sign * near_x]
        diagonal = size[y + sign * step_y, x + sign * step_x]
        ridge &= diagonal * share + near * (1 - share) <= here
    return ridge


@lru_cache(maxsize=16)
def _inside(shape: tuple[int, int], side: int) -> NDArray[np.float64]:
    """How many pixels of the square around each pixel lie inside."""
    half = side // 2
    rows, cols = (np.minimum(np.arange(n) + half + 1, n) - np.maximum(np.arange(n) - half, 0) for n in shape)
    out: NDArray[np.float64] = np.multiply.outer(rows, cols).astype(np.float64)
    return out


def _share_inside(shape: tuple[int, ...], blur: Any) -> NDArray[np.float64]:
    out: NDArray[np.float64] = blur(np.ones(shape))
    return out


# Further ones


def _reduced(patch: Patch, known: dict[Any, Any], by: int) -> NDArray[np.float32]:
    """The patch at 1/by of its size."""
    import cv2

    if ("reduced", by) not in known:
        h, w = patch.shape
        size = max(1, w // by), max(1, h // by)
        known["reduced", by] = cv2.resize(patch.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    out: NDArray[np.float32] = known["reduced", by]
    return out


def _detail(patch: Patch, known: dict[Any, Any], by: int) -> NDArray[np.float32]:
    """What a small blur takes away at 1/by of the size."""
    import cv2

    if ("detail", by) not in known:
        image = _reduced(patch, known, by)
        known["detail", by] = image - cv2.GaussianBlur(image, (5, 5), 1.0, borderType=cv2.BORDER_REFLECT)
    out: NDArray[np.float32] = known["detail", by]
    return out


def _band(by: int, patch: Patch, known: dict[Any, Any]) -> float:
    return float(np.log2(_detail(patch, known, by).std(dtype=np.float64) + 0.05))


def _tail(by: int, patch: Patch, known: dict[Any, Any]) -> float:
    detail = _detail(patch, known, by).astype(np.float64)
    square = (detail - detail.mean()) ** 2
    return float(np.log2(((square**2).mean() + 0.1) / (square.mean() ** 2 + 0.1)))


def _coherence(by: int, patch: Patch, known: dict[Any, Any]) -> float:
    """Mean of (l1 - l2) / (l1 + l2) over the structure tensor, weighted by l1 + l2."""
    import cv2

    image = _reduced(patch, known, by)
    across = cv2.Sobel(image, cv2.CV_32F, 1, 0, borderType=cv2.BORDER_REFLECT)
    down = cv2.Sobel(image, cv2.CV_32F, 0, 1, borderType=cv2.BORDER_REFLECT)
    blur = partial(cv2.GaussianBlur, ksize=(0, 0), sigmaX=2.0, borderType=cv2.BORDER_REFLECT)
    xx, yy, xy = blur(across * across), blur(down * down), blur(across * down)
    apart = np.sqrt((xx - yy) ** 2 + 4 * xy**2)
    return float(apart.sum(dtype=np.float64) / ((xx + yy).sum(dtype=np.float64) + 1.0))


def _local(share: float, patch: Patch, known: dict[Any, Any]) -> float:
    """A quantile of the standard deviation in squares of 32 pixels, at half the size."""
    if "local" not in known:
        image = _reduced(patch, known, 2).astype(np.float64)
        side = min(16, *image.shape)
        h, w = (n // side * side for n in image.shape)
        squares = image[:h, :w].reshape(h // side, side, w // side, side)
        known["local"] = squares.std(axis=(1, 3))
    return float(np.quantile(known["local"], share))


def _histogram(patch: Patch, known: dict[Any, Any]) -> NDArray[np.float64]:
    if "histogram" not in known:
        known["histogram"] = np.bincount(patch.reshape(-1), minlength=256) / patch.size
    out: NDArray[np.float64] = known["histogram"]
    return out


def _grey_entropy(patch: Patch, known: dict[Any, Any]) -> float:
    share = _histogram(patch, known)
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum())


FEATURES: dict[str, Callable[[Patch, dict[Any, Any]], float]] = {
    "lbp_std": lambda patch, known: float(lbp(patch).std()),
    "geometric_median": lambda patch, known: float(np.median(geometric_mean(patch))),
    "entropy_std": lambda patch, known: float(entropy(patch).std()),
    "canny_mean": lambda patch, known: float(canny(patch).mean()),
    "mean": lambda patch, known: float(patch.mean()),
    "std": lambda patch, known: float(patch.std()),
    "commonest": lambda patch, known: float(_histogram(patch, known).max()),
    "clipped": lambda patch, known: float(_histogram(patch, known)[[0, 255]].sum()),
    "grey_entropy": _grey_entropy,
    "band1": partial(_band, 1),
    "band2": partial(_band, 2),
    "band4": partial(_band, 4),
    "band8": partial(_band, 8),
    "tail2": partial(_tail, 2),
    "tail4": partial(_tail, 4),
    "coherence1": partial(_coherence, 1),
    "coherence4": partial(_coherence, 4),
    "local_low": partial(_local, 0.1),
    "local_median": partial(_local, 0.5),
    "local_high": partial(_local, 0.9),
}
"""How each is computed, from a patch and what is already known of it."""
