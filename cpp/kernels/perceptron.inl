// Products of small matrices, and a step of Adam. See support/simd.hpp. Multiplications and additions are not fused:
// all instruction sets give the same bits. Without intrinsics, GCC reaches a seventh of the speed.

namespace maskmill::MASKMILL_SIMD {
namespace {

#if MASKMILL_SIMD_LEVEL == 2
using Lanes = __m512d;
constexpr size_t kLanes = 8, kRows = 8;
inline Lanes all(double x) { return _mm512_set1_pd(x); }
inline Lanes load(const double* p) { return _mm512_loadu_pd(p); }
inline void store(double* p, Lanes x) { _mm512_storeu_pd(p, x); }
inline Lanes plus_product(Lanes sum, Lanes x, Lanes y) { return _mm512_add_pd(sum, _mm512_mul_pd(x, y)); }
#elif MASKMILL_SIMD_LEVEL == 1
using Lanes = __m256d;
constexpr size_t kLanes = 4, kRows = 4;
inline Lanes all(double x) { return _mm256_set1_pd(x); }
inline Lanes load(const double* p) { return _mm256_loadu_pd(p); }
inline void store(double* p, Lanes x) { _mm256_storeu_pd(p, x); }
inline Lanes plus_product(Lanes sum, Lanes x, Lanes y) { return _mm256_add_pd(sum, _mm256_mul_pd(x, y)); }
#else
struct Lanes {
    double a, b;
};
constexpr size_t kLanes = 2, kRows = 4;
inline Lanes all(double x) { return {x, x}; }
inline Lanes load(const double* p) { return {p[0], p[1]}; }
inline void store(double* p, Lanes x) { p[0] = x.a, p[1] = x.b; }
inline Lanes plus_product(Lanes sum, Lanes x, Lanes y) { return {sum.a + x.a * y.a, sum.b + x.b * y.b}; }
#endif

// An (m, depth) matrix, element (i, k) at data[i * row + k * step], times (depth, n).
template <size_t R, size_t V>
inline void tile(const double* a, size_t row, size_t step, const double* b, size_t b_row, double* c, size_t c_row,
                 size_t depth) {
    Lanes sum[R][V];
    for (size_t r = 0; r < R; ++r) {
        for (size_t v = 0; v < V; ++v) sum[r][v] = all(0);
    }
    for (size_t k = 0; k < depth; ++k) {
        Lanes y[V];
        for (size_t v = 0; v < V; ++v) y[v] = load(b + k * b_row + v * kLanes);
        for (size_t r = 0; r < R; ++r) {
            const Lanes x = all(a[r * row + k * step]);
            for (size_t v = 0; v < V; ++v) sum[r][v] = plus_product(sum[r][v], x, y[v]);
        }
    }
    for (size_t r = 0; r < R; ++r) {
        for (size_t v = 0; v < V; ++v) store(c + r * c_row + v * kLanes, sum[r][v]);
    }
}

template <size_t V>
void columns(const Operand& a, const double* b, size_t b_row, double* c, size_t c_row, size_t m, size_t depth) {
    size_t i = 0;
    for (; i + kRows <= m; i += kRows) {
        tile<kRows, V>(a.data + i * a.row, a.row, a.step, b, b_row, c + i * c_row, c_row, depth);
    }
    for (; i < m; ++i) tile<1, V>(a.data + i * a.row, a.row, a.step, b, b_row, c + i * c_row, c_row, depth);
}

// c (m, n) = a (m, depth) b (depth, n); n is a multiple of 8.
void product(const Operand& a, const double* b, size_t b_row, double* c, size_t c_row, size_t m, size_t depth,
             size_t n) {
    size_t j = 0;
    for (; j + 2 * kLanes <= n; j += 2 * kLanes) columns<2>(a, b + j, b_row, c + j, c_row, m, depth);
    for (; j < n; j += kLanes) columns<1>(a, b + j, b_row, c + j, c_row, m, depth);
}

void add(const double* values, size_t n, double* sum) {
    for (size_t i = 0; i < n; ++i) sum[i] += values[i];
}

// One of Adam for n parameters whose gradient, summed over the rows, is given.
void step(const double* gradient, size_t n, double decay, double rows, double rate, double* parameters, double* first,
          double* second) {
    for (size_t i = 0; i < n; ++i) {
        const double g = (gradient[i] + parameters[i] * decay) / rows;
        first[i] = first[i] * kBeta1 + g * (1 - kBeta1);
        second[i] = second[i] * kBeta2 + g * g * (1 - kBeta2);
        parameters[i] -= first[i] / (std::sqrt(second[i]) + kEpsilon) * rate;
    }
}

}  // namespace
}  // namespace maskmill::MASKMILL_SIMD
