// Tracing the outlines of run-length masks along pixel edges.
//
// Layout      Points (K, 2), x first, at pixel corners; ring r is points[rings[r] .. rings[r + 1]), closed by itself, its
//             corners only; mask i is rings masks[i] .. masks[i + 1]; parent[r] is -1 for an outer ring, else the outer
//             ring, counted within the mask, that has r as a hole.
// Invariants  Outer rings run with the foreground on the right hand (clockwise as seen, y down) from their top left
//             corner; holes the other way. Filled by even-odd or non-zero with samples at pixel centres, a mask's rings
//             are the mask. A ring's first pixel edge comes before the next ring's in column order.
// Reference   Every vertical segment of foreground has a top and a bottom edge. On each column border, the edges that
//             end there, sorted by height, are joined in pairs; where two pixels touch at a corner only, the order of
//             equal heights decides whether the outlines join there (connectivity 8) or not (4).
// Cost        O(runs): no image is made.
#pragma once

#include "support/common.hpp"

namespace maskmill {

struct Outlines {
    Buffer<double> points;
    Buffer<int64_t> rings;
    Buffer<int64_t> masks;
    Buffer<int64_t> parent;
};

// bridge: every hole is joined to its outer ring by a cut along a column border, walked there and back, so that each
// ring alone, filled by COCO's rule, is a part of the mask (vertical edges cross no column) and their union the mask.
Outlines outlines_trace(const Rles& masks, int connectivity, bool bridge);

}  // namespace maskmill
