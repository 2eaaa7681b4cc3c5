#include "support/strided.hpp"

#include <algorithm>

#include "support/simd.hpp"

#if MASKMILL_X86
#include <emmintrin.h>
#endif

namespace maskmill {

void copy_bytes(const uint8_t* from, int64_t n, uint8_t* out, [[maybe_unused]] bool past_cache) {
#if MASKMILL_X86
    if (past_cache && (reinterpret_cast<uintptr_t>(out) | static_cast<uintptr_t>(n)) % 16 == 0) {
        for (int64_t k = 0; k < n; k += 16) {
            _mm_stream_si128(reinterpret_cast<__m128i*>(out + k),
                             _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + k)));
        }
        return;
    }
#endif
    std::memcpy(out, from, static_cast<size_t>(n));
}

void copied_past_cache() {
#if MASKMILL_X86
    _mm_sfence();
#endif
}

namespace {

constexpr int64_t kLine = 64;
constexpr int64_t kRowsAhead = 16;
constexpr int64_t kShort = 1024;

}  // namespace
}  // namespace maskmill

#define MASKMILL_SIMD_FILE "support/strided.inl"
#include "support/simd_foreach.hpp"

namespace maskmill {
namespace {

template <int64_t Item>
void copy_strided(const uint8_t* from, int64_t step, int64_t n, uint8_t* out) {
    for (int64_t i = 0; i < n; ++i, from += step, out += Item) std::memcpy(out, from, Item);
}

// n cells, `step` apart, side by side.
void copy_row(const uint8_t* from, int64_t step, int64_t cell, int64_t n, uint8_t* out) {
    if (step == cell) return copy_bytes(from, n * cell, out, false);
    switch (cell) {
        case 1: return copy_strided<1>(from, step, n, out);
        case 2: return copy_strided<2>(from, step, n, out);
        case 3: return copy_strided<3>(from, step, n, out);
        case 4: return copy_strided<4>(from, step, n, out);
        case 8: return copy_strided<8>(from, step, n, out);
        default: break;
    }
    for (int64_t i = 0; i < n; ++i) std::memcpy(out + i * cell, from + i * step, static_cast<size_t>(cell));
}

template <int64_t Item>
void transpose_plain(const uint8_t* data, int64_t step, int64_t lines, int64_t width, uint8_t* out, int64_t out_step) {
    constexpr int64_t kBlock = kLine / Item;
    for (int64_t i0 = 0; i0 < lines; i0 += kBlock) {
        const int64_t i1 = std::min(i0 + kBlock, lines);
        for (int64_t j = 0; j < width; ++j) {
            for (int64_t i = i0; i < i1; ++i)
                std::memcpy(out + j * out_step + i * Item, data + i * step + j * Item, Item);
        }
    }
}

void transpose_bytes(const uint8_t* data, int64_t step, int64_t lines, int64_t width, uint8_t* out, int64_t out_step,
                     int64_t ahead) {
    if (MASKMILL_DISPATCH(transpose_bytes, data, step, lines, width, out, out_step, ahead)) return;
    if (baseline::transpose_bytes(data, step, lines, width, out, out_step, ahead)) return;
    transpose_plain<1>(data, step, lines, width, out, out_step);
}

}  // namespace

void transpose_cells(const uint8_t* data, int64_t step, int64_t lines, int64_t width, int64_t item, uint8_t* out,
                     int64_t out_step, int64_t ahead) {
    switch (item) {
        case 1: return transpose_bytes(data, step, lines, width, out, out_step, ahead);
        case 2: return transpose_plain<2>(data, step, lines, width, out, out_step);
        case 4: return transpose_plain<4>(data, step, lines, width, out, out_step);
        case 8: return transpose_plain<8>(data, step, lines, width, out, out_step);
        default: break;
    }
    for (int64_t j = 0; j < width; ++j) copy_row(data + j * item, step, item, lines, out + j * out_step);
}

void copy_cells(const CellPlane& plane, int64_t rows, int64_t columns, uint8_t* out, int64_t out_step,
                bool past_cache) {
    const int64_t cell = plane.itemsize * plane.channels;
    const bool whole = plane.channels == 1 || plane.channel_step == plane.itemsize;
    if (whole && plane.row_step == cell && plane.column_step != cell) {
        transpose_cells(plane.data, plane.column_step, columns, rows, cell, out, out_step);
        return;
    }
    if (whole && plane.column_step == cell) {
        MASKMILL_DISPATCH(copy_rows, plane.data, plane.row_step, rows, columns * cell, out, out_step, past_cache);
        return;
    }
    for (int64_t r = 0; r < rows; ++r, out += out_step) {
        const uint8_t* from = plane.data + r * plane.row_step;
        if (whole) {
            copy_row(from, plane.column_step, cell, columns, out);
            continue;
        }
        for (int64_t c = 0; c < columns; ++c) {
            copy_row(from + c * plane.column_step, plane.channel_step, plane.itemsize, plane.channels, out + c * cell);
        }
    }
}

}  // namespace maskmill
