// Loops of rle_decode.cpp, once per instruction set.
#include "support/simd_ops.inl"

namespace maskmill::MASKMILL_SIMD {
namespace {

constexpr int kPrefetch = 8192;

// Fills p[0 .. n), writing up to 63 bytes past it but never past `end`.
inline void fill(uint8_t* p, uint64_t n, const uint8_t* end, uint8_t value) {
    if (n > 256 || static_cast<uint64_t>(end - p) < n + 63) {
        std::memset(p, value, n);
        return;
    }
    for (uint64_t i = 0; i < n; i += 64) {
#if MASKMILL_SIMD_LEVEL == 2
        _mm512_storeu_si512(p + i, _mm512_set1_epi8(static_cast<char>(value)));
#elif MASKMILL_SIMD_LEVEL == 1
        const __m256i v = _mm256_set1_epi8(static_cast<char>(value));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + i), v);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + i + 32), v);
#else
        std::memset(p + i, value, 64);
#endif
    }
}

// One contiguous column-major image.
inline void write_runs(std::span<const uint32_t> runs, uint8_t* p, uint8_t value) {
    uint64_t pixels = 0;
    for (const uint32_t run : runs) pixels += run;
    const uint8_t* end = p + pixels;
    uint8_t v = 0;
    for (const uint32_t run : runs) {
        fill(p, run, end, v);
        p += run;
        v = static_cast<uint8_t>(v ^ value);
    }
}

// A plane of bits (see turn_rows in rle_encode.inl) into rows of bytes, written row by row.
inline void write_rows(const uint64_t* plane, int64_t rows, int64_t columns, uint8_t value, uint64_t* tiles,
                       uint8_t* base, int64_t step_row) {
    for (int64_t r0 = 0; r0 < rows; r0 += 64, plane += columns) {
        uint64_t* tile = tiles;
        for (int64_t c = 0; c < columns; c += 64, tile += 64) {
            const int64_t m = columns - c < 64 ? columns - c : 64;
            copy_words(tile, plane + c, m);
            for (int64_t k = m; k < 64; ++k) tile[k] = 0;
            uint64_t any = 0;
            for (int k = 0; k < 64; ++k) any |= tile[k];
            if (any != 0) transpose64(tile);
        }
        const int n = static_cast<int>(rows - r0 < 64 ? rows - r0 : 64);
        for (int r = 0; r < n; ++r) {
            uint8_t* row = base + (r0 + r) * step_row;
            const uint64_t* word = tiles + r;
            int64_t c = 0;
            for (; c + 64 <= columns; c += 64, word += 64) {
                prefetch_for_write(row + c + kPrefetch);
                expand64(*word, value, row + c);
            }
            if (c < columns) {
                uint8_t end[64];
                expand64(*word, value, end);
                std::memcpy(row + c, end, static_cast<size_t>(columns - c));
            }
        }
    }
}

}  // namespace
}  // namespace maskmill::MASKMILL_SIMD
