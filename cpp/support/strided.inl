// Loops of strided.cpp, once per instruction set.
namespace maskmill::MASKMILL_SIMD {
namespace {

// Pieces of 32 bytes, the last overlapping the one before: for a short row, a call of memcpy takes as long as the copy.
inline void copy_short(const uint8_t* from, int64_t n, uint8_t* out) {
    struct Piece {
        uint8_t bytes[32];
    } piece;
    for (int64_t k = 0; k + 32 < n; k += 32) {
        std::memcpy(&piece, from + k, 32);
        std::memcpy(out + k, &piece, 32);
    }
    std::memcpy(&piece, from + n - 32, 32);
    std::memcpy(out + n - 32, &piece, 32);
}

// Rows of n bytes. Short ones lie far apart: no processor sees them coming.
inline void copy_rows(const uint8_t* from, int64_t step, int64_t rows, int64_t n, uint8_t* out, int64_t out_step,
                      bool past_cache) {
    const bool is_short = n >= 32 && n <= kShort && !past_cache;
    for (int64_t r = 0; r < rows; ++r, from += step, out += out_step) {
        if (r + kRowsAhead < rows) {
            const uint8_t* next = from + kRowsAhead * step;
            for (int64_t k = 0; k < n; k += kLine) prefetch_row(next + k);
            prefetch_row(next + n - 1);
        }
        if (is_short) {
            copy_short(from, n, out);
        } else {
            copy_bytes(from, n, out, past_cache);
        }
    }
}

#if MASKMILL_X86

// Registers of kLanes pieces of 16 bytes: what is done to one piece is done to all.
#if MASKMILL_SIMD_LEVEL == 2
using Bytes = __m512i;
#define MASKMILL_LANES(operation) _mm512_##operation
#elif MASKMILL_SIMD_LEVEL == 1
using Bytes = __m256i;
#define MASKMILL_LANES(operation) _mm256_##operation
#else
using Bytes = __m128i;
#define MASKMILL_LANES(operation) _mm_##operation
#endif
constexpr int64_t kLanes = sizeof(Bytes) / 16;

// 16 bytes of kLanes lines.
inline Bytes load_lines(const uint8_t* p, [[maybe_unused]] int64_t apart) {
    const auto piece = [&](int64_t k) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + k * apart)); };
#if MASKMILL_SIMD_LEVEL == 2
    const __m512i one = _mm512_mask_broadcast_i32x4(_mm512_castsi128_si512(piece(0)), 0x00f0, piece(1));
    return _mm512_mask_broadcast_i32x4(_mm512_mask_broadcast_i32x4(one, 0x0f00, piece(2)), 0xf000, piece(3));
#elif MASKMILL_SIMD_LEVEL == 1
    return _mm256_inserti128_si256(_mm256_castsi128_si256(piece(0)), piece(1), 1);
#else
    return piece(0);
#endif
}

// Bytes of registers k and k + 8, in turns. Four times, and 16 x 16 bytes are transposed in every lane.
inline void interleave(const Bytes* in, Bytes* out) {
    for (int k = 0; k < 8; ++k) {
        out[2 * k] = MASKMILL_LANES(unpacklo_epi8)(in[k], in[k + 8]);
        out[2 * k + 1] = MASKMILL_LANES(unpackhi_epi8)(in[k], in[k + 8]);
    }
}

inline void transpose_block(const uint8_t* data, int64_t step, uint8_t* out, int64_t out_step) {
    Bytes a[16], b[16];
    for (int k = 0; k < 16; ++k) a[k] = load_lines(data + k * step, 16 * step);
    interleave(a, b);
    interleave(b, a);
    interleave(a, b);
    interleave(b, a);
    for (int k = 0; k < 16; ++k) std::memcpy(out + k * out_step, &a[k], sizeof(Bytes));
}
#undef MASKMILL_LANES

// The last blocks overlap those before them; false where there is less than one.
inline bool transpose_bytes(const uint8_t* data, int64_t step, int64_t lines, int64_t width, uint8_t* out,
                            int64_t out_step, int64_t ahead) {
    constexpr int64_t kLines = 16 * kLanes;
    if (lines < kLines || width < 16) return false;
    for (int64_t from = 0; from < lines; from += kLines) {
        const int64_t i = from + kLines < lines ? from : lines - kLines;
        const uint8_t* line = data + i * step;
        if (ahead != 0) {
            for (int64_t k = 0; k < kLines; ++k) prefetch_row(line + k * step + ahead);
        }
        for (int64_t at = 0; at < width; at += 16) {
            const int64_t j = at + 16 < width ? at : width - 16;
            transpose_block(line + j, step, out + j * out_step + i, out_step);
        }
    }
    return true;
}

#else

inline bool transpose_bytes(const uint8_t*, int64_t, int64_t, int64_t, uint8_t*, int64_t, int64_t) { return false; }

#endif

}  // namespace
}  // namespace maskmill::MASKMILL_SIMD
