#include "support/runs.hpp"

#define MASKMILL_SIMD_FILE "support/runs.inl"
#include "support/simd_foreach.hpp"

namespace maskmill {

uint64_t sum_of(std::span<const uint32_t> runs) { return MASKMILL_DISPATCH(sum, runs.data(), runs.size()); }

uint64_t area_of(std::span<const uint32_t> runs) { return MASKMILL_DISPATCH(sum_odd, runs.data(), runs.size()); }

bool has_inner_zero(std::span<const uint32_t> runs) {
    return !runs.empty() && MASKMILL_DISPATCH(any_zero, runs.data() + 1, runs.size() - 1);
}

}  // namespace maskmill
