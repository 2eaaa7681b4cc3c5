#include "support/common.hpp"

#include <cmath>
#include <cstdio>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace maskmill {

void ask_for_huge_pages([[maybe_unused]] void* p, [[maybe_unused]] size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    constexpr size_t least = size_t{4} << 20, page = 4096;
    if (bytes < least) return;
    const auto begin = (reinterpret_cast<uintptr_t>(p) + page - 1) / page * page;
    // A wish: where it is not granted, pages stay small.
    static_cast<void>(madvise(reinterpret_cast<void*>(begin), bytes - (begin - reinterpret_cast<uintptr_t>(p)), MADV_HUGEPAGE));
#endif
}

std::string size_text(int64_t h, int64_t w) { return "(" + std::to_string(h) + ", " + std::to_string(w) + ")"; }

std::string number_text(double value) {
    if (std::isnan(value)) return "nan";
    char text[32];
    std::snprintf(text, sizeof(text), "%g", value);
    return text;
}

}  // namespace maskmill
