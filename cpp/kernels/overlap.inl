// Loops of overlap.cpp, once per instruction set.
#include "support/simd_ops.inl"

namespace maskmill::MASKMILL_SIMD {
namespace {

// Bits in common of two planes of word rows: `rows` rows of `n` words, `step` words apart.
inline uint64_t and_popcount_rows(const uint64_t* a, int64_t step_a, const uint64_t* b, int64_t step_b, int64_t rows,
                                  size_t n) {
    uint64_t total = 0;
    for (int64_t r = 0; r < rows; ++r, a += step_a, b += step_b) total += and_popcount(a, b, n);
    return total;
}

// Bit k: box k of 64 and `box` have an area in common; both as columns x0, x1, y0, y1.
inline uint64_t boxes_that_meet(const int32_t* sides, size_t stride, const int32_t* box) {
    const int32_t *x0 = sides, *x1 = x0 + stride, *y0 = x1 + stride, *y1 = y0 + stride;
    alignas(64) uint8_t meet[64];
    for (int k = 0; k < 64; ++k) {
        meet[k] = (x0[k] < box[1]) & (box[0] < x1[k]) & (y0[k] < box[3]) & (box[2] < y1[k]);
    }
    return nonzero64(meet);
}

}  // namespace
}  // namespace maskmill::MASKMILL_SIMD
