// The wavelet hash, in the order of PyWavelets' operations: that order decides the bits where values tie.
#include "kernels/hashes.hpp"

namespace maskmill {
namespace {

constexpr double kHalf = 0.7071067811865476;

// One level on the leading side x side block of rows `stride` apart: columns first, then rows; the low half goes first.
void forward(double* p, int64_t side, int64_t stride, double* line) {
    const int64_t half = side / 2;
    for (int64_t k = 0; k < half; ++k) {  // `line` collects the high half, which the low one would overwrite
        double* even = p + 2 * k * stride;
        double* odd = even + stride;
        double* low = p + k * stride;
        double* high = line + k * side;
        for (int64_t x = 0; x < side; ++x) {
            const double a = even[x], b = odd[x];
            low[x] = kHalf * b + kHalf * a;
            high[x] = -kHalf * b + kHalf * a;
        }
    }
    for (int64_t k = 0; k < half; ++k) std::copy_n(line + k * side, side, p + (half + k) * stride);
    for (int64_t y = 0; y < side; ++y) {
        double* row = p + y * stride;
        for (int64_t k = 0; k < half; ++k) {
            const double a = row[2 * k], b = row[2 * k + 1];
            row[k] = kHalf * b + kHalf * a;
            line[k] = -kHalf * b + kHalf * a;
        }
        std::copy_n(line, half, row + half);
    }
}

// The inverse: rows first, then columns.
void backward(double* p, int64_t side, int64_t stride, double* line) {
    const int64_t half = side / 2;
    for (int64_t y = 0; y < side; ++y) {
        double* row = p + y * stride;
        for (int64_t k = 0; k < half; ++k) {
            const double a = row[k], d = row[half + k];
            line[2 * k] = kHalf * a + kHalf * d;
            line[2 * k + 1] = kHalf * a + -kHalf * d;
        }
        std::copy_n(line, side, row);
    }
    for (int64_t y = 0; y < half; ++y) std::copy_n(p + y * stride, side, line + y * side);
    for (int64_t k = 0; k < half; ++k) {
        const double* low = line + k * side;
        const double* high = p + (half + k) * stride;
        double* even = p + 2 * k * stride;
        double* odd = even + stride;
        for (int64_t x = 0; x < side; ++x) {
            const double a = low[x], d = high[x];
            even[x] = kHalf * a + kHalf * d;
            odd[x] = kHalf * a + -kHalf * d;
        }
    }
}

}  // namespace

void hashes_whash_bits(const uint8_t* grid, int64_t side, const HashRule& rule, HashMemory& memory) {
    const int64_t n = rule.size;
    const auto pixels = static_cast<size_t>(side * side);
    memory.values.resize(pixels);
    memory.more.resize(pixels);
    double* p = memory.values.data();
    for (size_t i = 0; i < pixels; ++i) p[i] = grid[i] / 255.0;
    if (rule.profile != HashProfile::imagededup) {
        // The mean is taken out by way of the whole transform and back.
        for (int64_t s = side; s > 1; s /= 2) forward(p, s, side, memory.more.data());
        p[0] *= 0;
        for (int64_t s = 2; s <= side; s *= 2) backward(p, s, side, memory.more.data());
    }
    for (int64_t s = side; s > n; s /= 2) forward(p, s, side, memory.more.data());
    const auto bits = static_cast<size_t>(rule.bits());
    memory.sorted.resize(bits);
    double* low = memory.sorted.data();
    for (int64_t y = 0; y < n; ++y) std::copy_n(p + y * side, n, low + y * n);
    std::copy_n(low, bits, memory.more.data());
    std::sort(low, low + bits);
    const double median = (low[(bits - 1) / 2] + low[bits / 2]) / 2;
    const bool or_equal = rule.profile == HashProfile::imagededup;
    const double* value = memory.more.data();
    for (size_t i = 0; i < bits; ++i) memory.bits[i] = value[i] > median || (or_equal && value[i] == median);
}

}  // namespace maskmill
