"""pycocotools' mask functions on RLE dicts.

The usual arguments go to the compiled calls of `_core` (bindings/coco_mask.cpp), which return NotImplemented for
anything out of the ordinary. That comes here, and is treated step by step as pycocotools does: same conversions in the
same order, same exceptions. Without a compiled core all calls come here.
"""

import sys
from collections.abc import Callable
from functools import wraps
from inspect import Parameter, Signature
from typing import Any

import numpy as np

from maskmill import rle
from maskmill._backend import kernels, why_missing
from maskmill._device import as_cupy, is_on_gpu

__author__ = "tsungyi"
PYTHON_VERSION = sys.version_info[0]


def _fast(name: str) -> Callable[..., Any]:
    """A compiled call, or one that leaves everything to Python."""
    if why_missing("cpp") is not None:
        return lambda *args: NotImplemented
    found: Callable[..., Any] = getattr(kernels("cpp"), name)
    return found


_fast_encode = _fast("coco_encode")
_fast_decode = _fast("coco_decode")
_fast_area = _fast("coco_area")
_fast_to_bbox = _fast("coco_to_bbox")
_fast_merge = _fast("coco_merge")
_fast_iou = _fast("coco_iou")
_fast_from_polygons = _fast("coco_from_polygons")


def _as_cython(*names: str, **defaults: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a function refuse wrong calls in Cython's words; it gets its arguments by position."""
    order = (*names, *defaults)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        def bind(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
            given = len(args)
            if given > len(order):
                raise TypeError(_count_text(function.__name__, names, defaults, given))
            for key in kwargs:
                if key not in order:
                    raise TypeError(f"{function.__name__}() got an unexpected keyword argument '{key}'")
                if order.index(key) < given:
                    raise TypeError(f"{function.__name__}() got multiple values for keyword argument '{key}'")
            values = dict(zip(order, args, strict=False)) | kwargs
            for place, name in enumerate(names):
                if name not in values:
                    raise TypeError(_count_text(function.__name__, names, defaults, place))
            return [values.get(name, defaults.get(name)) for name in order]

        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if kwargs or len(args) != len(order):
                args = tuple(bind(args, kwargs))
            return function(*args)

        kind = Parameter.POSITIONAL_OR_KEYWORD
        call.__signature__ = Signature(  # type: ignore[attr-defined]
            [Parameter(name, kind) for name in names]
            + [Parameter(name, kind, default=value) for name, value in defaults.items()]
        )
        del call.__wrapped__
        return call

    return decorate


def _count_text(name: str, required: tuple[str, ...], optional: dict[str, Any], given: int) -> str:
    if not optional:
        bound, limit = "exactly", len(required)
    elif given < len(required):
        bound, limit = "at least", len(required)
    else:
        bound, limit = "at most", len(required) + len(optional)
    return f"{name}() takes {bound} {limit} positional argument{'' if limit == 1 else 's'} ({given} given)"


def _c_integer(value: Any) -> int:
    """What Cython makes of an object where C wants an integer."""
    if isinstance(value, int):
        return int(value)
    if not hasattr(type(value), "__int__"):
        raise TypeError("an integer is required")
    return int(value)


def _siz(value: Any) -> int:
    """A C unsigned long."""
    number = _c_integer(value)
    if number < 0:
        raise OverflowError("can't convert negative value to siz")
    if number >= 2**64:
        raise OverflowError("Python int too large to convert to C unsigned long")
    return number


def _c_int(value: Any) -> int:
    number = _c_integer(value)
    if not -(2**63) <= number < 2**63:
        raise OverflowError("Python int too large to convert to C long")
    if not -(2**31) <= number < 2**31:
        raise OverflowError("value too large to convert to int")
    return number


# The names that Cython has for what it finds in a buffer.
_C_NAMES = {
    "?": "bool",
    "b": "signed char",
    "B": "unsigned char",
    "h": "short",
    "H": "unsigned short",
    "i": "int",
    "I": "unsigned int",
    "l": "long",
    "L": "unsigned long",
    "q": "long long",
    "Q": "unsigned long long",
    "f": "float",
    "d": "double",
    "g": "long double",
    "F": "complex float",
    "D": "complex double",
    "G": "complex long double",
    "O": "Python object",
    "S": "a string",
}


def _check_array(value: Any, name: str) -> None:
    if not isinstance(value, np.ndarray):
        raise TypeError(
            f"Argument '{name}' has incorrect type (expected numpy.ndarray, got {_type_name(type(value))})"
        )


def _check_buffer(array: np.ndarray, ndim: int, chars: str, c_name: str) -> None:
    if array.ndim != ndim:
        raise ValueError(f"Buffer has wrong number of dimensions (expected {ndim}, got {array.ndim})")
    char = array.dtype.char
    if char in chars and array.dtype.isnative:
        return
    array.data.release()  # NumPy refuses to give that of dates
    if not array.dtype.isnative:
        raise ValueError("Big-endian buffer not supported on little-endian compiler")
    if char not in _C_NAMES:
        shown = "w" if char == "U" else char
        raise ValueError(f"Does not understand character buffer dtype format string ('{shown}')")
    name = _C_NAMES[char] if char in "OS" else f"'{_C_NAMES[char]}'"
    raise ValueError(f"Buffer dtype mismatch, expected '{c_name}' but got {name}")


class RLEs:
    """Masks as counts and sizes, between `_frString` and `_toString`."""

    __slots__ = ("_counts", "_sizes")

    def __init__(self, n: Any = 0) -> None:
        number = _siz(n)
        self._counts = [np.empty(0, np.uint32)] * number
        self._sizes = [(0, 0)] * number

    @classmethod
    def _of(cls, counts: list[np.ndarray], sizes: list[tuple[int, int]]) -> "RLEs":
        rles = cls(0)
        rles._counts, rles._sizes = counts, sizes
        return rles

    def __getattr__(self, key: str) -> Any:
        if key == "n":
            return len(self._counts)
        raise AttributeError(key)

    def __reduce__(self) -> Any:
        raise TypeError("no default __reduce__ due to non-trivial __cinit__")

    def _arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """counts, offsets, sizes as the kernels take them; sizes beyond int64 are cut to its largest."""
        offsets = np.zeros(len(self._counts) + 1, np.int64)
        np.cumsum([len(c) for c in self._counts], out=offsets[1:])
        counts = np.concatenate(self._counts) if self._counts else np.empty(0, np.uint32)
        most = np.iinfo(np.int64).max
        sizes = np.array([(min(h, most), min(w, most)) for h, w in self._sizes], np.int64).reshape(-1, 2)
        return counts, offsets, sizes


class Masks:
    """An (h, w, n) image stack of uninitialised bytes that np.array() turns into an array; here they are zeros."""

    def __init__(self, h: Any, w: Any, n: Any) -> None:
        self._shape = (_siz(h), _siz(w), _siz(n))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.zeros(self._shape, np.uint8, order="F")

    def __reduce__(self) -> Any:
        raise TypeError("no default __reduce__ due to non-trivial __cinit__")


def _len(objs: Any) -> int:
    if isinstance(objs, RLEs):  # of which Python would not tell the module
        raise TypeError("object of type 'pycocotools._mask.RLEs' has no len()")
    return len(objs)


def _strings(counts: np.ndarray, offsets: np.ndarray) -> list[bytes]:
    chars, ends = kernels().rle_to_string(counts, offsets)
    data, bounds = chars.tobytes(), ends.tolist()
    return [data[a:b] for a, b in zip(bounds, bounds[1:], strict=False)]


@_as_cython("Rs")
def _toString(Rs: RLEs) -> list[dict[str, Any]]:
    if not isinstance(Rs, RLEs):
        raise TypeError(
            f"Argument 'Rs' has incorrect type (expected pycocotools._mask.RLEs, got {type(Rs).__name__})"
        )
    counts, offsets, _ = Rs._arrays()
    return [
        {"size": [h, w], "counts": string}
        for (h, w), string in zip(Rs._sizes, _strings(counts, offsets), strict=True)
    ]


@_as_cython("rleObjs")
def _frString(rleObjs: Any) -> RLEs:
    _check_on_host(rleObjs)
    n = _len(rleObjs)
    rles = RLEs(n)
    for i, obj in enumerate(rleObjs):
        _check_on_host(obj)
        counts = obj["counts"]
        if type(counts) is str:
            counts = str.encode(counts)
        if counts is None:
            raise TypeError("expected bytes, NoneType found")
        if type(counts) is not bytes:
            raise TypeError(f"Expected bytes, got {_type_name(type(counts))}")
        size = _siz(obj["size"][0]), _siz(obj["size"][1])
        chars = np.frombuffer(counts, np.uint8)
        rles._counts[i] = kernels().coco_rle_parse(chars, np.array([0, len(chars)]))[0]
        rles._sizes[i] = size
    return rles


def _type_name(kind: type) -> str:
    """A type as C names it: with its module, unless it is built in or made by a class statement."""
    heap_type = 1 << 9
    if kind.__module__ == "builtins" or kind.__flags__ & heap_type:
        return kind.__name__
    return f"{kind.__module__}.{kind.__name__}"


def encode_on_gpu(mask: Any) -> Any:
    """As `encode` of pycocotools.mask, of an array on a GPU: only strings travel to the host."""
    array = as_cupy(mask)
    flat = array.ndim == 2
    if flat:
        array = array[:, :, None]
    if not array.flags.f_contiguous:
        raise ValueError("ndarray is not Fortran contiguous")
    _check_buffer(np.empty((0,) * array.ndim, array.dtype), 3, "B?", "uint8_t")
    counts, offsets = kernels(None, array).rle_encode_changes(array.transpose(2, 0, 1))
    h, w, _ = array.shape
    found = [{"size": [h, w], "counts": string} for string in rle.to_strings(counts, offsets)]
    return found[0] if flat else found


def _check_on_host(value: Any) -> None:
    if is_on_gpu(value):
        raise TypeError(
            "RLE dicts, polygons and boxes are the host's, not arrays on a GPU; array.get() brings those to the host, "
            "and maskmill.Masks does on a GPU what can be done there"
        )


@_as_cython("mask")
def encode(mask: Any) -> list[dict[str, Any]]:
    fast = _fast_encode(mask) if getattr(mask, "ndim", 0) == 3 else NotImplemented
    if fast is not NotImplemented:
        return fast  # type: ignore[no-any-return]
    _check_array(mask, "mask")
    if not mask.flags.f_contiguous:
        raise ValueError("ndarray is not Fortran contiguous")
    _check_buffer(mask, 3, "B?", "uint8_t")
    h, w, n = mask.shape
    counts = []
    for i in range(n):
        flat = np.asarray(mask[:, :, i]).ravel(order="F").view(np.uint8)
        ends = np.flatnonzero(np.diff(flat, prepend=np.uint8(0)))  # a run ends where the byte changes
        counts.append(np.diff(np.concatenate([[0], ends, [flat.size]])).astype(np.uint32))
    return _toString(RLEs._of(counts, [(h, w)] * n))  # type: ignore[no-any-return]


@_as_cython("rleObjs")
def decode(rleObjs: Any) -> np.ndarray:
    if type(rleObjs) is list:
        fast = _fast_decode(rleObjs)
        if fast is not NotImplemented:
            return fast  # type: ignore[no-any-return]
    rles = _frString(rleObjs)
    if rles.n == 0:
        raise ValueError("decode needs at least one RLE, which gives the size")
    h, w = rles._sizes[0]
    pixels = h * w * rles.n
    if pixels > sys.maxsize:
        raise MemoryError(f"{rles.n} masks of {h} x {w} pixels do not fit into memory")
    out = np.zeros((h, w, rles.n), np.uint8, order="F")
    counts, offsets, _ = rles._arrays()
    if not kernels().coco_rle_decode(counts, offsets, out.reshape(-1, order="F")):
        raise ValueError("Invalid RLE mask representation")
    return out


@_as_cython("rleObjs", intersect=0)
def merge(rleObjs: Any, intersect: Any) -> dict[str, Any]:
    if intersect is False or (type(intersect) is int and intersect == 0):
        fast = _fast_merge(rleObjs, False)
    elif intersect is True or (type(intersect) is int and intersect == 1):
        fast = _fast_merge(rleObjs, True)
    else:
        fast = NotImplemented
    if fast is not NotImplemented:
        return fast  # type: ignore[no-any-return]
    both = _c_int(intersect) != 0
    counts, offsets, sizes = _frString(rleObjs)._arrays()
    merged, h, w = kernels().coco_rle_merge(counts, offsets, sizes, both)
    return _toString(RLEs._of([merged], [(h, w)]))[0]  # type: ignore[no-any-return]


@_as_cython("rleObjs")
def area(rleObjs: Any) -> np.ndarray:
    if type(rleObjs) is list:
        fast = _fast_area(rleObjs)
        if fast is not NotImplemented:
            return fast  # type: ignore[no-any-return]
    counts, offsets, _ = _frString(rleObjs)._arrays()
    return kernels().coco_rle_area(counts, offsets)  # type: ignore[no-any-return]


@_as_cython("rleObjs")
def toBbox(rleObjs: Any) -> np.ndarray:
    if type(rleObjs) is list:
        fast = _fast_to_bbox(rleObjs)
        if fast is not NotImplemented:
            return fast  # type: ignore[no-any-return]
    return kernels().coco_rle_bbox(*_frString(rleObjs)._arrays())  # type: ignore[no-any-return]


@_as_cython("dt", "gt", "pyiscrowd")
def iou(dt: Any, gt: Any, pyiscrowd: Any) -> Any:
    fast = _fast_iou(dt, gt, pyiscrowd)
    if fast is not NotImplemented:
        return fast
    iscrowd = np.array(pyiscrowd, dtype=np.uint8)
    _check_buffer(iscrowd, 1, "B", "uint8_t")
    dt, gt = _comparable(dt), _comparable(gt)
    m, n = _length(dt), _length(gt)
    if len(pyiscrowd) != n:
        raise AssertionError("iou(iscrowd=) must have the same length as gt")
    if m == 0 or n == 0:
        return []
    if type(dt) is not type(gt):
        raise Exception("The dt and gt should have the same data type, either RLEs, list or np.ndarray")
    if isinstance(dt, RLEs):
        return kernels().coco_rle_iou(*dt._arrays(), *gt._arrays(), iscrowd)
    for boxes in (dt, gt):
        _check_buffer(boxes, 2, "d", "double")
    return kernels().coco_rle_box_iou(np.ascontiguousarray(dt), np.ascontiguousarray(gt), iscrowd)


def _comparable(objs: Any) -> Any:
    """Boxes as an (N, 4) array, RLE dicts as RLEs; anything empty stays as it is."""
    _check_on_host(objs)
    if _len(objs) == 0:
        return objs
    if type(objs) is np.ndarray:
        if len(objs.shape) == 1:
            objs = objs.reshape((objs[0], 1))
        if not len(objs.shape) == 2 or not objs.shape[1] == 4:
            raise Exception("numpy ndarray input is only for *bounding boxes* and should have Nx4 dimension")
        return objs.astype(np.double)
    if type(objs) is not list:
        raise Exception(
            "unrecognized type.  The following type: RLEs (rle), np.ndarray (box), and list (box) are supported."
        )
    boxes = [len(obj) == 4 and type(obj) in (list, np.ndarray) for obj in objs]
    if all(boxes):
        array = np.array(objs, dtype=np.double)
        return array.reshape((1, array.shape[0])) if array.ndim == 1 else array
    if all(type(obj) is dict for obj in objs):
        return _frString(objs)
    raise Exception("list input can be bounding box (Nx4) or RLEs ([RLE])")


def _length(objs: Any) -> int:
    if isinstance(objs, RLEs):
        return int(objs.n)
    return objs.shape[0] if isinstance(objs, np.ndarray) else 0


@_as_cython("bb", "h", "w")
def frBbox(bb: Any, h: Any, w: Any) -> list[dict[str, Any]]:
    _check_array(bb, "bb")
    height, width = _siz(h), _siz(w)
    _check_buffer(bb, 2, "d", "double_t")
    if bb.shape[1] != 4:
        raise ValueError(f"boxes must have shape (N, 4), not {bb.shape}")
    x0, y0 = bb[:, 0], bb[:, 1]
    x1, y1 = x0 + bb[:, 2], y0 + bb[:, 3]
    corners = np.stack([x0, y0, x0, y1, x1, y1, x1, y0], 1)
    return _toString(_fill(list(corners.reshape(-1, 4, 2)), height, width))  # type: ignore[no-any-return]


@_as_cython("poly", "h", "w")
def frPoly(poly: Any, h: Any, w: Any) -> list[dict[str, Any]]:
    height, width = _siz(h), _siz(w)
    rings = []
    _len(poly)
    for p in poly:
        ring = np.array(p, dtype=np.double, order="F")
        _check_buffer(ring, 1, "d", "double_t")
        rings.append(ring[: len(p) // 2 * 2].reshape(-1, 2))
    return _toString(_fill(rings, height, width))  # type: ignore[no-any-return]


def _fill(rings: list[np.ndarray], h: int, w: int) -> RLEs:
    """Each ring as a mask of its own, by COCO's rule."""
    if not rings:
        return RLEs(0)
    if h * w >= 2**32 or max(h, w) >= 2**31:
        raise ValueError(f"an image of {h} x {w} pixels has runs beyond 2**32 - 1")
    if w == 0:
        return RLEs._of([_without_columns(ring, h) for ring in rings], [(h, w)] * len(rings))
    ends = np.cumsum([0, *map(len, rings)], dtype=np.int64)
    points = np.ascontiguousarray(np.concatenate(rings))
    sizes = np.tile(np.array([[h, w]]), (len(rings), 1))
    try:
        counts, offsets = kernels().polygons_rasterize(points, ends, np.arange(len(rings) + 1), sizes, 0)
    except ValueError as error:
        raise ValueError(str(error).replace("mask ", "polygon ", 1)) from None
    runs = [counts[a:b] for a, b in zip(offsets, offsets[1:], strict=False)]
    return RLEs._of(runs, [(h, w)] * len(runs))


def _without_columns(ring: np.ndarray, h: int) -> np.ndarray:
    """Runs of a ring in an image without columns, in which pycocotools leaves out nothing that lies to the right; the
    image's end, at pixel 0, comes first among the ends of runs."""
    if len(ring) == 0:
        return np.zeros(1, np.uint32)
    longest = 2e6  # every fifth of a pixel along the outline is visited, as pycocotools does
    outline = np.abs(np.diff(ring, axis=0, append=ring[:1])).max(axis=1).sum()
    if not (np.all(np.abs(ring) < longest) and outline < longest):  # NaN too
        raise ValueError(
            f"a polygon in an image without columns is longer than {longest:.0f} pixels, or not finite"
        )
    us, vs = [], []
    corners = np.trunc(5 * ring + 0.5).astype(np.int64).tolist()
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        dx, dy = abs(x1 - x0), abs(y1 - y0)
        flip = x0 > x1 if dx >= dy else y0 > y1
        if flip:
            x0, y0, x1, y1 = x1, y1, x0, y0
        t = np.arange(max(dx, dy) + 1)[:: -1 if flip else 1]
        if dx >= dy:
            us.append(t + x0)
            vs.append(np.trunc(y0 + (y1 - y0) / max(dx, 1) * t + 0.5))
        else:
            us.append(np.trunc(x0 + (x1 - x0) / dy * t + 0.5).astype(np.int64))
            vs.append((t + y0).astype(float))
    u, v = np.concatenate(us), np.concatenate(vs)
    moved = np.flatnonzero(np.diff(u))
    column = np.where(u[moved] < u[moved + 1], u[moved + 1] - 1, u[moved + 1])
    kept = (column >= 2) & (column % 5 == 2)
    top = np.clip(np.ceil((np.minimum(v[moved], v[moved + 1]) - 2) / 5), 0, h).astype(np.int64)
    ends = np.sort(((column - 2) // 5 * h + top)[kept])
    steps = iter(np.diff(ends, prepend=0).tolist())
    runs = [0]
    for step in steps:
        if step > 0:
            runs.append(step)
        else:
            runs[-1] += next(steps, 0)
    return np.array(runs, np.uint32)


@_as_cython("ucRles", "h", "w")
def frUncompressedRLE(ucRles: Any, h: Any, w: Any) -> list[dict[str, Any]]:
    _siz(h), _siz(w)
    rles = RLEs(len(ucRles))
    for i in range(len(ucRles)):
        counts = np.array(ucRles[i]["counts"], dtype=np.uint32)
        _check_buffer(counts, 1, "IL", "uint32_t")
        rles._counts[i] = counts
        rles._sizes[i] = _siz(ucRles[i]["size"][0]), _siz(ucRles[i]["size"][1])
    return _toString(rles)  # type: ignore[no-any-return]


@_as_cython("pyobj", "h", "w")
def frPyObjects(pyobj: Any, h: Any, w: Any) -> Any:
    fast = _fast_from_polygons(pyobj, h, w)
    if fast is not NotImplemented:
        return fast
    _check_on_host(pyobj)
    if type(pyobj) is np.ndarray:
        return frBbox(pyobj, h, w)
    if type(pyobj) is list and len(pyobj[0]) == 4:
        return frBbox(pyobj, h, w)
    if type(pyobj) is list and len(pyobj[0]) > 4:
        return frPoly(pyobj, h, w)
    if type(pyobj) is list and type(pyobj[0]) is dict and "counts" in pyobj[0] and "size" in pyobj[0]:
        return frUncompressedRLE(pyobj, h, w)
    if type(pyobj) is list and len(pyobj) == 4:
        return frBbox([pyobj], h, w)[0]
    if type(pyobj) is list and len(pyobj) > 4:
        return frPoly([pyobj], h, w)[0]
    if type(pyobj) is dict and "counts" in pyobj and "size" in pyobj:
        return frUncompressedRLE([pyobj], h, w)[0]
    raise Exception("input type is not supported.")
