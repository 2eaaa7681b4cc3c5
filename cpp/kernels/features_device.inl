// Bodies that the GPU runs for each pixel of kernels/features.hpp, in functions that the host can run, too. Sums have the
// host's order, so all results its bits.
#pragma once

#include <type_traits>

#include "kernels/features_pixel.inl"
#include "support/cuda.cuh"
#include "support/cuda_divide.cuh"

namespace maskmill::cuda {

constexpr int kAtOnce = 4;  // sums of a thread, of pixels that follow each other along the kernel

// A line of an image's or a plane's pixels that a kernel is moved along.
template <class T>
struct FeatureLine {
    const T* data;
    int64_t step, n;
    FeatureBorder border;
    bool square;

    MASKMILL_HD double value_of(T pixel) const {
        const double v = static_cast<double>(pixel);
        return square ? v * v : v;
    }
    // Pixel i, or what stands for it beyond the border.
    MASKMILL_HD double operator[](int64_t i) const {
        const int64_t k = static_cast<uint64_t>(i) < static_cast<uint64_t>(n) ? i : within(i, n, border);
        return value_of(data[k * step]);
    }
};

// Pixels from `first` on, one after the other in one direction: where each lies is an addition.
template <class T>
struct PixelsInside {
    static constexpr int kSteps = 4;  // that are taken together, so that their loads are under way at once
    const FeatureLine<T>& line;
    const T* p;
    int64_t step;

    MASKMILL_HD PixelsInside(const FeatureLine<T>& of, int64_t first, int direction)
        : line(of), p(of.data + first * of.step), step(direction * of.step) {}
    MASKMILL_HD double next() {
        const double v = line.value_of(*p);
        p += step;
        return v;
    }
};
template <class T>
struct PixelsAnywhere {
    static constexpr int kSteps = 1;
    const FeatureLine<T>& line;
    int64_t at, step;

    MASKMILL_HD PixelsAnywhere(const FeatureLine<T>& of, int64_t first, int direction)
        : line(of), at(first), step(direction) {}
    MASKMILL_HD double next() {
        const double v = line[at];
        at += step;
        return v;
    }
};

// Pixels `at` .. at + 3 of a line, correlated: from the farthest pair to the nearest. Both windows of the pairs move
// inwards by one pixel a step: two loads for four sums. Of an odd kernel, a - b is a + (-b).
template <class Pixels, class T>
MASKMILL_HD void correlate_by(const FeatureLine<T>& line, int64_t at, const double* weights, int64_t radius, bool odd,
                              double* sums) {
    double before[kAtOnce], after[kAtOnce];
    Pixels middle(line, at, 1), low(line, at - radius, 1), high(line, at + radius + kAtOnce - 1, -1);
    MASKMILL_UNROLL
    for (int k = 0; k < kAtOnce; ++k) {
        sums[k] = middle.next() * weights[0];
        const double v = low.next();
        before[k] = odd ? -v : v;
        after[kAtOnce - 1 - k] = high.next();
    }
    MASKMILL_UNROLL_BY(Pixels::kSteps)
    for (int64_t j = radius; j > 0; --j) {
        const double w = weights[j];
        MASKMILL_UNROLL
        for (int k = 0; k < kAtOnce; ++k) sums[k] += (after[k] + before[k]) * w;
        MASKMILL_UNROLL
        for (int k = 0; k + 1 < kAtOnce; ++k) {
            before[k] = before[k + 1];
            after[kAtOnce - 1 - k] = after[kAtOnce - 2 - k];
        }
        const double v = low.next();
        before[kAtOnce - 1] = odd ? -v : v;
        after[0] = high.next();
    }
}

template <class T>
MASKMILL_HD void correlate_four(const FeatureLine<T>& line, int64_t at, const double* weights, int64_t radius, bool odd,
                                double* sums) {
    if (at >= radius && at + radius + kAtOnce <= line.n) {
        correlate_by<PixelsInside<T>>(line, at, weights, radius, odd, sums);
    } else {
        correlate_by<PixelsAnywhere<T>>(line, at, weights, radius, odd, sums);
    }
}

// Planes of some rows of an image: pixel (y, x) of plane p is data[p * step + (y - first) * width + x].
template <class S>
struct FeaturePlanes {
    const S* data;
    int64_t step, first, height, width;

    MASKMILL_HD S at(int64_t p, int64_t y, int64_t x) const {
        const int64_t row = y < 0 ? 0 : y < height ? y : height - 1, column = x < 0 ? 0 : x < width ? x : width - 1;
        return data[p * step + (row - first) * width + column];
    }
    MASKMILL_HD S row_scale(int64_t y) const { return y <= 0 || y >= height - 1 ? S{1} : S{0.5}; }
    MASKMILL_HD S column_scale(int64_t x) const { return x <= 0 || x >= width - 1 ? S{1} : S{0.5}; }
};

// Both slopes by [1, 2, 1] / 4 (x) [1, 0, -1], in scipy.ndimage.convolve's order of summation; twice and a quarter are exact.
template <class S>
MASKMILL_HD S sobel_pixel(const FeaturePlanes<S>& planes, int64_t p, int64_t y, int64_t x) {
    const double al = planes.at(p, y - 1, x - 1), am = planes.at(p, y - 1, x), ar = planes.at(p, y - 1, x + 1);
    const double hl = planes.at(p, y, x - 1), hr = planes.at(p, y, x + 1);
    const double bl = planes.at(p, y + 1, x - 1), bm = planes.at(p, y + 1, x), br = planes.at(p, y + 1, x + 1);
    const double above = ((0.0 - al) - (am + am)) - ar;
    const S down = static_cast<S>((((above + bl) + (bm + bm)) + br) * 0.25);
    const double beside = ((ar - al) - (hl + hl)) + (hr + hr);
    const S right = static_cast<S>(((beside - bl) + br) * 0.25);
    return length_of(down, right) / static_cast<S>(1.4142135623730951);
}

template <class S>
struct TwoValues {
    S first, second;
};

// numpy.gradient is (next - previous) * scale: half of that, but all of it where one of the two is missing. Beyond the
// border, differences are those at the border.
template <class S>
MASKMILL_HD TwoValues<S> hessian_pixel(const FeaturePlanes<S>& m, int64_t p, int64_t y, int64_t x, bool doubled) {
    const int64_t up = y > 0 ? y - 1 : 0, below = y + 1 < m.height ? y + 1 : m.height - 1;
    const int64_t left = x > 0 ? x - 1 : 0, right = x + 1 < m.width ? x + 1 : m.width - 1;
    const S lower = (m.at(p, below + 1, x) - m.at(p, below - 1, x)) * m.row_scale(below);
    const S upper = (m.at(p, up + 1, x) - m.at(p, up - 1, x)) * m.row_scale(up);
    const S down = (lower - upper) * m.row_scale(y);
    const S scale = m.column_scale(x);
    const S at_right = (m.at(p, y + 1, right) - m.at(p, y - 1, right)) * m.row_scale(y);
    const S at_left = (m.at(p, y + 1, left) - m.at(p, y - 1, left)) * m.row_scale(y);
    const S across = (at_right - at_left) * scale;
    const S beyond = (m.at(p, y, right + 1) - m.at(p, y, right - 1)) * m.column_scale(right);
    const S before = (m.at(p, y, left + 1) - m.at(p, y, left - 1)) * m.column_scale(left);
    const S along = (beyond - before) * scale;
    const S mean = (down + along) / 2;
    const S gap = doubled ? half_gap_doubled(down, across, along) : half_gap(down, across, along);
    return {mean + gap, mean - gap};
}

// In double: the smaller one may be all that rounding leaves of two large numbers.
template <class S>
MASKMILL_HD TwoValues<S> eigenvalues_pixel(S a, S b, S c) {
    const double p = static_cast<double>(a), q = static_cast<double>(b), r = static_cast<double>(c);
    const double mean = (p + r) / 2, gap = half_gap(p, q, r);
    return {static_cast<S>(mean + gap), static_cast<S>(mean - gap)};
}

MASKMILL_HD bool has_two_columns(int64_t operation) {
    return operation == features::hessian || operation == features::hessian_doubled ||
           operation == features::eigenvalues;
}

// A map of one pixel, as it goes to an output of type Out: only the location has more precision than S.
template <class S, class Out>
MASKMILL_HD void map_pixel(const int64_t* map, const FeaturePlanes<S>& planes, const double* rows,
                           const double* columns, int64_t y, int64_t x, Out* out) {
    using namespace features;
    const auto at = [&](int k) { return planes.at(map[k], y, x); };
    TwoValues<S> two{};
    switch (map[0]) {
        case value: two.first = at(1); break;
        case sobel: two.first = sobel_pixel(planes, map[1], y, x); break;
        case sobel_inner: {
            const bool inner = y > 0 && y < planes.height - 1 && x > 0 && x < planes.width - 1;
            two.first = inner ? sobel_pixel(planes, map[1], y, x) : S{0};
            break;
        }
        case hessian: two = hessian_pixel(planes, map[1], y, x, false); break;
        case hessian_doubled: two = hessian_pixel(planes, map[1], y, x, true); break;
        case magnitude: two.first = length_of(at(1), at(2)); break;
        case sum: two.first = at(1) + at(2); break;
        case difference: two.first = at(1) - at(2); break;
        case eigenvalues: two = eigenvalues_pixel(at(1), at(2), at(3)); break;
        case deviation: two.first = deviation_of(at(1), at(2)); break;
        default: {
            const double far = length_of(rows[map[1] * planes.height + y], columns[map[1] * planes.width + x]);
            out[0] = std::is_same_v<Out, double> ? static_cast<Out>(far) : static_cast<Out>(static_cast<S>(far));
            return;
        }
    }
    out[0] = static_cast<Out>(two.first);
    if (has_two_columns(map[0])) out[1] = static_cast<Out>(two.second);
}

}  // namespace maskmill::cuda
