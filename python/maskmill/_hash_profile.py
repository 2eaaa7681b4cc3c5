"""What a hash's code means, as text to keep beside it; maskmill.hashes gives it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from maskmill._backend import kernels
from maskmill._images import Scaling, checked_scaling, uint8_images

Codes: TypeAlias = NDArray[np.uint64]

KINDS = ("ahash", "dhash", "dhash_v", "phash", "phash_simple", "whash")
PROFILES = {
    "imagehash": (*KINDS, "colorhash"),
    "imagededup": ("ahash", "dhash", "phash", "whash"),
    "cem": KINDS,
    "opencv": ("ahash", "phash"),
    "pdq": ("pdq", "pdq_float32"),
}
"""The hashes that each profile has."""
SIZES = {"imagededup": 8, "opencv": 8, "pdq": 16}
"""The only hash_size of some profiles."""
REGIMES = ("pillow<=12.1", "pillow12.2", "pillow13")
CROP = 224


@dataclass(frozen=True)
class Profile:
    """What a code means: codes may be compared only where all of this is equal.

    Its text, `str(profile)`, is what to store beside codes; `Profile.parse` reads it.

    Parameters
    ----------
    kind : {"ahash", "dhash", "dhash_v", "phash", "phash_simple", "whash"}
        Of profile "pdq": "pdq" or "pdq_float32", by the luma; see `pdq`. Of profile "imagehash" also "colorhash".
    hash_size : int
        The code has hash_size**2 bits: 8 for profiles "imagededup" and "opencv", 16 for "pdq". Of "colorhash" it is
        `binbits`: the code has 14 * hash_size bits.
    profile : {"imagehash", "imagededup", "cem", "opencv", "pdq"}
    resize : {"pillow13", "pillow12.2", "pillow<=12.1"}
        Whose resizing: Pillow changed its results twice. Profiles "opencv" and "pdq" do not resize by Pillow's rules.
    scaling : None, "dtype", "minmax" or (lo, hi)
        How other than 8-bit images were made 8-bit; None: they were not.
    crop : int
        Of profile "cem" alone: images are first resized to crop x crop.

    Examples
    --------
    >>> from maskmill.hashes import Profile
    >>> str(Profile("dhash", profile="cem", crop=224))
    'cem.dhash/8/pillow13/crop=224'
    >>> Profile.parse("imagehash.phash/16/pillow12.2/scaling=0:4095").scaling
    (0.0, 4095.0)
    """

    kind: str
    hash_size: int = 8
    profile: str = "imagehash"
    resize: str = "pillow13"
    scaling: Scaling | None = None
    crop: int = CROP

    def __post_init__(self) -> None:
        one_of(self.profile, "profile", tuple(PROFILES))
        one_of(self.kind, f"a hash of profile {self.profile!r}", PROFILES[self.profile])
        one_of(self.resize, "resize", REGIMES)
        for name in ("hash_size", "crop"):
            value = getattr(self, name)
            if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
                raise TypeError(f"{name} must be an integer, not {value!r}")
            object.__setattr__(self, name, int(value))
        if not 2 <= self.hash_size <= 256:
            raise ValueError(f"hash_size must be within 2 and 256, not {self.hash_size}")
        only = SIZES.get(self.profile, self.hash_size)
        if self.hash_size != only:
            raise ValueError(f"hash_size must be {only} for profile {self.profile!r}, not {self.hash_size}")
        if self.kind == "colorhash" and self.hash_size > 16:
            raise ValueError(f"hash_size must be at most 16 for colorhash, not {self.hash_size}")
        if self.kind == "whash" and self.hash_size & (self.hash_size - 1):
            raise ValueError(f"hash_size must be a power of two for whash, not {self.hash_size}")
        if not 1 <= self.crop <= 65536:
            raise ValueError(f"crop must be within 1 and 65536, not {self.crop}")
        object.__setattr__(self, "scaling", checked_scaling(self.scaling))

    @property
    def bits(self) -> int:
        return 14 * self.hash_size if self.kind == "colorhash" else self.hash_size**2

    @property
    def words(self) -> int:
        return -(-self.bits // 64)

    def __str__(self) -> str:
        text = f"{self.profile}.{self.kind}/{self.hash_size}/{self.resize}"
        if self.profile == "cem":
            text += f"/crop={self.crop}"
        if self.scaling is not None:
            named = isinstance(self.scaling, str)
            text += f"/scaling={self.scaling if named else f'{self.scaling[0]!r}:{self.scaling[1]!r}'}"
        return text

    @classmethod
    def parse(cls, text: str) -> Profile:
        """The profile that has this text."""
        try:
            name, size, resize, *rest = text.split("/")
            profile, kind = name.split(".")
            extra = dict(item.split("=") for item in rest)
            crop, scaling = int(extra.pop("crop", CROP)), extra.pop("scaling", None)
            window = None if scaling is None or ":" not in scaling else scaling.split(":")
            return cls(
                kind,
                int(size),
                profile,
                resize,
                scaling if window is None else (float(window[0]), float(window[1])),
                crop,
                **extra,
            )
        except (TypeError, ValueError) as error:
            raise ValueError(f"{text!r} is no hash profile: {error}") from None

    def codes(self, images: Any, *, backend: str | None = None) -> Codes:
        """Codes (N, words) of images, as by the function of this kind."""
        arrays = uint8_images(images, self.scaling)
        module = kernels_of(arrays, backend)
        codes: Codes
        if self.profile == "pdq":
            codes, _ = module.hashes_pdq(arrays, luma_of(self.kind), False)
        elif self.kind == "colorhash":
            codes = module.hashes_colorhash(arrays, self.hash_size)
        else:
            codes = module.hashes_images(arrays, *self.rule())
        return codes

    def rule(self) -> tuple[str, int, str, str, int]:
        return self.kind, self.hash_size, self.profile, self.resize, self.crop


def kernels_of(images: Any, backend: str | None) -> Any:
    """The kernels for images as `uint8_images` gives them."""
    return kernels(backend, *(images if isinstance(images, list) else [images]))


def luma_of(kind: str) -> str:
    return "float32" if kind == "pdq_float32" else "pdqhash"


def one_of(value: Any, name: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, not {value!r}")
