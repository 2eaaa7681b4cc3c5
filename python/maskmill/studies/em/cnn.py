"""The patch classifier of cem-dataset: a ResNet-34 on patches of 224 x 224, run by torch or onnxruntime."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, need

SIDE = 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, red, green and blue."""


def prepare(patches: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """What the network sees, (N, 3, 224, 224): stretched to 224 x 224 by OpenCV's bilinear rule, grey in all three
    channels, with ImageNet's mean and deviation taken out, as Albumentations does.

    Examples
    --------
    >>> [round(float(value), 2) for value in prepare([np.full((9, 5), 255, np.uint8)])[0, :, 0, 0]]
    [2.25, 2.43, 2.64]
    """
    import cv2

    out = np.empty((len(patches), 3, SIDE, SIDE), np.float32)
    for row, patch in zip(out, patches, strict=True):
        grey = cv2.resize(patch, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR).astype(np.float32)
        for channel, mean, std in zip(row, MEAN, STD, strict=True):
            np.multiply(grey - np.float32(mean * 255), np.float32(1 / (std * 255)), out=channel)
    return out


def _sigmoid(logits: Any) -> NDArray[np.float64]:
    x = np.asarray(logits, np.float64).reshape(-1)
    out: NDArray[np.float64] = 0.5 * (1 + np.tanh(0.5 * x))
    return out


def file_digest(path: Path) -> str:
    """16 hex digits of a file's content."""
    whole = hashlib.blake2b(digest_size=8)
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            whole.update(block)
    return whole.hexdigest()


class OnnxModel:
    """A network in an ONNX file: (N, 3, 224, 224) float32 in, one logit a patch out."""

    def __init__(self, path: str | Path, *, workers: int = 1) -> None:
        runtime = need("onnxruntime", "cnn")
        self.digest = file_digest(Path(path))
        options = runtime.SessionOptions()
        options.intra_op_num_threads = workers
        options.log_severity_level = 3
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a class for each code, all below Exception
            raise FormatError(f"{path}: not a readable ONNX file ({str(error).splitlines()[0]})") from None
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if (
            len(inputs) != 1
            or len(inputs[0].shape) != 4
            or inputs[0].shape[1] not in (3, None)
            or len(outputs) != 1
        ):
            raise FormatError(
                f"{path}: must take one input (N, 3, 224, 224) and give one output, not {inputs[0].shape}"
            )
        self._input, self._path = inputs[0].name, path

    def scores(self, patches: Sequence[NDArray[np.uint8]]) -> NDArray[np.float64]:
        """Probabilities that patches are informative, (N,) of 0 to 1."""
        if not patches:
            return np.zeros(0)
        scores = _sigmoid(self._session.run(None, {self._input: prepare(patches)})[0])
        if len(scores) != len(patches):
            raise FormatError(
                f"{self._path}: must give one number a patch, not {len(scores)} for {len(patches)}"
            )
        return scores


class TorchModel:
    """Weights of torchvision's ResNet-34 with one output, in a state dict: `.pth`, `.pt` or `.safetensors`."""

    def __init__(self, path: str | Path, *, device: str = "cpu") -> None:
        torch = need("torch", "torch")
        self.digest = file_digest(Path(path))
        self.device = torch.device(device)
        self.network = resnet34()
        load_weights(self.network, read_weights(Path(path)), path)
        self.network.eval().to(self.device)

    def scores(self, patches: Sequence[NDArray[np.uint8]]) -> NDArray[np.float64]:
        """Probabilities that patches are informative, (N,) of 0 to 1."""
        torch = need("torch", "torch")
        if not patches:
            return np.zeros(0)
        with torch.inference_mode():
            return _sigmoid(self.network(torch.from_numpy(prepare(patches)).to(self.device)).cpu().numpy())


def read_weights(path: Path) -> dict[str, Any]:
    """A state dict from a file, which runs nothing.

    Raises
    ------
    FormatError
        If the file is damaged, or holds anything but tensors.
    """
    if path.suffix.lower() == ".safetensors":
        load = need("safetensors.torch", "torch").load_file
        arguments: dict[str, Any] = {"filename": path}
    else:
        load = need("torch", "torch").load
        arguments = {"f": path, "map_location": "cpu", "weights_only": True}
    try:
        state = load(**arguments)
    except OSError:
        raise
    except Exception as error:  # zip, pickle and torch raise nearly anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise FormatError(f"{path}: not readable weights of torch ({reason})") from None
    if (
        not isinstance(state, Mapping)
        or not state
        or not all(hasattr(value, "shape") for value in state.values())
    ):
        raise FormatError(f"{path}: must be a state dict: names and tensors")
    return {name.removeprefix("module."): value for name, value in state.items()}


def load_weights(network: Any, state: dict[str, Any], path: str | Path, *, head: bool = True) -> None:
    """Put a state dict into a network; without `head`, what the last layer has stays as it is."""
    expected = network.state_dict()
    if not head:
        state = {**state, "fc.weight": expected["fc.weight"], "fc.bias": expected["fc.bias"]}
    counters = {name for name in expected if name.endswith("num_batches_tracked")}  # old files lack them
    for name in [*(set(expected) - set(state) - counters), *(set(state) - set(expected))]:
        where = "lacks" if name in expected else "has"
        raise FormatError(f"{path}: must be weights of a ResNet-34 with one output; it {where} {name}")
    for name, value in state.items():
        if tuple(value.shape) != tuple(expected[name].shape):
            raise FormatError(
                f"{path}: {name} must be {tuple(expected[name].shape)}, not {tuple(value.shape)}"
            )
    network.load_state_dict(state, strict=False)


def resnet34() -> Any:
    """A torch module with the layers and names of torchvision's ResNet-34, its last layer 512 to 1 (He et al. 2015,
    arXiv:1512.03385)."""
    nn = need("torch", "torch").nn

    class Block(nn.Module):  # type: ignore[name-defined,misc]
        """Two convolutions beside a short cut."""

        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.relu = nn.ReLU()
            self.downsample = None
            if stride > 1 or inputs != outputs:
                short = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
                self.downsample = nn.Sequential(short, nn.BatchNorm2d(outputs))

        def forward(self, x: Any) -> Any:
            short = x if self.downsample is None else self.downsample(x)
            x = self.relu(self.bn1(self.conv1(x)))
            return self.relu(self.bn2(self.conv2(x)) + short)

    class ResNet34(nn.Module):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
            self.bn1 = nn.BatchNorm2d(64)
            self.relu = nn.ReLU()
            self.maxpool = nn.MaxPool2d(3, 2, 1)
            inputs = 64
            for layer, (outputs, blocks) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)], 1):
                steps = [Block(inputs, outputs, 1 if layer == 1 else 2)]
                steps += [Block(outputs, outputs, 1) for _ in range(blocks - 1)]
                setattr(self, f"layer{layer}", nn.Sequential(*steps))
                inputs = outputs
            self.avgpool = nn.AdaptiveAvgPool2d(1)
            self.fc = nn.Linear(512, 1)

        def forward(self, x: Any) -> Any:
            x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
            x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
            return self.fc(self.avgpool(x).flatten(1))

    return ResNet34()
