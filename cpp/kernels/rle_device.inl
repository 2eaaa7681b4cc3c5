// Bodies that the GPU runs for each item of kernels/rle.hpp, in functions that the host can run, too.
#pragma once

#include "support/cuda.cuh"

namespace maskmill::cuda {

constexpr int kWordRows = 64;  // pixels of a column in one word of bits

// Bit 7 of each byte: whether the byte is not zero.
MASKMILL_HD uint32_t nonzero_bytes(uint32_t v) { return (((v & 0x7f7f7f7fu) + 0x7f7f7f7fu) | v) & 0x80808080u; }

// Bit j of the result: whether row j differs from the row above, `above` (0 or 1) being above row 0. Rows from `rows` on
// do not count.
MASKMILL_HD uint64_t changes_of(uint64_t bits, uint64_t above, int rows) {
    const uint64_t changed = bits ^ (bits << 1 | above);
    return rows == kWordRows ? changed : changed & ((uint64_t{1} << rows) - 1);
}

// The first of the runs [first, last) that ends behind position `at`; `ends` rise. `last` if there is none.
MASKMILL_HD int64_t run_at(const uint64_t* ends, int64_t first, int64_t last, uint64_t at) {
    while (first < last) {
        const int64_t middle = first + (last - first) / 2;
        if (ends[middle] > at) {
            last = middle;
        } else {
            first = middle + 1;
        }
    }
    return first;
}

// The pixels [at, at + rows) of a mask as bits. ends[j] is where run j ends, run `begin` being the mask's first
// (background); run is run_at(at).
MASKMILL_HD uint64_t bits_of_runs(const uint64_t* ends, int64_t begin, int64_t last, int64_t run, uint64_t at, int rows) {
    uint64_t bits = 0;
    int row = 0;
    while (row < rows && run < last) {
        const uint64_t left = ends[run] - at - static_cast<uint64_t>(row);
        const int stop = left < static_cast<uint64_t>(rows - row) ? row + static_cast<int>(left) : rows;
        if ((run - begin) % 2 == 1 && stop > row) {
            const uint64_t ones = stop - row == kWordRows ? ~uint64_t{0} : (uint64_t{1} << (stop - row)) - 1;
            bits |= ones << row;
        }
        row = stop;
        ++run;
    }
    return bits;
}

// What foreground from `begin` to `end` (positions in column order, begin < end) adds to a box.
struct Box {
    unsigned long long x0, x1, y0, y1;
};
MASKMILL_HD Box box_of_run(uint64_t begin, uint64_t end, uint64_t height) {
    Box box{begin / height, (end - 1) / height + 1, 0, height};
    if (box.x1 - box.x0 == 1) {
        box.y0 = begin - box.x0 * height;
        box.y1 = box.y0 + (end - begin);
    }
    return box;
}

}  // namespace maskmill::cuda
