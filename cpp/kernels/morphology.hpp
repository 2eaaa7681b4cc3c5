// Shape operations on run-length masks: components, holes, erosion, dilation, boundary.
//
// Layout      Masks as in kernels/rle.hpp.
// Invariants  Results are canonical. Foreground of connectivity 4 goes with background of 8, and the other way round.
// Reference   Components: union-find over vertical segments. Distances: Chebyshev (square) or Euclidean (disc, pixel
//             centres, dx^2 + dy^2 <= radius^2). boundary: Cheng et al., Boundary IoU (2021), whose code erodes a mask
//             padded with background `radius` times by 3 x 3.
// Cost        Components, holes: O(runs). Erosion, dilation, boundary: bits inside the mask's box; O(log radius) passes
//             over them for squares, O(radius) for discs, 64 pixels a step.
#pragma once

#include "support/common.hpp"

namespace maskmill {

struct Components {
    Runs runs;
    Buffer<int64_t> parent;  // the mask each component is of
};
// Ordered by mask, then by first pixel in column order.
Components morphology_components(const Rles& masks, int connectivity);

// Background that is not connected to the image border becomes foreground.
Runs morphology_fill_holes(const Rles& masks, int connectivity);

// Without the components of fewer than min_area pixels.
Runs morphology_remove_small(const Rles& masks, uint64_t min_area, int connectivity);

Runs morphology_dilate(const Rles& masks, double radius, bool disc);

// Foreground farther than `radius` from the background, and from the outside of the image if `border`.
Runs morphology_erode(const Rles& masks, double radius, bool disc, bool border);

// Foreground within Chebyshev distance radius[i] of the background or of the outside of the image.
Runs morphology_boundary(const Rles& masks, const int64_t* radius);

}  // namespace maskmill
