// Bodies that the GPU runs for each edge, crossing and column of kernels/polygons.hpp, in functions that the host can run,
// too. The expressions are those of polygons.cpp, in the same order.
#pragma once

#include "kernels/polygons.hpp"
#include "support/cuda.cuh"
#include "support/cuda_search.cuh"
#include "support/points.hpp"

namespace maskmill::cuda {

template <class T>
MASKMILL_HD T smaller(T a, T b) {
    return b < a ? b : a;
}
template <class T>
MASKMILL_HD T larger(T a, T b) {
    return a < b ? b : a;
}

MASKMILL_HD bool is_good_point(const double* point) {
    return fabs(point[0]) <= kLargestCoordinate && fabs(point[1]) <= kLargestCoordinate;
}

// Columns from first to end - 1, or none.
struct Columns {
    int64_t first, end;
};

// A crossing of an edge with a column; row is -1 where there is none.
struct EdgeCrossing {
    int64_t row;
    bool rising;  // the edge goes to the right
};

// Fifths of a pixel. trunc(z + 0.5) as C converts: toward zero.
MASKMILL_HD int64_t fifths(double v) { return static_cast<int32_t>(5.0 * v + 0.5); }
MASKMILL_HD int64_t row_of(int64_t fifth, int64_t height) { return fifth <= 2 ? 0 : smaller((fifth + 2) / 5, height); }

MASKMILL_HD Columns coco_columns(const double* a, const double* b, int64_t width) {
    const int64_t from = fifths(a[0]), to = fifths(b[0]);
    if (from == to) return {0, 0};
    const int64_t low = smaller(from, to), high = larger(from, to);
    return {low <= 2 ? 0 : (low + 2) / 5, high < 3 ? 0 : smaller((high - 3) / 5, width - 1) + 1};
}

// Where the edge, drawn point by point along its longer side, crosses the middle fifth of column x.
MASKMILL_HD int64_t coco_row(const double* a, const double* b, int64_t x, int64_t height) {
    int64_t xs = fifths(a[0]), ys = fifths(a[1]), xe = fifths(b[0]), ye = fifths(b[1]);
    const int64_t dx = xs < xe ? xe - xs : xs - xe, dy = ys < ye ? ye - ys : ys - ye;
    const bool along_x = dx >= dy;
    const bool flip = along_x ? xs > xe : ys > ye;
    if (flip) {
        int64_t other = xs;
        xs = xe;
        xe = other;
        other = ys;
        ys = ye;
        ye = other;
    }
    const int64_t c = 5 * x + 2;
    if (along_x) {
        const double s = static_cast<double>(ye - ys) / static_cast<double>(dx);
        const int64_t t = c - xs;
        const auto here = static_cast<int64_t>((static_cast<double>(ys) + s * static_cast<double>(t)) + 0.5);
        const auto next = static_cast<int64_t>((static_cast<double>(ys) + s * static_cast<double>(t + 1)) + 0.5);
        return row_of(smaller(here, next), height);
    }
    const double s = static_cast<double>(xe - xs) / static_cast<double>(dy);
    const double per_column = static_cast<double>(dy) / static_cast<double>(xe - xs);
    const auto x_at = [&](int64_t t) {
        return static_cast<int64_t>((static_cast<double>(xs) + s * static_cast<double>(t)) + 0.5);
    };
    const bool rising = xe > xs;
    const auto past = [&](int64_t t) { return rising ? x_at(t) > c : x_at(t) <= c; };
    const double guess = (static_cast<double>(c - xs) + 0.5) * per_column;
    int64_t t = smaller(larger<int64_t>(static_cast<int64_t>(guess) + 1, 1), dy);
    while (t > 1 && past(t - 1)) --t;
    while (t <= dy && !past(t)) ++t;
    if (t > dy || past(t - 1)) return -1;  // the drawn edge ends before the crossing
    // Where rounding makes a step of two fifths, pycocotools sees only the one next to the point drawn last.
    const int64_t drawn_last = x_at(flip ? t - 1 : t);
    const bool seen = rising != flip ? drawn_last == c + 1 : drawn_last == c;
    return seen ? row_of(ys + t - 1, height) : -1;
}

MASKMILL_HD Columns centre_columns(const double* a, const double* b, int64_t width) {
    if (a[0] == b[0]) return {0, 0};
    const double low = a[0] < b[0] ? a[0] : b[0], high = a[0] < b[0] ? b[0] : a[0];
    return {larger<int64_t>(0, static_cast<int64_t>(ceil(low - 0.5))),
            smaller(width, static_cast<int64_t>(ceil(high - 0.5)))};
}

// Where the edge crosses the vertical line x + 0.5; the same whichever way it is walked.
MASKMILL_HD EdgeCrossing centre_crossing(const double* from, const double* to, int64_t x, int64_t height) {
    const bool rising = from[0] < to[0];
    const double* const a = rising ? from : to;
    const double* const b = rising ? to : from;
    const double slope = (b[1] - a[1]) / (b[0] - a[0]);
    const double y = a[1] + ((static_cast<double>(x) + 0.5) - a[0]) * slope;
    const double row = ceil(y - 0.5);
    return {row <= 0 ? 0 : row >= static_cast<double>(height) ? height : static_cast<int64_t>(row), rising};
}

// A crossing as one number, whose order is that of columns, then rows. Its lowest bit says that the outline is entered
// there (the turn is 1), or left (-1).
MASKMILL_HD uint64_t key_of(int64_t column, int64_t row, bool enters) {
    return static_cast<uint64_t>(column) << 32 | static_cast<uint64_t>(row) << 1 | (enters ? 1 : 0);
}
MASKMILL_HD int64_t column_of(uint64_t key) { return static_cast<int64_t>(key >> 32); }
MASKMILL_HD int64_t turn_of(uint64_t key) { return (key & 1) != 0 ? 1 : -1; }
// In the order of runs.
MASKMILL_HD uint64_t position_of(uint64_t key, uint64_t height) {
    return (key >> 32) * height + (key >> 1 & 0x7fffffffu);
}

MASKMILL_HD void sift_down(uint64_t* heap, int64_t at, int64_t n) {
    const uint64_t key = heap[at];
    for (int64_t child = 2 * at + 1; child < n; child = 2 * at + 1) {
        if (child + 1 < n && heap[child] < heap[child + 1]) ++child;
        if (heap[child] <= key) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = key;
}

// A column has two keys, or a few more. Many, which only hostile outlines have, take n log n, too.
MASKMILL_HD void sort_column(uint64_t* keys, int64_t n) {
    constexpr int64_t kFew = 24;
    if (n <= kFew) {
        for (int64_t i = 1; i < n; ++i) {
            const uint64_t key = keys[i];
            int64_t j = i;
            for (; j > 0 && key < keys[j - 1]; --j) keys[j] = keys[j - 1];
            keys[j] = key;
        }
        return;
    }
    for (int64_t i = n / 2; i-- > 0;) sift_down(keys, i, n);
    for (int64_t i = n - 1; i > 0; --i) {
        const uint64_t key = keys[0];
        keys[0] = keys[i];
        keys[i] = key;
        sift_down(keys, 0, i);
    }
}

// The crossings of one mask, in order: keys[first .. last). Where `sums` (of turns before each crossing) is null, a pixel
// is inside behind an odd number of crossings, else where the sum of turns is not zero.
struct MaskCrossings {
    const uint64_t* keys;
    const int64_t* sums;
    int64_t first, last;
    uint64_t height, pixels;

    MASKMILL_HD bool is_inside_before(int64_t j) const {
        return sums == nullptr ? ((j - first) & 1) != 0 : sums[j] != sums[first];
    }
    // Whether a run ends at crossing j, the last one of those in its place.
    MASKMILL_HD bool is_end(int64_t j) const {
        const uint64_t at = position_of(keys[j], height);
        if (at >= pixels || (j + 1 < last && position_of(keys[j + 1], height) == at)) return false;
        int64_t i = j;
        while (i > first && position_of(keys[i - 1], height) == at) --i;
        return is_inside_before(i) != is_inside_before(j + 1);
    }
};

}  // namespace maskmill::cuda
