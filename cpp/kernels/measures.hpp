// Measuring run-length masks: what areas, axes, perimeters, hulls, rectangles and Feret diameters are made of.
//
// Layout      Two tables, a row per mask: `counts` (N, kCounts) and `lengths` (N, kLengths). What needs more than sums,
//             products and roots (angles, ratios, NaN rules) is left to the caller, so that all backends agree.
// Invariants  Counts are exact; sides of a mask's box are at most kLongestBox, so that every product is. An empty mask
//             has counts 0 and lengths NaN. Only steps and boxes know the image: the rest is as in any larger image.
// Reference   Border weights: Benkrid, Crookes (2000), as scikit-image's `perimeter`. Steps: Cauchy-Crofton on a grid,
//             Legland et al. (2007). Convex pixels: centres within or on the hull of the pixels' half-pixel diamonds,
//             as scikit-image's `convex_hull_image`. Rectangle: least area, one side along the hull of the diamonds of
//             these pixels. Feret diameters: of the hull of the pixels' corners. Holes: Euler characteristic of the
//             closed pixels, which is segments - meetings of segments.
// Cost        O(runs) and, for perimeters, bits within the rows of each stretch of columns, 64 pixels a step.
#pragma once

#include "support/common.hpp"

namespace maskmill {

constexpr int64_t kLongestBox = int64_t{1} << 25;

namespace measured {

enum Count {
    area,
    x0,  // box, ends excluded
    y0,
    x1,
    y1,
    components,  // 8-connected, of the whole mask
    holes,       // 4-connected background without a way out
    convex_area,
    straight,  // border pixels of weight 1
    diagonal,  // of weight sqrt 2
    mixed,     // of weight (1 + sqrt 2) / 2
    right,     // steps from foreground to background or back: to the next column,
    down,      // to the next row,
    falling,   // to the next column and row,
    rising,    // to the next column and the row before
    kCounts
};

enum Length {
    x,  // mean of the pixels' indices
    y,
    xx,  // mean of the squares and products of their differences from it
    yy,
    xy,
    rectangle_long,
    rectangle_short,
    rectangle_dx,  // along the long side
    rectangle_dy,
    feret_max,
    feret_dx,  // along it
    feret_dy,
    feret_min,
    feret_orthogonal,  // extent across feret_max
    kLengths
};

}  // namespace measured

struct Measures {
    Buffer<int64_t> counts;
    Buffer<double> lengths;
};

// largest: of each mask its largest 8-connected component alone, the first in column order of several.
// pixels (n, 2): width and height of a pixel, to which rectangles and Feret diameters are (moments are not).
Measures measures_table(const Rles& masks, bool largest, const double* pixels);

}  // namespace maskmill
