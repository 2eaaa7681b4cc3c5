// Sorting by score as numpy's stable argsort of the negated scores does: falling, NaN last, ties in the order given.
#pragma once

#include <cmath>

#include "support/common.hpp"

namespace maskmill {

// Integers that rise as the scores fall; all NaN are the largest.
inline uint64_t falling_key(double score) {
    if (std::isnan(score)) return ~uint64_t{0};
    score += 0.0;  // -0 is 0
    uint64_t bits;
    std::memcpy(&bits, &score, sizeof(bits));
    return bits >> 63 ? bits : ~(bits | uint64_t{1} << 63);
}

struct Ranked {
    uint64_t key;
    uint64_t place;
};

// Stable, by key: a byte at a time from the lowest, without the bytes that all keys share.
inline void sort_by_key(Buffer<Ranked>& items, Buffer<Ranked>& spare) {
    const size_t n = items.size();
    if (n < 2) return;
    spare.resize(n);
    uint64_t all = ~uint64_t{0}, any = 0;
    for (const Ranked& r : items) {
        all &= r.key;
        any |= r.key;
    }
    for (int shift = 0; shift < 64; shift += 8) {
        if (((all ^ any) >> shift & 0xff) == 0) continue;
        size_t start[257] = {};
        for (const Ranked& r : items) ++start[(r.key >> shift & 0xff) + 1];
        for (int b = 0; b < 256; ++b) start[b + 1] += start[b];
        for (const Ranked& r : items) spare[start[r.key >> shift & 0xff]++] = r;
        std::swap(items, spare);
    }
}

}  // namespace maskmill
