"""The discrete cosine transform in the order of SciPy's operations: on flat images rounding errors decide the bits."""

from __future__ import annotations

import numpy as np

from maskmill._numba._runs import Float64s
from maskmill._numba._sine import rounded_cosine, rounded_eighth, rounded_sine


def dct(x: Float64s) -> Float64s:
    """(N, lines): DCT-II along the first axis, not normalised, 2 * sum of x[j] cos(pi k (2 j + 1) / 2 N). N is even.

    As the reference does it: the numbers, folded, are taken for frequencies and transformed to reals.
    """
    n = len(x)
    if max(_factors(n)) > 5:
        return _sum(x)
    c = x.copy()
    c[0], c[-1] = 2.0 * x[0], 2.0 * x[-1]
    c[1:-1:2], c[2:-1:2] = x[2:-1:2] + x[1:-1:2], x[2:-1:2] - x[1:-1:2]
    c = _to_reals(c)
    w = np.array([_root(k, 4 * n)[0] for k in range(n + 1)])[:, None]
    k = np.arange(1, n // 2)
    a, b = c[k], c[n - k]
    s, d = w[k] * b + w[n - k] * a, w[k] * a - w[n - k] * b
    c[k], c[n - k] = 0.5 * (s + d), 0.5 * (s - d)
    c[n // 2] = w[n // 2] * c[n // 2]
    return c


def _to_reals(c: Float64s) -> Float64s:
    """From frequencies, stored as re(0), re(1), im(1), re(2), ..., to reals: one pass per factor of N."""
    n, lines = c.shape
    before = 1
    for factor in _factors(n):
        run = n // (before * factor)
        x = c.reshape(before, factor, run, lines).swapaxes(0, 1)
        y = np.empty((factor, before, run, lines))
        PASSES[factor](x, y)
        for j in range(1, factor):
            _turn(y[j], j * before, n)
        c = y.reshape(n, lines)
        before *= factor
    return c


def _factors(n: int) -> list[int]:
    factors = []
    while n % 4 == 0:
        factors.append(4)
        n //= 4
    if n % 2 == 0:
        factors.append(2)
        n //= 2
        factors[0], factors[-1] = factors[-1], factors[0]
    for odd in (3, 5):
        while n % odd == 0:
            factors.append(odd)
            n //= odd
    return factors + [n] if n > 1 else factors


def _sum(x: Float64s) -> Float64s:
    """By the definition, where N has other factors than 2, 3 and 5. Not times 2: that makes no difference to bits."""
    n = len(x)
    circle = np.array([_root(k, 4 * n)[0] for k in range(4 * n)])
    out = np.zeros_like(x)
    for j in range(n):
        out += circle[np.arange(n) * (2 * j + 1) % (4 * n)][:, None] * x[j]
    return out


def _turn(run: Float64s, step: int, n: int) -> None:
    """Multiplies frequency k of (blocks, run, lines) by exp(2 pi i k step / n)."""
    for k in range(1, (run.shape[1] + 1) // 2):
        w, v = _root(k * step, n)
        re, im = run[:, 2 * k - 1].copy(), run[:, 2 * k].copy()
        run[:, 2 * k - 1] = w * re - v * im
        run[:, 2 * k] = w * im + v * re


# The passes: x and y are (factor, blocks, run, lines). Inputs 1, 3, ... are stored from their ends.


def _columns(run: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Where frequencies 1, 2, ... have their real and imaginary parts; and in inputs stored from their ends."""
    k = np.arange(1, (run + 1) // 2)
    return 2 * k - 1, 2 * k, run - 2 * k - 1, run - 2 * k


def _pass2(x: Float64s, y: Float64s) -> None:
    re, im, re_, im_ = _columns(x.shape[2])
    y[0, :, 0], y[1, :, 0] = x[0, :, 0] + x[1, :, -1], x[0, :, 0] - x[1, :, -1]
    y[0][:, re], y[1][:, re] = x[0][:, re] + x[1][:, re_], x[0][:, re] - x[1][:, re_]
    y[1][:, im], y[0][:, im] = x[0][:, im] + x[1][:, im_], x[0][:, im] - x[1][:, im_]
    if x.shape[2] % 2 == 0:
        y[0, :, -1], y[1, :, -1] = 2.0 * x[0, :, -1], -2.0 * x[1, :, 0]


def _pass3(x: Float64s, y: Float64s) -> None:
    cos, sin = -0.5, 0.8660254037844386
    re, im, re_, im_ = _columns(x.shape[2])
    twice = 2.0 * x[1, :, -1]
    y[0, :, 0] = x[0, :, 0] + twice
    a, b = x[0, :, 0] + cos * twice, 2.0 * sin * x[2, :, 0]
    y[2, :, 0], y[1, :, 0] = a + b, a - b
    rs, rd = x[2][:, re] + x[1][:, re_], x[2][:, re] - x[1][:, re_]
    js, jd = x[2][:, im] + x[1][:, im_], x[2][:, im] - x[1][:, im_]
    y[0][:, re], y[0][:, im] = x[0][:, re] + rs, x[0][:, im] + jd
    a, b = x[0][:, re] + cos * rs, sin * js
    y[2][:, re], y[1][:, re] = a + b, a - b
    a, b = x[0][:, im] + cos * jd, sin * rd
    y[1][:, im], y[2][:, im] = a + b, a - b


def _pass4(x: Float64s, y: Float64s) -> None:
    root = 1.4142135623730951
    re, im, re_, im_ = _columns(x.shape[2])
    if x.shape[2] % 2 == 0:
        js, jd = x[3, :, 0] + x[1, :, 0], x[3, :, 0] - x[1, :, 0]
        rs, rd = x[0, :, -1] + x[2, :, -1], x[0, :, -1] - x[2, :, -1]
        y[0, :, -1], y[2, :, -1] = rs + rs, jd + jd
        y[1, :, -1], y[3, :, -1] = root * (rd - js), -root * (rd + js)
    a, b = x[0, :, 0] + x[3, :, -1], x[0, :, 0] - x[3, :, -1]
    y[0, :, 0], y[2, :, 0] = a + 2.0 * x[1, :, -1], a - 2.0 * x[1, :, -1]
    y[3, :, 0], y[1, :, 0] = b + 2.0 * x[2, :, 0], b - 2.0 * x[2, :, 0]
    r2, r1 = x[0][:, re] + x[3][:, re_], x[0][:, re] - x[3][:, re_]
    i1, i2 = x[0][:, im] + x[3][:, im_], x[0][:, im] - x[3][:, im_]
    r4, i3 = x[2][:, im] + x[1][:, im_], x[2][:, im] - x[1][:, im_]
    r3, i4 = x[2][:, re] + x[1][:, re_], x[2][:, re] - x[1][:, re_]
    y[0][:, re], y[2][:, re] = r2 + r3, r2 - r3
    y[0][:, im], y[2][:, im] = i2 + i3, i2 - i3
    y[3][:, re], y[1][:, re] = r1 + r4, r1 - r4
    y[1][:, im], y[3][:, im] = i1 + i4, i1 - i4


def _pass5(x: Float64s, y: Float64s) -> None:
    cos1, sin1 = 0.30901699437494745, 0.9510565162951535
    cos2, sin2 = -0.8090169943749475, 0.5877852522924731
    re, im, re_, im_ = _columns(x.shape[2])
    r0, r1, r2, i1, i2 = x[0, :, 0], 2.0 * x[1, :, -1], 2.0 * x[3, :, -1], 2.0 * x[2, :, 0], 2.0 * x[4, :, 0]
    y[0, :, 0] = r0 + r1 + r2
    a, b = r0 + cos1 * r1 + cos2 * r2, sin1 * i1 + sin2 * i2
    y[4, :, 0], y[1, :, 0] = a + b, a - b
    a, b = r0 + cos2 * r1 + cos1 * r2, sin2 * i1 - sin1 * i2
    y[3, :, 0], y[2, :, 0] = a + b, a - b
    r0, j0 = x[0][:, re], x[0][:, im]
    rs1, rd1 = x[2][:, re] + x[1][:, re_], x[2][:, re] - x[1][:, re_]
    js1, jd1 = x[2][:, im] + x[1][:, im_], x[2][:, im] - x[1][:, im_]
    rs2, rd2 = x[4][:, re] + x[3][:, re_], x[4][:, re] - x[3][:, re_]
    js2, jd2 = x[4][:, im] + x[3][:, im_], x[4][:, im] - x[3][:, im_]
    y[0][:, re], y[0][:, im] = r0 + rs1 + rs2, j0 + jd1 + jd2
    a, b = r0 + cos2 * rs1 + cos1 * rs2, sin2 * js1 - sin1 * js2
    y[3][:, re], y[2][:, re] = a + b, a - b
    a, b = j0 + cos2 * jd1 + cos1 * jd2, sin2 * rd1 - sin1 * rd2
    y[2][:, im], y[3][:, im] = a + b, a - b
    a, b = r0 + cos1 * rs1 + cos2 * rs2, sin1 * js1 + sin2 * js2
    y[4][:, re], y[1][:, re] = a + b, a - b
    a, b = j0 + cos1 * jd1 + cos2 * jd2, sin1 * rd1 + sin2 * rd2
    y[1][:, im], y[4][:, im] = a + b, a - b


PASSES = {2: _pass2, 3: _pass3, 4: _pass4, 5: _pass5}


def _root(k: int, n: int) -> tuple[float, float]:
    """cos, sin of 2 pi k / n, as the product of two entries of tables: its rounding is part of the definition."""
    mirrored = 2 * k > n
    if mirrored:
        k = n - k
    shift = 1
    while 4**shift < (n + 2) // 2:
        shift += 1
    (a, b), (c, d) = _entry(k % 2**shift, n), _entry(k >> shift << shift, n)
    re, im = a * c - b * d, a * d + b * c
    return re, -im if mirrored else im


def _entry(k: int, n: int) -> tuple[float, float]:
    """The same, k up to n / 2: angles up to an eighth of the circle are computed, the others are mirrored."""
    if k == 0:
        return 1.0, 0.0
    angle = rounded_eighth(n)

    def cos(x: int) -> float:
        return rounded_cosine(x * angle)

    def sin(x: int) -> float:
        return rounded_sine(x * angle)

    x = 8 * k
    if x < n:
        return cos(x), sin(x)
    if x < 2 * n:
        return sin(2 * n - x), cos(2 * n - x)
    x -= 2 * n
    if x < n:
        return -sin(x), cos(x)
    return -cos(2 * n - x), sin(2 * n - x)
