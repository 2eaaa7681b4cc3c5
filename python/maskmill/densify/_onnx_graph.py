"""What an ONNX graph says of itself: its input, its tensors, and where in the image values of a tensor come from."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from maskmill._files import FormatError, need


class Input(NamedTuple):
    """The image, as a network takes it."""

    name: str
    dtype: str
    layout: str
    """NCHW or NHWC."""
    bands: int | None
    """1 or 3; None if the shape does not tell."""
    size: tuple[int, int]
    """Rows and columns that the model was made for; 0: any."""


def read_model(path: str | Path) -> Any:
    """An `onnx.ModelProto`.

    Raises
    ------
    FormatError
        If the file is no ONNX model.
    """
    onnx = need("onnx", "cnn")
    with open(path, "rb"):
        pass  # what is not there, or not to be read, is told by Python
    try:
        model = onnx.load(str(path))
    except Exception as error:  # protobuf and onnx have classes of their own
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise FormatError(f"{path}: not a readable ONNX model ({reason})") from None
    if not model.graph.node:
        raise FormatError(f"{path}: not a readable ONNX model (it has no nodes)")
    if not all(isinstance(name, str) for name in _names(model.graph)):  # protobuf gives bytes then
        raise FormatError(f"{path}: not a readable ONNX model (a name is not UTF-8)")
    return model


def _names(graph: Any) -> Iterator[str | bytes]:
    for node in graph.node:
        yield from (node.op_type, node.domain, node.name, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)
    for value in (*graph.input, *graph.output, *graph.initializer):
        yield value.name


def cut(model: Any, taps: Sequence[str], where: str) -> Any:
    """Leave of a model, in place, what the taps need, and make them its outputs, whether they were outputs or not.

    Raises
    ------
    ValueError
        If there is no such tensor.
    """
    onnx = need("onnx", "cnn")
    graph = model.graph
    made = [name for node in graph.node for name in node.output if name]
    for tap in taps:
        if tap not in made:
            raise ValueError(f"{where} has no tap {tap!r}; it has {_listed(tap, graph, made)}")
    needed, kept = set(taps), []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(_used(node))
            kept.append(node)
    kept.reverse()
    constants = [constant for constant in graph.initializer if constant.name in needed]
    names = {constant.name for constant in constants}
    inputs = [value for value in graph.input if value.name in needed - names]
    shapeless = [onnx.ValueInfoProto(name=tap) for tap in taps]
    for field, values in (
        ("node", kept),
        ("initializer", constants),
        ("input", inputs),
        ("output", shapeless),
        ("value_info", []),
    ):
        copies = [type(value).FromString(value.SerializeToString()) for value in values]
        del getattr(graph, field)[:]
        getattr(graph, field).extend(copies)
    return model


def _listed(tap: str, graph: Any, made: list[str]) -> str:
    """Names to choose from: outputs, what is spelled alike, and the first layers."""
    outputs = [value.name for value in graph.output]
    inner = [name for name in made if name not in outputs]
    alike = difflib.get_close_matches(tap, inner, 5, 0.6)
    shown = [*outputs[:10], *alike, *(name for name in inner[:15] if name not in alike)][:20]
    more = len(made) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _used(node: Any) -> Iterator[str]:
    """Tensors that a node takes, also in the bodies of loops and branches."""
    yield from node.input
    for attribute in node.attribute:
        for body in [attribute.g, *attribute.graphs] if attribute.type in (5, 10) else []:  # GRAPH, GRAPHS
            for inner in body.node:
                yield from _used(inner)


def image_input(model: Any, where: str, layout: str | None = None) -> Input:
    """The one input of a model. Its height and width are set free: networks of convolutions that were exported for one
    size take any.

    Raises
    ------
    FormatError
        If it has several, or one that is no image.
    ValueError
        If its shape does not tell the layout, and `layout` is not given.
    """
    onnx = need("onnx", "cnn")
    inputs = model.graph.input
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise FormatError(f"{where}: the taps must need one input, the image, not {names}")
    tensor = inputs[0].type.tensor_type
    dims = tensor.shape.dim
    types = onnx.TensorProto
    kinds = {types.FLOAT: "float32", types.FLOAT16: "float16", types.UINT8: "uint8"}
    if tensor.elem_type not in kinds or len(dims) != 4:
        found = f"{types.DataType.Name(tensor.elem_type)} of {len(dims)} dimensions"
        raise FormatError(
            f"{where}: input {inputs[0].name} must be float32, float16 or uint8 of 4 dimensions, not {found}"
        )
    sizes = [dim.dim_value for dim in dims]  # 0: any
    if layout not in (None, "NCHW", "NHWC"):
        raise ValueError(f"layout must be 'NCHW' or 'NHWC', not {layout!r}")
    if layout is None:
        told = [name for name, i in (("NCHW", 1), ("NHWC", 3)) if sizes[i] in (1, 3)]
        if len(told) != 1:
            raise ValueError(
                f"{where}: the shape of input {inputs[0].name} does not tell its layout; say layout='NCHW' or 'NHWC'"
            )
        layout = told[0]
    bands = sizes[layout.index("C")] or None
    if bands not in (None, 1, 3):
        raise FormatError(f"{where}: input {inputs[0].name} must have 1 or 3 bands, not {bands}")
    size = sizes[layout.index("H")], sizes[layout.index("W")]
    for name in "NHW":
        dims[layout.index(name)].Clear()
        dims[layout.index(name)].dim_param = name
    return Input(inputs[0].name, kinds[tensor.elem_type], layout, bands, size)


# Where values come from. Along one axis, value i of a tensor sees pixels near step * i + centre.


class Axis(NamedTuple):
    """Rows or columns of a tensor, in pixels of the image."""

    size: int
    step: int = 1
    centre: float = 0.0
    """Of value 0: the middle of what it sees."""
    before: int = 0
    after: int = 0
    """Value i sees nothing before pixel step * i - before, nor after step * i + after."""

    def window(self, kernel: int, stride: int, pads: tuple[int, int], size: int) -> Axis:
        """After windows of `kernel` pixels, dilation included, with `pads` zeros on the sides."""
        return Axis(
            size,
            self.step * stride,
            self.centre + self.step * ((kernel - 1) / 2 - pads[0]),
            max(self.before, self.before + self.step * pads[0]),
            max(self.after, self.after + self.step * (kernel - 1 - pads[0])),
        )


class Place(NamedTuple):
    """A tensor whose values belong to places in the image."""

    rows: Axis
    columns: Axis
    order: str
    """What its dimensions are: NCHW, NHWC."""


class Trace(NamedTuple):
    """Places of tensors, and why others have none."""

    places: dict[str, Place]
    reasons: dict[str, str]
    period: tuple[int, int]
    """Moved by as many rows or columns, an image gives the same values, moved."""


POINTWISE = frozenset(
    (
        *(
            "Abs",
            "Add",
            "BatchNormalization",
            "Cast",
            "Ceil",
            "Celu",
            "Clip",
            "Div",
            "Dropout",
            "Elu",
            "Erf",
            "Exp",
        ),
        *(
            "Floor",
            "Gelu",
            "HardSigmoid",
            "HardSwish",
            "Identity",
            "LeakyRelu",
            "Log",
            "Max",
            "Mean",
            "Min",
            "Mish",
        ),
        *("Mul", "Neg", "PRelu", "Pow", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Softplus"),
        *("Softsign", "Sqrt", "Sub", "Sum", "Tanh", "ThresholdedRelu"),
    )
)
LARGEST_PAD = 4096
WINDOWS = frozenset(("Conv", "MaxPool", "AveragePool", "LpPool"))


class _Opaque(Exception):
    """Values of a tensor do not belong to places."""


def trace(model: Any, image: Input, size: tuple[int, int]) -> Trace:
    """Follow an image of `size` through a graph.

    Raises
    ------
    ValueError
        If padding makes a tensor much larger than the image.
    """
    helper = need("onnx", "cnn").helper
    places = {image.name: Place(Axis(size[0]), Axis(size[1]), image.layout)}
    reasons: dict[str, str] = {}
    constants = {constant.name: constant for constant in model.graph.initializer}
    period = [1, 1]
    for node in model.graph.node:
        constants.update(_constant(node, constants))
        seen = [name for name in node.input if name in places]
        why = next((reasons[name] for name in node.input if name in reasons), None)
        if not seen and why is None:
            continue  # made of constants
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        try:
            if why is not None:
                raise _Opaque(why)
            place = _follow(node, attributes, [places[name] for name in seen], constants)
            _check_size(place, size, node)
        except _Opaque as error:
            reasons.update(dict.fromkeys(node.output, str(error)))
            continue
        places[node.output[0]] = place
        period = [math.lcm(period[0], place.rows.step), math.lcm(period[1], place.columns.step)]
    return Trace(places, reasons, (period[0], period[1]))


def _check_size(place: Place, size: tuple[int, int], node: Any) -> None:
    """Pads are numbers in a file: they could ask for any memory."""
    rows, columns = place.rows.size, place.columns.size
    if rows > 2 * size[0] + LARGEST_PAD or columns > 2 * size[1] + LARGEST_PAD:
        raise ValueError(
            f"{node.op_type} {node.output[0]} makes {rows} x {columns} values of an image of {size[0]} x {size[1]}"
        )


def _constant(node: Any, constants: dict[str, Any]) -> dict[str, Any]:
    """What a node gives whatever the image is, as far as it matters here."""
    onnx = need("onnx", "cnn")
    if node.op_type in ("Identity", "Cast") and node.input[0] in constants:
        return {node.output[0]: constants[node.input[0]]}
    if node.op_type != "Constant" or len(node.attribute) != 1:
        return {}
    (value,) = node.attribute
    if value.name == "value":
        return {node.output[0]: value.t}
    if value.name in ("value_float", "value_floats", "value_int", "value_ints"):
        array = np.asarray(onnx.helper.get_attribute_value(value))
        return {node.output[0]: onnx.numpy_helper.from_array(array)}
    return {}


def _follow(node: Any, attributes: dict[str, Any], places: list[Place], constants: dict[str, Any]) -> Place:
    kind, place = node.op_type, places[0]
    here = f"{kind} {node.output[0]}"
    if node.domain not in ("", "ai.onnx"):
        raise _Opaque(f"{node.domain}.{here} is not known")
    if kind in POINTWISE:
        _check_constants(node, place.order, constants, len(places), here)
        return _merged(places, here)
    if kind == "Concat":
        if attributes["axis"] % 4 != place.order.index("C"):
            raise _Opaque(f"{here} joins other things than channels")
        return _merged(places, here)
    if kind == "Transpose":
        order = "".join(place.order[i] for i in attributes.get("perm", (3, 2, 1, 0)))
        return place._replace(order=order)
    if kind == "Pad":
        return _padded(node, attributes, place, constants, here)
    if kind in WINDOWS and place.order == "NCHW":
        if kind == "Conv":
            if node.input[1] not in constants:
                raise _Opaque(f"{here} has weights that are computed")
            kernel = list(constants[node.input[1]].dims)[2:]
        else:
            kernel = attributes["kernel_shape"]
        return _windows(attributes, kernel, place)
    raise _Opaque(f"{here} may see the whole image")


def _check_constants(node: Any, order: str, constants: dict[str, Any], known: int, here: str) -> None:
    """What is added or multiplied must be the same everywhere in the image."""
    if node.op_type == "BatchNormalization":
        return
    given = [constants[name] for name in node.input if name in constants]
    if len(given) + known < len([name for name in node.input if name]):
        raise _Opaque(f"{here} takes something that is computed")
    for constant in given:
        dims = [1] * (4 - len(constant.dims)) + list(constant.dims)
        if any(dims[order.index(c)] != 1 for c in "HW"):
            raise _Opaque(f"{here} takes constants that differ from place to place")


def _merged(places: list[Place], here: str) -> Place:
    """Of tensors that are put together point by point, or channel by channel."""

    def axis(axes: list[Axis]) -> Axis:
        if len({(a.size, a.step) for a in axes}) > 1:
            raise _Opaque(f"{here} takes tensors of several sizes")
        return axes[0]._replace(
            centre=sum(a.centre for a in axes) / len(axes),
            before=max(a.before for a in axes),
            after=max(a.after for a in axes),
        )

    if len({place.order for place in places}) > 1:
        raise _Opaque(f"{here} takes tensors of several orders")
    return Place(axis([p.rows for p in places]), axis([p.columns for p in places]), places[0].order)


def _windows(attributes: dict[str, Any], kernel: Sequence[int], place: Place) -> Place:
    strides, dilations = attributes.get("strides", (1, 1)), attributes.get("dilations", (1, 1))
    pads = attributes.get("pads", (0, 0, 0, 0))
    auto = attributes.get("auto_pad", b"NOTSET").decode()
    axes = []
    for i, axis in enumerate((place.rows, place.columns)):
        extent, stride = (kernel[i] - 1) * dilations[i] + 1, strides[i]
        if auto.startswith("SAME"):
            size = -(-axis.size // stride)
            total = max((size - 1) * stride + extent - axis.size, 0)
            before = total // 2 if auto == "SAME_UPPER" else total - total // 2
            sides = (before, total - before)
        else:
            sides = (0, 0) if auto == "VALID" else (pads[i], pads[i + 2])
            room = axis.size + sum(sides) - extent
            size = (-(-room // stride) if attributes.get("ceil_mode") else room // stride) + 1
            if attributes.get("ceil_mode") and (size - 1) * stride >= axis.size + sides[0]:
                size -= 1  # a window that would begin behind the image
        axes.append(axis.window(extent, stride, sides, size))
    return Place(axes[0], axes[1], place.order)


def _padded(
    node: Any, attributes: dict[str, Any], place: Place, constants: dict[str, Any], here: str
) -> Place:
    """Rows and columns added, or cropped where pads are negative."""
    pads = attributes.get("pads")
    if len(node.input) > 1 and node.input[1] in constants and not any(node.input[3:]):
        pads = need("onnx", "cnn").numpy_helper.to_array(constants[node.input[1]]).tolist()
    if pads is None or len(pads) != 8 or attributes.get("mode") == b"wrap":
        raise _Opaque(f"{here} does not pad rows and columns by constants")
    sides = dict(zip(place.order, zip(pads[:4], pads[4:], strict=True), strict=True))
    if any(sides["N"]) or any(sides["C"]):
        raise _Opaque(f"{here} pads other things than rows and columns")

    def axis(old: Axis, pads: tuple[int, int]) -> Axis:
        reach = old.step * max(0, *pads)  # the modes that mirror look back as far
        return Axis(
            old.size + sum(pads),
            old.step,
            old.centre - old.step * pads[0],
            old.before + reach,
            old.after + reach,
        )

    return Place(axis(place.rows, sides["H"]), axis(place.columns, sides["W"]), place.order)
