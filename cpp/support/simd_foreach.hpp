// Includes MASKMILL_SIMD_FILE once per instruction set, in namespaces maskmill::baseline, avx2 and avx512.
// See support/simd.hpp. No include guard: a source file uses it once per file of loops.
#ifndef MASKMILL_SIMD_FILE
#error "define MASKMILL_SIMD_FILE before including support/simd_foreach.hpp"
#endif

#include <bit>
#include <cstring>

#include "support/common.hpp"
#include "support/simd.hpp"

#if MASKMILL_X86
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define MASKMILL_SIMD baseline
#define MASKMILL_SIMD_LEVEL 0
#include MASKMILL_SIMD_FILE
#undef MASKMILL_SIMD
#undef MASKMILL_SIMD_LEVEL

#if MASKMILL_X86

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2,popcnt"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2,popcnt")
#endif
#define MASKMILL_SIMD avx2
#define MASKMILL_SIMD_LEVEL 1
#include MASKMILL_SIMD_FILE
#undef MASKMILL_SIMD
#undef MASKMILL_SIMD_LEVEL
#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif

#if defined(__clang__)
#pragma clang attribute push(                                                                                    \
    __attribute__((target(                                                                                       \
        "avx2,bmi,bmi2,popcnt,avx512f,avx512bw,avx512vl,avx512dq,avx512vpopcntdq,avx512vbmi,avx512vnni,gfni"))), \
    apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2,popcnt,avx512f,avx512bw,avx512vl,avx512dq,avx512vpopcntdq,avx512vbmi,avx512vnni,gfni")
#endif
#define MASKMILL_SIMD avx512
#define MASKMILL_SIMD_LEVEL 2
#include MASKMILL_SIMD_FILE
#undef MASKMILL_SIMD
#undef MASKMILL_SIMD_LEVEL
#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif

#endif  // MASKMILL_X86

#undef MASKMILL_SIMD_FILE
