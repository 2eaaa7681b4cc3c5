#include "kernels/rle.hpp"
#include "kernels/rle_device.inl"
#include "support/cuda_combine.cuh"
#include "support/cuda_runs.cuh"
#include "support/runs.hpp"

namespace maskmill::cuda {

void rle_area(const Rles& masks, int64_t total, uint64_t* area, Queue& queue) {
    const Faults faults(queue);
    check_offsets(masks, total, faults, queue);
    areas_of(masks, area, faults, queue);
    raise(faults, masks, nullptr, queue);
}

void rle_bbox(const Rles& masks, int64_t total, double* boxes, Queue& queue) {
    const Faults faults(queue);
    check_offsets(masks, total, faults, queue);
    const uint64_t* const ends = ends_of(masks, total, queue);
    check_sums(masks, ends, faults, queue);
    boxes_of(masks, ends, boxes, faults, queue);
    raise(faults, masks, ends, queue);
}

void rle_check(const Rles& masks, int64_t total, Queue& queue) {
    const Faults faults(queue);
    check_offsets(masks, total, faults, queue);
    check_sums(masks, ends_of(masks, total, queue), faults, queue);
    const uint32_t* const counts = masks.counts;
    const int64_t* const offsets = masks.offsets;
    FaultWord* const word = faults.word();
    const Owners owners{offsets, masks.n, word};
    for_each(queue, masks.n, [=] __device__(size_t i) {
        if (*word >= fault_code(kSum, 0) && offsets[i] == offsets[i + 1]) note_fault(word, kOther, i);
    });
    for_each(queue, static_cast<size_t>(total), [=] __device__(size_t j) {
        if (counts[j] != 0) return;
        const int64_t first = owners.first_of(j);
        if (first >= 0 && static_cast<int64_t>(j) > first) note_fault(word, kOther, j);
    });
    const Fault fault = faults.lowest(queue);
    if (fault.kind != 0) retell(fault, [&] { maskmill::rle_check(HostMasks(masks, total, queue).rles()); });
}

Runs rle_normalize(const Rles& masks, int64_t total, Queue& queue) {
    const Combined out =
        combine({.a = masks, .a_total = total, .groups = masks.n, .sizes = masks.sizes}, {0b1010, Others::any}, queue);
    if (out.fault.kind != 0) retell(out.fault, [&] { maskmill::rle_normalize(HostMasks(masks, total, queue).rles()); });
    return out.runs;
}

}  // namespace maskmill::cuda
