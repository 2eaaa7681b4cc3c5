// All of it is support/cuda_combine.cuh: the groups differ, and the rule.
#include "kernels/setops.hpp"

#include "support/cuda_combine.cuh"

namespace maskmill::cuda {
namespace {

Rule rule_of(GroupOp op) {
    switch (op) {
        case GroupOp::intersection: return {0b1000, Others::all};
        case GroupOp::exclusive: return {0b0110, Others::odd};
        case GroupOp::first_only: return {0b0010, Others::any};
        default: return {0b1110, Others::any};
    }
}

}  // namespace

Runs setops_merge(const Rles& masks, int64_t total, const int64_t* groups, size_t group_count,
                  const int64_t* group_sizes, GroupOp op, Queue& queue) {
    const Combined out = combine({.a = masks,
                                  .a_total = total,
                                  .starts = on_device(groups, group_count + 1, queue),
                                  .groups = group_count,
                                  .sizes = on_device(group_sizes, 2 * group_count, queue)},
                                 rule_of(op), queue);
    if (out.fault.kind == 0) return out.runs;
    retell(out.fault, [&] {
        maskmill::setops_merge(HostMasks(masks, total, queue).rles(), groups, group_count, group_sizes, op);
    });
}

Runs setops_pairs(const Rles& a, int64_t a_total, const Rles& b, int64_t b_total, unsigned table, Queue& queue) {
    if (a.n != b.n) maskmill::setops_pairs({.n = a.n}, {.n = b.n}, table);  // says what is wrong
    const Combined out =
        combine({.a = a, .a_total = a_total, .b = b, .b_total = b_total, .groups = a.n, .sizes = a.sizes},
                {table, Others::any}, queue);
    if (out.fault.kind == 0) return out.runs;
    retell(out.fault, [&] {
        const HostMasks left(a, a_total, queue), right(b, b_total, queue);
        maskmill::setops_pairs(left.rles(), right.rles(), table);
    });
}

Runs setops_complement(const Rles& masks, int64_t total, Queue& queue) {
    const Combined out =
        combine({.a = masks, .a_total = total, .groups = masks.n, .sizes = masks.sizes}, {0b0101, Others::any}, queue);
    if (out.fault.kind == 0) return out.runs;
    retell(out.fault, [&] { maskmill::setops_complement(HostMasks(masks, total, queue).rles()); });
}

}  // namespace maskmill::cuda
