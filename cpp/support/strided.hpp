// Moving elements of strided arrays: rows, strided rows, transposed cache lines.
//
// A cell is what moves as one: an element with its channels. Strides are in bytes and may be negative.
#pragma once

#include "support/common.hpp"

namespace maskmill {

// A plane of cells: rows, columns and channels at their strides.
struct CellPlane {
    const uint8_t* data;
    int64_t row_step, column_step, channel_step;
    int64_t itemsize, channels;
};

// memcpy; past_cache: of what will not be read soon, so that it is not fetched into the cache to be overwritten, which
// needs n and out to be multiples of 16.
void copy_bytes(const uint8_t* from, int64_t n, uint8_t* out, bool past_cache);

// To be called before other threads may read what was copied past the cache.
void copied_past_cache();

// rows x columns cells to `out`, where rows are `out_step` apart and cells lie side by side.
void copy_cells(const CellPlane& plane, int64_t rows, int64_t columns, uint8_t* out, int64_t out_step,
                bool past_cache = false);

// out[j * out_step + i * item] = data[i * step + j * item] for i < lines and j < width, in bytes. What lies `ahead`
// bytes further will be wanted next; 0: nothing.
void transpose_cells(const uint8_t* data, int64_t step, int64_t lines, int64_t width, int64_t item, uint8_t* out,
                     int64_t out_step, int64_t ahead = 0);

}  // namespace maskmill
