"""Small networks in ONNX, made for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def network(
    nodes: list[tuple[str, list[str], str, dict[str, Any]]],
    constants: dict[str, Any] | None = None,
    *,
    shape: tuple[Any, ...] = (1, 3, "H", "W"),
    kind: str = "FLOAT",
    metadata: dict[str, str] | None = None,
    more_inputs: tuple[str, ...] = (),
) -> Any:
    """A model of nodes (operator, inputs, output, attributes) on `image`; the last gives its output."""
    import onnx
    from onnx import helper

    element = getattr(onnx.TensorProto, kind)
    inputs = [helper.make_tensor_value_info("image", element, shape)]
    inputs += [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in more_inputs]
    graph = helper.make_graph(
        [helper.make_node(op, taken, [given], **attributes) for op, taken, given, attributes in nodes],
        "test",
        inputs,
        [helper.make_tensor_value_info(nodes[-1][2], onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, metadata or {})
    return model


def save(model: Any, folder: Path) -> str:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return str(path)


def averages() -> Any:
    """Each band's means: of 3 x 3 by twos, twice, padded as TensorFlow does; `half` and `y`."""
    box = np.full((3, 1, 3, 3), 1 / 9, np.float32)
    same = {"strides": [2, 2], "auto_pad": "SAME_UPPER", "group": 3}
    return network(
        [
            ("Conv", ["image", "box"], "half", same),
            ("Conv", ["half", "box"], "y", same),
            ("Relu", ["y"], "z", {}),
        ],
        {"box": box},
    )


def _weights(random: np.random.Generator, *shape: int) -> np.ndarray:
    return (random.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


def strided(seed: int) -> Any:
    """Paddings SAME of both kinds with strides 2 and 3, odd and even kernels, a residual: `a` and `y`."""
    random = np.random.default_rng(seed)
    kind = ("SAME_UPPER", "SAME_LOWER")[seed % 2]
    nodes = [
        ("Conv", ["image", "w0"], "a", {"strides": [2, 2], "auto_pad": kind}),
        ("Conv", ["a", "w1"], "b", {"strides": [1, 1], "auto_pad": "SAME_UPPER"}),
        ("Add", ["a", "b"], "c", {}),
        ("Conv", ["c", "w2"], "d", {"strides": [2, 1 + seed % 3], "auto_pad": kind}),
        ("Clip", ["d", "low"], "e", {}),
        ("MaxPool", ["e"], "y", {"kernel_shape": [2, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    ]
    constants = {
        "w0": _weights(random, 4, 3, 3, 3),
        "w1": _weights(random, 4, 4, 5, 5),
        "w2": _weights(random, 5, 4, 4, 3),
        "low": np.float32(0),
    }
    return network(nodes, constants)


def mixed(seed: int) -> Any:
    """Paddings given by number, dilation, pools with and without ceil_mode, Pad, branches joined: `a` and `y`."""
    random = np.random.default_rng(seed)
    pool = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "ceil_mode": seed % 2}
    nodes = [
        ("Pad", ["image", "pads"], "padded", {"mode": ("constant", "edge")[seed // 2]}),
        ("Conv", ["padded", "w0"], "a", {"strides": [2, 2], "pads": [0, 0, 0, 0]}),
        ("MaxPool", ["a"], "b", pool),
        ("Conv", ["b", "w1"], "c", {"dilations": [2, 3], "pads": [2, 3, 2, 3]}),
        ("Conv", ["b", "w2"], "d", {"pads": [1, 1, 1, 1]}),
        ("Concat", ["c", "d"], "e", {"axis": 1}),
        ("Mul", ["e", "gain"], "y", {}),
    ]
    constants = {
        "pads": np.array([0, 0, 2, 1, 0, 0, 1, 3], np.int64),
        "w0": _weights(random, 4, 3, 4, 4),
        "w1": _weights(random, 3, 4, 3, 3),
        "w2": _weights(random, 3, 4, 3, 3),
        "gain": _weights(random, 6, 1, 1),
    }
    return network(nodes, constants)
