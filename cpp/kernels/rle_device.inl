// Bodies that the GPU runs for each item of kernels/rle.hpp, in functions that the host can run, too.
#pragma once

#include "support/cuda.cuh"

namespace maskmill::cuda {

constexpr int kWordRows = 64;  // pixels of a column in one word of bits

// Bit j of the result: whether row j differs from the row above, `above` (0 or 1) being above row 0. Rows from `rows` on
// do not count.
MASKMILL_HD uint64_t changes_of(uint64_t bits, uint64_t above, int rows) {
    const uint64_t changed = bits ^ (bits << 1 | above);
    return rows == kWordRows ? changed : changed & ((uint64_t{1} << rows) - 1);
}

// The pixels [at, at + rows) of a mask as bits. ends[j] is where run j ends, run `begin` being the mask's first
// (background); run is run_at(at).
MASKMILL_HD uint64_t bits_of_runs(const uint64_t* ends, int64_t begin, int64_t last, int64_t run, uint64_t at,
                                  int rows) {
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

// The image that a word of bits is of, and where: words lie [image][word of the column][column], so that neighbouring
// threads, which look at neighbouring columns, read and write neighbouring memory.
struct Place {
    int64_t image, word, column;
};
MASKMILL_HD Place place_of(size_t i, int64_t columns, int64_t words) {
    const int64_t at = static_cast<int64_t>(i);
    return {at / columns / words, at / columns % words, at % columns};
}

// The same where images lie closest, as they do in (H, W, N): neighbouring threads look at neighbouring images.
struct Order {
    int64_t images, columns, words;
    bool by_image;

    MASKMILL_HD Place place(size_t i) const {
        if (!by_image) return place_of(i, columns, words);
        const int64_t at = static_cast<int64_t>(i);
        return {at % images, at / images / columns, at / images % columns};
    }
};
template <class Stack>
Order order_of(const Stack& s, int64_t words) {
    const int64_t step = std::abs(s.step_n);
    return {s.n, s.width, words, s.n > 1 && step < std::abs(s.step_x) && step < std::abs(s.step_y)};
}

MASKMILL_HD int rows_of_word(int64_t height, int64_t word) {
    const int64_t left = height - word * kWordRows;
    return left < kWordRows ? static_cast<int>(left) : kWordRows;
}

// COCO's string code of a number: five bits a character, bit 32 for "more follows", the sign that of the last group. A
// difference of two counts has 33 bits.
constexpr int kMaxCodeChars = 7;

MASKMILL_HD int code_length(int64_t x) {
    for (int length = 1;; ++length) {
        const bool negative = (x & 0x10) != 0;
        x >>= 5;
        if (x == (negative ? -1 : 0)) return length;
    }
}

MASKMILL_HD void write_code(int64_t x, char* to) {
    for (bool more = true; more; ++to) {
        const auto group = static_cast<int>(x & 0x1f);
        x >>= 5;
        more = x != ((group & 0x10) != 0 ? -1 : 0);
        *to = static_cast<char>(48 + (more ? group | 0x20 : group));
    }
}

// Of up to 8 characters.
MASKMILL_HD int64_t read_code(const char* chars, const char* end) {
    uint64_t x = 0;
    int shift = 0;
    for (; chars < end; ++chars, shift += 5) {
        x |= uint64_t{(static_cast<unsigned char>(*chars) - 48u) & 0x1fu} << shift;
    }
    if (shift > 0 && (x >> (shift - 1) & 1) != 0) x |= ~uint64_t{0} << shift;
    return static_cast<int64_t>(x);
}

}  // namespace maskmill::cuda
