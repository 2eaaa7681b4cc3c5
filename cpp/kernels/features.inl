// Loops of features.cpp, once per instruction set. A panel has kWide doubles a row, which are summed side by side.
namespace maskmill::MASKMILL_SIMD {
namespace {

#if MASKMILL_SIMD_LEVEL == 2
using Doubles = __m512d;
inline Doubles load(const double* p) { return _mm512_load_pd(p); }
inline Doubles fill(double x) { return _mm512_set1_pd(x); }
inline Doubles plus(Doubles a, Doubles b) { return _mm512_add_pd(a, b); }
inline Doubles minus(Doubles a, Doubles b) { return _mm512_sub_pd(a, b); }
inline Doubles times(Doubles a, Doubles b) { return _mm512_mul_pd(a, b); }
inline void store(double* p, Doubles a) { _mm512_storeu_pd(p, a); }
inline void store(float* p, Doubles a) { _mm256_storeu_ps(p, _mm512_cvtpd_ps(a)); }
#elif MASKMILL_SIMD_LEVEL == 1
using Doubles = __m256d;
inline Doubles load(const double* p) { return _mm256_load_pd(p); }
inline Doubles fill(double x) { return _mm256_set1_pd(x); }
inline Doubles plus(Doubles a, Doubles b) { return _mm256_add_pd(a, b); }
inline Doubles minus(Doubles a, Doubles b) { return _mm256_sub_pd(a, b); }
inline Doubles times(Doubles a, Doubles b) { return _mm256_mul_pd(a, b); }
inline void store(double* p, Doubles a) { _mm256_storeu_pd(p, a); }
inline void store(float* p, Doubles a) { _mm_storeu_ps(p, _mm256_cvtpd_ps(a)); }
#else
using Doubles = double;
inline Doubles load(const double* p) { return *p; }
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
template <class In>
inline void widen(const In* from, int64_t step, const int64_t* rows, int64_t n, int64_t count, bool square,
                  double* panel) {
    for (int64_t i = 0; i < n; ++i, panel += kWide) {
        const In* line = from + rows[i] * step;
        if (count == kWide) {
            for (int64_t l = 0; l < kWide; ++l) panel[l] = static_cast<double>(line[l]);
        } else {
            for (int64_t l = 0; l < count; ++l) panel[l] = static_cast<double>(line[l]);
            for (int64_t l = count; l < kWide; ++l) panel[l] = 0;
        }
        if (square) {
            for (int64_t l = 0; l < kWide; ++l) panel[l] *= panel[l];
        }
    }
}

// out[j * out_step + i] = data[i * step + j]
template <class S>
inline void transpose(const S* data, int64_t step, int64_t lines, int64_t width, S* out, int64_t out_step) {
    for (int64_t i0 = 0; i0 < lines; i0 += 16) {
        const int64_t i1 = std::min<int64_t>(i0 + 16, lines);
        for (int64_t j = 0; j < width; ++j) {
            for (int64_t i = i0; i < i1; ++i) out[j * out_step + i] = data[i * step + j];
        }
    }
}

// Maps of one column of pixels, kLanes rows at once.

template <class S>
inline void sobel_column(const FeatureColumn<S>& c, int64_t plane, S* out) {
    const S *l = c.at(plane, c.left(c.x)), *m = c.at(plane, c.x), *r = c.at(plane, c.right(c.x));
    for (int64_t i = 0; i < kLanes; ++i) {
        out[i] = sobel_of<S>({l[i - 1], m[i - 1], r[i - 1], l[i], r[i], l[i + 1], m[i + 1], r[i + 1]});
    }
}

// numpy.gradient along one axis is (next - previous) * scale: half of that, but all of it where one is missing.
template <class S>
inline void gradient_down(const S* column, const S* scale, S* out) {
    for (int64_t i = 0; i < kLanes; ++i) out[i] = (column[i + 1] - column[i - 1]) * scale[i];
}

template <class S>
inline void hessian_column(const FeatureColumn<S>& c, int64_t plane, bool doubled, S* out) {
    const int64_t left = c.left(c.x), right = c.right(c.x);
    S memory[3][kLanes + 2];
    S *gl = memory[0] + 1, *gm = memory[1] + 1, *gr = memory[2] + 1;
    gradient_down(c.at(plane, left), c.row_scale, gl);
    gradient_down(c.at(plane, c.x), c.row_scale, gm);
    gradient_down(c.at(plane, right), c.row_scale, gr);
    gm[-1] = gm[kLanes] = 0;  // of rows that are not wanted
    c.extend(gm);
    const S *ll = c.at(plane, c.left(left)), *lr = c.at(plane, c.right(left));
    const S *rl = c.at(plane, c.left(right)), *rr = c.at(plane, c.right(right));
    const S scale = c.column_scale(c.x), left_scale = c.column_scale(left), right_scale = c.column_scale(right);
    for (int64_t i = 0; i < kLanes; ++i) {
        const S down = (gm[i + 1] - gm[i - 1]) * c.row_scale[i];
        const S across = (gr[i] - gl[i]) * scale;
        const S along = ((rr[i] - rl[i]) * right_scale - (lr[i] - ll[i]) * left_scale) * scale;
        const S mean = (down + along) / 2;
        const S gap = doubled ? half_gap_doubled(down, across, along) : half_gap(down, across, along);
        out[i] = mean + gap;
        out[kLanes + i] = mean - gap;
    }
}

template <class S>
inline void eigenvalue_columns(const S* a, const S* b, const S* c, S* out) {
    for (int64_t i = 0; i < kLanes; ++i) {
        const S mean = (a[i] + c[i]) / 2, gap = half_gap(a[i], b[i], c[i]);
        out[i] = mean + gap;
        out[kLanes + i] = mean - gap;
    }
}

template <class S>
inline void location_column(const FeaturePlan& plan, const FeatureColumn<S>& c, int64_t k, S* out) {
    const double along = plan.columns[k * c.width + c.x];
    for (int64_t i = 0; i < kLanes; ++i) {
        const int64_t row = std::clamp<int64_t>(c.top + i, 0, c.height - 1);
        const double down = plan.rows[k * c.height + row];
        out[i] = static_cast<S>(std::sqrt(along * along + down * down));
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
            case hessian:
            case hessian_doubled: hessian_column(c, map[1], map[0] == hessian_doubled, out); break;
            case magnitude:
                for (int64_t i = 0; i < kLanes; ++i) out[i] = root(a[i] * a[i] + b[i] * b[i]);
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
