// ImageHash's colorhash: which part of the pixels is black, gray, and of each of twelve kinds of colour.
#include <algorithm>
#include <array>

#include "kernels/hashes.hpp"
#include "support/parallel.hpp"

#define MASKMILL_SIMD_FILE "kernels/hashes_color.inl"
#include "support/simd_foreach.hpp"

namespace maskmill {
namespace {

constexpr int kBlack = 0, kGray = 1, kColors = 3, kClasses = 15, kParts = 14;
using Counts = std::array<int64_t, kClasses>;

struct Row {
    Buffer<uint8_t> planes, classes;
};

Counts count(const Pixels& image, Row& memory) {
    Counts counts{};
    const int64_t w = image.width;
    memory.planes.resize(static_cast<size_t>(3 * w));
    memory.classes.resize(static_cast<size_t>(w));
    uint8_t *red = memory.planes.data(), *green = red + w, *blue = green + w;
    // Four counters each, as a counter that was just written is not ready to be read.
    int64_t part[4][kClasses] = {};
    for (int64_t y = 0; y < image.height; ++y) {
        const uint8_t* row = image.data + y * image.row;
        if (image.channels == 1) {
            for (int64_t x = 0; x < w; ++x) red[x] = row[x * image.column];
            const int64_t dark = MASKMILL_DISPATCH(count_dark, red, w);
            counts[kBlack] += dark;
            counts[kGray] += w - dark;
            continue;
        }
        MASKMILL_DISPATCH(split_channels, row, image.column, image.channel, w, red, green, blue);
        MASKMILL_DISPATCH(color_classes, red, green, blue, w, memory.classes.data());
        for (int64_t x = 0; x < w; ++x) ++part[x % 4][memory.classes[x]];
    }
    for (const auto& some : part) {
        for (int k = 0; k < kClasses; ++k) counts[k] += some[k];
    }
    return counts;
}

// The parts in units of 2^-bits, each at most 2^bits - 1.
std::array<int64_t, kParts> parts_of(const Counts& counts, int64_t pixels, int bits) {
    const int64_t scale = int64_t{1} << bits;
    const int64_t colors = pixels - counts[kBlack] - counts[kGray];
    std::array<int64_t, kParts> parts;
    for (int k = 0; k < kParts; ++k) {
        const int64_t n = counts[k < 2 ? k : k + kColors - 2];
        const double part = k < 2 ? static_cast<double>(n) / static_cast<double>(pixels) * static_cast<double>(scale)
                                  : static_cast<double>(n * scale) / static_cast<double>(std::max<int64_t>(colors, 1));
        parts[k] = std::min(scale - 1, static_cast<int64_t>(part));
    }
    return parts;
}

}  // namespace

void hashes_colorhash(std::span<const Pixels> images, int bits, uint64_t* codes) {
    const size_t words = static_cast<size_t>(kParts * bits + 63) / 64;
    parallel_for(images.size(), 2, [&](size_t begin, size_t end) {
        Row memory;
        for (size_t i = begin; i < end; ++i) {
            const Pixels& image = images[i];
            uint64_t* code = codes + i * words;
            std::fill_n(code, words, uint64_t{0});
            const auto parts = parts_of(count(image, memory), image.height * image.width, bits);
            int at = 0;
            for (const int64_t part : parts) {
                for (int b = 0; b < bits; ++b, ++at) {
                    // The reference's digits: all that is left of a number above its first bits, not one bit of it.
                    const bool set = (part >> (bits - b - 1)) % (int64_t{1} << (bits - b)) > 0;
                    code[at / 64] |= static_cast<uint64_t>(set) << (63 - at % 64);
                }
            }
        }
    });
}

}  // namespace maskmill
