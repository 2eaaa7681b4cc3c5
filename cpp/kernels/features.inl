// Loops of features.cpp, once per instruction set. A panel has kWide doubles a row, which are summed side by side.
namespace maskmill::MASKMILL_SIMD {
namespace {

#if MASKMILL_SIMD_LEVEL == 2
using Doubles = __m512d;
inline Doubles load(const double* p) { return _mm512_loadu_pd(p); }
inline Doubles load(const float* p) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }
inline Doubles fill(double x) { return _mm512_set1_pd(x); }
inline Doubles plus(Doubles a, Doubles b) { return _mm512_add_pd(a, b); }
inline Doubles minus(Doubles a, Doubles b) { return _mm512_sub_pd(a, b); }
inline Doubles times(Doubles a, Doubles b) { return _mm512_mul_pd(a, b); }
inline void store(double* p, Doubles a) { _mm512_storeu_pd(p, a); }
inline void store(float* p, Doubles a) { _mm256_storeu_ps(p, _mm512_cvtpd_ps(a)); }
#elif MASKMILL_SIMD_LEVEL == 1
using Doubles = __m256d;
inline Doubles load(const double* p) { return _mm256_loadu_pd(p); }
inline Doubles load(const float* p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
inline Doubles fill(double x) { return _mm256_set1_pd(x); }
inline Doubles plus(Doubles a, Doubles b) { return _mm256_add_pd(a, b); }
inline Doubles minus(Doubles a, Doubles b) { return _mm256_sub_pd(a, b); }
inline Doubles times(Doubles a, Doubles b) { return _mm256_mul_pd(a, b); }
inline void store(double* p, Doubles a) { _mm256_storeu_pd(p, a); }
inline void store(float* p, Doubles a) { _mm_storeu_ps(p, _mm256_cvtpd_ps(a)); }
#else
using Doubles = double;
inline Doubles load(const double* p) { return *p; }
inline Doubles load(const float* p) { return static_cast<double>(*p); }
inline Doubles fill(double x) { return x; }
inline Doubles plus(Doubles a, Doubles b) { return a + b; }
inline Doubles minus(Doubles a, Doubles b) { return a - b; }
inline Doubles times(Doubles a, Doubles b) { return a * b; }
inline void store(double* p, Doubles a) { *p = a; }
inline void store(float* p, Doubles a) { *p = static_cast<float>(a); }
#endif
constexpr int64_t kPerRegister = sizeof(Doubles) / sizeof(double);
constexpr int64_t kSums = 4;  // registers summed into at a time: an addition takes as long as four can be begun
constexpr int64_t kGroup = kSums * kPerRegister;

template <int kParity, class S>
inline void correlate_group(const double* centre, const double* weights, int64_t radius, S* out) {
    Doubles sum[kSums];
    for (int64_t k = 0; k < kSums; ++k) sum[k] = times(load(centre + k * kPerRegister), fill(weights[0]));
    for (int64_t j = radius; j > 0; --j) {
        const double *before = centre - j * kWide, *after = centre + j * kWide;
        const Doubles w = fill(weights[j]);
        for (int64_t k = 0; k < kSums; ++k) {
            const Doubles a = load(before + k * kPerRegister), b = load(after + k * kPerRegister);
            sum[k] = plus(sum[k], times(kParity > 0 ? plus(b, a) : minus(b, a), w));
        }
    }
    for (int64_t k = 0; k < kSums; ++k) store(out + k * kPerRegister, sum[k]);
}

// n rows of `panel`, which has `radius` rows more before and after them.
template <class S>
inline void correlate(const double* panel, int64_t n, const double* weights, int64_t radius, int64_t parity, S* out,
                      int64_t out_step) {
    for (int64_t i = 0; i < n; ++i, panel += kWide, out += out_step) {
        for (int64_t g = 0; g < kWide; g += kGroup) {
            const double* centre = panel + radius * kWide + g;
            if (parity > 0) {
                correlate_group<1>(centre, weights, radius, out + g);
            } else {
                correlate_group<-1>(centre, weights, radius, out + g);
            }
        }
    }
}

// Lines rows[0] .. rows[n - 1] of `from` to a panel; beyond `count` it is 0.
inline void widen(const float* from, int64_t step, const int64_t* rows, int64_t n, int64_t count, bool square,
                  double* panel) {
    for (int64_t i = 0; i < n; ++i, panel += kWide) {
        const float* __restrict line = from + rows[i] * step;
        double* __restrict out = panel;
        if (count == kWide) {
            for (int64_t l = 0; l < kWide; ++l) out[l] = static_cast<double>(line[l]);
        } else {
            for (int64_t l = 0; l < count; ++l) out[l] = static_cast<double>(line[l]);
            for (int64_t l = count; l < kWide; ++l) out[l] = 0;
        }
        if (square) {
            for (int64_t l = 0; l < kWide; ++l) out[l] *= out[l];
        }
    }
}

#if MASKMILL_SIMD_LEVEL >= 1
// 8 x 8 floats.
inline void transpose_block(const float* data, int64_t step, float* out, int64_t out_step) {
    __m256 a[8], b[8];
    for (int k = 0; k < 8; ++k) a[k] = _mm256_loadu_ps(data + k * step);
    for (int k = 0; k < 8; k += 2) {
        b[k] = _mm256_unpacklo_ps(a[k], a[k + 1]);
        b[k + 1] = _mm256_unpackhi_ps(a[k], a[k + 1]);
    }
    for (int k = 0; k < 8; k += 4) {
        for (int h = 0; h < 2; ++h) {
            a[k + 2 * h] = _mm256_shuffle_ps(b[k + h], b[k + h + 2], 0x44);
            a[k + 2 * h + 1] = _mm256_shuffle_ps(b[k + h], b[k + h + 2], 0xee);
        }
    }
    for (int k = 0; k < 4; ++k) {
        _mm256_storeu_ps(out + k * out_step, _mm256_permute2f128_ps(a[k], a[k + 4], 0x20));
        _mm256_storeu_ps(out + (k + 4) * out_step, _mm256_permute2f128_ps(a[k], a[k + 4], 0x31));
    }
}

// 4 x 4 doubles.
inline void transpose_block(const double* data, int64_t step, double* out, int64_t out_step) {
    __m256d a[4], b[4];
    for (int k = 0; k < 4; ++k) a[k] = _mm256_loadu_pd(data + k * step);
    for (int k = 0; k < 4; k += 2) {
        b[k] = _mm256_unpacklo_pd(a[k], a[k + 1]);
        b[k + 1] = _mm256_unpackhi_pd(a[k], a[k + 1]);
    }
    for (int k = 0; k < 2; ++k) {
        _mm256_storeu_pd(out + k * out_step, _mm256_permute2f128_pd(b[k], b[k + 2], 0x20));
        _mm256_storeu_pd(out + (k + 2) * out_step, _mm256_permute2f128_pd(b[k], b[k + 2], 0x31));
    }
}
#endif

// out[j * out_step + i] = data[i * step + j]
template <class S>
inline void transpose(const S* data, int64_t step, int64_t lines, int64_t width, S* out, int64_t out_step) {
    int64_t whole = 0;
#if MASKMILL_SIMD_LEVEL >= 1
    // 2.5 times as fast as what compilers make of the loops below.
    constexpr int64_t kSide = 32 / sizeof(S);
    whole = width / kSide * kSide;
    for (int64_t i = 0; i + kSide <= lines; i += kSide) {
        for (int64_t j = 0; j < whole; j += kSide) {
            transpose_block(data + i * step + j, step, out + j * out_step + i, out_step);
        }
    }
    for (int64_t j = 0; j < whole; ++j) {
        for (int64_t i = lines / kSide * kSide; i < lines; ++i) out[j * out_step + i] = data[i * step + j];
    }
#endif
    for (int64_t i0 = 0; i0 < lines; i0 += 16) {
        const int64_t i1 = std::min<int64_t>(i0 + 16, lines);
        for (int64_t j = whole; j < width; ++j) {
            for (int64_t i = i0; i < i1; ++i) out[j * out_step + i] = data[i * step + j];
        }
    }
}

// Both halves of the lanes of columns that are `from` apart to panels: (columns, kWide) doubles, `half` apart.
template <class S>
inline void widen_halves(const S* from, int64_t columns, double* panel, int64_t half) {
    for (int64_t x = 0; x < columns; ++x, from += kLanes) {
        for (int64_t h = 0; h < kLanes / kWide; ++h) {
            double* __restrict out = panel + h * half + x * kWide;
            for (int64_t l = 0; l < kWide; ++l) out[l] = static_cast<double>(from[h * kWide + l]);
        }
    }
}

template <class In, class Out>
inline void convert(const In* __restrict from, int64_t n, Out* __restrict to) {
    for (int64_t i = 0; i < n; ++i) to[i] = static_cast<Out>(from[i]);
}

// Maps of one column of pixels, kLanes rows at once.

// Both slopes by [1, 2, 1] / 4 (x) [1, 0, -1], in scipy.ndimage.convolve's order of summation; twice and a quarter are exact.
template <class S>
inline void sobel_column(const FeatureColumn<S>& c, int64_t plane, S* __restrict out) {
    const S *l = c.at(plane, c.left(c.x)), *m = c.at(plane, c.x), *r = c.at(plane, c.right(c.x));
    alignas(64) S down[kLanes], right[kLanes];
    const Doubles zero = fill(0), quarter = fill(0.25);
    for (int64_t i = 0; i < kLanes; i += kPerRegister) {
        const Doubles al = load(l + i - 1), am = load(m + i - 1), ar = load(r + i - 1);
        const Doubles hl = load(l + i), hr = load(r + i);
        const Doubles bl = load(l + i + 1), bm = load(m + i + 1), br = load(r + i + 1);
        const Doubles above = minus(minus(minus(zero, al), plus(am, am)), ar);
        store(down + i, times(plus(plus(plus(above, bl), plus(bm, bm)), br), quarter));
        const Doubles beside = plus(minus(minus(ar, al), plus(hl, hl)), plus(hr, hr));
        store(right + i, times(plus(minus(beside, bl), br), quarter));
    }
    for (int64_t i = 0; i < kLanes; ++i) out[i] = length_of(down[i], right[i]) / static_cast<S>(1.4142135623730951);
}

// numpy.gradient is (next - previous) * scale: half of that, but all of it where one of the two is missing.
template <bool kDoubled, class S>
inline void hessian_column(const FeatureColumn<S>& c, int64_t plane, S* __restrict out) {
    const int64_t left = c.left(c.x), right = c.right(c.x);
    const S *l = c.at(plane, left), *m = c.at(plane, c.x), *r = c.at(plane, right), *s = c.row_scale;
    alignas(64) S down[kLanes];
    for (int64_t i = 0; i < kLanes; ++i) {
        down[i] = ((m[i + 2] - m[i]) * s[i + 1] - (m[i] - m[i - 2]) * s[i - 1]) * s[i];
    }
    // Beyond the border, differences are those at the border.
    const int64_t first = -c.top, last = c.height - 1 - c.top;
    if (first >= 0) {
        down[first] = ((m[first + 2] - m[first]) * s[first + 1] - (m[first + 1] - m[first - 1]) * s[first]) * s[first];
    }
    if (last < kLanes) {
        down[last] = ((m[last + 1] - m[last - 1]) * s[last] - (m[last] - m[last - 2]) * s[last - 1]) * s[last];
    }
    const S *ll = c.at(plane, c.left(left)), *lr = c.at(plane, c.right(left));
    const S *rl = c.at(plane, c.left(right)), *rr = c.at(plane, c.right(right));
    const S scale = c.column_scale(c.x), left_scale = c.column_scale(left), right_scale = c.column_scale(right);
    for (int64_t i = 0; i < kLanes; ++i) {
        const S across = ((r[i + 1] - r[i - 1]) * s[i] - (l[i + 1] - l[i - 1]) * s[i]) * scale;
        const S along = ((rr[i] - rl[i]) * right_scale - (lr[i] - ll[i]) * left_scale) * scale;
        const S mean = (down[i] + along) / 2;
        const S gap = kDoubled ? half_gap_doubled(down[i], across, along) : half_gap(down[i], across, along);
        out[i] = mean + gap;
        out[kLanes + i] = mean - gap;
    }
}

// In double: the smaller one may be all that rounding leaves of two large numbers.
template <class S>
inline void eigenvalue_columns(const S* a, const S* b, const S* c, S* __restrict out) {
    for (int64_t i = 0; i < kLanes; ++i) {
        const double p = static_cast<double>(a[i]), q = static_cast<double>(b[i]), r = static_cast<double>(c[i]);
        const double mean = (p + r) / 2, gap = half_gap(p, q, r);
        out[i] = static_cast<S>(mean + gap);
        out[kLanes + i] = static_cast<S>(mean - gap);
    }
}

template <class S>
inline void location_column(const FeaturePlan& plan, const FeatureColumn<S>& c, int64_t k, S* out) {
    const double along = plan.columns[k * c.width + c.x];
    for (int64_t i = 0; i < kLanes; ++i) {
        const int64_t row = std::clamp<int64_t>(c.top + i, 0, c.height - 1);
        const double down = plan.rows[k * c.height + row];
        out[i] = static_cast<S>(length_of(down, along));
    }
}

// All maps of a column: (columns, kLanes).
template <class S>
inline void column_maps(const FeaturePlan& plan, const FeatureColumn<S>& c, S* out) {
    using namespace features;
    for (size_t m = 0; m < plan.n_maps; ++m) {
        const int64_t* map = plan.maps + 4 * m;
        const bool planes = map[0] != location;
        const S *a = planes ? c.at(map[1], c.x) : nullptr, *b = planes ? c.at(map[2], c.x) : nullptr;
        switch (map[0]) {
            case value: std::memcpy(out, a, kLanes * sizeof(S)); break;
            case sobel:
            case sobel_inner:
                sobel_column(c, map[1], out);
                if (map[0] == sobel_inner) c.clear_ring(out);
                break;
            case hessian: hessian_column<false>(c, map[1], out); break;
            case hessian_doubled: hessian_column<true>(c, map[1], out); break;
            case magnitude:
                for (int64_t i = 0; i < kLanes; ++i) out[i] = length_of(a[i], b[i]);
                break;
            case sum:
                for (int64_t i = 0; i < kLanes; ++i) out[i] = a[i] + b[i];
                break;
            case difference:
                for (int64_t i = 0; i < kLanes; ++i) out[i] = a[i] - b[i];
                break;
            case eigenvalues: eigenvalue_columns(a, b, c.at(map[3], c.x), out); break;
            case deviation:
                for (int64_t i = 0; i < kLanes; ++i) out[i] = deviation_of(a[i], b[i]);
                break;
            default: location_column(plan, c, map[1], out); break;
        }
        out += kColumns[map[0]] * kLanes;
    }
}

}  // namespace
}  // namespace maskmill::MASKMILL_SIMD
