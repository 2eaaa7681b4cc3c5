// Sorting on a GPU; on the host where kernels are emulated.
#pragma once

#include <bit>

#include "support/cuda.cuh"

#ifdef MASKMILL_CUDA_EMULATED
#include <algorithm>
#else
#include <cub/device/device_radix_sort.cuh>
#endif

namespace maskmill::cuda {

// Bits of a number.
inline int bits_of(uint64_t n) { return n == 0 ? 1 : static_cast<int>(std::bit_width(n)); }

// n keys in rising order, of whose bits the lowest `bits` count; others are 0.
inline uint64_t* sorted(const uint64_t* keys, size_t n, int bits, Queue& queue) {
    uint64_t* const out = queue.take<uint64_t>(n);
#ifdef MASKMILL_CUDA_EMULATED
    (void)bits;
    std::copy(keys, keys + n, out);
    std::sort(out, out + n);
#else
    size_t bytes = 0;
    const auto count = static_cast<int64_t>(n);
    check(cub::DeviceRadixSort::SortKeys(nullptr, bytes, keys, out, count, 0, bits, stream_of(queue)));
    void* const scratch = queue.memory.take(bytes + 1);
    check(cub::DeviceRadixSort::SortKeys(scratch, bytes, keys, out, count, 0, bits, stream_of(queue)));
#endif
    return out;
}

}  // namespace maskmill::cuda
