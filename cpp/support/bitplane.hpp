// A binary image at one bit per pixel, for the kernels that would be slow on runs.
//
// Layout      Word rows: bit y % 64 of word(y / 64)[x] is pixel (y, x). Neighbours in x are neighbours in memory, so
//             loops over x are what the compiler can vectorise; 64 rows are one operation.
// Invariant   Bits beyond the last row are 0.
#pragma once

#include <algorithm>
#include <bit>

#include "support/common.hpp"

namespace maskmill {

class BitPlane {
  public:
    // All pixels 0.
    void reset(int64_t rows, int64_t columns) {
        rows_ = rows;
        columns_ = columns;
        bits_.resize(static_cast<size_t>(words() * columns));
        std::fill(bits_.begin(), bits_.end(), uint64_t{0});
    }
    int64_t rows() const { return rows_; }
    int64_t columns() const { return columns_; }
    int64_t words() const { return (rows_ + 63) / 64; }
    uint64_t* word(int64_t w) { return bits_.data() + w * columns_; }
    // Bits of the last word row that are pixels.
    uint64_t last_valid() const { return ~uint64_t{0} >> (63 - (rows_ - 1) % 64); }

    // Sets rows [y0, y1) of column x; y0 < y1.
    void set(int64_t x, int64_t y0, int64_t y1) {
        const int64_t first = y0 / 64, last = (y1 - 1) / 64;
        const uint64_t head = ~uint64_t{0} << (y0 % 64), tail = ~uint64_t{0} >> (63 - (y1 - 1) % 64);
        uint64_t* at = word(first) + x;
        if (first == last) {
            *at |= head & tail;
            return;
        }
        *at |= head;
        for (int64_t w = first + 1; w < last; ++w) *(at += columns_) = ~uint64_t{0};
        *(at + columns_) |= tail;
    }

    void invert() {
        const int64_t n = words();
        for (int64_t w = 0; w < n; ++w) {
            uint64_t* row = word(w);
            const uint64_t valid = w == n - 1 ? last_valid() : ~uint64_t{0};
            for (int64_t x = 0; x < columns_; ++x) row[x] = ~row[x] & valid;
        }
    }

    // visit(x, y0, y1) for every vertical stretch of ones, in column order.
    template <class Visit>
    void for_each_segment(Visit&& visit) {
        const int64_t n = words();
        for (int64_t x = 0; x < columns_; ++x) {
            int64_t start = -1;  // of the open stretch
            const uint64_t* at = bits_.data() + x;
            for (int64_t w = 0; w < n; ++w, at += columns_) {
                uint64_t rest = start < 0 ? *at : ~*at;  // the next bit set ends what is open
                while (rest != 0) {
                    const int k = std::countr_zero(rest);
                    const int64_t y = w * 64 + k;
                    if (start < 0) {
                        start = y;
                        rest = ~*at;
                    } else {
                        visit(x, start, y);
                        start = -1;
                        rest = *at;
                    }
                    rest &= ~uint64_t{0} << k;  // bit k itself is 0 in `rest` now
                }
            }
            if (start >= 0) visit(x, start, rows_);
        }
    }

  private:
    int64_t rows_ = 0, columns_ = 0;
    Scratch<uint64_t> bits_;
};

}  // namespace maskmill
