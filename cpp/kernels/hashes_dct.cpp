// The perceptual hashes: a DCT in the order of SciPy's operations (pocketfft: a real FFT of the folded signal), because
// on flat, striped and symmetric images rounding errors alone decide the bits.
#include <cmath>
#include <vector>

#include "kernels/hashes.hpp"
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

struct Twiddle {
    double re, im;
};

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

inline void add_subtract(Lanes& sum, Lanes& difference, const Lanes& a, const Lanes& b) {
    const Lanes s = a + b, d = a - b;
    sum = s;
    difference = d;
}

// One factor of the transform from frequencies to reals: input (blocks, factor, run), output (factor, blocks, run). The
// frequencies of a run are stored as re(0), re(1), im(1), re(2), ... The twiddle of output j and frequency k is
// twiddles[(j - 1) * (run / 2) + k - 1].
struct Pass {
    int64_t blocks, run, factor;
    const Lanes* in;
    Lanes* out;
    const Twiddle* twiddles;

    const Lanes& from(int64_t i, int64_t j, int64_t block) const { return in[i + run * (j + factor * block)]; }
    Lanes& to(int64_t i, int64_t block, int64_t j) const { return out[i + run * (block + blocks * j)]; }
    // (re, im), turned by the twiddle, is output j of frequency i / 2.
    void turn(int64_t i, int64_t block, int64_t j, const Lanes& re, const Lanes& im) const {
        const Twiddle w = twiddles[(j - 1) * (run / 2) + i / 2 - 1];
        to(i, block, j) = w.re * im + w.im * re;
        to(i - 1, block, j) = w.re * re - w.im * im;
    }
};

void pass2(const Pass& p) {
    const int64_t run = p.run;
    for (int64_t k = 0; k < p.blocks; ++k) {
        add_subtract(p.to(0, k, 0), p.to(0, k, 1), p.from(0, 0, k), p.from(run - 1, 1, k));
        if (run % 2 == 0) {
            p.to(run - 1, k, 0) = 2.0 * p.from(run - 1, 0, k);
            p.to(run - 1, k, 1) = -2.0 * p.from(0, 1, k);
        }
        for (int64_t i = 2; i < run; i += 2) {
            Lanes re, im;
            add_subtract(p.to(i - 1, k, 0), re, p.from(i - 1, 0, k), p.from(run - i - 1, 1, k));
            add_subtract(im, p.to(i, k, 0), p.from(i, 0, k), p.from(run - i, 1, k));
            p.turn(i, k, 1, re, im);
        }
    }
}

void pass3(const Pass& p) {
    constexpr double kCos = -0.5, kSin = 0.8660254037844386;
    const int64_t run = p.run;
    for (int64_t k = 0; k < p.blocks; ++k) {
        const Lanes twice = 2.0 * p.from(run - 1, 1, k);
        p.to(0, k, 0) = p.from(0, 0, k) + twice;
        add_subtract(p.to(0, k, 2), p.to(0, k, 1), p.from(0, 0, k) + kCos * twice, 2.0 * kSin * p.from(0, 2, k));
        for (int64_t i = 2; i < run; i += 2) {
            const int64_t m = run - i;
            Lanes rs, rd, js, jd, re1, im1, re2, im2;
            add_subtract(rs, rd, p.from(i - 1, 2, k), p.from(m - 1, 1, k));
            add_subtract(js, jd, p.from(i, 2, k), p.from(m, 1, k));
            p.to(i - 1, k, 0) = p.from(i - 1, 0, k) + rs;
            p.to(i, k, 0) = p.from(i, 0, k) + jd;
            add_subtract(re2, re1, p.from(i - 1, 0, k) + kCos * rs, kSin * js);
            add_subtract(im1, im2, p.from(i, 0, k) + kCos * jd, kSin * rd);
            p.turn(i, k, 1, re1, im1);
            p.turn(i, k, 2, re2, im2);
        }
    }
}

void pass4(const Pass& p) {
    constexpr double kRoot = 1.4142135623730951;
    const int64_t run = p.run;
    for (int64_t k = 0; k < p.blocks; ++k) {
        Lanes a, b;
        add_subtract(a, b, p.from(0, 0, k), p.from(run - 1, 3, k));
        add_subtract(p.to(0, k, 0), p.to(0, k, 2), a, 2.0 * p.from(run - 1, 1, k));
        add_subtract(p.to(0, k, 3), p.to(0, k, 1), b, 2.0 * p.from(0, 2, k));
        if (run % 2 == 0) {
            Lanes js, jd, rs, rd;
            add_subtract(js, jd, p.from(0, 3, k), p.from(0, 1, k));
            add_subtract(rs, rd, p.from(run - 1, 0, k), p.from(run - 1, 2, k));
            p.to(run - 1, k, 0) = rs + rs;
            p.to(run - 1, k, 1) = kRoot * (rd - js);
            p.to(run - 1, k, 2) = jd + jd;
            p.to(run - 1, k, 3) = -kRoot * (rd + js);
        }
        for (int64_t i = 2; i < run; i += 2) {
            const int64_t m = run - i;
            Lanes r1, r2, r3, r4, i1, i2, i3, i4, re1, re2, re3, im1, im2, im3;
            add_subtract(r2, r1, p.from(i - 1, 0, k), p.from(m - 1, 3, k));
            add_subtract(i1, i2, p.from(i, 0, k), p.from(m, 3, k));
            add_subtract(r4, i3, p.from(i, 2, k), p.from(m, 1, k));
            add_subtract(r3, i4, p.from(i - 1, 2, k), p.from(m - 1, 1, k));
            add_subtract(p.to(i - 1, k, 0), re2, r2, r3);
            add_subtract(p.to(i, k, 0), im2, i2, i3);
            add_subtract(re3, re1, r1, r4);
            add_subtract(im1, im3, i1, i4);
            p.turn(i, k, 1, re1, im1);
            p.turn(i, k, 2, re2, im2);
            p.turn(i, k, 3, re3, im3);
        }
    }
}

void pass5(const Pass& p) {
    constexpr double kCos1 = 0.30901699437494745, kSin1 = 0.9510565162951535;
    constexpr double kCos2 = -0.8090169943749475, kSin2 = 0.5877852522924731;
    const int64_t run = p.run;
    for (int64_t k = 0; k < p.blocks; ++k) {
        const Lanes re = p.from(0, 0, k), r1 = 2.0 * p.from(run - 1, 1, k), r2 = 2.0 * p.from(run - 1, 3, k);
        const Lanes i1 = 2.0 * p.from(0, 2, k), i2 = 2.0 * p.from(0, 4, k);
        p.to(0, k, 0) = re + r1 + r2;
        add_subtract(p.to(0, k, 4), p.to(0, k, 1), re + kCos1 * r1 + kCos2 * r2, kSin1 * i1 + kSin2 * i2);
        add_subtract(p.to(0, k, 3), p.to(0, k, 2), re + kCos2 * r1 + kCos1 * r2, kSin2 * i1 - kSin1 * i2);
        for (int64_t i = 2; i < run; i += 2) {
            const int64_t m = run - i;
            const Lanes r0 = p.from(i - 1, 0, k), j0 = p.from(i, 0, k);
            Lanes rs1, rd1, js1, jd1, rs2, rd2, js2, jd2, re1, re2, re3, re4, im1, im2, im3, im4;
            add_subtract(rs1, rd1, p.from(i - 1, 2, k), p.from(m - 1, 1, k));
            add_subtract(js1, jd1, p.from(i, 2, k), p.from(m, 1, k));
            add_subtract(rs2, rd2, p.from(i - 1, 4, k), p.from(m - 1, 3, k));
            add_subtract(js2, jd2, p.from(i, 4, k), p.from(m, 3, k));
            p.to(i - 1, k, 0) = r0 + rs1 + rs2;
            p.to(i, k, 0) = j0 + jd1 + jd2;
            add_subtract(re3, re2, r0 + kCos2 * rs1 + kCos1 * rs2, kSin2 * js1 - kSin1 * js2);
            add_subtract(im2, im3, j0 + kCos2 * jd1 + kCos1 * jd2, kSin2 * rd1 - kSin1 * rd2);
            add_subtract(re4, re1, r0 + kCos1 * rs1 + kCos2 * rs2, kSin1 * js1 + kSin2 * js2);
            add_subtract(im1, im4, j0 + kCos1 * jd1 + kCos2 * jd2, kSin1 * rd1 + kSin2 * rd2);
            p.turn(i, k, 1, re1, im1);
            p.turn(i, k, 2, re2, im2);
            p.turn(i, k, 3, re3, im3);
            p.turn(i, k, 4, re4, im4);
        }
    }
}

}  // namespace

// DCT-II of lengths 4 n; times 2 as SciPy has it, but the sum of `sum`, where that makes no difference to the bits.
class Dct {
  public:
    explicit Dct(int64_t length) : length_(length), cosines_(static_cast<size_t>(length)) {
        const Roots quarter(4 * length);
        for (int64_t i = 0; i < length; ++i) cosines_[static_cast<size_t>(i)] = quarter[i + 1].re;
        if (factorize() != 1) {
            factors_.clear();
            circle_.resize(static_cast<size_t>(4 * length));
            for (int64_t i = 0; i < 4 * length; ++i) circle_[static_cast<size_t>(i)] = quarter[i].re;
            return;
        }
        const Roots roots(length);
        int64_t before = 1;
        for (const int64_t factor : factors_) {
            const int64_t run = length / (before * factor);
            std::vector<Twiddle> twiddles;
            for (int64_t j = 1; j < factor; ++j) {
                for (int64_t i = 1; i <= run / 2; ++i) twiddles.push_back(roots[j * before * i]);
            }
            twiddles_.push_back(std::move(twiddles));
            before *= factor;
        }
    }

    // x: `length` numbers, overwritten; more: as many.
    void operator()(Lanes* x, Lanes* more) const {
        if (!circle_.empty()) return sum(x, more);
        const int64_t n = length_, half = (n + 1) / 2;
        x[0] = 2.0 * x[0];
        x[n - 1] = 2.0 * x[n - 1];
        for (int64_t k = 1; k < n - 1; k += 2) add_subtract(x[k], x[k + 1], x[k + 1], x[k]);
        fft(x, more);
        for (int64_t k = 1, m = n - 1; k < half; ++k, --m) {
            const double a = cosines_[static_cast<size_t>(k - 1)], b = cosines_[static_cast<size_t>(m - 1)];
            const Lanes s = a * x[m] + b * x[k], d = a * x[k] - b * x[m];
            x[k] = 0.5 * (s + d);
            x[m] = 0.5 * (s - d);
        }
        x[half] = cosines_[static_cast<size_t>(half - 1)] * x[half];
    }

  private:
    // By the definition, where the length has other factors than 2, 3 and 5.
    void sum(Lanes* x, Lanes* more) const {
        for (int64_t k = 0; k < length_; ++k) {
            more[k] = 0.0 * x[0];
            for (int64_t j = 0; j < length_; ++j) {
                more[k] = more[k] + circle_[static_cast<size_t>(k * (2 * j + 1) % (4 * length_))] * x[j];
            }
        }
        std::copy_n(more, length_, x);
    }

    // What is left without the factors 2, 3 and 5.
    int64_t factorize() {
        int64_t rest = length_;
        for (; rest % 4 == 0; rest /= 4) factors_.push_back(4);
        if (rest % 2 == 0) {
            factors_.push_back(2);
            rest /= 2;
            std::swap(factors_.front(), factors_.back());
        }
        for (const int64_t odd : {3, 5}) {
            for (; rest % odd == 0; rest /= odd) factors_.push_back(odd);
        }
        return rest;
    }

    // The result is in x.
    void fft(Lanes* x, Lanes* more) const {
        Lanes *in = x, *out = more;
        int64_t before = 1;
        for (size_t k = 0; k < factors_.size(); ++k, std::swap(in, out)) {
            const int64_t factor = factors_[k];
            const Pass pass{before, length_ / (before * factor), factor, in, out, twiddles_[k].data()};
            switch (factor) {
                case 2: pass2(pass); break;
                case 3: pass3(pass); break;
                case 4: pass4(pass); break;
                default: pass5(pass);
            }
            before *= factor;
        }
        if (in != x) std::copy_n(in, length_, x);
    }

    int64_t length_;
    std::vector<double> cosines_, circle_;
    std::vector<int64_t> factors_;
    std::vector<std::vector<Twiddle>> twiddles_;
};

namespace {

// NumPy's order of adding up: eight sums side by side, the halves of what is long apart.
double pairwise_sum(const double* p, int64_t n) {
    if (n < 8) {
        double sum = -0.0;
        for (int64_t i = 0; i < n; ++i) sum += p[i];
        return sum;
    }
    if (n > 128) {
        const int64_t half = n / 2 - n / 2 % 8;
        return pairwise_sum(p, half) + pairwise_sum(p + half, n - half);
    }
    double r[8];
    std::copy_n(p, 8, r);
    int64_t i = 8;
    for (; i < n - n % 8; i += 8) {
        for (int64_t j = 0; j < 8; ++j) r[j] += p[i + j];
    }
    double sum = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
    for (; i < n; ++i) sum += p[i];
    return sum;
}

}  // namespace

namespace {

// OpenCV's: the mean without the DC term. Makes the block orthonormal and rounds it to floats, as OpenCV's is; its own
// rounding errors, which depend on the processor, are not followed.
double opencv_limit(double* block, int64_t n) {
    const double first = std::sqrt(1.0 / static_cast<double>(16 * n)),
                 other = std::sqrt(1.0 / static_cast<double>(8 * n));
    double sum = 0;
    for (int64_t y = 0; y < n; ++y) {
        for (int64_t x = 0; x < n; ++x, ++block) {
            *block *= (y == 0 ? first : other) * (x == 0 ? first : other);
            *block = static_cast<float>(x == 0 && y == 0 ? 0.0 : *block);
            sum += *block;
        }
    }
    return static_cast<float>(sum / static_cast<double>(n * n));
}

}  // namespace

DctBits::DctBits(const HashRule& rule) : rule_(rule), dct_(std::make_unique<const Dct>(4 * rule.size)) {}
DctBits::~DctBits() = default;

void DctBits::operator()(const uint8_t* grid, HashMemory& memory) const {
    const int64_t n = rule_.size, side = 4 * n;
    constexpr int64_t kLanes = Lanes::kCount;
    const auto bits = static_cast<size_t>(rule_.bits());
    const bool simple = rule_.kind == HashKind::phash_simple;
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
            (*dct_)(lanes, lanes + side);
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
        (*dct_)(lanes, lanes + side);
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
