// Set operations on run-length masks, by walking runs or, where these are many, on bits.
//
// Layout      Masks as in kernels/rle.hpp.
// Invariants  Results are canonical. Operands must have one size and complete runs; faults name the mask.
// Reference   Boolean algebra; on canonical masks `merge` equals pycocotools' merge.
// Cost        A pair: O(runs). A group of k: O(runs log k), as a tree of pairs, or
//             O(runs + pixels / 64) by painting bits. Threads over pairs and groups.
#pragma once

#include "support/common.hpp"
#include "support/cuda_queue.hpp"

namespace maskmill {

enum class GroupOp { union_ = 0, intersection = 1, exclusive = 2, first_only = 3 };

// Group g is masks groups[g] .. groups[g + 1]; an empty group gives an empty mask of size group_sizes[g].
Runs setops_merge(const Rles& masks, const int64_t* groups, size_t group_count, const int64_t* group_sizes, GroupOp op);

// Pixel = bit (a + 2 * b) of `table`.
Runs setops_pairs(const Rles& a, const Rles& b, unsigned table);

Runs setops_complement(const Rles& masks);

// The twins on a GPU: masks are the device's, groups the host's. `total`: how many runs there are. Each waits once.
namespace cuda {

Runs setops_merge(const Rles& masks, int64_t total, const int64_t* groups, size_t group_count,
                  const int64_t* group_sizes, GroupOp op, Queue& queue);
Runs setops_pairs(const Rles& a, int64_t a_total, const Rles& b, int64_t b_total, unsigned table, Queue& queue);
Runs setops_complement(const Rles& masks, int64_t total, Queue& queue);

}  // namespace cuda

}  // namespace maskmill
