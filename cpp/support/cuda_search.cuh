// Whose an item is, where items of variable numbers of elements lie one behind the other.
#pragma once

#include "support/cuda.cuh"

namespace maskmill::cuda {

// The last of the items [low, high) that begins at or before `at`: the one that `at` lies in, as empty ones before it end
// there. low - 1 if there is none.
MASKMILL_HD int64_t owner_between(const int64_t* offsets, int64_t low, int64_t high, int64_t at) {
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (offsets[middle] <= at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low - 1;
}

// Of n items.
MASKMILL_HD int64_t owner_of(const int64_t* offsets, int64_t n, int64_t at) { return owner_between(offsets, 0, n, at); }

// Owners for kernels that ask for each of many places: the owners of every 64th are known before, so that a search has two
// of them to look up, and few steps left, where one among a million items takes 20, each waiting for the one before.
// Copied into kernels.
struct OwnerTable {
    const int64_t* offsets;
    const int64_t* known;

    MASKMILL_HD int64_t of(int64_t at) const {
        const int64_t* const around = known + at / kEvery;
        return owner_between(offsets, around[0] + 1, around[1] + 1, at);
    }

    static constexpr int64_t kEvery = 64;
};

// Of n items, for places 0 to `places` - 1. Offsets that do not rise give any owner between -1 and n - 1.
inline OwnerTable owner_table(const int64_t* offsets, size_t n, size_t places, Queue& queue) {
    const size_t count = (places + OwnerTable::kEvery - 1) / OwnerTable::kEvery + 1;
    int64_t* const known = queue.take<int64_t>(count);
    for_each(queue, count, [=] __device__(size_t k) {
        known[k] = owner_of(offsets, static_cast<int64_t>(n), static_cast<int64_t>(k) * OwnerTable::kEvery);
    });
    return {offsets, known};
}

}  // namespace maskmill::cuda
