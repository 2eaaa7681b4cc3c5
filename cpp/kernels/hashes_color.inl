// Loops of hashes_color.cpp, once per instruction set.
#include "support/rgb.inl"

namespace maskmill::MASKMILL_SIMD {
namespace {

// What each pixel counts as: 0 black, 1 gray, 2 of no bin, 3 .. 8 faint and 9 .. 14 bright colours by hue. Roundings are
// Pillow's, float32 and double in turns; see the twin for the rule.
// Without a branch, so that the compiler makes vectors of it.
inline void color_classes(const uint8_t* red, const uint8_t* green, const uint8_t* blue, int64_t n, uint8_t* out) {
    for (int64_t i = 0; i < n; ++i) {
        const int32_t r = red[i], g = green[i], b = blue[i];
        const int32_t gray = (19595 * r + 38470 * g + 7471 * b + 32768) >> 16;
        const int32_t gb = g > b ? g : b, bg = g < b ? g : b;
        const int32_t most = r > gb ? r : gb, least = r < bg ? r : bg;
        const int32_t range = most - least;
        const auto divisor = static_cast<float>(range + (range == 0));
        const float s = static_cast<float>(range) / static_cast<float>(most + (most == 0));
        const auto saturation = static_cast<int32_t>(static_cast<double>(s) * 255.0);
        // All ones where that channel is the greatest, the first of several.
        const int32_t is_red = -(r == most), is_green = -(g == most) & ~is_red, is_blue = ~(is_red | is_green);
        const int32_t plus = most - ((b & is_red) | (r & is_green) | (g & is_blue));
        const int32_t minus = most - ((g & is_red) | (b & is_green) | (r & is_blue));
        const int32_t sector = (2 & is_green) | (4 & is_blue);
        const float up = static_cast<float>(plus) / divisor, down = static_cast<float>(minus) / divisor;
        const auto h =
            static_cast<float>(static_cast<double>(sector) + static_cast<double>(up) - static_cast<double>(down));
        // In [5/6, 11/6]: what is left of a division by 1.
        const double turns = static_cast<double>(h) / 6.0 + 1.0;
        const auto turn = static_cast<float>(turns - static_cast<double>(static_cast<int32_t>(turns)));
        const auto hue = static_cast<int32_t>(static_cast<double>(turn) * 255.0);
        const int32_t bin = (hue >= 43) + (hue >= 85) + (hue >= 128) + (hue >= 170) + (hue >= 213);
        const int32_t color = 2 + ((1 + bin) & -(saturation < 170)) + ((7 + bin) & -(saturation > 170));
        const int32_t light = (1 & -(saturation < 85)) | (color & -(saturation >= 85));
        out[i] = static_cast<uint8_t>(light & -(gray >= 32));
    }
}

inline int64_t count_dark(const uint8_t* gray, int64_t n) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; ++i) count += gray[i] < 32;
    return count;
}

}  // namespace
}  // namespace maskmill::MASKMILL_SIMD
