// The DCT of the perceptual hashes, in the order of SciPy's operations (pocketfft: a real FFT of the folded signal), because
// on flat, striped and symmetric images rounding errors alone decide the bits. A line is anything that has numbers at
// [0] .. [length - 1]: one of doubles, or of several that are transformed together.
#pragma once

#include <cmath>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/hashes.hpp"
#include "support/host_device.hpp"

namespace maskmill {

struct Twiddle {
    double re, im;
};

// What a length needs, as views: the twiddles of factor k begin at twiddles[starts[k]].
struct DctPlan {
    static constexpr int kMost = 16;
    int64_t length = 0;
    const double *cosines = nullptr, *circle = nullptr;  // circle: only where there are factors other than 2, 3 and 5
    const Twiddle* twiddles = nullptr;
    int n_factors = 0;
    int64_t factors[kMost] = {}, starts[kMost] = {};
};

// DCT-II of lengths 4 n; times 2 as SciPy has it, but the sum of `dct_by_definition`, where that makes no difference to the
// bits.
class Dct {
  public:
    explicit Dct(int64_t length);
    DctPlan plan() const;

    std::vector<double> cosines, circle;
    std::vector<Twiddle> twiddles;

  private:
    int64_t length_;
    std::vector<int64_t> factors_, starts_;
};

template <class T>
MASKMILL_HD void add_subtract(T& sum, T& difference, const T& a, const T& b) {
    const T s = a + b, d = a - b;
    sum = s;
    difference = d;
}

// One factor of the transform from frequencies to reals: input (blocks, factor, run), output (factor, blocks, run). The
// frequencies of a run are stored as re(0), re(1), im(1), re(2), ... The twiddle of output j and frequency k is
// twiddles[(j - 1) * (run / 2) + k - 1].
template <class Line>
struct Pass {
    int64_t blocks, run, factor;
    Line in, out;
    const Twiddle* twiddles;
    using T = std::remove_reference_t<decltype(std::declval<Line&>()[0])>;

    MASKMILL_HD const T& from(int64_t i, int64_t j, int64_t block) const { return in[i + run * (j + factor * block)]; }
    MASKMILL_HD T& to(int64_t i, int64_t block, int64_t j) const { return out[i + run * (block + blocks * j)]; }
    // (re, im), turned by the twiddle, is output j of frequency i / 2.
    MASKMILL_HD void turn(int64_t i, int64_t block, int64_t j, const T& re, const T& im) const {
        const Twiddle w = twiddles[(j - 1) * (run / 2) + i / 2 - 1];
        to(i, block, j) = w.re * im + w.im * re;
        to(i - 1, block, j) = w.re * re - w.im * im;
    }
};

template <class Line>
MASKMILL_HD void pass2(const Pass<Line>& p) {
    using T = typename Pass<Line>::T;
    const int64_t run = p.run;
    for (int64_t k = 0; k < p.blocks; ++k) {
        add_subtract(p.to(0, k, 0), p.to(0, k, 1), p.from(0, 0, k), p.from(run - 1, 1, k));
        if (run % 2 == 0) {
            p.to(run - 1, k, 0) = 2.0 * p.from(run - 1, 0, k);
            p.to(run - 1, k, 1) = -2.0 * p.from(0, 1, k);
        }
        for (int64_t i = 2; i < run; i += 2) {
            T re, im;
            add_subtract(p.to(i - 1, k, 0), re, p.from(i - 1, 0, k), p.from(run - i - 1, 1, k));
            add_subtract(im, p.to(i, k, 0), p.from(i, 0, k), p.from(run - i, 1, k));
            p.turn(i, k, 1, re, im);
        }
    }
}

template <class Line>
MASKMILL_HD void pass3(const Pass<Line>& p) {
    using T = typename Pass<Line>::T;
    constexpr double kCos = -0.5, kSin = 0.8660254037844386;
    const int64_t run = p.run;
    for (int64_t k = 0; k < p.blocks; ++k) {
        const T twice = 2.0 * p.from(run - 1, 1, k);
        p.to(0, k, 0) = p.from(0, 0, k) + twice;
        add_subtract(p.to(0, k, 2), p.to(0, k, 1), p.from(0, 0, k) + kCos * twice, 2.0 * kSin * p.from(0, 2, k));
        for (int64_t i = 2; i < run; i += 2) {
            const int64_t m = run - i;
            T rs, rd, js, jd, re1, im1, re2, im2;
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

template <class Line>
MASKMILL_HD void pass4(const Pass<Line>& p) {
    using T = typename Pass<Line>::T;
    constexpr double kRoot = 1.4142135623730951;
    const int64_t run = p.run;
    for (int64_t k = 0; k < p.blocks; ++k) {
        T a, b;
        add_subtract(a, b, p.from(0, 0, k), p.from(run - 1, 3, k));
        add_subtract(p.to(0, k, 0), p.to(0, k, 2), a, 2.0 * p.from(run - 1, 1, k));
        add_subtract(p.to(0, k, 3), p.to(0, k, 1), b, 2.0 * p.from(0, 2, k));
        if (run % 2 == 0) {
            T js, jd, rs, rd;
            add_subtract(js, jd, p.from(0, 3, k), p.from(0, 1, k));
            add_subtract(rs, rd, p.from(run - 1, 0, k), p.from(run - 1, 2, k));
            p.to(run - 1, k, 0) = rs + rs;
            p.to(run - 1, k, 1) = kRoot * (rd - js);
            p.to(run - 1, k, 2) = jd + jd;
            p.to(run - 1, k, 3) = -kRoot * (rd + js);
        }
        for (int64_t i = 2; i < run; i += 2) {
            const int64_t m = run - i;
            T r1, r2, r3, r4, i1, i2, i3, i4, re1, re2, re3, im1, im2, im3;
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

template <class Line>
MASKMILL_HD void pass5(const Pass<Line>& p) {
    using T = typename Pass<Line>::T;
    constexpr double kCos1 = 0.30901699437494745, kSin1 = 0.9510565162951535;
    constexpr double kCos2 = -0.8090169943749475, kSin2 = 0.5877852522924731;
    const int64_t run = p.run;
    for (int64_t k = 0; k < p.blocks; ++k) {
        const T re = p.from(0, 0, k), r1 = 2.0 * p.from(run - 1, 1, k), r2 = 2.0 * p.from(run - 1, 3, k);
        const T i1 = 2.0 * p.from(0, 2, k), i2 = 2.0 * p.from(0, 4, k);
        p.to(0, k, 0) = re + r1 + r2;
        add_subtract(p.to(0, k, 4), p.to(0, k, 1), re + kCos1 * r1 + kCos2 * r2, kSin1 * i1 + kSin2 * i2);
        add_subtract(p.to(0, k, 3), p.to(0, k, 2), re + kCos2 * r1 + kCos1 * r2, kSin2 * i1 - kSin1 * i2);
        for (int64_t i = 2; i < run; i += 2) {
            const int64_t m = run - i;
            const T r0 = p.from(i - 1, 0, k), j0 = p.from(i, 0, k);
            T rs1, rd1, js1, jd1, rs2, rd2, js2, jd2, re1, re2, re3, re4, im1, im2, im3, im4;
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

template <class Line>
MASKMILL_HD void dct_by_definition(const DctPlan& plan, Line x, Line more) {
    for (int64_t k = 0; k < plan.length; ++k) {
        more[k] = 0.0 * x[0];
        for (int64_t j = 0; j < plan.length; ++j) {
            more[k] = more[k] + plan.circle[k * (2 * j + 1) % (4 * plan.length)] * x[j];
        }
    }
    for (int64_t k = 0; k < plan.length; ++k) x[k] = more[k];
}

// The result is in x.
template <class Line>
MASKMILL_HD void dct_fft(const DctPlan& plan, Line x, Line more) {
    int64_t before = 1;
    for (int k = 0; k < plan.n_factors; ++k) {
        const int64_t factor = plan.factors[k];
        const Pass<Line> pass{before,
                              plan.length / (before * factor),
                              factor,
                              k % 2 == 0 ? x : more,
                              k % 2 == 0 ? more : x,
                              plan.twiddles + plan.starts[k]};
        switch (factor) {
            case 2: pass2(pass); break;
            case 3: pass3(pass); break;
            case 4: pass4(pass); break;
            default: pass5(pass);
        }
        before *= factor;
    }
    if (plan.n_factors % 2 == 1) {
        for (int64_t i = 0; i < plan.length; ++i) x[i] = more[i];
    }
}

// x: `length` numbers, overwritten; more: as many.
template <class Line>
MASKMILL_HD void dct(const DctPlan& plan, Line x, Line more) {
    using T = typename Pass<Line>::T;
    if (plan.circle != nullptr) return dct_by_definition(plan, x, more);
    const int64_t n = plan.length, half = (n + 1) / 2;
    x[0] = 2.0 * x[0];
    x[n - 1] = 2.0 * x[n - 1];
    for (int64_t k = 1; k < n - 1; k += 2) add_subtract(x[k], x[k + 1], x[k + 1], x[k]);
    dct_fft(plan, x, more);
    for (int64_t k = 1, m = n - 1; k < half; ++k, --m) {
        const double a = plan.cosines[k - 1], b = plan.cosines[m - 1];
        const T s = a * x[m] + b * x[k], d = a * x[k] - b * x[m];
        x[k] = 0.5 * (s + d);
        x[m] = 0.5 * (s - d);
    }
    x[half] = plan.cosines[half - 1] * x[half];
}

// OpenCV's limit: the mean without the DC term. Makes the block orthonormal and rounds it to floats, as OpenCV's is; its own
// rounding errors, which depend on the processor, are not followed.
MASKMILL_HD double opencv_limit(double* block, int64_t n) {
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

// NumPy's order of adding up less than 129 numbers: eight sums side by side.
MASKMILL_HD double short_sum(const double* p, int64_t n) {
    if (n < 8) {
        double sum = -0.0;
        for (int64_t i = 0; i < n; ++i) sum += p[i];
        return sum;
    }
    double r[8];
    for (int64_t j = 0; j < 8; ++j) r[j] = p[j];
    int64_t i = 8;
    for (; i < n - n % 8; i += 8) {
        for (int64_t j = 0; j < 8; ++j) r[j] += p[i + j];
    }
    double sum = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
    for (; i < n; ++i) sum += p[i];
    return sum;
}

// The same of any number: the halves of what is long apart. Without recursion, which GPUs have little memory for: of
// each level that is open, what is still to be added up, and what its left half gave.
MASKMILL_HD double pairwise_sum(const double* p, int64_t n) {
    constexpr int kLevels = 32;
    int64_t rest[kLevels];
    double left[kLevels];
    bool has_left[kLevels];
    int level = 0;
    rest[0] = n;
    has_left[0] = false;
    for (;;) {
        while (rest[level] > 128) {  // down to the left
            const int64_t half = rest[level] / 2 - rest[level] / 2 % 8;
            rest[level] -= half;
            has_left[level] = false;
            rest[level + 1] = half;
            ++level;
        }
        double sum = short_sum(p, rest[level]);
        p += rest[level];
        for (--level; level >= 0 && has_left[level]; --level) sum = left[level] + sum;
        if (level < 0) return sum;
        left[level] = sum;
        has_left[level] = true;
        rest[level + 1] = rest[level];
        ++level;
    }
}

}  // namespace maskmill
