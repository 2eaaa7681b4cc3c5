"""Fixtures and makers of data that many tests share."""

from __future__ import annotations

import gc
import os
import re
import signal
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest

import fake_cupy
from maskmill import _backend

# A job in the background ignores Ctrl-C, and so would the programs that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every run, so that a change fails for what it does; MASKMILL_RANDOM=1 looks for others.
hypothesis.settings.register_profile("steady", derandomize="MASKMILL_RANDOM" not in os.environ)
hypothesis.settings.load_profile("steady")


def there_is_a_gpu() -> bool:
    """Asked without CuPy."""
    try:
        from maskmill import _cuda
    except ImportError:
        return False
    return _cuda.device_count() > 0


BACKENDS = ("cpp", "numba", "cuda-emulated", *(["cuda-device"] if there_is_a_gpu() else []))


def pytest_collection_finish() -> None:
    """What was collected stays: 20,000 tests are a lot to look through each time that garbage is collected."""
    gc.collect()
    gc.freeze()


class Emulated:
    """The kernels for GPUs as the host runs them, on NumPy's arrays. Tests of others are skipped."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("hypothesis") or name.endswith("_example"):  # what hypothesis asks an argument for
            raise AttributeError(name)
        module = pytest.importorskip("maskmill._cuda_emulated", reason="built without MASKMILL_CUDA_EMULATED")
        if not hasattr(module, name):
            pytest.skip(f"{name} has no twin on the GPU")
        return getattr(module, name)


class OnDevice:
    """The kernels on a GPU, called with NumPy's arrays as the others are: what goes there comes back."""

    def __init__(self, module: Any, cupy: Any) -> None:
        self._module, self._cupy = module, cupy

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("_", "hypothesis")) or name.endswith("_example"):
            raise AttributeError(name)
        if not hasattr(self._module, name):
            pytest.skip(f"{name} has no twin on the GPU")
        function = getattr(self._module, name)
        # Arguments of any type are those on the GPU, but for pixels of a bank, which may be None; others are said to be
        # NumPy's arrays.
        wanted = re.findall(r"(\w+): ([\w.]+)", function.__doc__.partition("\n")[0])

        def call(*arguments: Any, **options: Any) -> Any:
            named = [*zip((key for key, _ in wanted), arguments, strict=False), *options.items()]
            given = {
                key: self._there(value) if (key, "object") in wanted and key != "at" else value
                for key, value in named
            }
            out = dict(named).get("out")
            if isinstance(out, np.ndarray) and not out.flags.writeable:
                pytest.skip("arrays on a GPU can be written")
            found = function(**given)
            if out is not None:
                out[...] = given["out"].get()
            return self._here(found)

        return call

    def _there(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._there(item) for item in value]
        if not isinstance(value, np.ndarray):
            return value
        if not value.dtype.isnative or value.dtype.kind not in "biufc":
            pytest.skip(f"CuPy has no arrays of {value.dtype}")
        if value.flags.forc:
            return self._cupy.asarray(value)
        return self._cupy.asarray(value.repeat(2, -1))[..., ::2]  # apart there, too

    def _here(self, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(self._here, value))
        return value.get() if isinstance(value, self._cupy.ndarray) else value


def on_gpu(name: str) -> Any:
    """The kernels of a GPU, emulated or not, or None if others are meant."""
    if name == "cuda-emulated":
        return Emulated()
    if name == "cuda-device":
        return OnDevice(_backend.kernels("cuda")._module, pytest.importorskip("cupy"))
    return None


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every kernel test runs once per backend; all must give the same bits."""
    if (module := on_gpu(request.param)) is not None:
        monkeypatch.setitem(_backend._loaded, request.param, module)
        return str(request.param)
    reason = _backend.why_missing(request.param)
    if reason is not None:
        pytest.skip(reason)
    return str(request.param)


@pytest.fixture(params=BACKENDS)
def kernels(request: pytest.FixtureRequest):
    if (module := on_gpu(request.param)) is not None:
        return module
    reason = _backend.why_missing(request.param)
    if reason is not None:
        pytest.skip(reason)
    return _backend.kernels(request.param)


@pytest.fixture(params=["emulated", "emulated-strict", "cuda"])
def cupy(request: pytest.FixtureRequest) -> Any:
    """CuPy where there is a GPU; and everywhere what tests take for it."""
    if request.param == "cuda":
        if _backend.why_missing("cuda") is not None:
            pytest.skip("CuPy is not installed" if there_is_a_gpu() else "no CUDA device")
        yield pytest.importorskip("cupy")
    else:
        with fake_cupy.pretended(strict=request.param == "emulated-strict") as module:
            yield module


@pytest.fixture
def both() -> tuple[Any, Any]:
    """Both backends, to be compared with each other."""
    missing = [reason for reason in map(_backend.why_missing, ("cpp", "numba")) if reason]
    if missing:
        pytest.skip(missing[0])
    return _backend.kernels("cpp"), _backend.kernels("numba")


@pytest.fixture(scope="session")
def compiled() -> Any:
    """The compiled core, for tests that compare it with its twin, or of sizes that take the twin minutes."""
    reason = _backend.why_missing("cpp")
    if reason is not None:
        pytest.skip(reason)
    return _backend.kernels("cpp")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data that the project's developers share; not part of the project."""
    folder = Path(os.environ.get("MASKMILL_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set MASKMILL_DATA to a folder that has it")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20260101)


def random_masks(
    rng: np.random.Generator, n: int, height: int, width: int, density: float = 0.5
) -> np.ndarray:
    """(n, height, width) bool: blocky noise, so that there are long and short runs."""
    noise = rng.random((n, -(-height // 3), -(-width // 2))).repeat(3, 1).repeat(2, 2)[:, :height, :width]
    return (noise < density) ^ (rng.random((n, height, width)) < 0.02)


ODD_SIZES = [
    (0, 0),
    (0, 5),
    (5, 0),
    (1, 1),
    (1, 7),
    (7, 1),
    (31, 33),
    (33, 31),
    (64, 64),
    (65, 63),
    (97, 130),
]
"""Image sizes around the widths of machine words and vectors."""
