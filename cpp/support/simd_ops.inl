// The operations that differ between instruction sets; included by kernels/*.inl, see support/simd.hpp.
// Every one has the same meaning at every level; the plain loop at the end of each says which.

namespace maskmill::MASKMILL_SIMD {
namespace {

// Bit i: p[i] != 0, for 64 bytes.
inline uint64_t nonzero64(const uint8_t* p) {
#if MASKMILL_SIMD_LEVEL == 2
    const __m512i v = _mm512_loadu_si512(p);
    return _mm512_test_epi8_mask(v, v);
#elif MASKMILL_SIMD_LEVEL == 1
    const __m256i zero = _mm256_setzero_si256();
    const __m256i lo = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    const __m256i hi = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32));
    const auto a = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(lo, zero)));
    const auto b = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(hi, zero)));
    return ~(static_cast<uint64_t>(a) | static_cast<uint64_t>(b) << 32);
#elif MASKMILL_X86
    const __m128i zero = _mm_setzero_si128();
    uint64_t bits = 0;
    for (int i = 0; i < 4; ++i) {
        const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16 * i));
        bits |= static_cast<uint64_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(v, zero))) << (16 * i);
    }
    return ~bits;
#elif defined(__aarch64__)
    const uint8x16_t weight = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t v[4];
    for (int i = 0; i < 4; ++i) {
        const uint8x16_t x = vld1q_u8(p + 16 * i);
        v[i] = vandq_u8(vtstq_u8(x, x), weight);
    }
    const uint8x16_t sum = vpaddq_u8(vpaddq_u8(v[0], v[1]), vpaddq_u8(v[2], v[3]));
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sum, sum)), 0);
#else
    uint64_t bits = 0;
    for (int i = 0; i < 64; ++i) bits |= static_cast<uint64_t>(p[i] != 0) << i;
    return bits;
#endif
}

// Bit i: p[i] != q[i], for 64 bytes.
inline uint64_t differ64(const uint8_t* p, const uint8_t* q) {
#if MASKMILL_SIMD_LEVEL == 2
    return _mm512_cmpneq_epi8_mask(_mm512_loadu_si512(p), _mm512_loadu_si512(q));
#elif MASKMILL_SIMD_LEVEL == 1
    uint64_t bits = 0;
    for (int i = 0; i < 2; ++i) {
        const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32 * i));
        const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(q + 32 * i));
        const auto same = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, b)));
        bits |= static_cast<uint64_t>(same) << (32 * i);
    }
    return ~bits;
#elif MASKMILL_X86
    uint64_t bits = 0;
    for (int i = 0; i < 4; ++i) {
        const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16 * i));
        const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(q + 16 * i));
        bits |= static_cast<uint64_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(a, b))) << (16 * i);
    }
    return ~bits;
#else
    uint8_t x[64];
    for (int i = 0; i < 64; ++i) x[i] = static_cast<uint8_t>(p[i] ^ q[i]);
    return nonzero64(x);
#endif
}

// out[i] = bit i ? value : 0, for 64 bytes.
inline void expand64(uint64_t bits, uint8_t value, uint8_t* out) {
#if MASKMILL_SIMD_LEVEL == 2
    _mm512_storeu_si512(out, _mm512_maskz_set1_epi8(bits, static_cast<char>(value)));
#elif MASKMILL_SIMD_LEVEL == 1
    const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3,
                                            3, 3, 3, 3, 3, 3, 3);
    const __m256i select = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201ULL));
    const __m256i v = _mm256_set1_epi8(static_cast<char>(value));
    for (int i = 0; i < 2; ++i) {
        const __m256i word = _mm256_set1_epi32(static_cast<int>(bits >> (32 * i)));
        const __m256i picked = _mm256_and_si256(_mm256_shuffle_epi8(word, spread), select);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 32 * i),
                            _mm256_and_si256(_mm256_cmpeq_epi8(picked, select), v));
    }
#else
    for (int i = 0; i < 8; ++i) {
        // Eight bits to eight bytes: copy the byte everywhere, keep bit k in byte k, carry it to the top.
        const uint64_t byte = bits >> (8 * i) & 0xff;
        uint64_t x = byte * 0x0101010101010101ULL & 0x8040201008040201ULL;
        x = ((x + 0x7f7f7f7f7f7f7f7fULL) | x) & 0x8080808080808080ULL;
        x = (x >> 7) * value;
        if constexpr (std::endian::native == std::endian::little) {
            std::memcpy(out + 8 * i, &x, 8);
        } else {
            for (int k = 0; k < 8; ++k) out[8 * i + k] = static_cast<uint8_t>(x >> (8 * k));
        }
    }
#endif
}

// The transpose of a 64 x 64 bit matrix: bit r of word c and bit c of word r change places.
inline void transpose64(uint64_t w[64]) {
#if MASKMILL_SIMD_LEVEL == 2
    // Eight rows a register. Bytes first (an 8 x 8 turn inside each register), then bits (an 8 x 8 turn inside each
    // lane, as a product with the identity, which
    // wants the rows last to first), then lanes across registers, then bytes again: 0.1 us becomes 0.02.
    const __m512i turn_bytes =
        _mm512_set_epi64(0x3f372f271f170f07, 0x3e362e261e160e06, 0x3d352d251d150d05, 0x3c342c241c140c04,
                         0x3b332b231b130b03, 0x3a322a221a120a02, 0x3931292119110901, 0x3830282018100800);
    const __m512i turn_bytes_back =
        _mm512_set_epi64(0x070f171f272f373f, 0x060e161e262e363e, 0x050d151d252d353d, 0x040c141c242c343c,
                         0x030b131b232b333b, 0x020a121a222a323a, 0x0109111921293139, 0x0008101820283038);
    const __m512i identity = _mm512_set1_epi64(static_cast<long long>(0x8040201008040201ULL));
    __m512i r[8], t[8];
    for (int i = 0; i < 8; ++i) {
        const __m512i blocks = _mm512_permutexvar_epi8(turn_bytes_back, _mm512_loadu_si512(w + 8 * i));
        r[i] = _mm512_gf2p8affine_epi64_epi8(identity, blocks, 0);
    }
    for (int i = 0; i < 8; i += 2) {  // lanes at distance 1
        t[i] = _mm512_unpacklo_epi64(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi64(r[i], r[i + 1]);
    }
    const __m512i even = _mm512_set_epi64(13, 12, 5, 4, 9, 8, 1, 0), odd = _mm512_set_epi64(15, 14, 7, 6, 11, 10, 3, 2);
    for (int i = 0; i < 8; i += 4) {  // pairs of lanes at distance 2
        for (int k = 0; k < 2; ++k) {
            r[i + k] = _mm512_permutex2var_epi64(t[i + k], even, t[i + k + 2]);
            r[i + k + 2] = _mm512_permutex2var_epi64(t[i + k], odd, t[i + k + 2]);
        }
    }
    for (int k = 0; k < 4; ++k) {  // quarters: registers 4 apart
        t[k] = _mm512_shuffle_i64x2(r[k], r[k + 4], 0x44);
        t[k + 4] = _mm512_shuffle_i64x2(r[k], r[k + 4], 0xee);
    }
    for (int i = 0; i < 8; ++i) _mm512_storeu_si512(w + 8 * i, _mm512_permutexvar_epi8(turn_bytes, t[i]));
#else
    uint64_t mask = 0x00000000ffffffffULL;
    for (int j = 32; j != 0; j >>= 1, mask ^= mask << j) {
        for (int base = 0; base < 64; base += 2 * j) {
            for (int k = base; k < base + j; ++k) {
                const uint64_t t = ((w[k] >> j) ^ w[k + j]) & mask;
                w[k] ^= t << j;
                w[k + j] ^= t;
            }
        }
    }
#endif
}

// n <= 64 words; most often 64, for which the compiler needs no call.
inline void copy_words(uint64_t* to, const uint64_t* from, int64_t n) {
    if (n == 64) {
        std::memcpy(to, from, 64 * sizeof(uint64_t));
    } else {
        for (int64_t i = 0; i < n; ++i) to[i] = from[i];
    }
}

inline void prefetch(const void* p) {
#if defined(__GNUC__) || defined(__clang__)
    __builtin_prefetch(p, 0, 2);
#elif MASKMILL_X86
    _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1);
#endif
}

// Bytes that are about to be written.
inline void prefetch_for_write(void* p) {
#if defined(__GNUC__) || defined(__clang__)
    __builtin_prefetch(p, 1, 2);
#elif MASKMILL_X86
    _m_prefetchw(p);
#endif
}

// Number of bits set in both a and b.
inline uint64_t and_popcount(const uint64_t* a, const uint64_t* b, size_t n) {
    uint64_t total = 0;
    size_t i = 0;
#if MASKMILL_SIMD_LEVEL == 2
    __m512i sum = _mm512_setzero_si512();
    for (; i + 8 <= n; i += 8) {
        const __m512i both = _mm512_and_si512(_mm512_loadu_si512(a + i), _mm512_loadu_si512(b + i));
        sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(both));
    }
    if (i < n) {
        const auto tail = static_cast<__mmask8>((1u << (n - i)) - 1);
        const __m512i both =
            _mm512_and_si512(_mm512_maskz_loadu_epi64(tail, a + i), _mm512_maskz_loadu_epi64(tail, b + i));
        sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(both));
    }
    return static_cast<uint64_t>(_mm512_reduce_add_epi64(sum));
#endif
    for (; i < n; ++i) total += static_cast<uint64_t>(std::popcount(a[i] & b[i]));
    return total;
}

}  // namespace
}  // namespace maskmill::MASKMILL_SIMD
