"""The ResNet-34 of cem-dataset: by torch and by onnxruntime, from files that are not trusted."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from maskmill import FormatError
from maskmill.studies.em import cnn
from maskmill.studies.em.filter import load_model


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.fixture
def network(torch):
    torch.manual_seed(1)
    network = cnn.resnet34().eval()
    with torch.no_grad():  # so that scores differ between patches
        network.fc.weight.mul_(20)
    return network


@pytest.fixture
def patches(rng):
    shapes = [(224, 224), (224, 138), (30, 40), (300, 260)]
    return [rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]


def test_prepare(patches):
    cv2 = pytest.importorskip("cv2")
    seen = cnn.prepare(patches)
    assert seen.shape == (4, 3, 224, 224)
    colour = cv2.resize(
        np.repeat(patches[1][..., None], 3, axis=2), (224, 224), interpolation=cv2.INTER_LINEAR
    )
    expected = (colour / 255.0 - np.array(cnn.MEAN)) / np.array(cnn.STD)
    assert np.allclose(seen[1], expected.transpose(2, 0, 1), atol=1e-5)
    assert cnn.prepare([]).shape == (0, 3, 224, 224)


def test_layers_are_those_of_torchvision(torch, network):
    state = network.state_dict()
    assert len(state) == 218
    assert (
        sum(value.numel() for name, value in network.named_parameters()) == 21_285_185
    )  # 21,797,672 with 1000 outputs
    assert tuple(state["layer2.0.downsample.0.weight"].shape) == (128, 64, 1, 1)
    assert tuple(state["layer4.2.bn2.running_var"].shape) == (512,)
    torchvision = pytest.importorskip("torchvision")
    theirs = torchvision.models.resnet34(num_classes=1).eval()
    theirs.load_state_dict(state)
    x = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        assert torch.equal(theirs(x), network(x))


def test_torch_and_onnx_agree(torch, network, patches, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    torch.save(network.state_dict(), tmp_path / "w.pth")
    by_torch = load_model(tmp_path / "w.pth").scores(patches)
    with torch.inference_mode():
        expected = torch.sigmoid(network(torch.from_numpy(cnn.prepare(patches)))).numpy().ravel()
    assert np.allclose(by_torch, expected, atol=1e-6)
    assert np.ptp(by_torch) > 1e-3
    axes = {"x": {0: "n"}, "logit": {0: "n"}}
    torch.onnx.export(
        network,
        (torch.zeros(1, 3, 224, 224),),
        tmp_path / "w.onnx",
        input_names=["x"],
        output_names=["logit"],
        dynamic_axes=axes,
        dynamo=False,
    )
    model = load_model(tmp_path / "w.onnx", workers=2)
    assert np.allclose(model.scores(patches), by_torch, atol=1e-4)
    assert model.scores([]).shape == (0,)
    assert model.digest != load_model(tmp_path / "w.pth").digest


def test_weights_with_code_in_them(torch, tmp_path):
    """torch's files are pickles: what is more than tensors is refused, and not run."""
    folder = tmp_path / "made"

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(folder),)

    torch.save({"fc.weight": Evil()}, tmp_path / "w.pth")
    with pytest.raises(FormatError, match="not readable weights of torch"):
        load_model(tmp_path / "w.pth")
    assert not folder.exists()


def test_weights_of_another_network(torch, network, tmp_path):
    path = tmp_path / "w.pth"
    state = network.state_dict()
    torch.save({k: v for k, v in state.items() if k != "conv1.weight"}, path)
    with pytest.raises(
        FormatError, match="must be weights of a ResNet-34 with one output; it lacks conv1.weight"
    ):
        load_model(path)
    torch.save({**state, "fc.weight": torch.zeros(1000, 512)}, path)
    with pytest.raises(FormatError, match=r"fc.weight must be \(1, 512\), not \(1000, 512\)"):
        load_model(path)
    torch.save([1, 2], path)
    with pytest.raises(FormatError, match="must be a state dict"):
        load_model(path)
    torch.save({f"module.{k}": v for k, v in state.items() if "num_batches" not in k}, path)
    load_model(path)


@pytest.mark.parametrize("suffix", [".pth", ".onnx", ".safetensors"])
def test_damaged_files(tmp_path, suffix):
    pytest.importorskip({".pth": "torch", ".onnx": "onnxruntime", ".safetensors": "safetensors"}[suffix])
    path = tmp_path / f"w{suffix}"
    for content in (b"", b"not weights", bytes(1000)):
        path.write_bytes(content)
        with pytest.raises(FormatError, match=f"w{suffix}"):
            load_model(path)


@pytest.mark.parametrize(("suffix", "package"), [(".pth", "torch"), (".onnx", "onnxruntime")])
def test_missing_package(tmp_path, suffix, package):
    """One sentence that says what to install."""
    path = tmp_path / f"w{suffix}"
    path.write_bytes(b"x")
    code = f"import sys; sys.modules[{package!r}] = None; from maskmill.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [
        sys.executable,
        "-c",
        code,
        "em",
        "filter",
        str(tmp_path),
        str(tmp_path / "out"),
        "--model",
        str(path),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"{package} is not installed; run: pip install 'maskmill[" in done.stderr
    assert done.stderr.count("\n") == 1
