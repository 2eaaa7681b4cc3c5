// Loops of hashes_color.cpp, once per instruction set.

namespace maskmill::MASKMILL_SIMD {
namespace {

// What each pixel counts as: 0 black, 1 gray, 2 of no bin, 3 .. 8 faint and 9 .. 14 bright colours by hue. Roundings are
// Pillow's, float32 and double in turns; see the twin for the rule.
inline void color_classes(const uint8_t* red, const uint8_t* green, const uint8_t* blue, int64_t n, uint8_t* out) {
    for (int64_t i = 0; i < n; ++i) {
        const int32_t r = red[i], g = green[i], b = blue[i];
        const int32_t gray = (19595 * r + 38470 * g + 7471 * b + 32768) >> 16;
        const int32_t most = std::max(r, std::max(g, b)), least = std::min(r, std::min(g, b));
        const auto range = static_cast<float>(std::max(most - least, 1));
        const float s = static_cast<float>(most - least) / static_cast<float>(std::max(most, 1));
        const auto saturation = static_cast<int32_t>(s * 255.0);
        const bool is_red = r == most, is_green = g == most;
        const int32_t plus = most - (is_red ? b : is_green ? r : g), minus = most - (is_red ? g : is_green ? b : r);
        const double sector = is_red ? 0.0 : is_green ? 2.0 : 4.0;
        const auto h =
            static_cast<float>(sector + static_cast<float>(plus) / range - static_cast<float>(minus) / range);
        const double turns = h / 6.0 + 1.0;
        const auto turn = static_cast<float>(turns - (turns >= 1.0 ? 1.0 : 0.0));
        const auto hue = static_cast<int32_t>(turn * 255.0);
        const int32_t bin = (hue >= 43) + (hue >= 85) + (hue >= 128) + (hue >= 170) + (hue >= 213);
        const int32_t color = saturation < 170 ? 3 + bin : saturation > 170 ? 9 + bin : 2;
        out[i] = static_cast<uint8_t>(gray < 32 ? 0 : saturation < 85 ? 1 : color);
    }
}

inline int64_t count_dark(const uint8_t* gray, int64_t n) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; ++i) count += gray[i] < 32;
    return count;
}

}  // namespace
}  // namespace maskmill::MASKMILL_SIMD
