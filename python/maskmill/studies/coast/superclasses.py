"""Superclasses of Coast Train: which of its 41 names of classes mean what."""

from __future__ import annotations

from collections.abc import Mapping

SUPERCLASSES: Mapping[str, tuple[str, ...]] = {
    "water": ("water", "sediment_plume"),
    "whitewater": ("whitewater", "surf"),
    "sediment": ("sediment", "sand", "gravel", "gravel_shell", "cobble_boulder", "mud_silt"),
    "developed": (
        *("developed", "dev", "development", "coastal_defense", "pavement_road", "other_anthro", "vehicles"),
        "buildings",
    ),
    "vegetation": (
        *("vegetated", "vegetated_surface", "vegtated_ground", "terrestrial_vegetation", "marsh_vegetation"),
        *("herbaceous vegetation", "woody vegetation", "herbaceous_veg", "woody_veg"),
    ),
    "natural_terrain": (
        *("other_natural_terrain", "other_bare_natural_terrain", "bare_ground", "bedrock", "agricultural"),
        *("non-vegetated-wet", "non-vegetated-dry", "non_vegetated_wet", "non_vegetated_dry"),
    ),
    "other": ("unknown", "unusual", "nodata", "people", "ice_snow", "cloud", "other"),
}
"""As the published configurations have them, put together."""

FORGOTTEN: Mapping[str, str] = {"vegetated_ground": "vegetation", "no_data": "other"}
"""Names of eleven rows of record set J that no published configuration has, and what they are."""

PUBLISHED: Mapping[str, str] = {name: group for group, names in SUPERCLASSES.items() for name in names}
"""Superclass of each class, as published."""

ALL: Mapping[str, str] = {**PUBLISHED, **FORGOTTEN}
"""Superclass of each class."""
