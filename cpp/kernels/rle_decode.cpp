#include <algorithm>
#include <bit>

#include "kernels/rle.hpp"
#include "support/bitplane.hpp"
#include "support/parallel.hpp"
#include "support/runs.hpp"

#define MASKMILL_SIMD_FILE "kernels/rle_decode.inl"
#include "support/simd_foreach.hpp"

namespace maskmill {
namespace {

// Columns turned at a time, as in rle_encode.cpp.
constexpr int64_t kPlaneColumns = 4096;

// Row-major image: its columns are set as bits, turned in tiles and spread out.
void decode_rows(std::span<const uint32_t> runs, const OutputStack& out, uint8_t* image, uint8_t value, BitPlane& plane,
                 Scratch<uint64_t>& tiles) {
    int64_t first = 0;  // column of the image at the start of the plane
    const auto clear = [&] { plane.reset(out.height, std::min(kPlaneColumns, out.width - first)); };
    const auto write = [&] {
        tiles.resize(static_cast<size_t>((plane.columns() + 63) / 64 * 64));
        MASKMILL_DISPATCH(write_rows, plane.word(0), out.height, plane.columns(), value, tiles.data(), image + first,
                          out.step_y);
        first += plane.columns();
    };
    clear();
    for_each_segment(runs, static_cast<uint64_t>(out.height), [&](uint64_t x, uint64_t y0, uint64_t y1) {
        while (static_cast<int64_t>(x) >= first + plane.columns()) {
            write();
            clear();
        }
        plane.set(static_cast<int64_t>(x) - first, static_cast<int64_t>(y0), static_cast<int64_t>(y1));
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
    const size_t grain = static_cast<size_t>((1 << 18) / (pixels + 1) + 1);
    parallel_for(masks.n, grain, [&](size_t begin, size_t end) {
        BitPlane plane;
        Scratch<uint64_t> tiles;
        for (size_t i = begin; i < end; ++i) {
            uint8_t* image = out.data + static_cast<int64_t>(i) * out.step_n;
            const auto runs = masks.runs(i);
            check_sum(i, runs, static_cast<uint64_t>(pixels));
            if (pixels == 0) continue;
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
