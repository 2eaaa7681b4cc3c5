"""Perceptual hashes of images and of patches of volumes: the bits of ImageHash, imagededup, OpenCV, ..."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill import _check
from maskmill._backend import kernels
from maskmill._device import as_array, library, on_host, to_host
from maskmill._hash_profile import CROP, PROFILES, Codes, Profile, kernels_of, one_of
from maskmill._images import Scaling, checked_scaling, uint8_images

__all__ = [
    "DIHEDRAL",
    "Profile",
    "ahash",
    "colorhash",
    "crop_matches",
    "crop_resistant",
    "dhash",
    "dhash_dihedral",
    "dhash_v",
    "dihedral_canonical",
    "dihedral_distance",
    "from_hex",
    "from_opencv",
    "pdq",
    "pdq_dihedral",
    "phash",
    "phash_simple",
    "planes",
    "to_hex",
    "to_opencv",
    "whash",
]


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
        Images on a GPU are hashed there, and the codes are there.
    hash_size : int
        The code has hash_size**2 bits.
    profile : {"imagehash", "imagededup", "cem"}
        Whose bits: see docs/hashes.md. `ahash` and `phash` also have "opencv".
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


def pdq(
    images: Any,
    *,
    quality: bool = False,
    luma: str = "pdqhash",
    shrink: bool = False,
    scaling: Scaling | None = None,
    backend: str | None = None,
) -> Codes | tuple[Codes, NDArray[np.uint8]]:
    """PDQ, Meta's hash of photos: 256 bits, meant to be alike within a distance of 31.

    Parameters
    ----------
    images, scaling : as in `dhash`
    quality : bool
        Also return how much there is to see; PDQ's advice is to drop images of 49 or less.
    luma : {"pdqhash", "float32"}
        How colours become gray: in double as by the Python package pdqhash, or in float32 as by the C++ reference and
        vpdq. They differ in the last bit of some pixels, and seldom in a bit of the code.
    shrink : bool
        First resize images with a side above 512 to 512 x 512, taking the nearest pixels, as the C++ tool does with
        files. pdqhash does not.

    Returns
    -------
    codes : (N, 4) uint64
        `to_hex(codes)` is PDQ's text. 0 where a side is below 5.
    quality : (N,) uint8
        0 .. 100; only if asked for.

    Notes
    -----
    Bits equal pdqhash 0.2.8. Reference: https://github.com/facebook/ThreatExchange/tree/main/pdq.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import hashes
    >>> image = np.add.outer(np.arange(96) ** 2 // 40, np.arange(80) % 32).astype(np.uint8)
    >>> codes, quality = hashes.pdq([image], quality=True)
    >>> codes.shape, quality.tolist()
    ((1, 4), [63])
    """
    arrays = _for_pdq(images, luma, shrink, scaling)
    codes, found = kernels_of(arrays, backend).hashes_pdq(arrays, luma, False)
    return (codes, found) if quality else codes


DIHEDRAL = (
    "as it is",
    "rotated by 90",
    "rotated by 180",
    "rotated by 270",
    "upside down",
    "left to right",
    "transposed",
    "transposed over the other diagonal",
)
"""What the eight codes of `pdq_dihedral` and `dhash_dihedral` are of. Rotations are against the clock, as np.rot90."""


def pdq_dihedral(
    images: Any,
    *,
    quality: bool = False,
    luma: str = "pdqhash",
    shrink: bool = False,
    scaling: Scaling | None = None,
    backend: str | None = None,
) -> Codes | tuple[Codes, NDArray[np.uint8]]:
    """PDQ of each image turned and mirrored, (N, 8, 4), in the order of `DIHEDRAL`; parameters as `pdq`.

    As in the reference, the codes come from the frequencies of the image as it is: those of the turned image differ
    in some bits, as its filter lies half a pixel off the middle.
    """
    arrays = _for_pdq(images, luma, shrink, scaling)
    codes, found = kernels_of(arrays, backend).hashes_pdq(arrays, luma, True)
    return (codes, found) if quality else codes


def dhash_dihedral(
    images: Any,
    hash_size: int = 8,
    *,
    profile: str = "imagehash",
    resize: str = "pillow13",
    scaling: Scaling | None = None,
    crop: int = CROP,
    backend: str | None = None,
) -> Codes:
    """Difference hashes of each image turned and mirrored, for `dihedral_distance`; parameters as `dhash`.

    Returns
    -------
    codes : (N, 8, words) uint64
        In the order of `DIHEDRAL`; the first one is `dhash`. They are made from one small picture that is a column
        wider than high and one that is a row higher than wide: those of the transposed image differ in 0.2 % of bits,
        as its passes are resized in another order.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import hashes
    >>> ramp = np.tile(np.arange(0, 240, 2, dtype=np.uint8), (90, 1))
    >>> hashes.to_hex(hashes.dhash_dihedral([ramp])[0, :3])
    ['ffffffffffffffff', '0000000000000000', '0000000000000000']
    """
    one_of(profile, "profile", ("imagehash", "cem"))
    rule = Profile("dhash", hash_size, profile, resize, scaling, crop)
    arrays = uint8_images(images, rule.scaling)
    codes: Codes = kernels_of(arrays, backend).hashes_dihedral(
        arrays, rule.hash_size, profile, resize, rule.crop
    )
    return codes


def dihedral_distance(codes: ArrayLike, exemplars: ArrayLike) -> NDArray[np.int64]:
    """The least distance of any of an item's eight codes to an exemplar's code.

    Parameters
    ----------
    codes : (..., 8, words) uint64
    exemplars : (..., words) uint64
        Of exemplars as they are: `dhash_dihedral(...)[:, 0]`. Leading dimensions are broadcast.

    Returns
    -------
    distance : (...) int64

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import hashes
    >>> image = np.random.default_rng(0).integers(0, 256, (8, 9), np.uint8)
    >>> codes = hashes.dhash_dihedral([image, image[::-1]])
    >>> hashes.dihedral_distance(codes, codes[1, 0]).tolist()
    [0, 0]
    """
    items = on_host(codes, "codes", np.uint64)
    others = on_host(exemplars, "exemplars", np.uint64)
    if items.ndim < 2 or items.shape[-2] != 8:
        raise ValueError(f"codes must have shape (..., 8, words), not {items.shape}")
    if others.ndim < 1 or others.shape[-1] != items.shape[-1]:
        raise ValueError(f"exemplars must have shape (..., {items.shape[-1]}), not {others.shape}")
    distance: NDArray[np.int64] = _bits_set(items ^ others[..., None, :]).min(axis=-1)
    return distance


def dihedral_canonical(codes: ArrayLike) -> Codes:
    """(N, words): the smallest of each item's eight codes (N, 8, words).

    It is the same for an image and its turned copies, if no bit of their codes differs: for equality alone.
    """
    items = on_host(codes, "codes", np.uint64)
    if items.ndim != 3 or items.shape[1] != 8:
        raise ValueError(f"codes must have shape (N, 8, words), not {items.shape}")
    order = np.lexsort(np.moveaxis(items, 2, 0)[::-1], axis=1)
    return items[np.arange(len(items)), order[:, 0]]


def colorhash(
    images: Any, binbits: int = 3, *, scaling: Scaling | None = None, backend: str | None = None
) -> Codes:
    """ImageHash's colorhash: which parts of the pixels are black, gray, and of six faint and six bright hues.

    Parameters
    ----------
    images, scaling : as in `dhash`
    binbits : int
        Bits, 1 .. 16, of each of the 14 numbers.

    Returns
    -------
    codes : (N, ceil(14 * binbits / 64)) uint64
        Of 14 * binbits bits: `to_hex(codes, 14 * binbits)` is ImageHash's text.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import hashes
    >>> hashes.to_hex(hashes.colorhash([np.full((4, 4, 3), (200, 30, 30), np.uint8)]), bits=42)
    ['00000038000']
    """
    if not isinstance(binbits, (int, np.integer)) or isinstance(binbits, bool):
        raise TypeError(f"binbits must be an integer, not {binbits!r}")
    if not 1 <= binbits <= 16:
        raise ValueError(f"binbits must be within 1 and 16, not {binbits}")
    arrays = uint8_images(images, checked_scaling(scaling))
    codes: Codes = kernels_of(arrays, backend).hashes_colorhash(arrays, int(binbits))
    return codes


def crop_resistant(
    images: Any,
    hash_size: int = 8,
    *,
    limit_segments: int | None = None,
    segment_threshold: int = 128,
    min_segment_size: int = 500,
    segmentation_image_size: int = 300,
    resize: str = "pillow13",
    scaling: Scaling | None = None,
    backend: str | None = None,
) -> list[Codes]:
    """ImageHash's crop-resistant hash: a dhash for each bright and each dark region of an image.

    Parameters
    ----------
    images, hash_size, resize, scaling : as in `dhash`
    limit_segments : int
        Only so many, the biggest regions first. All unless given.
    segment_threshold, min_segment_size, segmentation_image_size : int
        Regions are brighter than the threshold, or not, in the blurred gray picture of this side, and have more
        pixels than the least size.

    Returns
    -------
    codes : list of (S, words) uint64, an item for each image
        For `crop_matches`. ",".join(to_hex(codes[i])) is ImageHash's text.

    Notes
    -----
    The last 4 * segmentation_image_size dark pixels are not looked for, as in ImageHash. Where ImageHash fails, because
    there are that many regions of one pixel, all regions are taken. Source: Steinebach, Liu and Yannikos, Efficient
    Cropping-Resistant Robust Image Hashing, ARES 2014, doi:10.1109/ARES.2014.85.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import hashes
    >>> image = np.zeros((120, 160), np.uint8)
    >>> image[20:80, 30:90] = 200
    >>> [len(codes) for codes in hashes.crop_resistant([image])]
    [2]
    """
    rule = Profile("dhash", hash_size, "imagehash", resize, scaling)
    for name, value, least in (
        ("limit_segments", limit_segments or 0, 0),
        ("segment_threshold", segment_threshold, 0),
        ("min_segment_size", min_segment_size, 0),
        ("segmentation_image_size", segmentation_image_size, 1),
    ):
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
            raise TypeError(f"{name} must be an integer, not {value!r}")
        if not least <= value <= (4096 if least else 2**31):
            raise ValueError(f"{name} must be {least} or more, up to {4096 if least else 2**31}, not {value}")
    arrays = uint8_images(images, rule.scaling)
    codes, offsets = kernels_of(arrays, backend).hashes_crop_resistant(
        arrays,
        rule.hash_size,
        resize,
        int(segmentation_image_size),
        int(segment_threshold),
        int(min_segment_size),
        int(limit_segments or 0),
    )
    return [codes[begin:end] for begin, end in pairwise(offsets.tolist())]


def crop_matches(
    codes: ArrayLike,
    other: ArrayLike,
    *,
    bit_error_rate: float = 0.25,
    regions: int = 1,
    bits: int | None = None,
) -> bool:
    """Whether two images match by `crop_resistant`: regions of the first that are near to one of the second.

    Parameters
    ----------
    codes, other : (S, words) uint64
    bit_error_rate : float
        A region is near with at most this part of its bits different.
    regions : int
        How many have to be.
    bits : int
        How many bits a code has; all of its words' unless given.

    Examples
    --------
    >>> from maskmill import hashes
    >>> hashes.crop_matches([[0], [1]], [[0xFFFF]]), hashes.crop_matches([[0], [1]], [[0x1FFFF]])
    (True, True)
    >>> hashes.crop_matches([[0]], [[0x1FFFF]])
    False
    """
    a, b = _words(codes), _words(other)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"other must have {a.shape[1]} words, not {b.shape[1]}")
    if len(a) == 0 or len(b) == 0:
        return regions <= 0
    differ = _bits_set(a[:, None] ^ b[None])
    cutoff = (64 * a.shape[1] if bits is None else bits) * bit_error_rate
    return int((differ.min(axis=1) <= cutoff).sum()) >= regions


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
    one_of(profile, "profile", tuple(name for name in PROFILES if name != "pdq"))
    rule = Profile(hash, hash_size, profile, resize, None, CROP if crop is None else crop)
    array = as_array(volume)
    if array.dtype != np.uint8:
        raise TypeError(f"volume must be uint8, not {array.dtype}: scale it first")
    if axis not in (0, 1, 2):
        raise ValueError(f"axis must be 0, 1 or 2, not {axis!r}")
    boxes = _check.integers(to_host(tiles), _check.INT64, "tiles")
    if boxes.size == 0:
        boxes = boxes.reshape(0, 4)
    at = _check.integers(to_host(slices), _check.INT64, "slices")
    codes: Codes = kernels(backend, array).hashes_planes(array, int(axis), boxes, at, *rule.rule())
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
    array([[9672310075723151548]], dtype=uint64)
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


def to_opencv(codes: ArrayLike) -> NDArray[np.uint8]:
    """Codes (N, words) as the bytes of cv2.img_hash, (N, 8 * words): there the first of eight bits is the least.

    Examples
    --------
    >>> from maskmill import hashes
    >>> hashes.to_opencv([[0x8000000000000003]])
    array([[  1,   0,   0,   0,   0,   0,   0, 192]], dtype=uint8)
    """
    return _turned_bytes(_words(codes).astype(">u8").view(np.uint8))


def from_opencv(octets: ArrayLike) -> Codes:
    """Codes (N, words) from the bytes of cv2.img_hash, (N, 8 * words) uint8: the inverse of `to_opencv`.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import hashes
    >>> hashes.to_hex(hashes.from_opencv(np.array([[1, 0, 0, 0, 0, 0, 0, 192]])))
    ['8000000000000003']
    """
    found = _check.integers(on_host(octets, "octets"), np.dtype(np.uint8), "octets")
    if found.ndim != 2 or found.shape[1] == 0 or found.shape[1] % 8:
        raise ValueError(f"octets must have shape (N, 8 * words), not {found.shape}")
    return _turned_bytes(found).view(">u8").astype(np.uint64)


def _turned_bytes(octets: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Each with its first bit last."""
    return np.packbits(np.unpackbits(octets, axis=1, bitorder="little"), axis=1)


def _words(codes: ArrayLike) -> Codes:
    words: Codes = _check.integers(on_host(codes, "codes"), np.dtype(np.uint64), "codes")
    if words.ndim != 2 or words.shape[1] == 0:
        raise ValueError(f"codes must have shape (N, words), not {words.shape}")
    return words


def _for_pdq(
    images: Any, luma: str, shrink: bool, scaling: Any
) -> NDArray[np.uint8] | list[NDArray[np.uint8]]:
    one_of(luma, "luma", ("pdqhash", "float32"))
    arrays = uint8_images(images, checked_scaling(scaling))
    return [_shrunk(image) for image in arrays] if shrink else arrays


def _shrunk(image: NDArray[np.uint8], side: int = 512) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    if max(height, width) <= side:
        return image
    rows, columns = (library(image).arange(side) * length // side for length in (height, width))
    nearest: NDArray[np.uint8] = image[rows[:, None], columns]
    return nearest


def _bits_set(words: Codes) -> NDArray[np.int64]:
    """Of each code (..., words)."""
    each = np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=-1)
    total: NDArray[np.int64] = each.sum(axis=-1, dtype=np.int64)
    return total
