#include "support/simd.hpp"

#include <algorithm>
#include <atomic>

#if defined(_MSC_VER) && defined(_M_X64)
#include <immintrin.h>
#include <intrin.h>
#endif

namespace maskmill {
namespace {

Simd detect() {
#if MASKMILL_X86 && (defined(__GNUC__) || defined(__clang__))
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vpopcntdq") &&
        __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vnni") &&
        __builtin_cpu_supports("gfni")) {
        return Simd::avx512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
        __builtin_cpu_supports("popcnt")) {
        return Simd::avx2;
    }
#elif MASKMILL_X86 && defined(_MSC_VER)
    int r[4];
    __cpuid(r, 0);
    if (r[0] < 7) return Simd::baseline;
    __cpuidex(r, 1, 0);
    const bool os_saves_ymm = (r[2] >> 27 & 1) != 0 && (_xgetbv(0) & 0x6) == 0x6;
    const bool popcnt = (r[2] >> 23 & 1) != 0;
    __cpuidex(r, 7, 0);
    const auto b = static_cast<unsigned>(r[1]), c = static_cast<unsigned>(r[2]);
    const bool avx2 = os_saves_ymm && popcnt && (b >> 5 & 1) && (b >> 3 & 1) && (b >> 8 & 1);
    const bool os_saves_zmm = os_saves_ymm && (_xgetbv(0) & 0xe6) == 0xe6;
    const bool avx512 = os_saves_zmm && (b >> 16 & 1) && (b >> 17 & 1) && (b >> 30 & 1) && (b >> 31 & 1) &&
                        (c >> 1 & 1) && (c >> 8 & 1) && (c >> 11 & 1) && (c >> 14 & 1);
    if (avx2 && avx512) return Simd::avx512;
    if (avx2) return Simd::avx2;
#endif
    return Simd::baseline;
}

std::atomic<int> allowed{static_cast<int>(Simd::avx512)};

}  // namespace

Simd best_simd_level() {
    static const Simd best = detect();
    return best;
}

Simd simd_level() { return std::min(best_simd_level(), static_cast<Simd>(allowed.load(std::memory_order_relaxed))); }

void set_simd_level(Simd level) { allowed.store(static_cast<int>(level)); }

}  // namespace maskmill
