// Coordinates that the polygon kernels take.
#pragma once

#include <cmath>

#include "support/common.hpp"

namespace maskmill {

// In fifths of a pixel they fit an int32, as COCO's rule needs.
constexpr double kLargestCoordinate = 4e8;

// The first of n points (x, y) that is not finite or too large, or -1.
inline int64_t find_bad_point(const double* points, size_t n) {
    for (size_t k = 0; k < n; ++k) {
        if (!(std::abs(points[2 * k]) <= kLargestCoordinate && std::abs(points[2 * k + 1]) <= kLargestCoordinate)) {
            return static_cast<int64_t>(k);
        }
    }
    return -1;
}

}  // namespace maskmill
