// Loops of resample.cpp, once per instruction set.
//
// A vector holds one number for each of several lines, so nothing is ever summed across a vector. For that, up to 64
// lines are packed first: four consecutive pixels of a line, then those of the next line, and so on.

namespace maskmill::MASKMILL_SIMD {
namespace {

constexpr int64_t kPerVector = 16;  // lines that are packed and computed together at the least

// How a group of four weights is encoded, and what adds weight times pixel for a group of all lines of a vector.
#if MASKMILL_SIMD_LEVEL == 2

// Three signed digits of base 256: dpbusd multiplies four unsigned bytes by four signed ones and adds the products
// to 32 bits. The digits' sums may leave 32 bits; modulo 2^32 the total is right, and that does not.
constexpr int64_t kWordsPerGroup = 3;

inline void encode_group(const int32_t* weights, int32_t* words) {
    uint32_t digits[3] = {0, 0, 0};
    for (int j = 0; j < 4; ++j) {
        int32_t rest = weights[j];
        for (uint32_t& digit : digits) {
            const auto low = static_cast<int8_t>(rest & 255);
            digit |= static_cast<uint32_t>(static_cast<uint8_t>(low)) << (8 * j);
            rest = (rest - low) / 256;
        }
    }
    std::memcpy(words, digits, sizeof(digits));
}

// One output of 16 * K lines, as 32-bit sums.
template <int K>
inline void sums(const uint8_t* packed, int64_t width, const int32_t* words, int64_t groups, uint8_t* out) {
    __m512i low[K], middle[K], high[K];
    for (int k = 0; k < K; ++k) {
        low[k] = _mm512_set1_epi32(1 << 21);
        middle[k] = high[k] = _mm512_setzero_si512();
    }
    for (int64_t g = 0; g < groups; ++g, words += 3, packed += 4 * width) {
        const __m512i w0 = _mm512_set1_epi32(words[0]);
        const __m512i w1 = _mm512_set1_epi32(words[1]);
        const __m512i w2 = _mm512_set1_epi32(words[2]);
        for (int k = 0; k < K; ++k) {
            const __m512i p = _mm512_load_si512(packed + 64 * k);
            low[k] = _mm512_dpbusd_epi32(low[k], p, w0);
            middle[k] = _mm512_dpbusd_epi32(middle[k], p, w1);
            high[k] = _mm512_dpbusd_epi32(high[k], p, w2);
        }
    }
    for (int k = 0; k < K; ++k) {
        __m512i sum = _mm512_add_epi32(low[k], _mm512_slli_epi32(middle[k], 8));
        sum = _mm512_srai_epi32(_mm512_add_epi32(sum, _mm512_slli_epi32(high[k], 16)), 22);
        sum = _mm512_max_epi32(sum, _mm512_setzero_si512());
        _mm_store_si128(reinterpret_cast<__m128i*>(out + 16 * k), _mm512_cvtusepi32_epi8(sum));
    }
}

#elif MASKMILL_X86

// Low 16 bits (signed) and what is above them, as pairs for madd: (0, 2), (1, 3) of the low halves, then of the high.
constexpr int64_t kWordsPerGroup = 4;

inline void encode_group(const int32_t* weights, int32_t* words) {
    int16_t half[2][4];
    for (int j = 0; j < 4; ++j) {
        half[0][j] = static_cast<int16_t>(weights[j]);
        half[1][j] = static_cast<int16_t>((weights[j] - half[0][j]) / 65536);
    }
    for (int h = 0; h < 2; ++h) {
        for (int odd = 0; odd < 2; ++odd) {
            const int16_t pair[2] = {half[h][odd], half[h][odd + 2]};
            std::memcpy(words + 2 * h + odd, pair, 4);
        }
    }
}

#if MASKMILL_SIMD_LEVEL == 1
using Vector = __m256i;
inline Vector load(const uint8_t* p) { return _mm256_load_si256(reinterpret_cast<const Vector*>(p)); }
inline Vector fill(int32_t x) { return _mm256_set1_epi32(x); }
inline Vector fill16(int16_t x) { return _mm256_set1_epi16(x); }
inline Vector both(Vector a, Vector b) { return _mm256_and_si256(a, b); }
inline Vector odd_bytes(Vector a) { return _mm256_srli_epi16(a, 8); }
inline Vector add(Vector a, Vector b) { return _mm256_add_epi32(a, b); }
inline Vector madd(Vector a, Vector b) { return _mm256_madd_epi16(a, b); }
inline Vector shift_left_16(Vector a) { return _mm256_slli_epi32(a, 16); }
inline Vector shift_right_22(Vector a) { return _mm256_srai_epi32(a, 22); }
inline void store(int32_t* p, Vector a) { _mm256_store_si256(reinterpret_cast<Vector*>(p), a); }
#else
using Vector = __m128i;
inline Vector load(const uint8_t* p) { return _mm_load_si128(reinterpret_cast<const Vector*>(p)); }
inline Vector fill(int32_t x) { return _mm_set1_epi32(x); }
inline Vector fill16(int16_t x) { return _mm_set1_epi16(x); }
inline Vector both(Vector a, Vector b) { return _mm_and_si128(a, b); }
inline Vector odd_bytes(Vector a) { return _mm_srli_epi16(a, 8); }
inline Vector add(Vector a, Vector b) { return _mm_add_epi32(a, b); }
inline Vector madd(Vector a, Vector b) { return _mm_madd_epi16(a, b); }
inline Vector shift_left_16(Vector a) { return _mm_slli_epi32(a, 16); }
inline Vector shift_right_22(Vector a) { return _mm_srai_epi32(a, 22); }
inline void store(int32_t* p, Vector a) { _mm_store_si128(reinterpret_cast<Vector*>(p), a); }
#endif

template <int K>
inline void sums(const uint8_t* packed, int64_t width, const int32_t* words, int64_t groups, uint8_t* out) {
    constexpr int kVectors = 64 / static_cast<int>(sizeof(Vector));  // that hold 16 lines
    const Vector even_bytes = fill16(255);
    for (int k = 0; k < K; ++k) {
        Vector low[kVectors], high[kVectors];
        for (int v = 0; v < kVectors; ++v) {
            low[v] = fill(1 << 21);
            high[v] = fill(0);
        }
        for (int64_t g = 0; g < groups; ++g) {
            const int32_t* w = words + 4 * g;
            const Vector w0 = fill(w[0]), w1 = fill(w[1]), w2 = fill(w[2]), w3 = fill(w[3]);
            for (int v = 0; v < kVectors; ++v) {
                const Vector p = load(packed + 4 * width * g + 64 * k + static_cast<int64_t>(sizeof(Vector)) * v);
                const Vector even = both(p, even_bytes), odd = odd_bytes(p);
                low[v] = add(low[v], add(madd(even, w0), madd(odd, w1)));
                high[v] = add(high[v], add(madd(even, w2), madd(odd, w3)));
            }
        }
        alignas(64) int32_t sum[16];
        for (int v = 0; v < kVectors; ++v) {
            store(sum + v * (16 / kVectors), shift_right_22(add(low[v], shift_left_16(high[v]))));
        }
        for (int l = 0; l < 16; ++l) out[16 * k + l] = static_cast<uint8_t>(std::clamp(sum[l], 0, 255));
    }
}

#else

constexpr int64_t kWordsPerGroup = 4;

inline void encode_group(const int32_t* weights, int32_t* words) { std::copy_n(weights, 4, words); }

template <int K>
inline void sums(const uint8_t* packed, int64_t width, const int32_t* words, int64_t groups, uint8_t* out) {
    for (int k = 0; k < K; ++k) {
        int32_t sum[16];
        std::fill_n(sum, 16, 1 << 21);
        for (int64_t g = 0; g < groups; ++g) {
            const uint8_t* p = packed + 4 * width * g + 64 * k;
            const int32_t* w = words + 4 * g;
            for (int l = 0; l < 16; ++l) {
                sum[l] += p[4 * l] * w[0] + p[4 * l + 1] * w[1] + p[4 * l + 2] * w[2] + p[4 * l + 3] * w[3];
            }
        }
        for (int l = 0; l < 16; ++l) out[16 * k + l] = static_cast<uint8_t>(std::clamp(sum[l] >> 22, 0, 255));
    }
}

#endif

inline int64_t words_per_group() { return kWordsPerGroup; }

// Pixels of up to `width` lines as groups of four. Lines beyond the last repeat it: they are computed and dropped.
inline void pack_any(const Lines& lines, int64_t inputs, int64_t width, uint8_t* packed) {
    for (int64_t l = 0; l < width; ++l) {
        const uint8_t* p = lines.data + std::min<int64_t>(l, static_cast<int64_t>(lines.count) - 1) * lines.line;
        uint8_t* to = packed + 4 * l;
        int64_t i = 0;
        if (lines.step == 1) {
            for (; i + 4 <= inputs; i += 4, to += 4 * width) std::memcpy(to, p + i, 4);
        } else {
            for (; i + 4 <= inputs; i += 4, to += 4 * width) {
                for (int64_t j = 0; j < 4; ++j) to[j] = p[(i + j) * lines.step];
            }
        }
        for (int64_t j = 0; i < inputs; ++i, ++j) to[j] = p[i * lines.step];
    }
}

#if MASKMILL_SIMD_LEVEL == 2

// 16 lines whose pixels are consecutive: a transposition of 32-bit words, 16 x 16 at a time.
inline void pack_rows16(const uint8_t* const* p, int64_t begin, int64_t inputs, int64_t width, ptrdiff_t ahead,
                        uint8_t* packed) {
    const int64_t left = std::min<int64_t>(64, inputs - begin);
    const __mmask64 mask = left == 64 ? ~__mmask64{0} : (__mmask64{1} << left) - 1;
    __m512i a[16], b[16];
    for (int r = 0; r < 16; ++r) {
        a[r] = _mm512_maskz_loadu_epi8(mask, p[r] + begin);
        prefetch_row(p[r] + begin + ahead);
    }
    for (int r = 0; r < 16; r += 4) {
        const __m512i t0 = _mm512_unpacklo_epi32(a[r], a[r + 1]), t1 = _mm512_unpackhi_epi32(a[r], a[r + 1]);
        const __m512i t2 = _mm512_unpacklo_epi32(a[r + 2], a[r + 3]), t3 = _mm512_unpackhi_epi32(a[r + 2], a[r + 3]);
        b[r] = _mm512_unpacklo_epi64(t0, t2);
        b[r + 1] = _mm512_unpackhi_epi64(t0, t2);
        b[r + 2] = _mm512_unpacklo_epi64(t1, t3);
        b[r + 3] = _mm512_unpackhi_epi64(t1, t3);
    }
    const int64_t groups = (left + 3) / 4;
    // b[4 q + j] has group 4 k + j of lines 4 q .. 4 q + 3 in its 128-bit part k.
    for (int j = 0; j < 4; ++j) {
        const __m512i t0 = _mm512_shuffle_i32x4(b[j], b[j + 4], 0x88), t1 = _mm512_shuffle_i32x4(b[j], b[j + 4], 0xdd);
        const __m512i t2 = _mm512_shuffle_i32x4(b[j + 8], b[j + 12], 0x88);
        const __m512i t3 = _mm512_shuffle_i32x4(b[j + 8], b[j + 12], 0xdd);
        const __m512i group[4] = {_mm512_shuffle_i32x4(t0, t2, 0x88), _mm512_shuffle_i32x4(t1, t3, 0x88),
                                  _mm512_shuffle_i32x4(t0, t2, 0xdd), _mm512_shuffle_i32x4(t1, t3, 0xdd)};
        for (int k = 0; k < 4; ++k) {
            if (4 * k + j < groups) _mm512_store_si512(packed + 4 * width * (4 * k + j), group[k]);
        }
    }
}

inline void pack_rows(const Lines& lines, int64_t inputs, int64_t width, uint8_t* packed) {
    const auto last = static_cast<int64_t>(lines.count) - 1;
    for (int64_t l = 0; l < width; l += 16) {
        const uint8_t* p[16];
        for (int64_t r = 0; r < 16; ++r) p[r] = lines.data + std::min(l + r, last) * lines.line;
        for (int64_t i = 0; i < inputs; i += 64) {
            pack_rows16(p, i, inputs, width, lines.ahead, packed + 4 * l + width * i);
        }
    }
}

// Lines side by side: their bytes are interleaved, four pixels at a time.
inline void pack_columns(const Lines& lines, int64_t inputs, int64_t width, uint8_t* packed) {
    const auto count = static_cast<int64_t>(lines.count);
    const __mmask64 mask = count == 64 ? ~__mmask64{0} : (__mmask64{1} << count) - 1;
    for (int64_t i = 0; i < inputs; i += 4, packed += 4 * width) {
        __m512i a[4];
        for (int64_t j = 0; j < 4; ++j) {
            const uint8_t* p = lines.data + (i + j) * lines.step;
            a[j] = i + j < inputs ? _mm512_maskz_loadu_epi8(mask, p) : _mm512_setzero_si512();
            prefetch_row(p + lines.ahead);
        }
        const __m512i t0 = _mm512_unpacklo_epi8(a[0], a[1]), t1 = _mm512_unpackhi_epi8(a[0], a[1]);
        const __m512i t2 = _mm512_unpacklo_epi8(a[2], a[3]), t3 = _mm512_unpackhi_epi8(a[2], a[3]);
        // In part k of q[m]: lines 16 k + 4 m .. 16 k + 4 m + 3.
        const __m512i q[4] = {_mm512_unpacklo_epi16(t0, t2), _mm512_unpackhi_epi16(t0, t2),
                              _mm512_unpacklo_epi16(t1, t3), _mm512_unpackhi_epi16(t1, t3)};
        const __m512i s0 = _mm512_shuffle_i32x4(q[0], q[1], 0x88), s1 = _mm512_shuffle_i32x4(q[0], q[1], 0xdd);
        const __m512i s2 = _mm512_shuffle_i32x4(q[2], q[3], 0x88), s3 = _mm512_shuffle_i32x4(q[2], q[3], 0xdd);
        const __m512i part[4] = {_mm512_shuffle_i32x4(s0, s2, 0x88), _mm512_shuffle_i32x4(s1, s3, 0x88),
                                 _mm512_shuffle_i32x4(s0, s2, 0xdd), _mm512_shuffle_i32x4(s1, s3, 0xdd)};
        for (int64_t k = 0; 16 * k < width; ++k) _mm512_store_si512(packed + 64 * k, part[k]);
    }
}

#endif

inline void pack(const Lines& lines, int64_t inputs, int64_t width, uint8_t* packed) {
#if MASKMILL_SIMD_LEVEL == 2
    if (lines.step == 1) return pack_rows(lines, inputs, width, packed);
    if (lines.line == 1) return pack_columns(lines, inputs, width, packed);
#endif
    pack_any(lines, inputs, width, packed);
}

template <int K>
inline void resample_block(const AxisWords& axis, const Lines& lines, uint8_t* out, ptrdiff_t line, ptrdiff_t step,
                           uint8_t* packed) {
    constexpr int64_t width = kPerVector * K;
    pack(lines, axis.inputs, width, packed);
    alignas(64) uint8_t row[width];
    for (int64_t o = 0; o < axis.outputs; ++o) {
        sums<K>(packed + 4 * width * axis.group[o], width, axis.words + axis.start[o], axis.groups[o], row);
        uint8_t* to = out + o * step;
        if (line == 1) {
            std::memcpy(to, row, lines.count);
        } else {
            for (size_t l = 0; l < lines.count; ++l) to[static_cast<ptrdiff_t>(l) * line] = row[l];
        }
    }
}

inline void resample_lines(const AxisWords& axis, const Lines& lines, uint8_t* out, ptrdiff_t line, ptrdiff_t step,
                           uint8_t* packed) {
    for (size_t begin = 0; begin < lines.count; begin += kLinesAtOnce) {
        const auto from = static_cast<ptrdiff_t>(begin);
        const Lines block{lines.data + from * lines.line, lines.line, lines.step,
                          std::min(kLinesAtOnce, lines.count - begin),
                          lines.ahead != 0 ? lines.ahead : static_cast<ptrdiff_t>(kLinesAtOnce) * lines.line};
        uint8_t* to = out + from * line;
        switch ((block.count + kPerVector - 1) / kPerVector) {
            case 1: resample_block<1>(axis, block, to, line, step, packed); break;
            case 2: resample_block<2>(axis, block, to, line, step, packed); break;
            case 3: resample_block<3>(axis, block, to, line, step, packed); break;
            default: resample_block<4>(axis, block, to, line, step, packed);
        }
    }
}

}  // namespace
}  // namespace maskmill::MASKMILL_SIMD
