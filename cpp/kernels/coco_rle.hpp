// pycocotools' arithmetic on run-length masks, for any input, well-formed or not.
//
// Layout      As kernels/rle.hpp, but runs may sum to anything and be zero anywhere, and sizes may be any 64-bit
//             numbers. On canonical masks everything here equals the kernels rle, setops and overlap, and uses their
//             methods; the rest follows pycocotools step by step.
// Invariants  Same bits as pycocotools 2.0.11 on x86-64 wherever that is defined. Where it divides by zero, never ends,
//             or reads past its operands, std::invalid_argument names the mask ("RLE 3: ..."). Where it leaves memory
//             uninitialised, zeros.
// Reference   pycocotools 2.0.11 (Lin, Dollar), common/maskApi.c, as behaviour.
// Cost        O(runs); canonical input costs one scan more than the kernels named above.
#pragma once

#include "support/common.hpp"

namespace maskmill {

// Any byte is taken for its low 6 bits after subtracting 48; a NUL ends the string; a code cut short ends as if a NUL
// were its last character. Counts are modulo 2^32.
void coco_rle_parse(const char* chars, size_t n, Buffer<uint32_t>& out);

// Writes the masks one behind the other, 0 and 1. Returns false when they are longer than `room` bytes; what is missing
// at the end is 0.
bool coco_rle_decode(const Rles& masks, uint8_t* out, uint64_t room);

uint32_t coco_rle_area(std::span<const uint32_t> runs);

// (x, y, width, height) in 32-bit arithmetic. `index` names the mask in errors.
void coco_rle_bbox(std::span<const uint32_t> runs, int64_t height, int64_t width, size_t index, double* box);

// Union or intersection of all. Different sizes give no counts and size (0, 0).
struct CocoMerged {
    int64_t height, width;
    Buffer<uint32_t> runs;
};
CocoMerged coco_rle_merge(const Rles& masks, bool intersect);

// out[i + j * a.n]: Fortran order, as pycocotools returns it.
void coco_rle_iou(const Rles& a, const Rles& b, const uint8_t* iscrowd, double* out);

// The same for boxes (x, y, width, height).
void coco_rle_box_iou(const double* a, size_t m, const double* b, size_t n, const uint8_t* iscrowd, double* out);

}  // namespace maskmill
