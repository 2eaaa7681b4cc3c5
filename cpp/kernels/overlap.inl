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

}  // namespace
}  // namespace maskmill::MASKMILL_SIMD
