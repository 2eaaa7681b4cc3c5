// Loops of hamming.cpp, once per instruction set.

namespace maskmill::MASKMILL_SIMD {
namespace {

inline int popcount(uint64_t x) {
#if MASKMILL_SIMD_LEVEL == 0 && MASKMILL_X86
    // There is no instruction for it, and the library's function looks bytes up.
    x -= x >> 1 & 0x5555555555555555;
    x = (x & 0x3333333333333333) + (x >> 2 & 0x3333333333333333);
    x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f;
    return static_cast<int>(x * 0x0101010101010101 >> 56);
#else
    return std::popcount(x);
#endif
}

template <int W>
int distance(const Planes& a, size_t i, const Planes& b, size_t j) {
    int bits = 0;
    for (int w = 0; w < W; ++w) bits += popcount(a.plane(w)[i] ^ b.plane(w)[j]);
    return bits;
}

#if MASKMILL_SIMD_LEVEL == 2

constexpr size_t kLanes = 8;
using Vector = __m512i;

template <int W>
void load(const Planes& codes, size_t j, size_t left, Vector* to) {
    const auto lanes = static_cast<__mmask8>(left >= kLanes ? 0xff : (1u << left) - 1);
    for (int w = 0; w < W; ++w) to[w] = _mm512_maskz_loadu_epi64(lanes, codes.plane(w) + j);
}

template <int W>
Vector distances(const Planes& codes, size_t i, const Vector* others) {
    Vector bits = _mm512_setzero_si512();
    for (int w = 0; w < W; ++w) {
        const Vector code = _mm512_set1_epi64(static_cast<long long>(codes.plane(w)[i]));
        bits = _mm512_add_epi64(bits, _mm512_popcnt_epi64(_mm512_xor_si512(code, others[w])));
    }
    return bits;
}

inline Vector most() { return _mm512_set1_epi64(0xffff); }
inline Vector least(Vector a, Vector b) { return _mm512_min_epu32(a, b); }
inline unsigned within(Vector bits, int radius) { return _mm512_cmple_epi64_mask(bits, _mm512_set1_epi64(radius)); }

#elif MASKMILL_SIMD_LEVEL == 1

constexpr size_t kLanes = 4;
using Vector = __m256i;

template <int W>
void load(const Planes& codes, size_t j, size_t left, Vector* to) {
    const Vector lanes =
        _mm256_cmpgt_epi64(_mm256_set1_epi64x(static_cast<long long>(left)), _mm256_setr_epi64x(0, 1, 2, 3));
    for (int w = 0; w < W; ++w) {
        to[w] = _mm256_maskload_epi64(reinterpret_cast<const long long*>(codes.plane(w) + j), lanes);
    }
}

template <int W>
Vector distances(const Planes& codes, size_t i, const Vector* others) {
    // Bits of half a byte, looked up; all bytes of a code added at the end.
    const Vector table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2,
                                          2, 3, 2, 3, 3, 4);
    const Vector low = _mm256_set1_epi8(0x0f);
    Vector bits = _mm256_setzero_si256();
    for (int w = 0; w < W; ++w) {
        const Vector code = _mm256_set1_epi64x(static_cast<long long>(codes.plane(w)[i]));
        const Vector x = _mm256_xor_si256(code, others[w]);
        bits = _mm256_add_epi8(bits, _mm256_shuffle_epi8(table, _mm256_and_si256(x, low)));
        bits = _mm256_add_epi8(bits, _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(x, 4), low)));
    }
    return _mm256_sad_epu8(bits, _mm256_setzero_si256());
}

inline Vector most() { return _mm256_set1_epi64x(0x7fff); }
inline Vector least(Vector a, Vector b) { return _mm256_min_epu16(a, b); }
inline unsigned within(Vector bits, int radius) {
    const Vector near = _mm256_cmpgt_epi64(_mm256_set1_epi64x(radius + 1), bits);
    return static_cast<unsigned>(_mm256_movemask_pd(_mm256_castsi256_pd(near)));
}

#endif

// emit(i, j, distance) for all pairs of queries i0 .. i1 and codes j0 .. j1 within the radius; queries should be few.
template <int W, class Emit>
void scan(const Planes& queries, size_t i0, size_t i1, const Planes& codes, size_t j0, size_t j1, int radius,
          Emit&& emit) {
#if MASKMILL_SIMD_LEVEL > 0
    for (size_t j = j0; j < j1; j += kLanes) {
        Vector some[W];
        load<W>(codes, j, j1 - j, some);
        const unsigned lanes = j1 - j >= kLanes ? (1u << kLanes) - 1 : (1u << (j1 - j)) - 1;
        Vector nearest = most();
        for (size_t i = i0; i < i1; ++i) nearest = least(nearest, distances<W>(queries, i, some));
        if ((within(nearest, radius) & lanes) == 0) continue;
        for (size_t i = i0; i < i1; ++i) {
            for (unsigned near = within(distances<W>(queries, i, some), radius) & lanes; near != 0; near &= near - 1) {
                const size_t k = j + static_cast<size_t>(std::countr_zero(near));
                emit(i, k, distance<W>(queries, i, codes, k));
            }
        }
    }
#else
    for (size_t i = i0; i < i1; ++i) {
        for (size_t j = j0; j < j1; ++j) {
            const int d = distance<W>(queries, i, codes, j);
            if (d <= radius) emit(i, j, d);
        }
    }
#endif
}

// The same for any number of queries.
template <int W, class Emit>
void scan_all(const Planes& queries, size_t i0, size_t i1, const Planes& codes, size_t j0, size_t j1, int radius,
              Emit&& emit) {
    for (size_t i = i0; i < i1; i += kGroup) {
        scan<W>(queries, i, std::min(i + kGroup, i1), codes, j0, j1, radius, emit);
    }
}

// The same for queries in `kNeighbours` buckets from `first` on, and codes whose part differs from theirs by one of the
// masks. Of neighbouring buckets, a mask's partners are neighbours, too, and stay in the cache.
template <int W, class Emit>
void scan_buckets(const Buckets& queries, const Buckets& codes, size_t first, std::span<const uint32_t> masks,
                  int radius, Emit&& emit) {
    for (const uint32_t mask : masks) {
        for (size_t v = first; v < first + kNeighbours; ++v) {
            const size_t u = v ^ mask;
            const size_t i0 = queries.starts[v], i1 = queries.starts[v + 1];
            const size_t j0 = codes.starts[u], j1 = codes.starts[u + 1];
            if (i0 == i1 || j0 == j1) continue;
            scan_all<W>(queries.codes, i0, i1, codes.codes, j0, j1, radius, emit);
        }
    }
}

}  // namespace
}  // namespace maskmill::MASKMILL_SIMD
