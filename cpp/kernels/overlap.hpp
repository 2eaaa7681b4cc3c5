// How much masks overlap: intersections, IoU with crowd, non-maximum suppression.
//
// Layout      Masks as in kernels/rle.hpp; matrices are row-major (a, b) unless a stride says otherwise.
// Invariants  All counts are exact 64-bit integers; a quotient is one division of two doubles.
// Reference   IoU as pycocotools' iou on canonical masks: intersection over union, or over the area of a where b is a
//             crowd; 0 where there is no intersection.
// Cost        Pairs whose boxes do not meet cost a comparison. For the others masks are laid out as bits inside their
//             boxes, and a pair costs one pass over the common words (480 x 640 full-size: 0.1 us with AVX-512, where
//             walking 2 x 1,200 runs costs 5); masks that are huge but simple stay runs.
#pragma once

#include <functional>
#include <memory>

#include "support/common.hpp"
#include "support/cuda_queue.hpp"

namespace maskmill {

// What to do with a pair of different image sizes.
enum class SizeMismatch {
    fail,      // std::invalid_argument
    minus_one  // as pycocotools: -1 where the boxes meet, else 0
};

// out[i * step_a + j * step_b]
void overlap_iou(const Rles& a, const Rles& b, const uint8_t* iscrowd, SizeMismatch mismatch, double* out,
                 int64_t step_a, int64_t step_b);
void overlap_intersection(const Rles& a, const Rles& b, uint64_t* out);

// Masks that are made when they are needed: comparing a million masks takes no memory for a million masks.
class MaskReader {
  public:
    virtual ~MaskReader() = default;
    // Appends the runs of mask `index`, canonical and complete, and gives its size. May throw.
    virtual void read(int64_t index, Buffer<uint32_t>& runs, int64_t& height, int64_t& width) = 0;
};
// Makes a reader for each thread.
using MaskSource = std::function<std::unique_ptr<MaskReader>()>;

// Many small matrices: cell c compares masks a_index[a_cells[c] .. a_cells[c + 1]) of a with those of b alike, and
// writes them row-major (a, b), one cell behind the other, from out[out_cells[c]] on. iscrowd is by index of b.
struct CellPairs {
    const int64_t* a_index;
    const int64_t* a_cells;
    const int64_t* b_index;
    const int64_t* b_cells;
    const int64_t* out_cells;
    size_t n;
};
// Pairs of different sizes are -1 where the boxes meet, else 0.
void overlap_iou_cells(const MaskSource& a, const MaskSource& b, const uint8_t* iscrowd, const CellPairs& cells,
                       double* out);

// keep[i] = 1 unless the IoU with a kept mask before it is above the threshold.
void overlap_nms(const Rles& masks, double threshold, uint8_t* keep);

// The twins on a GPU: all pointers are the device's. Each waits once, to learn of faults. Sizes must be equal.
namespace cuda {

// Masks, and how many runs they have.
struct Side {
    Rles masks;
    int64_t total;
};
void overlap_iou(const Side& a, const Side& b, const uint8_t* iscrowd, double* out, Queue& queue);
void overlap_intersection(const Side& a, const Side& b, uint64_t* out, Queue& queue);
void overlap_nms(const Side& masks, double threshold, uint8_t* keep, Queue& queue);

}  // namespace cuda

}  // namespace maskmill
