// Loops of runs.cpp, once per instruction set.
namespace maskmill::MASKMILL_SIMD {
namespace {

inline uint64_t sum(const uint32_t* runs, size_t n) {
    uint64_t total = 0;
    for (size_t j = 0; j < n; ++j) total += runs[j];
    return total;
}

// Foreground: every second run.
inline uint64_t sum_odd(const uint32_t* runs, size_t n) {
    uint64_t total = 0;
    for (size_t j = 0; j < n / 2; ++j) total += runs[2 * j + 1];
    return total;
}

// Looks at all, without branches: most often there is none.
inline bool any_zero(const uint32_t* runs, size_t n) {
    uint32_t any = 0;
    for (size_t j = 0; j < n; ++j) any |= runs[j] == 0;
    return any != 0;
}

}  // namespace
}  // namespace maskmill::MASKMILL_SIMD
