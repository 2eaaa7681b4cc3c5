// One way to use wider instructions than the baseline CPU has.
//
// A kernel that needs them writes its loops once, in `kernels/<name>.inl`, with the operations of
// support/simd_ops.inl, and includes them through support/simd_foreach.hpp: the loops are then compiled once per
// level, each in a namespace of its own, and MASKMILL_DISPATCH picks one when called. Everything else is plain
// C++. No file is compiled with wider flags as a whole, so no inline function of the standard library can leak
// wider instructions into the baseline.
#pragma once

namespace maskmill {

enum class Simd { baseline = 0, avx2 = 1, avx512 = 2 };

// The best level of this CPU, or a lower one set by set_simd_level (tests run every level).
Simd simd_level();
Simd best_simd_level();
void set_simd_level(Simd level);

}  // namespace maskmill

#if defined(__x86_64__) || defined(_M_X64)
#define MASKMILL_X86 1
#else
#define MASKMILL_X86 0
#endif

#if MASKMILL_X86
#define MASKMILL_DISPATCH(function, ...)                                                  \
    (::maskmill::simd_level() == ::maskmill::Simd::avx512 ? avx512::function(__VA_ARGS__) \
     : ::maskmill::simd_level() == ::maskmill::Simd::avx2 ? avx2::function(__VA_ARGS__)   \
                                                          : baseline::function(__VA_ARGS__))
#else
#define MASKMILL_DISPATCH(function, ...) baseline::function(__VA_ARGS__)
#endif
