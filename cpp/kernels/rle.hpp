// Run-length masks: dense <-> runs <-> strings, area and box.
//
// Layout      N masks are `counts` uint32 (R,), `offsets` int64 (N + 1,), `sizes` int64 (N, 2) as (height, width);
//             mask i owns counts[offsets[i] .. offsets[i + 1]).
// Invariants  - Runs go down the columns (Fortran order), as in COCO: pixel (y, x) has position x * height + y.
//             - Runs alternate, background first; only the first may be 0 ("canonical").
//             - Runs sum to height * width. A mask without pixels is the one run [0].
//             - A run is at most 2^32 - 1 long; sums are 64-bit.
//             rle_check verifies them and names the first mask that breaks one; rle_normalize repairs zero runs.
// Reference   Lin et al., Microsoft COCO (2014), and the behaviour of pycocotools 2.0.11.
// Cost        encode and decode: one pass over the pixels at memory speed (columns are walked in blocks of 64, so
//             that C-ordered images cost the same as Fortran-ordered ones). All else: O(runs).
#pragma once

#include "support/common.hpp"
#include "support/cuda_queue.hpp"

namespace maskmill {

// N images of one size, anywhere in memory: element (n, y, x) is at data + n*step_n + y*step_y + x*step_x (bytes).
struct ImageStack {
    const uint8_t* data;
    int itemsize;  // 1, 2, 4 or 8; unsigned or signed makes no difference to "is it zero"
    int64_t n, height, width;
    int64_t step_n, step_y, step_x;
};

// As ImageStack, writeable.
struct OutputStack {
    uint8_t* data;
    int itemsize;
    int64_t n, height, width;
    int64_t step_n, step_y, step_x;
};

// One mask per image; nonzero is foreground.
Runs rle_encode(const ImageStack& images);
// Like rle_encode, but a run ends where the byte changes (pycocotools on images that hold more than one nonzero
// value: 0, 1, 2 are three runs). One byte per pixel, Fortran-contiguous images.
Runs rle_encode_changes(const uint8_t* data, int64_t n, int64_t height, int64_t width);

// Writes value to foreground and 0 to background. One byte per pixel. All masks must have the stack's size.
void rle_decode(const Rles& masks, const OutputStack& out, uint8_t value);

// The masks of all values but 0 in one label image (stack with n = 1), in rising order of value.
struct LabelMasks {
    Runs runs;
    Buffer<int64_t> values;
};
LabelMasks rle_from_labels(const ImageStack& labels, bool is_signed);
// Paints mask i with values[i] (cut to the item size), in order: later masks win. Pixels of no mask keep what
// they hold.
void rle_to_labels(const Rles& masks, const int64_t* values, const OutputStack& out);

// COCO's string code: differences to the run before the previous one, 5 bits a character from '0' on, bit 32 for
// "more follows", sign from the last one.
Ragged<char> rle_to_string(const Rles& masks);
// Throws std::invalid_argument naming the mask on a character outside '0'..'o', a code cut short, or a count
// outside 0..2^32 - 1.
Runs rle_from_string(const char* chars, const int64_t* offsets, size_t n);
void rle_append_string(std::span<const uint32_t> runs, Buffer<char>& out);

void rle_area(const Rles& masks, uint64_t* area);
// (x, y, width, height) of the foreground, as pycocotools' toBbox on canonical masks: a run that crosses a column
// border spans the whole height. Zeros where there is no foreground.
void rle_bbox(const Rles& masks, double* boxes);

void rle_check(const Rles& masks);
// The same pixels with zero runs merged away; throws like rle_check when the runs do not sum to the pixels.
Runs rle_normalize(const Rles& masks);

// The twins on a GPU: all pointers are the device's, unless said otherwise. `total` is the number of runs, which only the
// caller knows without waiting. Each waits for the stream once, to learn of faults and how many runs it has made; those
// that wait more often say so.
namespace cuda {

Runs rle_encode(const ImageStack& images, Queue& queue);
Runs rle_encode_changes(const uint8_t* data, int64_t n, int64_t height, int64_t width, Queue& queue);
void rle_decode(const Rles& masks, int64_t total, const OutputStack& out, uint8_t value, Queue& queue);
void rle_area(const Rles& masks, int64_t total, uint64_t* area, Queue& queue);
void rle_bbox(const Rles& masks, int64_t total, double* boxes, Queue& queue);
void rle_check(const Rles& masks, int64_t total, Queue& queue);
Runs rle_normalize(const Rles& masks, int64_t total, Queue& queue);

struct LabelMasks {
    Runs runs;
    int64_t* values;  // as many as there are masks
    size_t n;
};
// Waits twice: for the number of stretches of one label, and for those of masks and runs.
LabelMasks rle_from_labels(const ImageStack& labels, bool is_signed, Queue& queue);
// `values` are the host's.
void rle_to_labels(const Rles& masks, int64_t total, const int64_t* values, const OutputStack& out, Queue& queue);

// Only strings travel: to the host, in one piece unless codes are uncommonly long (more than 3 characters a run, with 16
// a mask to spare); and from it.
maskmill::Ragged<char> rle_to_string(const Rles& masks, int64_t total, Queue& queue);
Runs rle_from_string(const char* chars, const int64_t* offsets, size_t n, Queue& queue);

}  // namespace cuda

}  // namespace maskmill
