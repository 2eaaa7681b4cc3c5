"""cem-dataset's own rules, for `--legacy`: what its patchify2d and patchify3d do, where that differs from ours.

Grid, hash and radius are the same. Here the last slice of every axis is left out, voxels become 8 bits by the policy
"cem", the width of a voxel is compared with its depth alone, patches are taken in the order of NumPy's seeded
generator, images are not deduplicated, and what is kept goes into pickles.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from maskmill.studies.em.inputs import Source, legacy_name
from maskmill.studies.em.names import ordinals
from maskmill.studies.em.select import Columns, Rule, Selection, origin, select
from maskmill.studies.em.video2stack import stack_name

if TYPE_CHECKING:
    from maskmill.studies.em.settings import Settings


def settings(given: Settings) -> Settings:
    """The settings that cem-dataset has no options for, as it has them."""
    return replace(
        given,
        grid=replace(given.grid, stride=None, edge="cem", last_slice=False),
        rule=Rule(given.rule.radius, "legacy-seed", given.rule.seed, "file", max_overlap=1.0),
        policy="cem",
        values=(),
        layout="pickle",
    )


def axes_to_cut(axes: Sequence[int], spacing: tuple[float, float, float] | None, name: str) -> list[int]:
    """Only xy planes if x and z differ by more than a quarter of x, or for videos; an unknown spacing counts as equal.

    >>> axes_to_cut([0, 1, 2], (10, 99, 8), "cell"), axes_to_cut([0, 1, 2], (10.1, 8, 8), "cell")
    ([0, 1, 2], [0])
    """
    z, _, x = spacing or (1.0, 1.0, 1.0)
    only_xy = abs(x - z) / x > 0.25 or "video" in name.lower()
    return [axis for axis in axes if axis == 0 or not only_xy]


def named(sources: Iterable[Source]) -> list[Source]:
    """Names as cem-dataset gives them; it numbers images as the disk lists them, here they go by name."""
    groups: dict[str, list[Source]] = defaultdict(list)
    out = []
    for source in sources:
        if source.image:
            groups[source.group].append(source)
        else:
            name = stack_name(source.path) if source.video else legacy_name(source.path)
            out.append(replace(source, name=name, dataset=name, key=name))
    known: dict[str, str] = {}
    for source in out:
        if source.name in known:
            raise ValueError(
                f"{known[source.name]} and {source.path} would share {source.name}.pkl: rename one of them"
            )
        known[source.name] = source.path
    out.sort(key=lambda source: source.name)
    for group, members in sorted(groups.items()):
        members.sort(key=lambda source: source.path)
        for source, name in zip(members, ordinals(len(members)), strict=True):
            out.append(replace(source, name=name, dataset=group, key=f"{group}/{name}"))
    return out


def choose(rows: Columns, sources: Sequence[Source], rule: Rule) -> Selection:
    """Deduplicate each volume; keep all of images."""
    image = (
        np.array([source.image for source in sources], bool)[rows["source"]]
        if len(sources)
        else np.empty(0, bool)
    )
    volumes = np.flatnonzero(~image)
    part = {name: column[volumes] for name, column in rows.items()}
    origins = [origin(place, s.name, s.key, s.image) for place, s in enumerate(sources)]
    found = select(part, origins, np.empty(0, object), rule)
    reason, leader = np.full(len(image), -1, np.int8), np.full(len(image), -1, np.int64)
    distance = np.full(len(image), -1, np.int16)
    reason[volumes], distance[volumes] = found.reason, found.distance
    leader[volumes] = np.where(
        found.leader < 0, -1, volumes[np.maximum(found.leader, 0)] if len(volumes) else -1
    )
    return Selection(np.r_[volumes[found.kept], np.flatnonzero(image)], reason, leader, distance)
