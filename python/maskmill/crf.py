"""Fully connected conditional random fields: labels that fit their neighbours in place and colour.

Every pixel is joined to every other. A pair costs less where labels agree, the more so the nearer the two are in place
(Gaussian term) or in place and colour (bilateral term). Mean field inference finds each label's probability in a few
rounds. Terms are filters, computed by the permutohedral lattice, which is fast for any width and gives what pydensecrf
gives, or exactly, which is for small widths and small sets.

Unary energies are -ln of a classifier's probabilities, labels first: (L, H, W). An energy of +inf forbids a label.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill import _check
from maskmill._backend import kernels
from maskmill._device import on_host, refuse_gpu

__all__ = [
    "Lattice",
    "Pairs",
    "Trial",
    "Window",
    "mean_field",
    "refine",
    "search",
    "unary_from_labels",
    "unary_from_probabilities",
]

Floats: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]
Gaussian: TypeAlias = tuple[float, ArrayLike]
"""Standard deviation in pixels; weight."""
Bilateral: TypeAlias = tuple[float, ArrayLike, ArrayLike]
"""Standard deviation in pixels, in units of the image (one for all channels or one for each); weight."""

METHODS = {"lattice": 0, "exact": 1}
NORMALIZATIONS = {"symmetric": 0, "before": 1, "after": 2, "none": 3}
MOST_FEATURES = 63


# Filters


class Lattice:
    """The Gaussian filter among points of a feature space, by the permutohedral lattice.

    Parameters
    ----------
    features : (N, d) real numbers, d from 1 to 63
        One point a row, in standard deviations: points i and j have the weight exp(-|f_i - f_j|**2 / 2), a point with
        itself 1.

    Attributes
    ----------
    sums : (N,) float32
        The sum of each point's weights, which normalisations divide by.

    Raises
    ------
    ValueError
        If a feature is not finite, or so large that float32 cannot tell its place within a simplex (4194304 / (d + 1)
        standard deviations and more).

    Notes
    -----
    An approximation: a weight is what the lattice makes of it, within about 30 % for near points. Memory: 8 (d + 1)
    bytes for each point and each vertex. Building it takes longer than a round of inference: keep it where only weights
    change.

    References
    ----------
    Adams, Baek and Davis, "Fast High-Dimensional Filtering Using the Permutohedral Lattice" (2010),
    doi:10.1111/j.1467-8659.2009.01645.x.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import crf
    >>> crf.Lattice(np.arange(5)[:, None]).filter([[0, 0, 1, 0, 0]]).round(2)
    array([[0.12, 0.57, 0.86, 0.56, 0.15]], dtype=float32)
    """

    def __init__(self, features: ArrayLike, *, backend: str | None = None) -> None:
        self._kernels = kernels(backend)
        self.arrays: tuple[NDArray[Any], ...] = self._kernels.crf_lattice(_features(features))
        self.sums: Floats = self.filter(np.ones((1, self.points), np.float32))[0]

    @property
    def points(self) -> int:
        """Number of points."""
        return len(self.arrays[0])

    @property
    def vertices(self) -> int:
        """Number of vertices of the lattice that the points come to."""
        return int(self.arrays[2].shape[1])

    def filter(self, values: ArrayLike) -> Floats:
        """The weighted sum over all points; values and result are (L, N) float32."""
        given = np.ascontiguousarray(on_host(values, "values"), dtype=np.float32)
        if given.ndim != 2 or given.shape[1] != self.points:
            raise ValueError(f"values must have shape (L, {self.points}), not {given.shape}")
        out = np.empty_like(given)
        self._kernels.crf_filter(self.arrays, given, out)
        return out


class Pairs:
    """The same filter, exactly: every point with every other, in float64. For small sets: the time grows as N**2.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import crf
    >>> crf.Pairs(np.arange(5)[:, None]).filter([[0, 0, 1, 0, 0]]).round(2)
    array([[0.14, 0.61, 1.  , 0.61, 0.14]])
    """

    def __init__(self, features: ArrayLike, *, backend: str | None = None) -> None:
        self._kernels = kernels(backend)
        self.features = _features(features)
        if not np.isfinite(self.features).all():
            raise ValueError("features must be finite")
        self.points = len(self.features)
        self.sums: Doubles = self.filter(np.ones((1, self.points)))[0]

    def filter(self, values: ArrayLike) -> Doubles:
        """The weighted sum over all points; (L, N) float64."""
        given = np.ascontiguousarray(on_host(values, "values"), dtype=np.float64)
        if given.ndim != 2 or given.shape[1] != self.points:
            raise ValueError(f"values must have shape (L, {self.points}), not {given.shape}")
        out = np.empty_like(given)
        self._kernels.crf_pairs(given, self.features, out)
        return out


class Window:
    """The exact filter of an image, over a window around each pixel, in float64.

    Parameters
    ----------
    shape : (H, W)
    sigma : float
        Standard deviation in pixels.
    guide : (H, W) or (H, W, C) real numbers, optional
        The image in standard deviations of colour. None: a Gaussian by rows and columns, whose time does not grow with
        the square of the window.
    radius : int, optional
        The window reaches so far to all sides; ceil(5 sigma) by default.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import crf
    >>> crf.Window((1, 5), 1).filter([[0, 0, 1, 0, 0]]).round(2)
    array([[0.14, 0.61, 1.  , 0.61, 0.14]])
    """

    def __init__(
        self,
        shape: tuple[int, int],
        sigma: float,
        guide: ArrayLike | None = None,
        *,
        radius: int | None = None,
        backend: str | None = None,
    ) -> None:
        self._kernels = kernels(backend)
        self.shape, self.sigma = (int(shape[0]), int(shape[1])), _positive(sigma, "sigma")
        self.guide = (
            np.zeros((*self.shape, 0), np.float32) if guide is None else _image(guide, self.shape, "guide")
        )
        reach = math.ceil(5 * self.sigma) if radius is None else _whole(radius, "radius", 0)
        self.radius = min(reach, max(self.shape))
        self.points = self.shape[0] * self.shape[1]
        self.sums: Doubles = self.filter(np.ones((1, self.points)))[0]

    def filter(self, values: ArrayLike) -> Doubles:
        """The weighted sum over the window; (L, H * W) float64, pixels row by row."""
        given = np.ascontiguousarray(on_host(values, "values"), dtype=np.float64)
        if given.ndim != 2 or given.shape[1] != self.points:
            raise ValueError(f"values must have shape (L, {self.points}), not {given.shape}")
        planes = given.reshape(len(given), *self.shape)
        out = np.empty_like(planes)
        self._kernels.crf_windows(planes, self.guide, self.sigma, self.radius, out)
        return out.reshape(given.shape)


Filter: TypeAlias = Lattice | Pairs | Window


def _features(value: ArrayLike) -> Floats:
    array = on_host(value, "features")
    if array.dtype.kind not in "buif":
        raise TypeError(f"features must be real numbers, not {array.dtype}")
    if array.ndim != 2 or not 1 <= array.shape[1] <= MOST_FEATURES:
        raise ValueError(f"features must have shape (N, d), d from 1 to {MOST_FEATURES}, not {array.shape}")
    with np.errstate(over="ignore"):  # what becomes infinite is refused with its place
        return np.ascontiguousarray(array, dtype=np.float32)


def _positive(value: Any, name: str) -> float:
    number = float(value)
    if not 0 < 5 * number < math.inf:
        raise ValueError(f"{name} must be positive, not {value}")
    return number


def _whole(value: Any, name: str, least: int) -> int:
    if not isinstance(value, int | np.integer) or not least <= value < 2**31:
        raise ValueError(f"{name} must be an integer of {least} or more, not {value!r}")
    return int(value)


def _image(value: ArrayLike, shape: tuple[int, ...], name: str) -> Floats:
    """(H, W, C)."""
    array = on_host(value, name)
    if array.dtype.kind not in "buif":
        raise TypeError(f"{name} must be real numbers, not {array.dtype}")
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[:2] != shape:
        raise ValueError(f"{name} must have shape ({shape[0]}, {shape[1]}[, C]), not {np.shape(value)}")
    with np.errstate(over="ignore"):
        out = np.ascontiguousarray(array, np.float32)
    if not np.isfinite(out).all():
        raise ValueError(f"{name} must be finite")
    return out


# Inference


def refine(
    unary: ArrayLike,
    image: ArrayLike | None,
    *,
    gaussian: Gaussian | None = (3, 3),
    bilateral: Bilateral | None = (10, 20, 10),
    iterations: int = 5,
    method: str = "lattice",
    normalization: str = "symmetric",
    out: Floats | None = None,
    backend: str | None = None,
) -> Floats:
    """Probabilities of the labels of an image by mean field inference.

    Parameters
    ----------
    unary : (L, H, W) real numbers, taken as float32
        Energies, -ln p. +inf forbids a label at a pixel.
    image : (H, W) or (H, W, C) real numbers
        What the bilateral term compares; None where there is no such term.
    gaussian : (sxy, compat), optional
        Standard deviation in pixels, and the weight: how much less a pair of pixels costs where labels agree (Potts).
        An (L, L) matrix in place of the weight says what each pair of labels costs (its symmetric part counts).
    bilateral : (sxy, srgb, compat), optional
        Standard deviations in pixels and in units of the image, one for all channels or C, and the weight.
    iterations : int
        Rounds. 0 gives the softmax of -unary.
    method : {"lattice", "exact"}
        By the permutohedral lattice, as pydensecrf, or by windows of 5 standard deviations in float64, whose time grows
        with their area: for an `sxy` of a few pixels.
    normalization : {"symmetric", "before", "after", "none"}
        What weights are divided by: the root of the sums of both pixels, the sum of the one that gives, of the one that
        takes, or nothing.
    out : (L, H, W) float32, optional
        Where to write the result.

    Returns
    -------
    (L, H, W) float32
        Probabilities, whose sum over the labels is 1. The label of a pixel is their argmax.

    Notes
    -----
    All sums of the lattice are in a fixed order: results are the same bits for any number of threads, and those of
    pydensecrf2 1.1 as it is built for x86-64. Axes are never swapped: rows are H in `unary` and in `image`. Memory
    besides `unary` and `out`, for each term: 8 (d + 1) bytes for each pixel and each vertex of the lattice, d being 2
    for the Gaussian and C + 2 for the bilateral term; 8 bytes for each label at each vertex.

    References
    ----------
    Kraehenbuehl and Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials" (NIPS 2011).

    Examples
    --------
    A pixel that is unsure takes the label of its neighbours:

    >>> import numpy as np
    >>> from maskmill import crf
    >>> p = np.tile([[[0.9]], [[0.1]]], (1, 3, 4))
    >>> p[:, 1, 1] = 0.4, 0.6
    >>> refined = crf.refine(crf.unary_from_probabilities(p), None, gaussian=(3, 1), bilateral=None)
    >>> refined.argmax(axis=0)
    array([[0, 0, 0, 0],
           [0, 0, 0, 0],
           [0, 0, 0, 0]])
    """
    energies = _unary(unary, 3)
    planes, shape = energies.reshape(len(energies), -1), energies.shape[1:]
    exact = bool(_check.choice(method, "method", METHODS))
    terms = image_terms(image, shape, gaussian, bilateral, exact, backend)
    flat = None if out is None else _out(out, energies.shape).reshape(planes.shape)
    found = mean_field(planes, terms, iterations, normalization=normalization, out=flat, backend=backend)
    return found.reshape(energies.shape) if out is None else out


def image_terms(
    image: ArrayLike | None,
    shape: tuple[int, ...],
    gaussian: Gaussian | None,
    bilateral: Bilateral | None,
    exact: bool = False,
    backend: str | None = None,
) -> list[tuple[Filter, ArrayLike]]:
    """The terms of `refine` as `mean_field` takes them."""
    terms: list[tuple[Filter, ArrayLike]] = []
    if gaussian is not None:
        sxy, weight = gaussian
        sxy = _positive(sxy, "gaussian sxy")
        made: Filter = (
            Window(shape, sxy, backend=backend) if exact else Lattice(_points(shape, sxy), backend=backend)  # type: ignore[arg-type]
        )
        terms.append((made, weight))
    if bilateral is not None:
        sxy, srgb, weight = bilateral
        sxy = _positive(sxy, "bilateral sxy")
        guide = _guide(image, shape, srgb)
        if exact:
            made = Window(shape, sxy, guide, backend=backend)  # type: ignore[arg-type]
        else:
            made = Lattice(_points(shape, sxy, guide), backend=backend)
        terms.append((made, weight))
    return terms


def _points(shape: tuple[int, ...], sigma: float, guide: Floats | None = None) -> Floats:
    """x, y in standard deviations and what `guide` has, of all pixels, row by row."""
    channels = 0 if guide is None else guide.shape[2]
    out = np.empty((*shape, 2 + channels), np.float32)
    with np.errstate(all="ignore"):  # what is not finite is refused by the lattice
        out[..., 0] = np.arange(shape[1], dtype=np.float32) / np.float32(sigma)
        out[..., 1] = (np.arange(shape[0], dtype=np.float32) / np.float32(sigma))[:, None]
    if guide is not None:
        out[..., 2:] = guide
    return out.reshape(-1, 2 + channels)


def _guide(image: ArrayLike | None, shape: tuple[int, ...], srgb: ArrayLike) -> Floats:
    if image is None:
        raise TypeError("image must be given for a bilateral term, not None")
    picture = _image(image, shape, "image")
    with np.errstate(over="ignore"):
        scale = np.asarray(srgb, np.float32)
    if scale.shape not in ((), (picture.shape[2],)):
        raise ValueError(
            f"bilateral srgb must be one number or {picture.shape[2]}, not of shape {scale.shape}"
        )
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise ValueError(f"bilateral srgb must be positive, not {srgb!r}")
    with np.errstate(over="ignore"):
        return picture / scale


def mean_field(
    unary: ArrayLike,
    terms: Iterable[tuple[ArrayLike | Filter, ArrayLike]],
    iterations: int = 5,
    *,
    method: str = "lattice",
    normalization: str = "symmetric",
    out: Floats | None = None,
    backend: str | None = None,
) -> Floats:
    """The same for points of any features.

    Parameters
    ----------
    unary : (L, N) real numbers, taken as float32
        Energies, -ln p. +inf forbids a label.
    terms : sequence of (features, weight)
        features (N, d) as in `Lattice`; or a `Lattice`, a `Window` or `Pairs` that was made before. The weight is a
        number (Potts) or an (L, L) matrix of what pairs of labels cost.
    method : {"lattice", "exact"}
        What is made of features: a `Lattice` or `Pairs`.
    iterations, normalization, out
        As in `refine`; `out` is (L, N).

    Returns
    -------
    (L, N) float32

    Raises
    ------
    ValueError
        If an energy is NaN or -inf, or all labels of a point are forbidden; if shapes do not fit each other.

    Notes
    -----
    If all terms are lattices, everything is float32; if one is not, float64 until the end.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import crf
    >>> features = np.array([[0.0], [0.1], [5.0]])
    >>> crf.mean_field([[0, 2, 2], [1, 0, 0]], [(features, 2.0)], iterations=1).round(2)
    array([[0.67, 0.09, 0.03],
           [0.33, 0.91, 0.97]], dtype=float32)
    """
    energies = _unary(unary, 2)
    labels, points = energies.shape
    rounds = _whole(iterations, "iterations", 0)
    exact = bool(_check.choice(method, "method", METHODS))
    scaling = _check.choice(normalization, "normalization", NORMALIZATIONS)
    result = np.empty_like(energies) if out is None else _out(out, energies.shape)
    filters: list[tuple[Filter, float | Floats]] = []
    for given, weight in terms:
        made = given
        if not isinstance(made, Filter):
            made = (Pairs if exact else Lattice)(made, backend=backend)
        if made.points != points:
            raise ValueError(f"features must be of {points} points, as unary, not of {made.points}")
        filters.append((made, _weight(weight, labels)))
    infer = _by_lattice if all(isinstance(made, Lattice) for made, _ in filters) else _exactly
    infer(energies, filters, rounds, scaling, result, backend)
    return result


def _by_lattice(
    unary: Floats, filters: Any, iterations: int, scaling: int, out: Floats, backend: str | None
) -> None:
    terms = []
    for made, weight in filters:
        before, after = _factors(made.sums, scaling, np.float32)
        potts = isinstance(weight, float)
        terms.append((made.arrays, before, after, weight if potts else 0.0, None if potts else weight))
    kernels(backend).crf_mean_field(unary, terms, iterations, out)


def _exactly(
    unary: Floats, filters: Any, iterations: int, scaling: int, out: Floats, backend: str | None
) -> None:
    start = -unary.astype(np.float64)
    found = _softmax(start)
    for _ in range(iterations):
        logits = start.copy()
        for made, weight in filters:
            before, after = _factors(made.sums, scaling, np.float64)
            sums = made.filter(found if before is None else found * before)
            if after is not None:
                sums = sums * after
            logits += weight * sums if isinstance(weight, float) else -(weight @ sums)
        found = _softmax(logits)
    out[:] = found


def _softmax(logits: Doubles) -> Doubles:
    powers = np.exp(logits - logits.max(axis=0, keepdims=True))
    total: Doubles = powers / powers.sum(axis=0, keepdims=True)
    return total


def _factors(sums: NDArray[Any], scaling: int, dtype: Any) -> tuple[Any, Any]:
    """What values are multiplied by before and after a filter; None: by nothing."""
    if scaling == NORMALIZATIONS["none"]:
        return None, None
    whole = sums.astype(np.float64) + 1e-20
    if scaling == NORMALIZATIONS["symmetric"]:
        roots = (1 / np.sqrt(whole)).astype(dtype)
        return roots, roots
    shares = (1 / whole).astype(dtype)
    return (shares, None) if scaling == NORMALIZATIONS["before"] else (None, shares)


def _unary(value: ArrayLike, axes: int) -> Floats:
    array = on_host(value, "unary")
    if array.dtype.kind not in "buif":
        raise TypeError(f"unary must be real numbers, not {array.dtype}")
    if array.ndim != axes or array.shape[0] == 0:
        shape = "(L, H, W)" if axes == 3 else "(L, N)"
        raise ValueError(f"unary must have shape {shape} with one label or more, not {array.shape}")
    with np.errstate(over="ignore"):
        out = np.ascontiguousarray(array, dtype=np.float32)
    if out.size:
        least, most = out.min(), out.max()
        if not least > -math.inf:  # -inf or NaN
            raise ValueError("unary must be energies, +inf at most, not NaN or -inf")
        if most == math.inf and np.isinf(out.min(axis=0)).any():
            raise ValueError("unary must leave one label or more to every point: one has +inf for all")
    return out


def _weight(value: ArrayLike, labels: int) -> float | Floats:
    array = on_host(value, "a weight")
    if array.dtype.kind not in "buif":
        raise TypeError(f"a weight must be real numbers, not {array.dtype}")
    with np.errstate(over="ignore"):
        weights = array.astype(np.float32)
    if not np.isfinite(weights).all():
        raise ValueError("a weight must be finite")
    if weights.ndim == 0:
        return float(weights)
    if weights.shape != (labels, labels):
        raise ValueError(
            f"a weight must be one number or have shape ({labels}, {labels}), not {weights.shape}"
        )
    return np.ascontiguousarray(np.float32(0.5) * (weights + weights.T))


def _out(out: Any, shape: tuple[int, ...]) -> Floats:
    refuse_gpu(out, "out")
    if not isinstance(out, np.ndarray) or out.dtype != np.float32:
        raise TypeError(f"out must be an array of float32, not {getattr(out, 'dtype', type(out).__name__)}")
    if out.shape != shape or not out.flags.c_contiguous or not out.flags.writeable:
        raise ValueError(f"out must be writeable, C-contiguous and of shape {shape}, not {out.shape}")
    return out


# Unary energies


def unary_from_labels(labels: ArrayLike, n: int, confidence: float) -> Floats:
    """Energies from labels that may be wrong.

    Parameters
    ----------
    labels : integers of any shape
        0: unsure, all labels alike; 1 .. n: label 0 .. n - 1 with probability `confidence`, the others share the rest.
    n : int
        Number of labels.
    confidence : float
        Above 0; 1 forbids all other labels.

    Returns
    -------
    (n, *labels.shape) float32

    Examples
    --------
    >>> from maskmill import crf
    >>> crf.unary_from_labels([0, 1, 2], 2, 0.9).round(3)
    array([[0.693, 0.105, 2.303],
           [0.693, 2.303, 0.105]], dtype=float32)
    """
    array = on_host(labels, "labels")
    if array.dtype.kind not in "bui":
        raise TypeError(f"labels must be integers, not {array.dtype}")
    count = _whole(n, "n", 1)
    if not 0 < confidence <= 1:
        raise ValueError(f"confidence must be above 0 and at most 1, not {confidence}")
    if array.size and (array.min() < 0 or array.max() > count):
        raise ValueError(f"labels must be within 0 and {count}, not {array.min()} to {array.max()}")
    with np.errstate(divide="ignore"):
        others = -np.log((1 - confidence) / (count - 1)) if count > 1 else 0
        unary = np.full((count, *array.shape), others, np.float32)
    for k in range(count):
        unary[k][array == k + 1] = -np.log(confidence)
    unary[:, array == 0] = -np.log(1 / count)
    return unary


def unary_from_probabilities(probabilities: ArrayLike, floor: float = 1e-5) -> Floats:
    """-ln of probabilities, none below `floor`; labels first, float32.

    Examples
    --------
    >>> from maskmill import crf
    >>> crf.unary_from_probabilities([[0.5, 0.0], [0.5, 1.0]]).round(3)
    array([[ 0.693, 11.513],
           [ 0.693, -0.   ]], dtype=float32)
    """
    array = on_host(probabilities, "probabilities")
    if array.dtype.kind not in "buif":
        raise TypeError(f"probabilities must be real numbers, not {array.dtype}")
    if not 0 < floor <= 1:
        raise ValueError(f"floor must be above 0 and at most 1, not {floor}")
    if array.size and not (array.min() >= 0 and array.max() <= 1 + 1e-3):
        raise ValueError(f"probabilities must be within 0 and 1, not {array.min()} to {array.max()}")
    return np.ascontiguousarray(-np.log(np.clip(array, floor, 1)), np.float32)


# Parameters


class Trial(NamedTuple):
    """Parameters that `search` tried."""

    score: float
    gaussian: Gaussian | None
    bilateral: Bilateral | None


def search(
    unary: ArrayLike,
    image: ArrayLike | None,
    labels: ArrayLike,
    *,
    gaussian: Sequence[Gaussian | None] = (None, (3, 1), (3, 3)),
    bilateral: Sequence[Bilateral | None] = (None, (10, 20, 3), (10, 20, 10), (30, 20, 3), (30, 20, 10)),
    iterations: int = 5,
    normalization: str = "symmetric",
    backend: str | None = None,
) -> list[Trial]:
    """Which widths and weights suit best, by pixels whose labels are known.

    Parameters
    ----------
    unary, image, iterations, normalization
        As in `refine`.
    labels : (H, W) integers
        0: not known; k: label k - 1 of `unary`. Take pixels that the unary was not made from, or the score tells how
        well it remembers.
    gaussian, bilateral
        Candidates; every one is tried with every other, None being none.

    Returns
    -------
    list of Trial, best first
        The score is the share of known pixels that are right, averaged over the labels that occur. Of equal scores the
        first tried comes first.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import crf
    >>> truth = np.repeat([[1, 1, 1, 2, 2, 2]], 6, axis=0)
    >>> unary = crf.unary_from_labels(np.where(np.eye(6), 1, truth), 2, 0.7)
    >>> crf.search(unary, None, truth, gaussian=[None, (1, 3)], bilateral=[None])[0].gaussian
    (1, 3)
    """
    energies = _unary(unary, 3)
    shape = energies.shape[1:]
    known = on_host(labels, "labels")
    if known.dtype.kind not in "bui":
        raise TypeError(f"labels must be integers, not {known.dtype}")
    if known.shape != shape:
        raise ValueError(f"labels must have shape {shape}, as unary, not {known.shape}")
    if not known.any():
        raise ValueError("labels must be known somewhere, not 0 everywhere")
    made: dict[Any, Filter] = {}

    def filters(*both: Any) -> list[tuple[Filter, ArrayLike]]:
        terms = []
        for kind, one in zip(("gaussian", "bilateral"), both, strict=True):
            if one is None:
                continue
            key = (kind, repr(one[:-1]))
            if key not in made:
                plain, coloured = (one, None) if kind == "gaussian" else (None, one)
                made[key] = image_terms(image, shape, plain, coloured, backend=backend)[0][0]
            terms.append((made[key], one[-1]))
        return terms

    trials = []
    for pair in product(gaussian, bilateral):
        found = mean_field(
            energies.reshape(len(energies), -1),
            filters(*pair),
            iterations,
            normalization=normalization,
            backend=backend,
        )
        right = found.argmax(axis=0).reshape(shape) + 1 == known
        scores = [right[known == k].mean() for k in np.unique(known[known > 0])]
        trials.append(Trial(float(np.mean(scores)), *pair))
    return sorted(trials, key=lambda trial: -trial.score)
