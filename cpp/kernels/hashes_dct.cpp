// The perceptual hashes: what the DCT of hashes_dct.inl needs, and the bits made of it.
#include <cmath>
#include <vector>

#include "kernels/hashes_dct.inl"
#include "support/sine.hpp"

namespace maskmill {
namespace {

// Lines that are transformed together, as one number.
struct Lanes {
    static constexpr int64_t kCount = 8;
    double v[kCount];
};
#define MASKMILL_LANES(op)                                                     \
    inline Lanes operator op(const Lanes& a, const Lanes& b) {                 \
        Lanes r;                                                               \
        for (int64_t i = 0; i < Lanes::kCount; ++i) r.v[i] = a.v[i] op b.v[i]; \
        return r;                                                              \
    }
MASKMILL_LANES(+)
MASKMILL_LANES(-)
#undef MASKMILL_LANES
inline Lanes operator*(double a, const Lanes& b) {
    Lanes r;
    for (int64_t i = 0; i < Lanes::kCount; ++i) r.v[i] = a * b.v[i];
    return r;
}

// exp(2 pi i k / n), from two tables whose entries are multiplied: the products' rounding is part of the definition.
class Roots {
  public:
    explicit Roots(int64_t n) : n_(n) {
        const int64_t values = (n + 2) / 2;
        while ((int64_t{1} << shift_) * (int64_t{1} << shift_) < values) ++shift_;
        const int64_t fine = int64_t{1} << shift_;
        for (int64_t i = 0; i < fine; ++i) fine_.push_back(root(i));
        for (int64_t i = 0; i < (values + fine - 1) / fine; ++i) coarse_.push_back(root(i * fine));
    }
    Twiddle operator[](int64_t k) const {
        const bool mirrored = 2 * k > n_;
        if (mirrored) k = n_ - k;
        const Twiddle a = fine_[k & ((int64_t{1} << shift_) - 1)], b = coarse_[k >> shift_];
        const Twiddle r{a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
        return {r.re, mirrored ? -r.im : r.im};
    }

  private:
    // Angles up to an eighth of the circle are computed, the others are mirrored.
    Twiddle root(int64_t k) const {
        const double angle = rounded_eighth(static_cast<double>(n_));  // one 8n-th of the circle
        const auto c = [&](int64_t x) { return rounded_cosine(static_cast<double>(x) * angle); };
        const auto s = [&](int64_t x) { return rounded_sine(static_cast<double>(x) * angle); };
        const int64_t n = n_;
        int64_t x = 8 * k;
        if (k == 0) return {1, 0};
        if (x < 2 * n) return x < n ? Twiddle{c(x), s(x)} : Twiddle{s(2 * n - x), c(2 * n - x)};
        x -= 2 * n;  // never beyond half the circle
        return x < n ? Twiddle{-s(x), c(x)} : Twiddle{-c(2 * n - x), s(2 * n - x)};
    }

    int64_t n_;
    int shift_ = 1;
    std::vector<Twiddle> fine_, coarse_;
};

}  // namespace

Dct::Dct(int64_t length) : cosines(static_cast<size_t>(length)), length_(length) {
    const Roots quarter(4 * length);
    for (int64_t i = 0; i < length; ++i) cosines[static_cast<size_t>(i)] = quarter[i + 1].re;
    int64_t rest = length;  // without the factors 2, 3 and 5
    for (; rest % 4 == 0; rest /= 4) factors_.push_back(4);
    if (rest % 2 == 0) {
        factors_.push_back(2);
        rest /= 2;
        std::swap(factors_.front(), factors_.back());
    }
    for (const int64_t odd : {3, 5}) {
        for (; rest % odd == 0; rest /= odd) factors_.push_back(odd);
    }
    if (rest != 1) {
        factors_.clear();
        circle.resize(static_cast<size_t>(4 * length));
        for (int64_t i = 0; i < 4 * length; ++i) circle[static_cast<size_t>(i)] = quarter[i].re;
        return;
    }
    const Roots roots(length);
    int64_t before = 1;
    for (const int64_t factor : factors_) {
        const int64_t run = length / (before * factor);
        starts_.push_back(static_cast<int64_t>(twiddles.size()));
        for (int64_t j = 1; j < factor; ++j) {
            for (int64_t i = 1; i <= run / 2; ++i) twiddles.push_back(roots[j * before * i]);
        }
        before *= factor;
    }
}

DctPlan Dct::plan() const {
    DctPlan plan;
    plan.length = length_;
    plan.cosines = cosines.data();
    plan.circle = circle.empty() ? nullptr : circle.data();
    plan.twiddles = twiddles.data();
    plan.n_factors = static_cast<int>(factors_.size());
    std::copy(factors_.begin(), factors_.end(), plan.factors);
    std::copy(starts_.begin(), starts_.end(), plan.starts);
    return plan;
}

DctBits::DctBits(const HashRule& rule) : rule_(rule), dct_(std::make_unique<const Dct>(4 * rule.size)) {}
DctBits::~DctBits() = default;

void DctBits::operator()(const uint8_t* grid, HashMemory& memory) const {
    const int64_t n = rule_.size, side = 4 * n;
    constexpr int64_t kLanes = Lanes::kCount;
    const auto bits = static_cast<size_t>(rule_.bits());
    const bool simple = rule_.kind == HashKind::phash_simple;
    const DctPlan plan = dct_->plan();
    memory.values.resize(static_cast<size_t>(2 * side * kLanes));
    auto* lanes = reinterpret_cast<Lanes*>(memory.values.data());
    // After the columns' transform only the rows of low frequency are needed: (n, side).
    memory.more.resize(static_cast<size_t>(n * (side + kLanes)));
    double* rows = memory.more.data();
    if (simple) {
        for (int64_t i = 0; i < n * side; ++i) rows[i] = grid[i];
    } else {
        for (int64_t x = 0; x < side; x += kLanes) {
            const int64_t count = std::min(kLanes, side - x);
            for (int64_t y = 0; y < side; ++y) {
                for (int64_t l = 0; l < kLanes; ++l) lanes[y].v[l] = grid[y * side + x + std::min(l, count - 1)];
            }
            dct(plan, lanes, lanes + side);
            for (int64_t y = 0; y < n; ++y) std::copy_n(lanes[y].v, count, rows + y * side + x);
        }
    }
    memory.sorted.resize(2 * bits);
    double* block = memory.sorted.data();
    const int64_t first = simple ? 1 : 0;
    for (int64_t y = 0; y < n; y += kLanes) {
        const int64_t count = std::min(kLanes, n - y);
        for (int64_t x = 0; x < side; ++x) {
            for (int64_t l = 0; l < kLanes; ++l) lanes[x].v[l] = rows[(y + std::min(l, count - 1)) * side + x];
        }
        dct(plan, lanes, lanes + side);
        for (int64_t l = 0; l < count; ++l) {
            for (int64_t x = 0; x < n; ++x) block[(y + l) * n + x] = lanes[x + first].v[l];
        }
    }
    double limit = 0;
    if (rule_.profile == HashProfile::opencv) {
        limit = opencv_limit(block, n);
    } else if (simple) {
        limit = pairwise_sum(block, rule_.bits()) / static_cast<double>(bits);
    } else {
        const size_t skipped = rule_.profile == HashProfile::imagededup ? 1 : 0;
        double* sorted = block + bits;
        std::copy_n(block + skipped, bits - skipped, sorted);
        std::sort(sorted, sorted + bits - skipped);
        limit = (sorted[(bits - skipped - 1) / 2] + sorted[(bits - skipped) / 2]) / 2;
    }
    const bool or_equal = rule_.profile == HashProfile::imagededup;
    for (size_t i = 0; i < bits; ++i) memory.bits[i] = block[i] > limit || (or_equal && block[i] == limit);
}

}  // namespace maskmill
