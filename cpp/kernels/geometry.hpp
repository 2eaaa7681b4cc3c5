// Moving run-length masks: windows (crop, pad, shift), flips, transposition.
//
// Layout      Masks as in kernels/rle.hpp.
// Invariants  Results are canonical. Faults name the mask.
// Cost        O(runs of the input + runs of the result); masks of very short runs: O(pixels / 64), as bits.
#pragma once

#include "support/common.hpp"

namespace maskmill {

// Mask i through box i (x, y, width, height), which may reach beyond the image; `fill` is what lies outside.
// The result has the box's size.
Runs geometry_window(const Rles& masks, const int64_t* boxes, bool fill);

Runs geometry_flip(const Rles& masks, bool horizontal, bool vertical);

// The result of mask i has size (width, height).
Runs geometry_transpose(const Rles& masks);

}  // namespace maskmill
