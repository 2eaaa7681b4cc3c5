#include "support/strided.hpp"

#include <algorithm>

#include "support/simd.hpp"

#if MASKMILL_X86
#include <emmintrin.h>
#endif

namespace maskmill {
namespace {

constexpr int64_t kLine = 64;
constexpr int64_t kAhead = 16;  // rows

template <int64_t Item>
void copy_strided(const uint8_t* from, int64_t step, int64_t n, uint8_t* out) {
    for (int64_t i = 0; i < n; ++i, from += step, out += Item) std::memcpy(out, from, Item);
}

// n cells, `step` apart, side by side.
void copy_row(const uint8_t* from, int64_t step, int64_t cell, int64_t n, uint8_t* out) {
    if (step == cell) {
        std::memcpy(out, from, static_cast<size_t>(n * cell));
        return;
    }
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

#if MASKMILL_X86
// 16 lines of 16 bytes.
inline void transpose16(const uint8_t* data, int64_t step, uint8_t* out, int64_t out_step) {
    __m128i a[16], b[16];
    for (int i = 0; i < 16; ++i) a[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(data + i * step));
    for (int i = 0; i < 8; ++i) {  // bytes of lines i and i + 8, in turns; then of four, eight, all
        b[2 * i] = _mm_unpacklo_epi8(a[i], a[i + 8]);
        b[2 * i + 1] = _mm_unpackhi_epi8(a[i], a[i + 8]);
    }
    for (int i = 0; i < 8; ++i) {
        a[2 * i] = _mm_unpacklo_epi8(b[i], b[i + 8]);
        a[2 * i + 1] = _mm_unpackhi_epi8(b[i], b[i + 8]);
    }
    for (int i = 0; i < 8; ++i) {
        b[2 * i] = _mm_unpacklo_epi8(a[i], a[i + 8]);
        b[2 * i + 1] = _mm_unpackhi_epi8(a[i], a[i + 8]);
    }
    for (int i = 0; i < 8; ++i) {
        a[2 * i] = _mm_unpacklo_epi8(b[i], b[i + 8]);
        a[2 * i + 1] = _mm_unpackhi_epi8(b[i], b[i + 8]);
    }
    for (int j = 0; j < 16; ++j) _mm_storeu_si128(reinterpret_cast<__m128i*>(out + j * out_step), a[j]);
}

void transpose_bytes(const uint8_t* data, int64_t step, int64_t lines, int64_t width, uint8_t* out, int64_t out_step) {
    const int64_t whole_lines = lines / 16 * 16, whole_width = width / 16 * 16;
    for (int64_t i = 0; i < whole_lines; i += 16) {
        for (int64_t j = 0; j < whole_width; j += 16) {
            transpose16(data + i * step + j, step, out + j * out_step + i, out_step);
        }
    }
    transpose_plain<1>(data + whole_width, step, whole_lines, width - whole_width, out + whole_width * out_step,
                       out_step);
    transpose_plain<1>(data + whole_lines * step, step, lines - whole_lines, width, out + whole_lines, out_step);
}
#else
void transpose_bytes(const uint8_t* data, int64_t step, int64_t lines, int64_t width, uint8_t* out, int64_t out_step) {
    transpose_plain<1>(data, step, lines, width, out, out_step);
}
#endif

}  // namespace

void transpose_cells(const uint8_t* data, int64_t step, int64_t lines, int64_t width, int64_t item, uint8_t* out,
                     int64_t out_step) {
    switch (item) {
        case 1: return transpose_bytes(data, step, lines, width, out, out_step);
        case 2: return transpose_plain<2>(data, step, lines, width, out, out_step);
        case 4: return transpose_plain<4>(data, step, lines, width, out, out_step);
        case 8: return transpose_plain<8>(data, step, lines, width, out, out_step);
        default: break;
    }
    for (int64_t j = 0; j < width; ++j) copy_row(data + j * item, step, item, lines, out + j * out_step);
}

void copy_cells(const CellPlane& plane, int64_t rows, int64_t columns, uint8_t* out, int64_t out_step) {
    const int64_t cell = plane.itemsize * plane.channels;
    const bool whole = plane.channels == 1 || plane.channel_step == plane.itemsize;
    if (whole && plane.row_step == cell && plane.column_step != cell) {
        transpose_cells(plane.data, plane.column_step, columns, rows, cell, out, out_step);
        return;
    }
    for (int64_t r = 0; r < rows; ++r, out += out_step) {
        const uint8_t* from = plane.data + r * plane.row_step;
        if (r + kAhead < rows && plane.column_step == cell) {  // short rows far apart: no processor sees them coming
            const uint8_t* next = from + kAhead * plane.row_step;
            for (int64_t k = 0; k < columns * cell; k += kLine) prefetch_row(next + k);
        }
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
