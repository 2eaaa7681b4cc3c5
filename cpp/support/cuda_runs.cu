#include "support/cuda_runs.cuh"

#include "support/runs.hpp"

namespace maskmill::cuda {
namespace {

constexpr unsigned kWarpsPerBlock = kThreads / 32;

__global__ void __launch_bounds__(kThreads) area_kernel(const uint32_t* counts, const int64_t* offsets, size_t n,
                                                        unsigned long long* area, const FaultWord* fault) {
    const size_t i = static_cast<size_t>(blockIdx.x) * kWarpsPerBlock + threadIdx.x / 32;
    if (i >= n || *fault < fault_code(kSum, 0)) return;
    unsigned long long sum = 0;
    for (int64_t j = offsets[i] + 1 + 2 * static_cast<int64_t>(threadIdx.x % 32); j < offsets[i + 1]; j += 64) {
        sum += counts[j];
    }
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) area[i] = sum;
}

__global__ void __launch_bounds__(kThreads)
    bbox_kernel(const uint64_t* ends, const int64_t* offsets, const int64_t* sizes, size_t n, double* boxes,
                const FaultWord* fault) {
    const size_t i = static_cast<size_t>(blockIdx.x) * kWarpsPerBlock + threadIdx.x / 32;
    if (i >= n || *fault <= fault_code(kSum, i)) return;
    const MaskRuns runs = runs_of(offsets, ends, i);
    const uint64_t height = static_cast<uint64_t>(sizes[2 * i]);
    Box box{~0ull, 0, ~0ull, 0};
    for (int64_t j = runs.begin + 1 + 2 * static_cast<int64_t>(threadIdx.x % 32); j < runs.last; j += 64) {
        const uint64_t begin = ends[j] - runs.base, end = ends[j + 1] - runs.base;
        if (begin == end) continue;
        const Box run = box_of_run(begin, end, height);
        box.x0 = run.x0 < box.x0 ? run.x0 : box.x0;
        box.x1 = run.x1 > box.x1 ? run.x1 : box.x1;
        box.y0 = run.y0 < box.y0 ? run.y0 : box.y0;
        box.y1 = run.y1 > box.y1 ? run.y1 : box.y1;
    }
    for (int by = 16; by > 0; by /= 2) {
        const unsigned step = static_cast<unsigned>(by);
        const Box other{__shfl_down_sync(~0u, box.x0, step), __shfl_down_sync(~0u, box.x1, step),
                        __shfl_down_sync(~0u, box.y0, step), __shfl_down_sync(~0u, box.y1, step)};
        box.x0 = other.x0 < box.x0 ? other.x0 : box.x0;
        box.x1 = other.x1 > box.x1 ? other.x1 : box.x1;
        box.y0 = other.y0 < box.y0 ? other.y0 : box.y0;
        box.y1 = other.y1 > box.y1 ? other.y1 : box.y1;
    }
    if (threadIdx.x % 32 != 0) return;
    if (box.x1 == 0) box = {0, 0, 0, 0};
    boxes[4 * i] = static_cast<double>(box.x0);
    boxes[4 * i + 1] = static_cast<double>(box.y0);
    boxes[4 * i + 2] = static_cast<double>(box.x1 - box.x0);
    boxes[4 * i + 3] = static_cast<double>(box.y1 - box.y0);
}

}  // namespace

const uint64_t* ends_of(const Rles& masks, int64_t total, Queue& queue) {
    uint64_t* const ends = queue.take<uint64_t>(static_cast<size_t>(total) + 1);
    const uint32_t* const counts = masks.counts;
    scan(queue, static_cast<size_t>(total), ends, [=] __device__(size_t j) { return uint64_t{counts[j]}; });
    return ends;
}

void check_offsets(const Rles& masks, int64_t total, const Faults& faults, Queue& queue) {
    const int64_t* const offsets = masks.offsets;
    FaultWord* const word = faults.word();
    for_each(queue, masks.n, [=] __device__(size_t i) {
        if (offsets[i] < 0 || offsets[i] > offsets[i + 1] || offsets[i + 1] > total) note_fault(word, kOffsets, i);
    });
}

void check_sums(const Rles& masks, const uint64_t* ends, const Faults& faults, Queue& queue) {
    const int64_t* const offsets = masks.offsets;
    const int64_t* const sizes = masks.sizes;
    FaultWord* const word = faults.word();
    for_each(queue, masks.n, [=] __device__(size_t i) {
        if (*word < fault_code(kSum, 0)) return;
        const uint64_t sum = ends[offsets[i + 1]] - ends[offsets[i]];
        if (sum != static_cast<uint64_t>(sizes[2 * i]) * static_cast<uint64_t>(sizes[2 * i + 1])) {
            note_fault(word, kSum, i);
        }
    });
}

void raise(const Faults& faults, const Rles& masks, const uint64_t* ends, Queue& queue) {
    const Fault fault = faults.lowest(queue);
    if (fault.kind == kOffsets) raise_offsets();
    if (fault.kind != kSum) return;
    const int64_t begin = read(masks.offsets + fault.item, queue), end = read(masks.offsets + fault.item + 1, queue);
    const uint64_t sum = read(ends + end, queue) - read(ends + begin, queue);
    const int64_t height = read(masks.sizes + 2 * fault.item, queue),
                  width = read(masks.sizes + 2 * fault.item + 1, queue);
    fail_mask(fault.item, "runs sum to " + std::to_string(sum) + ", image has " +
                              std::to_string(static_cast<uint64_t>(height) * static_cast<uint64_t>(width)) + " pixels");
}

void raise_offsets() {
    throw std::invalid_argument("offsets must rise from 0 or more to the number of values or less");
}

void areas_of(const Rles& masks, uint64_t* area, const Faults& faults, Queue& queue) {
    launch(area_kernel, dim3(blocks_for(masks.n, kWarpsPerBlock)), dim3(kThreads), 0, queue, masks.counts,
           masks.offsets, masks.n, reinterpret_cast<unsigned long long*>(area), faults.word());
}

void boxes_of(const Rles& masks, const uint64_t* ends, double* boxes, const Faults& faults, Queue& queue) {
    launch(bbox_kernel, dim3(blocks_for(masks.n, kWarpsPerBlock)), dim3(kThreads), 0, queue, ends, masks.offsets,
           masks.sizes, masks.n, boxes, faults.word());
}

HostMasks::HostMasks(const Rles& masks, int64_t total, Queue& queue)
    : counts(static_cast<size_t>(total)), offsets(masks.n + 1), sizes(2 * masks.n) {
    copy_to_host(counts.data(), masks.counts, counts.size() * sizeof(uint32_t), queue);
    copy_to_host(offsets.data(), masks.offsets, offsets.size() * sizeof(int64_t), queue);
    if (masks.sizes != nullptr) copy_to_host(sizes.data(), masks.sizes, sizes.size() * sizeof(int64_t), queue);
}

}  // namespace maskmill::cuda
