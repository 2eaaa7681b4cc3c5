// Whose an item is, where items of variable numbers of elements lie one behind the other.
#pragma once

#include "support/cuda.cuh"

namespace maskmill::cuda {

// The last of n items that begins at or before `at`: the one that `at` lies in, as empty ones before it end there.
MASKMILL_HD int64_t owner_of(const int64_t* offsets, int64_t n, int64_t at) {
    int64_t low = 0, high = n;
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

}  // namespace maskmill::cuda
