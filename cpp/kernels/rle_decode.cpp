#include <algorithm>
#include <bit>

#include "kernels/rle.hpp"
#include "support/parallel.hpp"
#include "support/runs.hpp"

#define MASKMILL_SIMD_FILE "kernels/rle_decode.inl"
#include "support/simd_foreach.hpp"

namespace maskmill {
namespace {

// Sets rows [y0, y1) of a column whose words are `step` apart.
void set_bits(uint64_t* column, int64_t step, uint64_t y0, uint64_t y1) {
    const auto first = static_cast<int64_t>(y0 / 64), last = static_cast<int64_t>((y1 - 1) / 64);
    const uint64_t head = ~uint64_t{0} << (y0 % 64), tail = ~uint64_t{0} >> (63 - (y1 - 1) % 64);
    if (first == last) {
        column[first * step] |= head & tail;
        return;
    }
    column[first * step] |= head;
    for (int64_t i = first + 1; i < last; ++i) column[i * step] = ~uint64_t{0};
    column[last * step] |= tail;
}

// Columns turned at a time, as in rle_encode.cpp.
constexpr int64_t kPlaneColumns = 4096;

// Row-major image: its columns are set as bits, turned in tiles and spread out.
void decode_rows(std::span<const uint32_t> runs, const OutputStack& out, uint8_t* image, uint8_t value,
                 Scratch<uint64_t>& plane, Scratch<uint64_t>& tiles) {
    const int64_t most = std::min(kPlaneColumns, out.width);
    plane.resize(static_cast<size_t>((out.height + 63) / 64 * most));
    tiles.resize(static_cast<size_t>((most + 63) / 64 * 64));
    int64_t first = 0;  // column of the image at the start of the plane
    int64_t columns = most;
    const auto clear = [&] {
        columns = std::min(most, out.width - first);
        std::fill(plane.begin(), plane.end(), uint64_t{0});
    };
    const auto write = [&] {
        MASKMILL_DISPATCH(write_rows, plane.data(), out.height, columns, value, tiles.data(), image + first,
                          out.step_y);
        first += columns;
    };
    clear();
    for_each_segment(runs, static_cast<uint64_t>(out.height), [&](uint64_t x, uint64_t y0, uint64_t y1) {
        while (static_cast<int64_t>(x) >= first + columns) {
            write();
            clear();
        }
        set_bits(plane.data() + (static_cast<int64_t>(x) - first), columns, y0, y1);
    });
    write();
    while (first < out.width) {
        clear();
        write();
    }
}

void decode_strided(std::span<const uint32_t> runs, const OutputStack& out, uint8_t* image, uint8_t value) {
    for (int64_t x = 0; x < out.width; ++x) {
        for (int64_t y = 0; y < out.height; ++y) image[x * out.step_x + y * out.step_y] = 0;
    }
    for_each_segment(runs, static_cast<uint64_t>(out.height), [&](uint64_t x, uint64_t y0, uint64_t y1) {
        uint8_t* column = image + static_cast<int64_t>(x) * out.step_x;
        for (uint64_t y = y0; y < y1; ++y) column[static_cast<int64_t>(y) * out.step_y] = value;
    });
}

}  // namespace

void rle_decode(const Rles& masks, const OutputStack& out, uint8_t value) {
    for (size_t i = 0; i < masks.n; ++i) {
        if (masks.height(i) != out.height || masks.width(i) != out.width) {
            fail_mask(i, "size " + size_text(masks.height(i), masks.width(i)) + " differs from the output's " +
                             size_text(out.height, out.width));
        }
    }
    const int64_t pixels = out.height * out.width;
    if (pixels == 0) return;
    const size_t grain = static_cast<size_t>((1 << 18) / pixels + 1);
    parallel_for(masks.n, grain, [&](size_t begin, size_t end) {
        Scratch<uint64_t> plane, tiles;
        for (size_t i = begin; i < end; ++i) {
            uint8_t* image = out.data + static_cast<int64_t>(i) * out.step_n;
            const auto runs = masks.runs(i);
            check_sum(i, runs, static_cast<uint64_t>(pixels));
            if (out.step_y == 1 && (out.step_x == out.height || out.width == 1)) {
                MASKMILL_DISPATCH(write_runs, runs, image, value);
            } else if (out.step_x == 1) {
                decode_rows(runs, out, image, value, plane, tiles);
            } else {
                decode_strided(runs, out, image, value);
            }
        }
    });
}

}  // namespace maskmill
