"""Taking the name pycocotools."""

import importlib
import importlib.machinery
import os
import sys
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

_SUBMODULES = ("_mask", "mask", "coco", "cocoeval")
_NAMES = ("pycocotools", *(f"pycocotools.{name}" for name in _SUBMODULES))

MODES = ("strict", "hardened")

_replaced: dict[str, ModuleType | None] = {}


def path() -> str:
    """A folder that, in front of PYTHONPATH, makes other Python processes import this as pycocotools."""
    return str(Path(__file__).with_name("_as_pycocotools"))


def installed() -> bool:
    """Whether this process has this as pycocotools."""
    return bool(_replaced)


class install:
    """Register maskmill's modules under pycocotools' names, in place of any pycocotools imported before.

    Modules that took functions or classes out of pycocotools earlier keep those they have: install first. Doing so
    twice is doing so once. Processes that are forked inherit it; those that are spawned do with spawned=True, which
    puts `path()` in front of this process's PYTHONPATH and sys.path.

    mode : {"strict", "hardened"}
        Whether to be as pycocotools is, or as `maskmill.pycocotools.hardened`; by default what the environment variable
        MASKMILL_PYCOCOTOOLS says, else strict.

    Used in a with statement, what was there before is put back at the end, as by `uninstall()`.

    Notes
    -----
    ``importlib.metadata.version("pycocotools")`` still asks pip: it finds pycocotools only where that is installed.

    Examples
    --------
    >>> import maskmill.pycocotools
    >>> with maskmill.pycocotools.install():
    ...     from pycocotools.coco import COCO
    >>> COCO.__module__
    'maskmill.pycocotools.coco'
    """

    def __init__(self, mode: str | None = None, *, spawned: bool = False) -> None:
        mode = mode or os.environ.get("MASKMILL_PYCOCOTOOLS") or "strict"
        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(map(repr, MODES))}, not {mode!r}")
        self._was_installed = installed()
        self._before = {name: sys.modules.get(name) for name in _NAMES}
        if not self._was_installed:
            _replaced.update(self._before)
        if getattr(sys.modules.get("pycocotools"), "_maskmill_mode", None) != mode:
            sys.modules.update(_modules(mode))
        if spawned:
            os.environ["MASKMILL_PYCOCOTOOLS"] = mode
            rest = os.environ.get("PYTHONPATH", "").split(os.pathsep)
            os.environ["PYTHONPATH"] = os.pathsep.join([path(), *(p for p in rest if p and p != path())])
            if path() not in sys.path:  # which multiprocessing hands to what it spawns
                sys.path.insert(0, path())

    def __enter__(self) -> "install":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._was_installed:
            uninstall()
        else:
            sys.modules.update({name: module for name, module in self._before.items() if module is not None})


def uninstall() -> None:
    """Put back what the names pycocotools... stood for before `install`."""
    for name, module in _replaced.items():
        if module is None:
            sys.modules.pop(name, None)
        else:
            sys.modules[name] = module
    _replaced.clear()
    before = sys.modules.get("pycocotools")
    for name in _SUBMODULES:  # from pycocotools import mask reads the attribute
        module = sys.modules.get(f"pycocotools.{name}")
        if before is not None and module is not None:
            setattr(before, name, module)


def _modules(mode: str) -> dict[str, ModuleType]:
    package = ModuleType("pycocotools")
    package.__doc__ = None
    package.__path__ = [path() + os.sep + "pycocotools"]
    spec = importlib.machinery.ModuleSpec("pycocotools", None, is_package=True)
    spec.submodule_search_locations = package.__path__
    package.__spec__ = spec
    package.__package__ = "pycocotools"
    attributes: dict[str, Any] = {"__author__": "tylin", "_maskmill_mode": mode}
    modules = {"pycocotools": package}
    for name in _SUBMODULES:
        room = ".hardened" if mode == "hardened" and name != "_mask" else ""
        module = importlib.import_module(f"maskmill.pycocotools{room}.{name}")
        modules[f"pycocotools.{name}"] = module
        attributes[name] = module
    package.__dict__.update(attributes)
    return modules
