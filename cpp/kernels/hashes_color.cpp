// ImageHash's colorhash: which part of the pixels is black, gray, and of each of twelve kinds of colour.
#include <algorithm>
#include <array>

#include "kernels/hashes.hpp"
#include "kernels/hashes_color_parts.inl"
#include "support/parallel.hpp"

#define MASKMILL_SIMD_FILE "kernels/hashes_color.inl"
#include "support/simd_foreach.hpp"

namespace maskmill {
namespace {

using Counts = std::array<int64_t, kColorClasses>;

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
    int64_t part[4][kColorClasses] = {};
    for (int64_t y = 0; y < image.height; ++y) {
        const uint8_t* row = image.data + y * image.row;
        if (image.channels == 1) {
            for (int64_t x = 0; x < w; ++x) red[x] = row[x * image.column];
            const int64_t dark = MASKMILL_DISPATCH(count_dark, red, w);
            counts[kColorBlack] += dark;
            counts[kColorGray] += w - dark;
            continue;
        }
        MASKMILL_DISPATCH(split_channels, row, image.column, image.channel, w, red, green, blue);
        MASKMILL_DISPATCH(color_classes, red, green, blue, w, memory.classes.data());
        for (int64_t x = 0; x < w; ++x) ++part[x % 4][memory.classes[x]];
    }
    for (const auto& some : part) {
        for (int k = 0; k < kColorClasses; ++k) counts[k] += some[k];
    }
    return counts;
}

}  // namespace

void hashes_colorhash(std::span<const Pixels> images, int bits, uint64_t* codes) {
    const size_t words = static_cast<size_t>(kColorParts * bits + 63) / 64;
    parallel_for(images.size(), 2, [&](size_t begin, size_t end) {
        Row memory;
        for (size_t i = begin; i < end; ++i) {
            const Pixels& image = images[i];
            uint64_t* code = codes + i * words;
            std::fill_n(code, words, uint64_t{0});
            const Counts counts = count(image, memory);
            for (int k = 0, at = 0; k < kColorParts; ++k) {
                const int64_t part = color_part(counts.data(), image.height * image.width, bits, k);
                for (int b = 0; b < bits; ++b, ++at) {
                    code[at / 64] |= static_cast<uint64_t>(color_digit(part, bits, b)) << (63 - at % 64);
                }
            }
        }
    });
}

}  // namespace maskmill
