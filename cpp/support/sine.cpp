#include "support/sine.hpp"

#include <cmath>

namespace maskmill {
namespace {

// x minus a multiple of pi/2, as the sum of two doubles; pi/2 is taken in three parts, the first two of 33 bits, so
// that their products with a small integer are exact.
struct Reduced {
    double high, low;
    int quadrant;
};

Reduced reduced(double x) {
    constexpr double kHigh = 0x1.921fb544p+0, kMiddle = 0x1.0b4611a6p-34, kLow = 0x1.3198a2e037073p-69;
    const double n = std::floor(x * 0.6366197723675814 + 0.5);
    const double a = x - n * kHigh;
    const double b = n * kMiddle;
    const double c = a - b;
    const double rest = n * kLow - ((a - c) - b);
    const double high = c - rest;
    return {high, (c - high) - rest, static_cast<int>(n) & 3};
}

// Taylor's series; on |x| <= pi/4 the first term left out is below 2^-66 of the sum.
double sine_of(double x, double low) {
    const double z = x * x;
    double p = -1.0 / 1307674368000.0 + z * (1.0 / 355687428096000.0);
    p = 1.0 / 6227020800.0 + z * p;
    p = -1.0 / 39916800.0 + z * p;
    p = 1.0 / 362880.0 + z * p;
    p = -1.0 / 5040.0 + z * p;
    p = 1.0 / 120.0 + z * p;
    p = -1.0 / 6.0 + z * p;
    return x + (x * z * p + low * (1.0 - 0.5 * z));
}

double cosine_of(double x, double low) {
    const double z = x * x;
    double p = -1.0 / 87178291200.0 + z * (1.0 / 20922789888000.0);
    p = 1.0 / 479001600.0 + z * p;
    p = -1.0 / 3628800.0 + z * p;
    p = 1.0 / 40320.0 + z * p;
    p = -1.0 / 720.0 + z * p;
    p = 1.0 / 24.0 + z * p;
    const double half = 0.5 * z;
    const double w = 1.0 - half;
    return w + (((1.0 - w) - half) + (z * z * p - x * low));
}

double of_quadrant(const Reduced& r, int quadrant) {
    const double value = quadrant % 2 == 0 ? sine_of(r.high, r.low) : cosine_of(r.high, r.low);
    return quadrant >= 2 ? -value : value;
}

}  // namespace

double sine(double x) {
    const Reduced r = reduced(x);
    return of_quadrant(r, r.quadrant);
}

double cosine(double x) {
    const Reduced r = reduced(x);
    return of_quadrant(r, (r.quadrant + 1) & 3);
}

namespace {

// Exact sum of two doubles.
struct Pair {
    double high, low;
};

Pair product(double a, double b) {
    constexpr double kSplit = 134217729.0;  // 2^27 + 1
    const double p = a * b;
    const double as = kSplit * a, bs = kSplit * b;
    const double ah = as - (as - a), bh = bs - (bs - b);
    const double al = a - ah, bl = b - bh;
    return {p, ((ah * bh - p) + ah * bl + al * bh) + al * bl};
}

}  // namespace

// As sine_of and cosine_of, but the largest terms are pairs.
double rounded_sine(double x) {
    const Pair z = product(x, x);
    const Pair cube = product(x, z.high);
    const Pair sixth = product(cube.high, -0.16666666666666666);
    const double low = sixth.low - (cube.low + x * z.low) / 6.0 - cube.high * 9.25185853854297e-18;
    double p = -1.0 / 1307674368000.0 + z.high * (1.0 / 355687428096000.0);
    p = 1.0 / 6227020800.0 + z.high * p;
    p = -1.0 / 39916800.0 + z.high * p;
    p = 1.0 / 362880.0 + z.high * p;
    p = -1.0 / 5040.0 + z.high * p;
    p = 1.0 / 120.0 + z.high * p;
    const double sum = x + sixth.high;
    const double lost = sixth.high - (sum - x);
    return sum + (lost + (low + cube.high * z.high * p));
}

double rounded_cosine(double x) {
    const Pair z = product(x, x);
    const Pair square = product(z.high, z.high);
    const Pair term = product(square.high, 0.041666666666666664);
    const double low = term.low + (square.low + 2.0 * z.high * z.low) / 24.0 + square.high * 2.3129646346357427e-18;
    double p = -1.0 / 87178291200.0 + z.high * (1.0 / 20922789888000.0);
    p = 1.0 / 479001600.0 + z.high * p;
    p = -1.0 / 3628800.0 + z.high * p;
    p = 1.0 / 40320.0 + z.high * p;
    p = -1.0 / 720.0 + z.high * p;
    const double half = 0.5 * z.high;
    const double first = 1.0 - half, lost = (1.0 - first) - half;
    const double sum = first + term.high;
    const double more = term.high - (sum - first);
    return sum + (lost + more + (low - 0.5 * z.low + square.high * z.high * p));
}

double rounded_eighth(double n) {
    constexpr double kHigh = 0.7853981633974483, kLow = 3.061616997868383e-17;
    const double q = kHigh / n;
    const Pair back = product(q, n);
    return q + ((kHigh - back.high) - back.low + kLow) / n;
}

}  // namespace maskmill
