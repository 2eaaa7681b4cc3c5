// Patches of images and volumes: copied out of strided arrays, described without a copy, blended back.
//
// Layout      An array of any dtype is seen as (z, y, x, channels) with strides in bytes, which may be negative; an image
//             is one plane (z = 1). A box is 2 * axes int64, half-open: [z0, z1,] y0, y1, x0, x1. Patches lie one behind
//             the other, each in C order; patch i begins where the boxes before it end.
//             planes: of a (z, y, x) volume, cut across `axis`: 0 gives rows y and columns x, 1 z and x, 2 z and y.
//             T tiles (r0, r1, c0, c1) of one size, times S slices; tile-major, the slice fastest.
// Invariants  Boxes are ordered; those of extract and stitch may reach beyond the array, tiles and slices may not. Faults
//             name the item. The same bits for any number of threads.
// Reference   NumPy: array[box] after np.pad (modes constant, edge, reflect); np.rint for rounding.
// Cost        One read of the source and one write. Where slices are neighbours in memory (axis 2 in C order), cache
//             lines are transposed, up to 64 bytes of slices at a time; where their rows are (axis 1), several
//             slices are walked together.
#pragma once

#include "support/common.hpp"
#include "support/cuda_queue.hpp"

namespace maskmill {

// Where the data of an array are.
struct PatchArray {
    const uint8_t* data = nullptr;
    int64_t itemsize = 1;
    int64_t shape[4] = {1, 1, 1, 1};
    int64_t strides[4] = {0, 0, 0, 0};
};

struct PatchBoxes {
    const int64_t* values = nullptr;
    size_t n = 0;
    int axes = 2;
};

struct PatchBox {
    int64_t low[3], high[3];  // z, y, x

    constexpr int64_t size(int axis) const { return high[axis] - low[axis]; }
    constexpr int64_t elements() const { return size(0) * size(1) * size(2); }
};

constexpr PatchBox box_at(const PatchBoxes& boxes, size_t i) {
    const int64_t* p = boxes.values + i * static_cast<size_t>(2 * boxes.axes);
    if (boxes.axes == 2) return {{0, p[0], p[2]}, {1, p[1], p[3]}};
    return {{p[0], p[2], p[4]}, {p[1], p[3], p[5]}};
}

enum class PatchPad { constant = 0, edge = 1, reflect = 2 };

// Elements of all patches together, per channel.
int64_t patches_size(const PatchBoxes& boxes);

// Copies every box to `out`; what lies outside is `fill` (one element with its channels), or copied from within.
void patches_extract(const PatchArray& array, const PatchBoxes& boxes, PatchPad pad, const uint8_t* fill, uint8_t* out);

struct PatchPlanes {
    int axis = 0;
    const int64_t* tiles = nullptr;  // (n_tiles, 4)
    size_t n_tiles = 0;
    const int64_t* slices = nullptr;
    size_t n_slices = 0;
};

// How many planes there are across an axis, how large, how far apart.
struct PlaneAxes {
    int64_t slices, rows, columns;
    int64_t slice_step, row_step, column_step;
};

constexpr PlaneAxes plane_axes(const PatchArray& volume, int axis) {
    const int row = axis == 0 ? 1 : 0, column = axis == 2 ? 1 : 2;
    return {volume.shape[axis],   volume.shape[row],   volume.shape[column],
            volume.strides[axis], volume.strides[row], volume.strides[column]};
}

// Consecutive slices that are best walked together.
struct SliceGroup {
    size_t begin, end;
    int64_t low, high;  // the lowest slice, and one above the highest
};

// Groups of `most` slices at most, from the lowest to the highest of which it is less than `width`.
Buffer<SliceGroup> patches_groups(const PatchPlanes& planes, size_t most, int64_t width);

// Throws what is wrong with tiles and slices.
void patches_check(const PatchArray& volume, const PatchPlanes& planes);

// (T, S, h, w) elements.
void patches_planes(const PatchArray& volume, const PatchPlanes& planes, uint8_t* out);

enum class PatchType { u8, i8, u16, i16, u32, i32, f32, f64 };

// out (6, T * S): least and greatest value, mean, and the shares of elements that equal the least, the greatest and
// `padding` (0 where the type has no such value). Sums are exact for integers, in float64 and row-major order for
// floats; NaN is neither least nor greatest, and no zero is negative.
void patches_stats(const PatchArray& volume, PatchType type, const PatchPlanes& planes, double padding, double* out);

enum class PatchBlend { mean = 0, max = 1, last = 2 };

// The weights of box i along its k-th axis begin at values[starts[i * axes + k]]; an element's weight is their product.
struct PatchWindows {
    const double* values = nullptr;
    const int64_t* starts = nullptr;
};

// Lays patches into `out`, a C-ordered array of this shape; what reaches beyond is ignored, what no patch covers stays
// as it is. mean: m += (v - m) * (w / sum of w so far), in float64 and in the order of the boxes, so that patches that
// agree are reproduced exactly; rounded to the nearest integer, halves to even, for integer types. max: NaN is
// ignored where there is another value. last: the last box wins.
void patches_stitch(const uint8_t* patches, PatchType type, const PatchBoxes& boxes, const PatchWindows& windows,
                    PatchBlend blend, const int64_t* shape, uint8_t* out);

// The twins on a GPU: array, volume, patches and `out` are the device's; boxes, tiles, slices, windows and `fill`, which
// say what to do, the host's, checked by patches_size and patches_check. None waits for the stream.
namespace cuda {

void patches_extract(const PatchArray& array, const PatchBoxes& boxes, PatchPad pad, const uint8_t* fill, uint8_t* out,
                     Queue& queue);
void patches_planes(const PatchArray& volume, const PatchPlanes& planes, uint8_t* out, Queue& queue);
void patches_stats(const PatchArray& volume, PatchType type, const PatchPlanes& planes, double padding, double* out,
                   Queue& queue);
void patches_stitch(const uint8_t* patches, PatchType type, const PatchBoxes& boxes, const PatchWindows& windows,
                    size_t n_weights, PatchBlend blend, const int64_t* shape, uint8_t* out, Queue& queue);

}  // namespace cuda

}  // namespace maskmill
