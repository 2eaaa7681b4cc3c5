// The small picture of OpenCV's img_hash: two pixels weighted on each axis, however much the image shrinks, and then gray.
//
// Reference   OpenCV 4's resize with INTER_LINEAR_EXACT, and its 8-bit gray. All of it is integers: weights of 8 fraction
//             bits on each axis, and one rounding after both.
#include <cmath>
#include <vector>

#include "kernels/hashes.hpp"

namespace maskmill {

// The order of the operations in double is part of the definition.
LinearTap hashes_opencv_tap(int64_t inputs, int64_t outputs, int64_t o) {
    const double scale = 1.0 / (static_cast<double>(outputs) / static_cast<double>(inputs));
    const double place = scale * (static_cast<double>(o) + 0.5) - 0.5;
    const double below = std::floor(place);
    const auto first = static_cast<int64_t>(below);
    if (first < 0) return {0, 0, 0};
    if (first >= inputs - 1) return {inputs - 1, inputs - 1, 0};
    return {first, first + 1, static_cast<uint32_t>(std::nearbyint((place - below) * 256.0))};
}

void hashes_opencv_grid(const Pixels& image, int64_t side, uint8_t* grid) {
    const int channels = image.channels == 1 ? 1 : 3;
    std::vector<LinearTap> columns;
    for (int64_t x = 0; x < side; ++x) columns.push_back(hashes_opencv_tap(image.width, side, x));
    for (int64_t y = 0; y < side; ++y) {
        const LinearTap row = hashes_opencv_tap(image.height, side, y);
        for (const LinearTap& column : columns) {
            uint32_t value[3];
            for (int c = 0; c < channels; ++c) {
                const uint8_t* p = image.data + c * image.channel;
                value[c] =
                    linear_pixel(p + row.first * image.row, p + row.second * image.row, image.column, row, column);
            }
            *grid++ = channels == 1 ? static_cast<uint8_t>(value[0]) : opencv_gray(value);
        }
    }
}

}  // namespace maskmill
