// What PDQ is made of, for the host and for a GPU.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "support/host_device.hpp"

namespace maskmill {

constexpr int64_t kPdqSide = 64;      // of the pixels that are transformed
constexpr int64_t kPdqLeastSide = 5;  // of an image that has a hash
constexpr int64_t kPdqExact = 256;    // gray images of sides up to this are filtered without a rounding
constexpr int kPdqMedianRank = 127;   // of 256, from 0

// How many pixels a box filter adds up along an axis.
MASKMILL_HD int64_t pdq_window(int64_t side) { return (side + 2 * kPdqSide - 1) / (2 * kPdqSide); }

// Where sample k is taken from: the pixel under its centre.
MASKMILL_HD int64_t pdq_sampled(int64_t k, int64_t side) { return (2 * k + 1) * side / (2 * kPdqSide); }

struct PdqCosines {
    alignas(64) float matrix[16 * 64];
    alignas(64) float turned[64 * 16];

    PdqCosines() {
        constexpr double pi = 3.14159265358979323846;
        const auto scale = static_cast<float>(std::sqrt(2.0 / 64));
        for (int i = 0; i < 16; ++i) {
            for (int j = 0; j < 64; ++j) {
                const double c = scale * std::cos(pi / 2 / 64 * (i + 1) * (2 * j + 1));
                matrix[i * 64 + j] = turned[j * 16 + i] = static_cast<float>(c);
            }
        }
    }
};

inline const PdqCosines& pdq_cosines() {
    static const PdqCosines made;
    return made;
}

// Integers in the order of the floats (-0 before 0).
MASKMILL_HD int32_t pdq_ordered(int32_t bits) { return bits < 0 ? bits ^ 0x7fffffff : bits; }

// The 128th smallest of 256 is found bit by bit: the greatest value that has no more than 127 below it. From the sign
// on, a set bit means more; only for the sign itself it means less.
MASKMILL_HD int32_t pdq_tried(uint32_t found, uint32_t bit) {
    return static_cast<int32_t>(bit == 0x80000000U ? 0U : found | bit);
}

// A turned or mirrored image has the same frequencies, transposed or with the odd ones of an axis negated.
struct PdqTurn {
    bool transposed, odd_rows, odd_columns;

    // Of number (i, j). Index 0 is frequency 1: without the mean, the even indices are the odd ones.
    MASKMILL_HD bool negates(int i, int j) const { return (odd_rows && i % 2 == 0) != (odd_columns && j % 2 == 0); }
};
// In the order of hashes_pdq: bit k of each number is of code k.
MASKMILL_HD PdqTurn pdq_turn(int k) {
    return {(0b11001010 >> k & 1) != 0, (0b10010110 >> k & 1) != 0, (0b10101100 >> k & 1) != 0};
}

}  // namespace maskmill
