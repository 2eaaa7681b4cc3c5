// Loops of hashes_color.cpp, once per instruction set.
#include "support/rgb.inl"

namespace maskmill::MASKMILL_SIMD {
namespace {

inline void color_classes(const uint8_t* red, const uint8_t* green, const uint8_t* blue, int64_t n, uint8_t* out) {
    for (int64_t i = 0; i < n; ++i) out[i] = color_class(red[i], green[i], blue[i]);
}

inline int64_t count_dark(const uint8_t* gray, int64_t n) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; ++i) count += gray[i] < 32;
    return count;
}

}  // namespace
}  // namespace maskmill::MASKMILL_SIMD
