"""Perceptual hashes of images and of patches of volumes: the bits of ImageHash, imagededup and cem-dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill import _check
from maskmill._backend import kernels

__all__ = [
    "Profile",
    "ahash",
    "dhash",
    "dhash_v",
    "from_hex",
    "phash",
    "phash_simple",
    "planes",
    "to_hex",
    "whash",
]

Codes: TypeAlias = NDArray[np.uint64]
Scaling: TypeAlias = str | tuple[float, float]

KINDS = ("ahash", "dhash", "dhash_v", "phash", "phash_simple", "whash")
PROFILES = {
    "imagehash": KINDS,
    "imagededup": ("ahash", "dhash", "phash", "whash"),
    "cem": KINDS,
}
"""The hashes that each profile has."""
REGIMES = ("pillow<=12.1", "pillow12.2", "pillow13")
CROP = 224


@dataclass(frozen=True)
class Profile:
    """What a code means: codes may be compared only where all of this is equal.

    Its text, `str(profile)`, is what to store beside codes; `Profile.parse` reads it.

    Parameters
    ----------
    kind : {"ahash", "dhash", "dhash_v", "phash", "phash_simple", "whash"}
    hash_size : int
        The code has hash_size**2 bits.
    profile : {"imagehash", "imagededup", "cem"}
    resize : {"pillow13", "pillow12.2", "pillow<=12.1"}
        Whose resizing: Pillow changed its results twice.
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
        _one_of(self.profile, "profile", tuple(PROFILES))
        _one_of(self.kind, f"a hash of profile {self.profile!r}", PROFILES[self.profile])
        _one_of(self.resize, "resize", REGIMES)
        for name in ("hash_size", "crop"):
            value = getattr(self, name)
            if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
                raise TypeError(f"{name} must be an integer, not {value!r}")
            object.__setattr__(self, name, int(value))
        if not 2 <= self.hash_size <= 256:
            raise ValueError(f"hash_size must be within 2 and 256, not {self.hash_size}")
        if self.profile == "imagededup" and self.hash_size != 8:
            raise ValueError(f"hash_size must be 8 for profile 'imagededup', not {self.hash_size}")
        if self.kind == "whash" and self.hash_size & (self.hash_size - 1):
            raise ValueError(f"hash_size must be a power of two for whash, not {self.hash_size}")
        if not 1 <= self.crop <= 65536:
            raise ValueError(f"crop must be within 1 and 65536, not {self.crop}")
        object.__setattr__(self, "scaling", _checked_scaling(self.scaling))

    @property
    def bits(self) -> int:
        return self.hash_size**2

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
        arrays = _uint8_images(images, self.scaling)
        codes: Codes = kernels(backend).hashes_images(arrays, *self._rule())
        return codes

    def _rule(self) -> tuple[str, int, str, str, int]:
        return self.kind, self.hash_size, self.profile, self.resize, self.crop


def dhash(
    images: Any,
    hash_size: int = 8,
    *,
    profile: str = "imagehash",
    resize: str = "pillow13",
    scaling: Scaling | None = None,
    crop: int = CROP,
    backend: str | None = None,
) -> Codes:
    """Difference hash: is the right neighbour brighter?

    Parameters
    ----------
    images : (N, H, W) or (N, H, W, 3 | 4) array, or a list of (H, W) or (H, W, 3 | 4) arrays of any sizes
        uint8 or bool (0 and 255), any strides; nothing is copied. Colours are red, green, blue; alpha is ignored.
    hash_size : int
        The code has hash_size**2 bits.
    profile : {"imagehash", "imagededup", "cem"}
        Whose bits: see docs/hashes.md.
    resize : {"pillow13", "pillow12.2", "pillow<=12.1"}
        The Pillow whose resizing is meant. It makes no difference for square images.
    scaling : "dtype", "minmax" or (lo, hi)
        For images that are not uint8, which are refused otherwise. "dtype": the type's whole range, or 0 .. 1 of
        floats; "minmax": of each image; (lo, hi): this window. 8 bits are floor((x - lo) * 255 / (hi - lo)).
    crop : int
        Of profile "cem" alone: images are first resized to crop x crop.

    Returns
    -------
    codes : (N, ceil(hash_size**2 / 64)) uint64
        Row by row, the first bit most significant.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import hashes
    >>> ramp = np.tile(np.arange(0, 240, 2, dtype=np.uint8), (90, 1))
    >>> hashes.to_hex(hashes.dhash([ramp, ramp[:, ::-1]]))
    ['ffffffffffffffff', '0000000000000000']
    """
    return Profile("dhash", hash_size, profile, resize, scaling, crop).codes(images, backend=backend)


def dhash_v(
    images: Any,
    hash_size: int = 8,
    *,
    profile: str = "imagehash",
    resize: str = "pillow13",
    scaling: Scaling | None = None,
    crop: int = CROP,
    backend: str | None = None,
) -> Codes:
    """Vertical difference hash: is the neighbour below brighter? Parameters as `dhash`."""
    return Profile("dhash_v", hash_size, profile, resize, scaling, crop).codes(images, backend=backend)


def ahash(
    images: Any,
    hash_size: int = 8,
    *,
    profile: str = "imagehash",
    resize: str = "pillow13",
    scaling: Scaling | None = None,
    crop: int = CROP,
    backend: str | None = None,
) -> Codes:
    """Average hash: is the pixel brighter than the mean? Parameters as `dhash`."""
    return Profile("ahash", hash_size, profile, resize, scaling, crop).codes(images, backend=backend)


def phash(
    images: Any,
    hash_size: int = 8,
    *,
    profile: str = "imagehash",
    resize: str = "pillow13",
    scaling: Scaling | None = None,
    crop: int = CROP,
    backend: str | None = None,
) -> Codes:
    """Perceptual hash: are the low frequencies of the DCT above their median? Parameters as `dhash`.

    On flat, striped and symmetric images rounding errors decide; they are those of SciPy (x86-64).
    """
    return Profile("phash", hash_size, profile, resize, scaling, crop).codes(images, backend=backend)


def phash_simple(
    images: Any,
    hash_size: int = 8,
    *,
    profile: str = "imagehash",
    resize: str = "pillow13",
    scaling: Scaling | None = None,
    crop: int = CROP,
    backend: str | None = None,
) -> Codes:
    """ImageHash's simple perceptual hash: a DCT of the rows alone, against the mean. Parameters as `dhash`."""
    return Profile("phash_simple", hash_size, profile, resize, scaling, crop).codes(images, backend=backend)


def whash(
    images: Any,
    hash_size: int = 8,
    *,
    profile: str = "imagehash",
    resize: str = "pillow13",
    scaling: Scaling | None = None,
    crop: int = CROP,
    backend: str | None = None,
) -> Codes:
    """Wavelet hash: are the low Haar coefficients above their median? hash_size is a power of two; else as `dhash`."""
    return Profile("whash", hash_size, profile, resize, scaling, crop).codes(images, backend=backend)


def planes(
    volume: ArrayLike,
    axis: int,
    tiles: ArrayLike,
    slices: ArrayLike,
    *,
    hash: str = "dhash",
    hash_size: int = 8,
    crop: int | None = None,
    profile: str = "cem",
    resize: str = "pillow13",
    backend: str | None = None,
) -> Codes:
    """Codes of the patches of a volume's slices, without copying one.

    Parameters
    ----------
    volume : (D, H, W) uint8, any strides
    axis : {0, 1, 2}
        The axis that slices are cut across. The rows and columns of a slice are the other two, in order.
    tiles : (T, 4) integers
        r0, r1, c0, c1 in a slice, half-open.
    slices : (S,) integers
    crop : int
        224 unless given: of profile "cem", whose patches of another size are first resized to crop x crop.

    Returns
    -------
    codes : (T * S, words) uint64, all slices of a tile together

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import hashes
    >>> volume = np.arange(8 * 16 * 16, dtype=np.uint8).reshape(8, 16, 16)
    >>> hashes.planes(volume, 2, [(0, 8, 0, 8), (0, 8, 8, 16)], [0, 5, 9]).shape
    (6, 1)
    """
    rule = Profile(hash, hash_size, profile, resize, None, CROP if crop is None else crop)
    array = np.asarray(volume)
    if array.dtype != np.uint8:
        raise TypeError(f"volume must be uint8, not {array.dtype}: scale it first")
    boxes = _check.integers(tiles, _check.INT64, "tiles")
    if boxes.size == 0:
        boxes = boxes.reshape(0, 4)
    codes: Codes = kernels(backend).hashes_planes(
        array, int(axis), boxes, _check.integers(slices, _check.INT64, "slices"), *rule._rule()
    )
    return codes


def to_hex(codes: ArrayLike, bits: int | None = None) -> list[str]:
    """Codes (N, words) as ImageHash's strings.

    Parameters
    ----------
    bits : int
        How many bits a code has; all of its words' unless given.

    Examples
    --------
    >>> from maskmill import hashes
    >>> hashes.to_hex([[255 << 56]]), hashes.to_hex([[0b11001 << 59]], bits=25)
    (['ff00000000000000'], ['1900000'])
    """
    words = _words(codes)
    width = 64 * words.shape[1]
    bits = width if bits is None else bits
    if not width - 64 < bits <= width:
        raise ValueError(
            f"bits must be within {width - 63} and {width} for {words.shape[1]} words, not {bits}"
        )
    digits = -(-bits // 4)
    numbers = (int.from_bytes(row.tobytes(), "big") for row in words.astype(">u8"))
    return [f"{number >> (width - bits):0{digits}x}" for number in numbers]


def from_hex(texts: Sequence[str], bits: int | None = None) -> Codes:
    """Codes (N, words) from ImageHash's strings: the inverse of `to_hex`.

    Parameters
    ----------
    bits : int
        How many bits a code has; four for each digit unless given.

    Examples
    --------
    >>> from maskmill import hashes
    >>> hashes.from_hex(["863af2c48ce8f8bc"])
    array([[9672221281886304444]], dtype=uint64)
    """
    if isinstance(texts, str):
        raise TypeError("texts must be a sequence of strings, not one string")
    if bits is None:
        bits = 4 * max(map(len, texts), default=16)
    if bits < 1:
        raise ValueError(f"bits must be positive, not {bits}")
    width = -(-bits // 64) * 64
    out = np.empty((len(texts), width // 64), np.uint64)
    for i, text in enumerate(texts):
        try:
            number = int(text, 16)
        except ValueError:
            raise ValueError(f"text {i} must be hexadecimal, not {text!r}") from None
        if len(text) != -(-bits // 4) or number < 0 or number >> bits:
            raise ValueError(f"text {i} must have {bits} bits, not {text!r}")
        out[i] = np.frombuffer((number << (width - bits)).to_bytes(width // 8, "big"), ">u8")
    return out


def _words(codes: ArrayLike) -> Codes:
    words: Codes = _check.integers(codes, np.dtype(np.uint64), "codes")
    if words.ndim != 2 or words.shape[1] == 0:
        raise ValueError(f"codes must have shape (N, words), not {words.shape}")
    return words


def _one_of(value: Any, name: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, not {value!r}")


# Images as the kernels take them


def _uint8_images(images: Any, scaling: Scaling | None) -> NDArray[np.uint8] | list[NDArray[np.uint8]]:
    """An (N, H, W[, C]) array or a list of (H, W[, C]) arrays, uint8."""
    if isinstance(images, np.ndarray) and images.dtype != object:
        if images.ndim not in (3, 4):
            raise ValueError(
                f"images must be (N, H, W), (N, H, W, 3 | 4) or a list of images, not of shape {images.shape}"
            )
        if images.ndim == 4 and images.shape[3] not in (3, 4):
            raise ValueError(f"images must have 3 or 4 channels, not {images.shape[3]}")
        if len(images) and 0 in images.shape:
            raise ValueError(f"images must have pixels, not the shape {images.shape}")
        if images.dtype == np.uint8:
            return images
        return [_uint8(image, scaling, i) for i, image in enumerate(images)]
    return [_uint8(_image(image, i), scaling, i) for i, image in enumerate(images)]


def _image(image: Any, i: int) -> NDArray[Any]:
    if hasattr(image, "convert") and hasattr(image, "getpalette"):
        raise TypeError(f"image {i} must be an array; of a Pillow image: np.asarray(image.convert('RGB'))")
    array = np.asarray(image)
    if array.ndim not in (2, 3) or 0 in array.shape or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise ValueError(
            f"image {i} must be (H, W) or (H, W, 3 | 4) and have pixels, not of shape {array.shape}"
        )
    return array


def _uint8(image: NDArray[Any], scaling: Scaling | None, i: int) -> NDArray[np.uint8]:
    if image.dtype == np.uint8:
        return image
    if image.dtype == np.bool_:
        return image.astype(np.uint8) * np.uint8(255)
    if image.dtype.kind not in "uif":
        raise TypeError(f"image {i} must be numbers, not {image.dtype}")
    if scaling is None:
        raise TypeError(
            f"image {i} must be uint8, not {image.dtype}; or say how to scale it: scaling='dtype', ..."
        )
    if scaling == "dtype" and image.dtype.kind != "f":
        info = np.iinfo(image.dtype)
        unsigned = image.astype(image.dtype.newbyteorder("=")).view(f"u{image.dtype.itemsize}")
        if info.min < 0:
            unsigned = unsigned ^ unsigned.dtype.type(1 << (info.bits - 1))  # shifted: the least value is 0
        return (unsigned // unsigned.dtype.type(((1 << info.bits) - 1) // 255)).astype(np.uint8)
    values = image.astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"image {i} must be finite")
    lo, hi = (0.0, 1.0) if scaling == "dtype" else (values.min(), values.max())
    if isinstance(scaling, tuple):
        lo, hi = scaling
    elif scaling == "dtype" and (values.min() < 0 or values.max() > 1):
        raise ValueError(
            f"image {i} must be within 0 and 1 for scaling 'dtype', not {values.min():g} and {values.max():g}"
        )
    if hi == lo:
        return np.zeros(image.shape, np.uint8)
    return np.clip(np.floor((values - lo) * 255 / (hi - lo)), 0, 255).astype(np.uint8)


def _checked_scaling(scaling: Any) -> Scaling | None:
    if scaling is None or scaling in ("dtype", "minmax"):
        return None if scaling is None else str(scaling)
    try:
        lo, hi = map(float, scaling)
    except (TypeError, ValueError):
        raise ValueError(f"scaling must be 'dtype', 'minmax' or (lo, hi), not {scaling!r}") from None
    if not (np.isfinite([lo, hi]).all() and lo < hi):
        raise ValueError(f"scaling must have lo < hi, both finite, not {scaling!r}")
    return lo, hi
