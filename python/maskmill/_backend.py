"""The one place that chooses who computes: `_core` (C++), `_cuda` (GPU) or `_numba` (readable twins)."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import numpy as np

from maskmill._device import is_on_gpu

NAMES = ("cpp", "cuda", "numba")

_INSTALL = {
    "cpp": "this maskmill was built without its C++ core; reinstall it without MASKMILL_PURE, on a machine with a C++ "
    "compiler or from a wheel",
    "cuda": "computing on a GPU needs a maskmill that was built where there is a CUDA compiler (nvcc 12.8 or newer), "
    "an NVIDIA GPU with its driver, and CuPy (pip install 'maskmill[cuda]')",
    "numba": "numba is not installed; run: pip install 'maskmill[numba]'",
}


class BackendError(ImportError):
    """A backend that was asked for by name cannot be used."""


@cache
def _import(name: str) -> Any:
    if name == "cuda":
        return _cuda()
    module = importlib.import_module({"cpp": "maskmill._core", "numba": "maskmill._numba"}[name])
    if name == "cpp" and (threads := threads_asked()) is not None:
        module.set_thread_count(threads)
    return module


def _cuda() -> Any:
    module = importlib.import_module("maskmill._cuda")
    if not module.device_count():
        raise ImportError("no CUDA device")
    importlib.import_module("cupy")
    return _OnGpu(module)


class _OnGpu:
    """The kernels that have a twin on the GPU. Of others it says so, and what to do."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        try:
            return getattr(self._module, name)
        except AttributeError:
            raise BackendError(
                f"{name} has no twin on the GPU; bring the arrays to the host first: masks.to('cpu'), array.get()"
            ) from None


def threads_asked() -> int | None:
    """MASKMILL_NUM_THREADS, if it is set."""
    text = os.environ.get("MASKMILL_NUM_THREADS")
    if not text:
        return None
    try:
        return max(1, int(text))
    except ValueError:
        raise ValueError(f"MASKMILL_NUM_THREADS must be a number, not {text!r}") from None


@cache
def why_missing(name: str) -> str | None:
    """Why a backend cannot be used, or None if it can."""
    try:
        _import(name)
    except ImportError as error:
        return f"{_INSTALL[name]} ({error})"
    return None


@cache
def _default() -> str:
    if why_missing("cpp") is None:
        return "cpp"
    if why_missing("numba") is not None:
        raise BackendError(
            "maskmill has no compiled core here, and to do without one it needs numba; run: "
            "pip install 'maskmill[numba]'"
        )
    warnings.warn(
        "maskmill has no compiled core here and uses its slower Numba twins; " + _INSTALL["cpp"],
        RuntimeWarning,
        stacklevel=_users_level(),
    )
    return "numba"


def _users_level() -> int:
    """For warnings: how many frames lie between the caller and the user's line."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "maskmill":
        frame, level = frame.f_back, level + 1
    return level


_chosen: ContextVar[str | None] = ContextVar("maskmill_backend", default=None)


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Let all calls within the block that name no backend use this one.

    Examples
    --------
    >>> import maskmill
    >>> with maskmill.use_backend("numba"):
    ...     masks = maskmill.Masks.encode([[0, 1], [1, 1]])
    """
    kernels(name)
    token = _chosen.set(name)
    try:
        yield
    finally:
        _chosen.reset(token)


def kernels(backend: str | None = None, *values: Any) -> Any:
    """The module that holds the kernels of `backend`, to compute with `values`.

    By default the GPU's if one of the values is on a GPU, that of the innermost `use_backend`, of the variable
    MASKMILL_BACKEND (as it is when first needed), else C++. What is on the host is never moved to a GPU.

    Raises
    ------
    ValueError
        If the name is not known, or values are elsewhere.
    BackendError
        If the backend was named and is missing.
    """
    name = backend or _chosen.get()
    if values:
        name = _where(name, values)
    found = _loaded.get(name)
    return _load(name) if found is None else found


def _where(name: str | None, values: tuple[Any, ...]) -> str | None:
    there = [*map(is_on_gpu, values)]
    on_gpu = any(there)
    if on_gpu and any(type(value) is np.ndarray for value in values):
        raise ValueError(
            "arrays must be all on the host or all on a GPU; cupy.asarray(array), array.get() move them"
        )
    if on_gpu and name not in (None, "cuda"):
        raise ValueError(
            f"arrays on a GPU need backend 'cuda', not {name!r}; array.get() brings them to the host"
        )
    if not on_gpu and name == "cuda":
        raise ValueError(
            "backend 'cuda' takes arrays on a GPU; cupy.asarray(array), masks.to('cuda') and polygons.to('cuda') bring "
            "them there"
        )
    return "cuda" if on_gpu else name


_loaded: dict[str | None, Any] = {}
"""Backends that were used before, by name; None: by default."""


def _load(asked: str | None) -> Any:
    name = asked or os.environ.get("MASKMILL_BACKEND") or _default()
    if name not in NAMES:
        raise ValueError(f"backend must be one of {', '.join(map(repr, NAMES))}, not {name!r}")
    try:
        module = _import(name)
    except ImportError as error:
        raise BackendError(f"backend {name!r} cannot be used: {_INSTALL[name]} ({error})") from error
    _loaded[asked] = module
    return module
