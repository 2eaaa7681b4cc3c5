// Run-length masks on a GPU: what kernels on them have in common.
//
// Offsets and counts are the user's, and on the device: no kernel follows them before `check_offsets` has looked, and none
// makes addresses of positions before `check_sums` has. A kernel that finds a fault notes it; the host reads the word
// together with a count that it waits for anyway, and tells the fault in the words of the host's twin.
#pragma once

#include "support/cuda.cuh"

namespace maskmill::cuda {

enum FaultKind : unsigned { kOffsets = 1, kSum = 2, kOther = 3 };

// Where run j of all masks ends, counted from the first pixel of the first mask: ends[j + 1], and ends[0] = 0.
const uint64_t* ends_of(const Rles& masks, int64_t total, Queue& queue);

// Notes offsets that lead out of the counts, on which nothing else may rely.
void check_offsets(const Rles& masks, int64_t total, const Faults& faults, Queue& queue);
// Notes masks whose runs do not sum to their pixels.
void check_sums(const Rles& masks, const uint64_t* ends, const Faults& faults, Queue& queue);
// Raises what these two found. Waits for the stream.
void raise(const Faults& faults, const Rles& masks, const uint64_t* ends, Queue& queue);
[[noreturn]] void raise_offsets();

// As rle_area and rle_bbox, for masks that were checked. A warp a mask.
void areas_of(const Rles& masks, uint64_t* area, const Faults& faults, Queue& queue);
void boxes_of(const Rles& masks, const uint64_t* ends, double* boxes, const Faults& faults, Queue& queue);

// The masks copied to the host. Waits for the stream.
struct HostMasks {
    HostMasks(const Rles& masks, int64_t total, Queue& queue);
    Rles rles() const { return {counts.data(), offsets.data(), sizes.data(), offsets.size() - 1}; }

    Buffer<uint32_t> counts;
    Buffer<int64_t> offsets, sizes;
};

// Raises what the host's twin finds in a copy of what a kernel refused: the same text for the same masks.
template <class Twin>
[[noreturn]] void retell(const Fault& fault, Twin&& twin) {
    if (fault.kind == kOffsets) raise_offsets();
    twin();
    throw std::logic_error("the GPU found a fault that the host does not");
}

template <class T>
T* on_device(const T* host, size_t n, Queue& queue) {
    T* const device = queue.take<T>(n);
    if (n > 0) copy_to_device(device, host, n * sizeof(T), queue);
    return device;
}

// A mask's runs: positions relative to `base`.
struct MaskRuns {
    int64_t begin, last;
    uint64_t base;
};
MASKMILL_HD MaskRuns runs_of(const int64_t* offsets, const uint64_t* ends, size_t i) {
    return {offsets[i], offsets[i + 1], ends[offsets[i]]};
}

// The last of n + 1 rising numbers that is not above `at`, and not the very last: the item that owns a place, where
// items may be empty.
template <class T>
MASKMILL_HD size_t owner_of(const T* starts, size_t n, T at) {
    size_t first = 0, last = n;  // starts[first] <= at < starts[last]
    while (last - first > 1) {
        const size_t middle = first + (last - first) / 2;
        if (starts[middle] > at) {
            last = middle;
        } else {
            first = middle;
        }
    }
    return first;
}

// Whose run j is; copied into kernels.
struct Owners {
    const int64_t* offsets;
    size_t n;
    const FaultWord* fault;

    // -1: no mask's, or offsets cannot be relied upon.
    MASKMILL_HD int64_t of(size_t j) const {
        const auto run = static_cast<int64_t>(j);
        if (*fault < fault_code(kSum, 0) || n == 0 || run < offsets[0] || run >= offsets[n]) return -1;
        return static_cast<int64_t>(owner_of(offsets, n, run));
    }
    // Where that mask's runs begin, or -1.
    MASKMILL_HD int64_t first_of(size_t j) const {
        const int64_t mask = of(j);
        return mask < 0 ? -1 : offsets[mask];
    }
};

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

// As run_at, for places that are mostly a few runs further on.
MASKMILL_HD int64_t run_near(const uint64_t* ends, int64_t first, int64_t last, uint64_t at) {
    int64_t next = first;
    for (int64_t step = 1; next < last && ends[next] <= at; step *= 2) {
        first = next + 1;
        next += step;
    }
    return run_at(ends, first, next < last ? next : last, at);
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
