// What one pixel of a map is made of, on the host and on a GPU.
#pragma once

#include <cmath>

#include "kernels/features.hpp"
#include "support/host_device.hpp"

namespace maskmill {
namespace {

template <class S>
MASKMILL_HD S root(S x) {
    return std::sqrt(x);
}

template <class S>
MASKMILL_HD S length_of(S down, S right) {
    return root(down * down + right * right);
}

// Half of what the eigenvalues of [[a, b], [b, c]] differ by.
template <class S>
MASKMILL_HD S half_gap(S a, S b, S c) {
    const S half = (a - c) / 2;
    return root(b * b + half * half);
}

template <class S>
MASKMILL_HD S half_gap_doubled(S a, S b, S c) {
    return root(4 * (b * b) + (a - c) * (a - c)) / 2;
}

template <class S>
MASKMILL_HD S deviation_of(S mean, S mean_square) {
    const S variance = mean_square - mean * mean;
    return root(variance < 0 ? S{0} : variance);  // NaN passes
}

// Second index beyond an image that has n pixels.
MASKMILL_HD int64_t within(int64_t i, int64_t n, FeatureBorder border) {
    if (i >= 0 && i < n) return i;
    if (border == FeatureBorder::nearest || n == 1) return i < 0 ? 0 : n - 1;
    const int64_t period = border == FeatureBorder::reflect ? 2 * n : 2 * n - 2;
    const int64_t m = (i % period + period) % period;
    return m < n ? m : (border == FeatureBorder::reflect ? 2 * n - 1 : 2 * n - 2) - m;
}

}  // namespace
}  // namespace maskmill
