"""Voxels of any type to 8 bits, by one rule for a whole data set: never by slice, patch or region.

>>> import numpy as np
>>> scaling = fit_scaling(np.array([100, 200, 300], np.uint16), "minmax")
>>> scaling.apply(np.array([100, 150, 300, 999], np.uint16))
array([  0,  63, 255, 255], dtype=uint8)
>>> Scaling.from_json(scaling.to_json()) == scaling
True
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from maskmill.io._volume import Volume

POLICIES = {"dtype": 0, "window": 2, "percentile": 2, "minmax": 0, "cem": 0}
"""Names of the policies, and how many numbers each needs."""

Data: TypeAlias = "Volume | NDArray[Any] | Sequence[Volume] | Callable[[], Iterable[NDArray[Any]]]"

_DIGIT = 16
_BINS = 1 << _DIGIT
_CEM = {"uint8": 255.0, "uint16": 65535.0, "int16": 32767.0, "uint32": 4294967295.0, "float32": 1.0}


@dataclass(frozen=True)
class Scaling:
    """How voxels of one type become 8 bits. `apply` does it; `to_json` keeps it.

    Attributes
    ----------
    policy : str
        "dtype": the range of the type; floor(x * 255 / max), signed types shifted to begin at 0, floats from 0 to 1.
        "window", "percentile", "minmax": floor((x - low) * 255 / (high - low)), cut off at 0 and 255.
        "cem": cem-dataset's rule, float32(x) / M * 255 in float32 and truncated; M is 65535 (uint16), 32767 (int16),
        4294967295 (uint32) or 1 (float32). It refuses negative values and floats of 256/255 and more.
    dtype : str
        Of the voxels.
    low, high : float or None
        Ends of the window; for "percentile" and "minmax" as found in the data.
    nonfinite : int or None
        What NaN and infinity become; None makes them an error.
    """

    policy: str
    dtype: str
    low: float | None = None
    high: float | None = None
    nonfinite: int | None = None

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise ValueError(f"policy must be one of {', '.join(POLICIES)}, not {self.policy!r}")
        kind = np.dtype(self.dtype)
        if kind.kind not in "uif":
            raise ValueError(f"dtype must be of integers or floats, not {kind}")
        if self.policy == "cem" and kind.name not in _CEM:
            raise ValueError(f"the policy cem knows {', '.join(_CEM)}, not {kind}: choose another one")
        if self.policy not in ("dtype", "cem"):
            if (
                self.low is None
                or self.high is None
                or not math.isfinite(self.low)
                or not math.isfinite(self.high)
            ):
                raise ValueError(f"low and high must be numbers, not {self.low} and {self.high}")
            if self.low > self.high:
                raise ValueError(f"low must not be above high: {self.low} > {self.high}")
        if self.nonfinite is not None and not 0 <= self.nonfinite <= 255:
            raise ValueError(f"nonfinite must be 0 to 255, not {self.nonfinite}")

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Scaling:
        """Raises ValueError if the text is not what `to_json` writes."""
        values = json.loads(text)
        if not isinstance(values, dict) or not set(values) <= set(cls.__dataclass_fields__):
            raise ValueError(f"expected a scaling such as {cls('dtype', 'uint16').to_json()}, found {text!r}")
        return cls(**values)

    @property
    def is_identity(self) -> bool:
        """Whether `apply` gives back what it is given."""
        window = self.policy in ("window", "percentile", "minmax") and (self.low, self.high) == (0, 255)
        return self.dtype == "uint8" and (self.policy in ("dtype", "cem") or window)

    def apply(self, array: NDArray[Any], out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """Voxels as uint8, of the same shape; the array itself if there is nothing to change and no `out`.

        Raises
        ------
        ValueError
            If a voxel is not finite (and `nonfinite` is None), or is one that the policy refuses.
        """
        array = np.asarray(array)
        if array.dtype.name != self.dtype:
            raise ValueError(f"array must be of {self.dtype}, not {array.dtype}")
        if out is not None and (out.shape != array.shape or out.dtype != np.uint8):
            raise ValueError(f"out must be {array.shape} of uint8, not {out.shape} of {out.dtype}")
        if self.is_identity:
            if out is None:
                return array
            out[...] = array
            return out
        scaled = np.empty(array.shape, np.uint8) if out is None else out
        # By pieces that stay in cache: what is computed on the way is wider than what comes out.
        if array.ndim > 1 and array.size > _BINS:
            for part, into in zip(array, scaled, strict=True):
                self._apply(part, into)
        else:
            self._apply(array, scaled)
        return scaled

    def _apply(self, array: NDArray[Any], out: NDArray[np.uint8]) -> None:
        if array.ndim > 1 and array.size > 16 * _BINS:
            for part, into in zip(array, out, strict=True):
                self._apply(part, into)
        elif self.dtype == "uint16" and self.policy in ("dtype", "cem"):
            np.copyto(out, array // np.uint16(257), casting="unsafe")
        elif array.dtype.itemsize <= 2 and array.dtype.kind in "ui":
            if self.policy == "cem" and array.size and array.min() < 0:
                raise ValueError(_NEGATIVE)
            bits: Any = np.uint8 if array.dtype.itemsize == 1 else np.uint16
            np.take(_table(self), array.view(bits), out=out, mode="clip")
        else:
            np.copyto(out, self._finite(array), casting="unsafe")

    def _finite(self, array: NDArray[Any]) -> NDArray[Any]:
        if array.dtype.kind != "f" or (finite := np.isfinite(array)).all():
            return self._compute(array)
        if self.nonfinite is None:
            count = int(array.size - np.count_nonzero(finite))
            raise ValueError(f"{count} voxels are NaN or infinite: say which value they shall have")
        scaled = self._compute(np.where(finite, array, array.dtype.type(self.low or 0)))
        return np.where(finite, scaled, self.nonfinite)

    def _compute(self, array: NDArray[Any]) -> NDArray[Any]:
        if self.policy == "cem":
            return _legacy(array)
        if self.policy == "dtype":
            return _full_range(array)
        low, high = float(self.low or 0), float(self.high or 0)
        wide: NDArray[Any] = array.astype(np.float64)
        if high == low:
            return np.where(wide > low, 255, 0)
        wide -= low
        wide *= 255
        wide /= high - low
        return np.clip(wide, 0, 255, out=wide)  # truncated when it is stored


_NEGATIVE = "there are negative voxels, which the policy cem refuses: choose another one"


def _full_range(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind == "f":
        if array.size and (array.min() < 0 or array.max() > 1):
            raise ValueError(
                "there are floats outside of 0 to 1, which have no full range: choose window, percentile or minmax"
            )
        scaled: NDArray[Any] = array * array.dtype.type(255)
        return scaled
    bits = 8 * array.dtype.itemsize
    unsigned = array.view(np.dtype(f"u{array.dtype.itemsize}"))
    if array.dtype.kind == "i":
        unsigned = unsigned ^ unsigned.dtype.type(1 << (bits - 1))
    # 255 divides 2^b - 1, so this is floor(x * 255 / (2^b - 1)) without its overflow.
    whole: NDArray[Any] = unsigned // unsigned.dtype.type((2**bits - 1) // 255)
    return whole


def _legacy(array: NDArray[Any]) -> NDArray[Any]:
    if array.size and array.min() < 0:
        raise ValueError(_NEGATIVE)
    scaled: NDArray[Any] = array.astype(np.float32) / np.float32(_CEM[array.dtype.name]) * np.float32(255)
    if array.size and not scaled.max() < 256:
        raise ValueError(
            "there are floats of 256/255 or more, which the policy cem would wrap around: choose another one"
        )
    return scaled


@lru_cache(maxsize=8)
def _table(scaling: Scaling) -> NDArray[np.uint8]:
    """The answer for every value of 8 or 16 bits, by its bits."""
    dtype = np.dtype(scaling.dtype)
    values = np.arange(1 << (8 * dtype.itemsize)).astype(f"u{dtype.itemsize}").view(dtype)
    if scaling.policy == "cem":
        values = np.abs(values.astype(np.int32)).clip(0, np.iinfo(dtype).max).astype(dtype)
    return scaling._compute(values).astype(np.uint8)


def fit_scaling(
    data: Data,
    policy: str = "dtype",
    values: Sequence[float] = (),
    *,
    nonfinite: int | None = None,
) -> Scaling:
    """The scaling of a data set, from its voxels where the policy needs them; they are streamed, never held.

    Parameters
    ----------
    data : Volume, array, volumes, or function
        A function is called for each pass and gives blocks. All must have one dtype.
    policy : "dtype", "window", "percentile", "minmax" or "cem"
        See `Scaling`.
    values : two numbers
        For "window" its ends; for "percentile" two percentages such as 0.5 and 99.5, which are exact and as
        numpy.percentile has them: one pass for every 16 bits of a voxel.
    nonfinite : int, optional
        What NaN and infinity become; they do not count for "percentile" and "minmax".

    Raises
    ------
    ValueError
        If the policy is unknown or lacks its numbers, or a voxel is not finite and `nonfinite` is not given.

    Examples
    --------
    >>> import numpy as np
    >>> fit_scaling(np.arange(101, dtype=np.int16), "percentile", (10, 90))
    Scaling(policy='percentile', dtype='int16', low=10.0, high=90.0, nonfinite=None)
    """
    if policy not in POLICIES:
        raise ValueError(f"policy must be one of {', '.join(POLICIES)}, not {policy!r}")
    if len(values) != POLICIES[policy]:
        raise ValueError(f"the policy {policy} must have {POLICIES[policy]} numbers, not {len(values)}")
    blocks = _passes(data)
    dtype = _dtype(data, blocks)
    if policy in ("dtype", "cem"):
        return Scaling(policy, dtype.name, None, None, nonfinite)
    if policy == "window":
        low, high = float(values[0]), float(values[1])
        if not low < high:
            raise ValueError(f"the window must have low < high, not {low} and {high}")
    elif policy == "minmax":
        low, high = _extremes(blocks, nonfinite)
    else:
        if not 0 <= values[0] < values[1] <= 100:
            raise ValueError(f"percentiles must be 0 <= p < q <= 100, not {values[0]} and {values[1]}")
        low, high = _percentiles(blocks, dtype, values, nonfinite)
    return Scaling(policy, dtype.name, low, high, nonfinite)


def parse_policy(words: Sequence[str]) -> tuple[str, tuple[float, ...]]:
    """Policy and numbers from words of a command line: ["window", "10", "200"].

    >>> parse_policy(["percentile", "0.5", "99.5"])
    ('percentile', (0.5, 99.5))
    """
    policy, numbers = (words[0] if words else ""), words[1:]
    if policy not in POLICIES:
        raise ValueError(f"policy must be one of {', '.join(POLICIES)}, not {policy!r}")
    try:
        values = tuple(float(number) for number in numbers)
    except ValueError:
        raise ValueError(
            f"the policy {policy} must be followed by numbers, not {' '.join(numbers)}"
        ) from None
    if len(values) != POLICIES[policy] or not all(map(math.isfinite, values)):
        raise ValueError(
            f"the policy {policy} must be followed by {POLICIES[policy]} numbers, not {len(values)}"
        )
    return policy, values


def _passes(data: Data) -> Callable[[], Iterator[NDArray[Any]]]:
    if isinstance(data, np.ndarray):
        return lambda: iter([data])
    if isinstance(data, Volume):
        return data.slabs
    if callable(data):
        return lambda: (np.asarray(block) for block in data())
    return lambda: (block for volume in data for block in volume.slabs())


def _dtype(data: Data, blocks: Callable[[], Iterator[NDArray[Any]]]) -> np.dtype[Any]:
    if isinstance(data, Volume | np.ndarray):
        return data.dtype
    if not callable(data):
        types = {volume.dtype for volume in data}
        if len(types) != 1:
            raise ValueError(
                f"all volumes must have one dtype, not {', '.join(sorted(map(str, types))) or 'none'}"
            )
        return types.pop()
    first = next(blocks(), None)
    if first is None:
        raise ValueError("there must be at least one block")
    return first.dtype


def _finite(block: NDArray[Any], nonfinite: int | None) -> NDArray[Any]:
    """The finite voxels."""
    if block.dtype.kind != "f" or (finite := np.isfinite(block)).all():
        return block
    if nonfinite is None:
        raise ValueError("there are voxels that are NaN or infinite: say which value they shall have")
    some: NDArray[Any] = block[finite]
    return some


def _extremes(blocks: Callable[[], Iterator[NDArray[Any]]], nonfinite: int | None) -> tuple[float, float]:
    low, high = math.inf, -math.inf
    for block in blocks():
        voxels = _finite(block, nonfinite)
        if voxels.size:
            low, high = min(low, float(voxels.min())), max(high, float(voxels.max()))
    if low > high:
        raise ValueError("there must be at least one finite voxel")
    return low, high


def _percentiles(
    blocks: Callable[[], Iterator[NDArray[Any]]],
    dtype: np.dtype[Any],
    values: Sequence[float],
    nonfinite: int | None,
) -> tuple[float, float]:
    """Exactly, by digits of 16 bits: each pass counts the next digit of those that share the digits found so far."""
    width = max(_DIGIT, 8 * dtype.itemsize)
    shift = width - _DIGIT
    counts = _count(blocks, nonfinite, {0}, shift, width)
    total = int(counts[0].sum())
    if not total:
        raise ValueError("there must be at least one finite voxel")
    places = [value / 100 * (total - 1) for value in values]
    ranks = sorted({int(end(place)) for place in places for end in (math.floor, math.ceil)})
    prefixes, rests = [0] * len(ranks), list(ranks)
    while True:
        for k, prefix in enumerate(prefixes):
            sums = np.cumsum(counts[prefix])
            digit = int(np.searchsorted(sums, rests[k], side="right"))
            rests[k] -= int(sums[digit - 1]) if digit else 0
            prefixes[k] = prefix << _DIGIT | digit
        shift -= _DIGIT
        if shift < 0:
            break
        counts = _count(blocks, nonfinite, set(prefixes), shift, width)
    found = dict(zip(ranks, (_value(prefix, dtype) for prefix in prefixes), strict=True))
    ends = []
    for place in places:
        below, above = found[math.floor(place)], found[math.ceil(place)]
        ends.append(below + (above - below) * (place - math.floor(place)))
    return ends[0], ends[1]


def _count(
    blocks: Callable[[], Iterator[NDArray[Any]]],
    nonfinite: int | None,
    prefixes: set[int],
    shift: int,
    width: int,
) -> dict[int, NDArray[np.int64]]:
    """How often each digit at `shift` occurs, among the keys of `width` bits that begin with each of the prefixes."""
    counts = {prefix: np.zeros(_BINS, np.int64) for prefix in prefixes}
    for block in blocks():
        keys = _keys(np.ravel(_finite(block, nonfinite)))
        mask = keys.dtype.type(_BINS - 1)
        for start in range(0, keys.size, 1 << 20):  # bincount makes integers of 64 bits of what it is given
            part = keys[start : start + (1 << 20)]
            for prefix, count in counts.items():
                same = part
                if shift + _DIGIT < width:
                    same = part[part >> part.dtype.type(shift + _DIGIT) == prefix]
                count += np.bincount((same >> same.dtype.type(shift)) & mask, minlength=_BINS)
    return counts


def _keys(values: NDArray[Any]) -> NDArray[Any]:
    """Unsigned integers in the order of the values; those of 8 bits in 16."""
    if values.dtype.itemsize == 1:
        values = values.astype(np.uint16 if values.dtype.kind == "u" else np.int16)
    if values.dtype.kind == "u":
        return values
    size = values.dtype.itemsize
    bits = np.ascontiguousarray(values).view(f"u{size}")
    sign = bits.dtype.type(1 << (8 * size - 1))
    if values.dtype.kind == "i":
        keys: NDArray[Any] = bits ^ sign
    else:  # floats: all bits of the negative ones are turned, and the sign of the others
        keys = np.where(bits & sign, ~bits, bits | sign)
    return keys


def _value(key: int, dtype: np.dtype[Any]) -> float:
    """The value of a key."""
    size = max(2, dtype.itemsize)
    top = 1 << (8 * size - 1)
    if dtype.kind == "u":
        return float(key)
    if dtype.kind == "i":
        return float(key - top)
    bits = key ^ top if key & top else ~key & (2 * top - 1)
    return float(np.array(bits, f"u{size}").view(dtype))
