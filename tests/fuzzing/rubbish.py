"""Numbers, and what is no number; arrays of odd shapes and strides; calls that must agree with each other."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill import _backend

DECLARED = (ValueError, TypeError, KeyError, IndexError, OverflowError, MemoryError, AssertionError)

NUMBERS = [
    0,
    1,
    -1,
    2,
    5,
    31,
    32,
    33,
    64,
    255,
    256,
    1e-9,
    0.5,
    -0.5,
    2.5,
    1e4,
    -1e4,
    4e8,
    5e8,
    -5e8,
    1e10,
    1e18,
]
NUMBERS += [1e300, -1e300, 5e-324, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**63 - 1, 2**63, 2**64]
NOT_NUMBERS = [float("nan"), float("inf"), float("-inf"), None, True, "1", "", b"", [], {}, [[]], 1j]
EXTREMES = [-1, -(2**31), 2**31 - 1, 2**31, 2**32, 2**40, 2**62, -(2**62), 2**63 - 1, -(2**63)]
"""Of int64."""


def integer(rng: random.Random, low: int, high: int, odd: float = 0.03) -> Any:
    """Mostly within low .. high; seldom an extreme, or no integer at all."""
    if rng.random() > odd:
        return rng.randrange(low, high + 1)
    return rng.choice([*EXTREMES, *NUMBERS, *NOT_NUMBERS])


# Arrays

DTYPES = [
    "u1",
    "i1",
    "u2",
    "i2",
    "u4",
    "i4",
    "f4",
    "f8",
    "?",
    "u8",
    "i8",
    ">u2",
    ">f4",
    "f2",
    "c8",
    "S3",
    "V5",
    "M8[s]",
]


def array(rng: random.Random, shape: Sequence[int], dtype: Any = np.uint8) -> NDArray[Any]:
    """Noise, few values, stripes or one value, in memory of any order."""
    random_bytes = np.random.default_rng(rng.randrange(2**32))
    values = random_bytes.integers(0, 256, shape, np.uint8)
    kind = rng.choice(["noise", "noise", "few", "stripes", "flat"])
    if kind == "few":
        values = values // np.uint8(128) * np.uint8(255)
    elif kind == "stripes" and shape:
        values[...] = values[..., :1] if rng.random() < 0.5 else values[:1]
    elif kind == "flat":
        values[...] = rng.choice([0, 1, 127, 128, 255])
    of_type = np.dtype(dtype)
    if of_type.kind in "fc" and rng.random() < 0.5:
        made = random_bytes.choice([0, -0.0, 1, 0.5, -1e4, np.inf, -np.inf, np.nan], shape).astype(of_type)
    elif of_type.kind in "iuf" and rng.random() < 0.5:
        made = random_bytes.integers(0, 256, (*shape, of_type.itemsize), np.uint8).view(of_type)[..., 0]
    else:
        made = values.astype(of_type)
    return strided(rng, made)


def strided(rng: random.Random, values: NDArray[Any]) -> NDArray[Any]:
    """The same values, elsewhere."""
    kind = rng.choice(["plain", "plain", "order", "gaps", "backwards", "unaligned", "read only", "repeated"])
    if kind == "order":
        axes = rng.sample(range(values.ndim), values.ndim)
        out = values.transpose(axes).copy().transpose(np.argsort(axes))
    elif kind in ("gaps", "backwards"):
        steps = [rng.choice([1, 1, 2, 3]) for _ in values.shape]
        room = np.zeros([n * step for n, step in zip(values.shape, steps, strict=True)], values.dtype)
        out = room[tuple(slice(None, None, step) for step in steps)]
        if kind == "backwards":
            out = out[tuple(slice(None, None, rng.choice([1, -1])) for _ in steps)]
        out[...] = values
    elif kind == "unaligned":
        room = np.zeros(values.nbytes + 1, np.uint8)
        out = room[1:].view(values.dtype).reshape(values.shape) if values.size else values
        out[...] = values
    elif kind == "repeated" and values.size:
        out = np.broadcast_to(values[tuple(slice(rng.choice([1, None])) for _ in values.shape)], values.shape)
    else:
        out = values
        out.flags.writeable = kind != "read only"
    return out


def length(value: Any) -> int:
    """Of what may be no list at all."""
    return len(value) if isinstance(value, list) or (isinstance(value, np.ndarray) and value.ndim) else 0


# Calls


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        if not (isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape):
            return False
        if a.dtype.kind in "fc":  # any NaN is as good as another
            return bool(((a == b) & (np.signbit(a.real) == np.signbit(b.real)) | (a != a) & (b != b)).all())
        return a.tobytes() == b.tobytes()
    if isinstance(a, tuple | list):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def attempt(function: Callable[..., Any], *args: Any) -> Any:
    """The result, or the declared exception's text; the same when it is done again."""

    def once() -> Any:
        try:
            return function(*args)
        except DECLARED as error:
            return f"{type(error).__name__}: {error}"
        except Exception as error:
            if type(error) is Exception:  # as pycocotools raises them
                return f"Exception: {error}"
            raise

    first, second = once(), once()
    assert same(first, second), f"{function} gave {first!r}, then {second!r}"
    return first


def agree(call: Callable[[str], Any]) -> Any:
    """What a public function gives, once core and twin give the same: `call` takes the backend's name."""

    def outcome(backend: str) -> Any:
        try:
            return call(backend)
        except (TypeError, ValueError) as error:
            return f"{type(error).__name__}: {error}"
        except MemoryError:
            return "MemoryError"

    core, twin = outcome("cpp"), outcome("numba")
    if isinstance(core, str):
        assert "incompatible function arguments" not in core, f"the face let through: {core}"
    assert same(core, twin), f"the core gives {core!r}, the twin {twin!r}"
    return core


def any_machine(rng: random.Random) -> Any:
    """The core, set to any of its instruction sets and some number of threads."""
    core = _backend.kernels("cpp")
    levels = ["baseline", "avx2", "avx512"]
    best = levels.index(core.best_simd_level())
    core.set_simd_level(rng.choice(levels[: best + 1]))
    core.set_thread_count(rng.choice([1, 2, 5]))
    return core
