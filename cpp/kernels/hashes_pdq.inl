// Loops of hashes_pdq.cpp, once per instruction set. Plain loops over independent lanes: the compiler makes vectors of
// them, and every lane keeps the reference's order of additions.
#include "support/rgb.inl"

namespace maskmill::MASKMILL_SIMD {
namespace {

// One step of running sums: adds the entering values to the sums, takes the leaving ones away (and keeps the entering
// ones in their place). In this order, as the roundings depend on it.
inline void box_slide(float* sum, const float* entering, float* leaving, int64_t lanes) {
    for (int64_t x = 0; x < lanes; ++x) {
        const float v = entering[x];
        const float s = sum[x] + v;
        sum[x] = s - leaving[x];
        leaving[x] = v;
    }
}

inline void box_add(float* sum, const float* entering, float* kept, int64_t lanes) {
    for (int64_t x = 0; x < lanes; ++x) {
        sum[x] += entering[x];
        kept[x] = entering[x];
    }
}

inline void box_drop(float* sum, const float* leaving, int64_t lanes) {
    for (int64_t x = 0; x < lanes; ++x) sum[x] -= leaving[x];
}

// A division by a power of two is exact, and so is the product with its inverse.
inline void box_mean(const float* sum, float count, float* out, int64_t lanes) {
    if (count == 1 || count == 2 || count == 4 || count == 8) {
        const float inverse = 1 / count;
        for (int64_t x = 0; x < lanes; ++x) out[x] = sum[x] * inverse;
    } else {
        for (int64_t x = 0; x < lanes; ++x) out[x] = sum[x] / count;
    }
}

// The whole filter along an axis of `side` steps of 32 values. The n outputs are those at `wanted`, which rise.
inline void box_axis(const float* in, int64_t side, int64_t window, const int64_t* wanted, int64_t n, float* out) {
    constexpr int64_t lanes = 32;
    const int64_t ahead = (window + 2) / 2 - 1;
    alignas(64) float sum[lanes] = {};
    int64_t count = 0, k = 0;
    for (int64_t step = 0; step < side + ahead; ++step) {
        const float *entering = in + step * lanes, *leaving = in + (step - window) * lanes;
        if (step < window) {
            for (int64_t x = 0; x < lanes; ++x) sum[x] += entering[x];
            ++count;
        } else if (step < side) {
            for (int64_t x = 0; x < lanes; ++x) sum[x] = sum[x] + entering[x] - leaving[x];
        } else {
            box_drop(sum, leaving, lanes);
            --count;
        }
        for (; k < n && wanted[k] == step - ahead; ++k)
            box_mean(sum, static_cast<float>(count), out + k * lanes, lanes);
    }
}

inline void transpose4(const float* in, int64_t step_in, float* out, int64_t step_out) {
#if MASKMILL_X86
    __m128 a = _mm_loadu_ps(in), b = _mm_loadu_ps(in + step_in);
    __m128 c = _mm_loadu_ps(in + 2 * step_in), d = _mm_loadu_ps(in + 3 * step_in);
    _MM_TRANSPOSE4_PS(a, b, c, d);
    _mm_storeu_ps(out, a);
    _mm_storeu_ps(out + step_out, b);
    _mm_storeu_ps(out + 2 * step_out, c);
    _mm_storeu_ps(out + 3 * step_out, d);
#else
    for (int i = 0; i < 4; ++i) {
        for (int k = 0; k < 4; ++k) out[k * step_out + i] = in[i * step_in + k];
    }
#endif
}

// out[x][y] = in[y][x]. Rows are `step` floats apart; `rows` and `columns` are multiples of 4.
inline void transpose_floats(const float* in, int64_t step_in, int64_t rows, int64_t columns, float* out,
                             int64_t step_out) {
    for (int64_t y = 0; y < rows; y += 4) {
        for (int64_t x = 0; x < columns; x += 4) {
            transpose4(in + y * step_in + x, step_in, out + x * step_out + y, step_out);
        }
    }
}

// Luma of one row of 8-bit red, green and blue, each of its own plane.
inline void luma_pdqhash(const uint8_t* r, const uint8_t* g, const uint8_t* b, int64_t n, float* out) {
    // 0.299 R + 0.587 G + 0.114 B in double, rounded to float, is the float nearest to (299 R + 587 G + 114 B) / 1000:
    // that quotient is a float or at least 7e-9 away from the middle of two, and double errs by less than 1e-13.
    for (int64_t x = 0; x < n; ++x) out[x] = static_cast<float>(299 * r[x] + 587 * g[x] + 114 * b[x]) / 1000.0F;
}

inline void luma_float32(const uint8_t* r, const uint8_t* g, const uint8_t* b, int64_t n, float* out) {
    for (int64_t x = 0; x < n; ++x) {
        out[x] =
            0.299F * static_cast<float>(r[x]) + 0.587F * static_cast<float>(g[x]) + 0.114F * static_cast<float>(b[x]);
    }
}

inline void luma_gray(const uint8_t* p, int64_t n, float* out) {
    for (int64_t x = 0; x < n; ++x) out[x] = p[x];
}

// Samples of a row of the tent filter, times 16: of rows a + 2 b + c, the same of three columns `across` apart. sums has
// room for n + 2 values.
inline void tent_row(const uint8_t* a, const uint8_t* b, const uint8_t* c, int64_t n, int64_t across,
                     const int64_t* wanted, uint16_t* sums, float* out) {
    for (int64_t x = 0; x < n; ++x) sums[x] = static_cast<uint16_t>(a[x] + 2 * b[x] + c[x]);
    sums[n] = sums[n + 1] = sums[n - 1];
    alignas(64) int32_t samples[64];
    for (int k = 0; k < 64; ++k) {
        const uint16_t* p = sums + wanted[k];
        samples[k] = p[0] + 2 * p[across] + p[2 * across];
    }
    for (int k = 0; k < 64; ++k) out[k] = static_cast<float>(samples[k]) * 0.0625F;
}

// out (16, lanes) = left (16, 64) times right (64, lanes), each sum in the order of the 64. Four rows at a time.
template <int lanes>
void multiply(const float* left, const float* right, float* out) {
    for (int i = 0; i < 16; i += 4) {
        alignas(64) float sums[4][lanes] = {};
        for (int k = 0; k < 64; ++k) {
            const float* p = right + k * lanes;
            const float a = left[i * 64 + k], b = left[(i + 1) * 64 + k];
            const float c = left[(i + 2) * 64 + k], d = left[(i + 3) * 64 + k];
            for (int x = 0; x < lanes; ++x) {
                sums[0][x] += a * p[x];
                sums[1][x] += b * p[x];
                sums[2][x] += c * p[x];
                sums[3][x] += d * p[x];
            }
        }
        std::memcpy(out + i * lanes, sums, sizeof sums);
    }
}

// (16, 16) = matrix (16, 64) * pixels (64, 64) * turned (64, 16), the matrix's transpose.
inline void dct_64_to_16(const float* matrix, const float* turned, const float* pixels, float* out) {
    alignas(64) float half[16 * 64];
    multiply<64>(matrix, pixels, half);
    multiply<16>(half, turned, out);
}

// How many of 256 are below.
inline int count_below(const int32_t* keys, int32_t value) {
    int32_t count = 0;
    for (int i = 0; i < 256; ++i) count += keys[i] < value ? 1 : 0;
    return count;
}

// The sum over vertical and horizontal neighbours of |difference * 100 / 255|, each cut to an integer.
inline int32_t gradient_sum(const float* p) {
    int32_t sum = 0;
    for (int i = 0; i < 63 * 64; ++i) {
        const auto d = static_cast<int32_t>((p[i] - p[i + 64]) * 100.0F / 255.0F);
        sum += d < 0 ? -d : d;
    }
    for (int y = 0; y < 64; ++y) {
        for (int x = 0; x < 63; ++x) {
            const auto d = static_cast<int32_t>((p[y * 64 + x] - p[y * 64 + x + 1]) * 100.0F / 255.0F);
            sum += d < 0 ? -d : d;
        }
    }
    return sum;
}

}  // namespace
}  // namespace maskmill::MASKMILL_SIMD
