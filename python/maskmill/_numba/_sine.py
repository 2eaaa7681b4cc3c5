"""Sine and cosine; the twin of cpp/support/sine.hpp. Libraries' differ in the last bit, and so would weights."""

from __future__ import annotations

from math import floor

from maskmill._numba._runs import compiled


@compiled
def sine(x: float) -> float:
    high, low, quadrant = _reduced(x)
    return _of_quadrant(high, low, quadrant)


@compiled
def cosine(x: float) -> float:
    high, low, quadrant = _reduced(x)
    return _of_quadrant(high, low, (quadrant + 1) & 3)


@compiled
def _reduced(x: float) -> tuple[float, float, int]:
    """x minus a multiple of pi/2, as the sum of two doubles; the first two of the three parts of pi/2 have 33 bits."""
    n = floor(x * 0.6366197723675814 + 0.5)
    a = x - n * 1.5707963267341256
    b = n * 6.077100506303966e-11
    c = a - b
    rest = n * 2.0222662487959506e-21 - ((a - c) - b)
    high = c - rest
    return high, (c - high) - rest, n & 3


@compiled
def _of_quadrant(x: float, low: float, quadrant: int) -> float:
    """Taylor's series."""
    z = x * x
    if quadrant % 2 == 0:
        p = -1.0 / 1307674368000.0 + z * (1.0 / 355687428096000.0)
        p = 1.0 / 6227020800.0 + z * p
        p = -1.0 / 39916800.0 + z * p
        p = 1.0 / 362880.0 + z * p
        p = -1.0 / 5040.0 + z * p
        p = 1.0 / 120.0 + z * p
        p = -1.0 / 6.0 + z * p
        value = x + (x * z * p + low * (1.0 - 0.5 * z))
    else:
        p = -1.0 / 87178291200.0 + z * (1.0 / 20922789888000.0)
        p = 1.0 / 479001600.0 + z * p
        p = -1.0 / 3628800.0 + z * p
        p = 1.0 / 40320.0 + z * p
        p = -1.0 / 720.0 + z * p
        p = 1.0 / 24.0 + z * p
        half = 0.5 * z
        w = 1.0 - half
        value = w + (((1.0 - w) - half) + (z * z * p - x * low))
    return -value if quadrant >= 2 else value


# For |x| <= pi/4, correctly rounded but for about one x in a thousand: the same series, the largest terms as pairs.


@compiled
def rounded_sine(x: float) -> float:
    z, z_low = _product(x, x)
    cube, cube_low = _product(x, z)
    sixth, sixth_low = _product(cube, -0.16666666666666666)
    low = sixth_low - (cube_low + x * z_low) / 6.0 - cube * 9.25185853854297e-18
    p = -1.0 / 1307674368000.0 + z * (1.0 / 355687428096000.0)
    p = 1.0 / 6227020800.0 + z * p
    p = -1.0 / 39916800.0 + z * p
    p = 1.0 / 362880.0 + z * p
    p = -1.0 / 5040.0 + z * p
    p = 1.0 / 120.0 + z * p
    total = x + sixth
    lost = sixth - (total - x)
    return total + (lost + (low + cube * z * p))


@compiled
def rounded_cosine(x: float) -> float:
    z, z_low = _product(x, x)
    square, square_low = _product(z, z)
    term, term_low = _product(square, 0.041666666666666664)
    low = term_low + (square_low + 2.0 * z * z_low) / 24.0 + square * 2.3129646346357427e-18
    p = -1.0 / 87178291200.0 + z * (1.0 / 20922789888000.0)
    p = 1.0 / 479001600.0 + z * p
    p = -1.0 / 3628800.0 + z * p
    p = 1.0 / 40320.0 + z * p
    p = -1.0 / 720.0 + z * p
    half = 0.5 * z
    first = 1.0 - half
    lost = (1.0 - first) - half
    total = first + term
    more = term - (total - first)
    return total + (lost + more + (low - 0.5 * z_low + square * z * p))


@compiled
def rounded_eighth(n: float) -> float:
    """pi / 4 / n."""
    high, low = 0.7853981633974483, 3.061616997868383e-17
    q = high / n
    back, back_low = _product(q, n)
    return q + ((high - back) - back_low + low) / n


@compiled
def _product(a: float, b: float) -> tuple[float, float]:
    """As the exact sum of two doubles."""
    split = 134217729.0  # 2**27 + 1
    p = a * b
    a_high, b_high = split * a - (split * a - a), split * b - (split * b - b)
    a_low, b_low = a - a_high, b - b_high
    return p, ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low
