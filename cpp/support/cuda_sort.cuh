// Sorting on a GPU; on the host where kernels are emulated.
#pragma once

#include <bit>

#include "support/cuda.cuh"

#ifdef MASKMILL_CUDA_EMULATED
#include <algorithm>
#include <utility>
#include <vector>
#else
#include <cub/device/device_radix_sort.cuh>
#endif

namespace maskmill::cuda {

// Bits of a number.
inline int bits_of(uint64_t n) { return n == 0 ? 1 : static_cast<int>(std::bit_width(n)); }

// Both sort by the lowest `bits` of the keys (others are 0). The pointers are to where the sorted are.
template <class Key>
void sort_keys(Queue& queue, size_t n, Key*& keys, int bits) {
#ifdef MASKMILL_CUDA_EMULATED
    (void)queue, (void)bits;
    const emulated::Open open;
    std::sort(keys, keys + n);
#else
    cub::DoubleBuffer<Key> buffers(keys, queue.take<Key>(n));
    with_scratch(queue, [&](void* scratch, size_t& bytes) {
        return cub::DeviceRadixSort::SortKeys(scratch, bytes, buffers, static_cast<int64_t>(n), 0, bits,
                                              stream_of(queue));
    });
    keys = buffers.Current();
#endif
}

// Keeps the order of equal keys.
template <class Key, class Value>
void sort_pairs(Queue& queue, size_t n, Key*& keys, Value*& values, int bits) {
#ifdef MASKMILL_CUDA_EMULATED
    (void)queue, (void)bits;
    const emulated::Open open;
    std::vector<std::pair<Key, Value>> pairs(n);
    for (size_t i = 0; i < n; ++i) pairs[i] = {keys[i], values[i]};
    std::stable_sort(pairs.begin(), pairs.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    for (size_t i = 0; i < n; ++i) {
        keys[i] = pairs[i].first;
        values[i] = pairs[i].second;
    }
#else
    cub::DoubleBuffer<Key> key_buffers(keys, queue.take<Key>(n));
    cub::DoubleBuffer<Value> value_buffers(values, queue.take<Value>(n));
    with_scratch(queue, [&](void* scratch, size_t& bytes) {
        return cub::DeviceRadixSort::SortPairs(scratch, bytes, key_buffers, value_buffers, static_cast<int64_t>(n), 0,
                                               bits, stream_of(queue));
    });
    keys = key_buffers.Current();
    values = value_buffers.Current();
#endif
}

}  // namespace maskmill::cuda
