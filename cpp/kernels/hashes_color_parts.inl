// What colorhash makes of a pixel and of numbers of pixels, on the host and on a GPU.
#pragma once

#include <cstdint>

#include "support/host_device.hpp"

namespace maskmill {

constexpr int kColorBlack = 0, kColorGray = 1, kColorFirst = 3;
constexpr int kColorClasses = 15, kColorParts = 14;

// What a pixel counts as: 0 black, 1 gray, 2 of no bin, 3 .. 8 faint and 9 .. 14 bright colours by hue. Roundings are
// Pillow's, float32 and double in turns; see the twin for the rule.
// Without a branch, so that the compiler makes vectors of it.
MASKMILL_HD uint8_t color_class(int32_t r, int32_t g, int32_t b) {
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
    return static_cast<uint8_t>(light & -(gray >= 32));
}

// Part k of an image in units of 2^-bits, at most 2^bits - 1. counts: of each class.
template <class Count>
MASKMILL_HD int64_t color_part(const Count* counts, int64_t pixels, int bits, int k) {
    const int64_t scale = int64_t{1} << bits, n = static_cast<int64_t>(counts[k < 2 ? k : k + kColorFirst - 2]);
    const int64_t colors = pixels - static_cast<int64_t>(counts[kColorBlack] + counts[kColorGray]);
    const double part = k < 2 ? static_cast<double>(n) / static_cast<double>(pixels) * static_cast<double>(scale)
                              : static_cast<double>(n * scale) / static_cast<double>(colors > 1 ? colors : 1);
    const auto whole = static_cast<int64_t>(part);
    return whole < scale - 1 ? whole : scale - 1;
}

// The reference's digits: all that is left of a number above its first bits, not one bit of it.
MASKMILL_HD bool color_digit(int64_t part, int bits, int b) {
    return (part >> (bits - b - 1)) % (int64_t{1} << (bits - b)) > 0;
}

}  // namespace maskmill
