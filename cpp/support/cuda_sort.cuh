// Sorting on a GPU; on the host where kernels are emulated.
#pragma once

#include <bit>

#include "support/cuda.cuh"

#ifdef MASKMILL_CUDA_EMULATED
#include <algorithm>
#include <vector>
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

// Sorts by the lowest `bits` of the keys (others are 0), and keeps the order of equal ones. The pointers are to where the
// sorted are.
template <class Key, class Value>
void sort_pairs(Queue& queue, size_t n, Key*& keys, Value*& values, int bits) {
    Key* const other_keys = queue.take<Key>(n);
    Value* const other_values = queue.take<Value>(n);
#ifdef MASKMILL_CUDA_EMULATED
    (void)bits;
    std::vector<size_t> order(n);
    for (size_t i = 0; i < n; ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return keys[a] < keys[b]; });
    for (size_t i = 0; i < n; ++i) {
        other_keys[i] = keys[order[i]];
        other_values[i] = values[order[i]];
    }
    keys = other_keys;
    values = other_values;
#else
    cub::DoubleBuffer<Key> key_buffers(keys, other_keys);
    cub::DoubleBuffer<Value> value_buffers(values, other_values);
    size_t bytes = 0;
    const auto count = static_cast<int64_t>(n);
    check(
        cub::DeviceRadixSort::SortPairs(nullptr, bytes, key_buffers, value_buffers, count, 0, bits, stream_of(queue)));
    void* const scratch = queue.memory.take(bytes + 1);
    check(
        cub::DeviceRadixSort::SortPairs(scratch, bytes, key_buffers, value_buffers, count, 0, bits, stream_of(queue)));
    keys = key_buffers.Current();
    values = value_buffers.Current();
#endif
}

}  // namespace maskmill::cuda
