// What crf_mean_field.cpp does to rows of labels at every level of instructions: splat, blur, slice and softmax. A row has
// W floats, one cache line at most. See support/simd.hpp.

namespace maskmill::MASKMILL_SIMD {
namespace {

// W floats with the operations of one. Compilers that have such a type keep it in registers, where they leave loops over a
// row scalar.
#if defined(__GNUC__) || defined(__clang__)
template <int W>
struct RowType {
    typedef float type __attribute__((vector_size(W * sizeof(float))));
};
template <int W>
using Row = typename RowType<W>::type;
#else
template <int W>
struct Row {
    float lane[W];
    Row& operator+=(const Row& other) {
        for (int l = 0; l < W; ++l) lane[l] += other.lane[l];
        return *this;
    }
    Row operator+(const Row& other) const { return Row(*this) += other; }
    Row operator*(float factor) const {
        Row out;
        for (int l = 0; l < W; ++l) out.lane[l] = lane[l] * factor;
        return out;
    }
};
#endif

// Lanes that have S in their number change places between rows a and b, which is S behind.
template <int S, int W, int... L>
inline void crf_cross(Row<W>& a, Row<W>& b, std::integer_sequence<int, L...>) {
#if defined(__clang__) || (defined(__GNUC__) && __GNUC__ >= 12)
    const Row<W> x = a, y = b;
    a = __builtin_shufflevector(x, y, ((L & S) != 0 ? W + L - S : L)...);
    b = __builtin_shufflevector(x, y, ((L & S) != 0 ? W + L : L + S)...);
#else
    float x[W], y[W];
    std::memcpy(x, &a, sizeof(x));
    std::memcpy(y, &b, sizeof(y));
    (((L & S) != 0 ? std::swap(x[L], y[L - S]) : void()), ...);
    std::memcpy(&a, x, sizeof(x));
    std::memcpy(&b, y, sizeof(y));
#endif
}

// Turns a square.
template <int W, int S = W / 2>
inline void crf_turn(Row<W>* rows) {
    for (int i = 0; i < W; ++i) {
        if ((i & S) == 0) crf_cross<S, W>(rows[i], rows[i + S], std::make_integer_sequence<int, W>());
    }
    if constexpr (S > 1) crf_turn<W, S / 2>(rows);
}

// rows (kCrfBlock, W) from planes (labels), n apart; zeros beyond the labels. `factor`: for each point, or null.
template <int W>
void crf_to_rows(const float* planes, size_t n, size_t labels, size_t count, const float* factor, float* rows) {
    size_t k = 0;
    for (; W >= 4 && k + W <= count; k += W) {
        Row<W> square[W] = {};
        for (size_t l = 0; l < labels; ++l) std::memcpy(&square[l], planes + l * n + k, sizeof(Row<W>));
        if constexpr (W >= 4) crf_turn<W>(square);
        std::memcpy(rows + k * W, square, sizeof(square));
    }
    for (; k < count; ++k) {
        for (size_t l = 0; l < W; ++l) rows[k * W + l] = l < labels ? planes[l * n + k] : 0.0f;
    }
    for (k = 0; k < count && factor != nullptr; ++k) {
        Row<W> row;
        std::memcpy(&row, rows + k * W, sizeof(row));
        row = row * factor[k];
        std::memcpy(rows + k * W, &row, sizeof(row));
    }
}

// Adds what points give to the vertices `first` .. `last` - 1, points in rising order: those from `begin` on, or `points`.
template <int W>
void crf_splat(const CrfLatticeView& lattice, const float* rows, const uint32_t* points, size_t begin, size_t count,
               uint32_t first, uint32_t last, float* values) {
    const auto corners = static_cast<size_t>(lattice.d + 1);
    for (size_t k = 0; k < count; ++k) {
        Row<W> row;
        std::memcpy(&row, rows + k * W, sizeof(row));
        const size_t at = (points == nullptr ? begin + k : points[k]) * corners;
        for (size_t e = at; e < at + corners; ++e) {
            const uint32_t vertex = lattice.vertices[e];
            if (vertex - first >= last - first) continue;
            Row<W> sum;
            std::memcpy(&sum, values + size_t{vertex} * W, sizeof(sum));
            sum += row * lattice.weights[e];
            std::memcpy(values + size_t{vertex} * W, &sum, sizeof(sum));
        }
    }
}

// Along one direction; row m is zero. Narrow rows are not asked for ahead: the processor has enough of them under way.
template <int W>
void crf_blur(const uint32_t* neighbours, const float* from, float* to, size_t begin, size_t end) {
    for (size_t v = begin; v < end; ++v) {
        if (W >= 8 && v + kCrfAhead < end) {
            prefetch_row(from + size_t{neighbours[2 * (v + kCrfAhead)]} * W);
            prefetch_row(from + size_t{neighbours[2 * (v + kCrfAhead) + 1]} * W);
        }
        Row<W> own, a, b;
        std::memcpy(&own, from + v * W, sizeof(own));
        std::memcpy(&a, from + size_t{neighbours[2 * v]} * W, sizeof(a));
        std::memcpy(&b, from + size_t{neighbours[2 * v + 1]} * W, sizeof(b));
        own += (a + b) * 0.5f;
        std::memcpy(to + v * W, &own, sizeof(own));
    }
}

// out (count, W): what comes back to `count` points from `begin` on.
template <int W>
void crf_slice(const CrfTerm& term, const float* values, bool few, size_t begin, size_t count, float* out) {
    const CrfLatticeView& lattice = term.lattice;
    const auto corners = static_cast<size_t>(lattice.d + 1);
    const size_t last = (begin + count) * corners;
    const float alpha = crf_alpha(lattice.d);
    for (size_t k = 0; k < count; ++k) {
        const size_t at = (begin + k) * corners;
        Row<W> sum{};
        for (size_t e = at; e < at + corners; ++e) {
            if (W >= 8 && e + kCrfAhead < last) prefetch_row(values + size_t{lattice.vertices[e + kCrfAhead]} * W);
            Row<W> row;
            std::memcpy(&row, values + size_t{lattice.vertices[e]} * W, sizeof(row));
            if (few) {
                sum += row * lattice.weights[e] * alpha;
            } else {
                sum += row * (lattice.weights[e] * alpha);
            }
        }
        if (term.after != nullptr) sum = sum * term.after[begin + k];
        std::memcpy(out + k * W, &sum, sizeof(sum));
    }
}

// planes (labels, kCrfBlock) += weight * rows (kCrfBlock, W), turned.
template <int W>
void crf_add(const float* rows, float weight, size_t labels, float* planes) {
    constexpr int kTurned = W >= 4 ? W : 1;
    for (size_t k = 0; W >= 4 && k < kCrfBlock; k += kTurned) {
        Row<W> square[W];
        std::memcpy(square, rows + k * W, sizeof(square));
        if constexpr (W >= 4) crf_turn<W>(square);
        for (size_t l = 0; l < labels; ++l) {
            Row<W> sum;
            std::memcpy(&sum, planes + l * kCrfBlock + k, sizeof(sum));
            sum += square[l] * weight;
            std::memcpy(planes + l * kCrfBlock + k, &sum, sizeof(sum));
        }
    }
    for (size_t l = 0; W < 4 && l < labels; ++l) {
        for (size_t k = 0; k < kCrfBlock; ++k) planes[l * kCrfBlock + k] += weight * rows[k * W + l];
    }
}

// planes (labels, kCrfBlock) = -unary, planes n apart.
void crf_negate(const float* unary, size_t n, size_t labels, size_t count, float* planes) {
    for (size_t l = 0; l < labels; ++l) {
        for (size_t k = 0; k < count; ++k) planes[l * kCrfBlock + k] = -unary[l * n + k];
    }
}

// Cephes' exponential, in float32 throughout.
inline void crf_exp(float* x) {
    for (int k = 0; k < kCrfBlock; ++k) {
        float v = x[k] > -88.3762626647949f ? x[k] : -88.3762626647949f;
        const float y = v * 1.44269504088896341f + 0.5f;
        const auto whole = static_cast<int32_t>(y);
        const int32_t n = whole - (static_cast<float>(whole) > y ? 1 : 0);
        const auto times = static_cast<float>(n);
        v = v - times * 0.693359375f;
        v = v - times * -2.12194440e-4f;
        const float square = v * v;
        float p = 1.9875691500e-4f;
        p = p * v + 1.3981999507e-3f;
        p = p * v + 8.3334519073e-3f;
        p = p * v + 4.1665795894e-2f;
        p = p * v + 1.6666665459e-1f;
        p = p * v + 5.0000001201e-1f;
        p = p * square + v;
        p = p + 1.0f;
        x[k] = p * std::bit_cast<float>((n + 127) << 23);
    }
}

// The exponential in double precision, rounded once.
inline void crf_exp_rounded(float* x) {
    for (int k = 0; k < kCrfBlock; ++k) {
        const double v = x[k] > -104.0f ? static_cast<double>(x[k]) : -104.0;
        const double z = v * (32 * 0x1.71547652b82fep+0);
        constexpr double kRound = 0x1.8p52;
        const double rounded = (z + kRound) - kRound;
        const double r = z - rounded;
        const auto n = static_cast<int32_t>(rounded);
        const double p = ((0x1.c6af84b912394p-5 / 32768) * r + 0x1.ebfce50fac4f3p-3 / 1024) * (r * r) +
                         ((0x1.62e42ff0c52d6p-1 / 32) * r + 1.0);
        const uint64_t power = static_cast<uint64_t>((n >> 5) + 1023) << 52;
        x[k] = static_cast<float>(p * (kCrfPowers[n & 31] * std::bit_cast<double>(power)));
    }
}

// Probabilities from logits (labels, kCrfBlock), in place. Labels are summed as four at a time: two running sums of
// fours, then the four of them, then the labels beyond.
void crf_softmax(float* logits, size_t labels) {
    constexpr int kLanes = kCrfBlock;
    float most[kLanes];
    std::memcpy(most, logits, sizeof(most));
    for (size_t l = 1; l < labels; ++l) {
        const float* x = logits + l * kLanes;
        for (int k = 0; k < kLanes; ++k) most[k] = x[k] > most[k] ? x[k] : most[k];
    }
    const size_t fours = labels / 4;
    for (size_t l = 0; l < labels; ++l) {
        float* x = logits + l * kLanes;
        for (int k = 0; k < kLanes; ++k) x[k] -= most[k];
        if (l < fours * 4) {
            crf_exp(x);
        } else {
            crf_exp_rounded(x);
        }
    }
    float sum[kLanes] = {};
    if (fours > 0) {
        float part[4][kLanes];
        for (size_t c = 0; c < 4; ++c) {
            const auto row = [&](size_t four) { return logits + (4 * four + c) * kLanes; };
            std::memcpy(part[c], row(0), sizeof(part[c]));
            float odd[kLanes] = {};
            const size_t pairs = fours / 2;
            for (size_t f = 1; f < 2 * pairs; ++f) {
                float* to = f % 2 == 1 ? odd : part[c];
                const float* x = row(f);
                for (int k = 0; k < kLanes; ++k) to[k] += x[k];
            }
            for (int k = 0; k < kLanes && pairs > 0; ++k) part[c][k] += odd[k];
            for (int k = 0; k < kLanes && fours % 2 == 1 && fours > 1; ++k) part[c][k] += row(fours - 1)[k];
        }
        for (int k = 0; k < kLanes; ++k) sum[k] = (part[0][k] + part[2][k]) + (part[1][k] + part[3][k]);
    }
    for (size_t l = fours * 4; l < labels; ++l) {
        for (int k = 0; k < kLanes; ++k) sum[k] += logits[l * kLanes + static_cast<size_t>(k)];
    }
    for (size_t l = 0; l < labels; ++l) {
        float* x = logits + l * kLanes;
        for (int k = 0; k < kLanes; ++k) x[k] /= sum[k];
    }
}

}  // namespace
}  // namespace maskmill::MASKMILL_SIMD
