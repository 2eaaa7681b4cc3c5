"""`Reference`: pixels that are read when somebody asks for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

__all__ = ["Reference"]


@dataclass(frozen=True)
class Reference:
    """Where an image or a label image is; nothing is opened before `read`.

    Attributes
    ----------
    path : str
        The file.
    field : str
        What of it, where it holds several things: a dataset of an HDF5 file, a variable of an NPZ, a field of a JSON.
    reader : function of (path, field), at the top level of a module, so that references can be pickled
    """

    path: str
    field: str
    reader: Callable[[str, str], NDArray[Any]]

    def read(self) -> NDArray[Any]:
        """The pixels: (H, W) or (H, W, C)."""
        return self.reader(self.path, self.field)

    def __str__(self) -> str:
        return f"{self.path}::{self.field}" if self.field else self.path
