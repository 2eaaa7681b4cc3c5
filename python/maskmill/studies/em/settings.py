"""Everything that the result of `maskmill em patchify` depends on, beside its inputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from maskmill.hashes import Profile
from maskmill.studies.em import inputs, plan
from maskmill.studies.em.select import Rule


@dataclass(frozen=True)
class Settings:
    """Everything that the result depends on, beside the inputs. Numbers in pixels, voxels and bits.

    Attributes
    ----------
    axes, grid : what is cut, see `plan`
    rule : what is kept, see `select`
    hash_size : int
        Side of the difference hash: 8 for 64 bits, 16 for 256.
    policy, values, nonfinite : how voxels become 8 bits, see `maskmill.io.intensity`
    voxel_size : sizes as on the command line, before what the files say
    tolerance, unknown : which planes are square enough to be cut, see `plan.axes_to_cut`
    padding : float or None
        Grey value, after scaling, that stands for no data.
    scores : str
        Table of `name` and `score` for the order "quality".
    stacks : bool
        Whether folders of images are volumes.
    options : dict
        How inputs are opened: dataset, level, channel, signed.
    digest : bool
        Whether the manifest has digests of the inputs' contents.
    layout : {"store", "files", "pickle"}
    legacy : bool
        Whether all is done as cem-dataset does it.
    """

    axes: tuple[int, ...] = (0, 1, 2)
    grid: plan.Grid = field(default_factory=plan.Grid)
    rule: Rule = field(default_factory=Rule)
    hash_size: int = 8
    policy: str = "dtype"
    values: tuple[float, ...] = ()
    nonfinite: int | None = None
    voxel_size: tuple[str, ...] = ()
    tolerance: float = 0.25
    unknown: str = "xy"
    padding: float | None = None
    scores: str = ""
    stacks: bool = False
    options: tuple[tuple[str, Any], ...] = ()
    digest: bool = True
    layout: str = "store"
    legacy: bool = False

    def __post_init__(self) -> None:
        if not self.axes or not set(self.axes) <= {0, 1, 2}:
            raise ValueError(f"axes must be some of 0, 1, 2, not {list(self.axes)}")
        if self.unknown not in plan.UNKNOWN:
            raise ValueError(f"unknown must be one of {', '.join(plan.UNKNOWN)}, not {self.unknown!r}")
        if not self.tolerance >= 0:
            raise ValueError(f"tolerance must be 0 or more, not {self.tolerance}")
        if self.layout not in ("store", "files", "pickle"):
            raise ValueError(f"layout must be store, files or pickle, not {self.layout!r}")
        if not 2 <= self.hash_size <= 16:
            raise ValueError(f"hash_size must be within 2 and 16, not {self.hash_size}")
        inputs.voxel_sizes(self.voxel_size)

    @property
    def profile(self) -> Profile:
        return Profile("dhash", self.hash_size, "cem", crop=self.grid.crop)
