// Division of numbers that are not negative: a GPU takes 20 instructions for 32 bits, 70 for 64.
#pragma once

#include <bit>

#include "support/cuda.cuh"

namespace maskmill::cuda {

// Division by a number that is known before: a multiplication and shifts for 32 bits (Granlund and Montgomery 1994).
struct Divisor {
    uint64_t by = 1;
    uint32_t factor = 1;
    int first = 0, second = 0;

    Divisor() = default;
    explicit Divisor(int64_t d) : by(static_cast<uint64_t>(d)) {
        const int bits = std::bit_width(by - 1);
        if (bits > 32) return;
        factor = static_cast<uint32_t>((((uint64_t{1} << bits) - by) << 32) / by + 1);
        first = bits < 1 ? bits : 1;
        second = bits < 1 ? 0 : bits - 1;
    }
    MASKMILL_HD int64_t operator()(int64_t n) const {
        const uint64_t u = static_cast<uint64_t>(n);
        if ((u | by) >> 32 != 0) return static_cast<int64_t>(u / by);
        const uint32_t v = static_cast<uint32_t>(u);
        const uint32_t t = static_cast<uint32_t>((uint64_t{factor} * v) >> 32);
        return (t + ((v - t) >> first)) >> second;
    }
};

// Of numbers that are mostly below 2^32, which a GPU divides in a third of the time.
MASKMILL_HD int64_t quotient(int64_t a, int64_t b) {
    if ((static_cast<uint64_t>(a) | static_cast<uint64_t>(b)) >> 32 == 0) {
        return static_cast<uint32_t>(a) / static_cast<uint32_t>(b);
    }
    return a / b;
}

}  // namespace maskmill::cuda
