#include "kernels/setops.hpp"

#include "support/parallel.hpp"
#include "support/runs.hpp"

namespace maskmill {
namespace {

constexpr size_t kGrainRuns = 1 << 14;

// Reduces masks [begin, end) of one group as a tree, appending to `out`.
void reduce(const Rles& masks, size_t begin, size_t end, unsigned table, uint64_t pixels, Buffer<uint32_t>& out) {
    if (end - begin == 1) {
        combine_runs(masks.runs(begin), {}, 0b1010, pixels, out);  // a copy in canonical form
        return;
    }
    if (end - begin == 2) {
        combine_runs(masks.runs(begin), masks.runs(begin + 1), table, pixels, out);
        return;
    }
    const size_t middle = begin + (end - begin) / 2;
    Buffer<uint32_t> left, right;
    reduce(masks, begin, middle, table, pixels, left);
    reduce(masks, middle, end, table, pixels, right);
    combine_runs({left.data(), left.size()}, {right.data(), right.size()}, table, pixels, out);
}

unsigned table_of(GroupOp op) {
    switch (op) {
        case GroupOp::intersection: return 0b1000;
        case GroupOp::exclusive: return 0b0110;
        default: return 0b1110;
    }
}

}  // namespace

Runs setops_merge(const Rles& masks, const int64_t* groups, size_t group_count, const int64_t* group_sizes,
                  GroupOp op) {
    const size_t grain = group_count * kGrainRuns / (masks.total_runs() + 1) + 1;
    return parallel_ragged<uint32_t>(group_count, grain, [&](size_t g, Buffer<uint32_t>& out) {
        const auto begin = static_cast<size_t>(groups[g]), end = static_cast<size_t>(groups[g + 1]);
        const int64_t h = group_sizes[2 * g], w = group_sizes[2 * g + 1];
        const auto pixels = static_cast<uint64_t>(h) * static_cast<uint64_t>(w);
        for (size_t i = begin; i < end; ++i) {
            if (masks.height(i) != h || masks.width(i) != w) {
                fail_mask(i, "size " + size_text(masks.height(i), masks.width(i)) + " differs from its group's " +
                                 size_text(h, w));
            }
            check_sum(i, masks.runs(i), pixels);
        }
        if (begin == end) {
            combine_runs({}, {}, 0, pixels, out);
        } else if (op == GroupOp::first_only && end - begin > 1) {
            Buffer<uint32_t> others;
            reduce(masks, begin + 1, end, 0b1110, pixels, others);
            combine_runs(masks.runs(begin), {others.data(), others.size()}, 0b0010, pixels, out);
        } else {
            reduce(masks, begin, end, table_of(op), pixels, out);
        }
    });
}

Runs setops_pairs(const Rles& a, const Rles& b, unsigned table) {
    if (a.n != b.n) {
        throw std::invalid_argument("there must be as many masks on both sides, not " + std::to_string(a.n) + " and " +
                                    std::to_string(b.n));
    }
    const size_t grain = a.n * kGrainRuns / (a.total_runs() + b.total_runs() + 1) + 1;
    return parallel_ragged<uint32_t>(a.n, grain, [&](size_t i, Buffer<uint32_t>& out) {
        if (a.height(i) != b.height(i) || a.width(i) != b.width(i)) {
            fail_mask(i, "sizes " + size_text(a.height(i), a.width(i)) + " and " + size_text(b.height(i), b.width(i)) +
                             " differ");
        }
        check_sum(i, a.runs(i), a.pixels(i));
        check_sum(i, b.runs(i), b.pixels(i));
        combine_runs(a.runs(i), b.runs(i), table, a.pixels(i), out);
    });
}

Runs setops_complement(const Rles& masks) {
    const size_t grain = masks.n * kGrainRuns / (masks.total_runs() + 1) + 1;
    return parallel_ragged<uint32_t>(masks.n, grain, [&](size_t i, Buffer<uint32_t>& out) {
        check_sum(i, masks.runs(i), masks.pixels(i));
        combine_runs(masks.runs(i), {}, 0b0101, masks.pixels(i), out);
    });
}

}  // namespace maskmill
