#include "kernels/rle.hpp"

#include "support/parallel.hpp"
#include "support/runs.hpp"

namespace maskmill {
namespace {

constexpr size_t kGrainRuns = 1 << 16;  // about 50 us

size_t grain_of(const Rles& masks) { return masks.n * kGrainRuns / (masks.total_runs() + 1) + 1; }

bool is_canonical(std::span<const uint32_t> runs) { return !runs.empty() && !has_inner_zero(runs); }

}  // namespace

void rle_area(const Rles& masks, uint64_t* area) {
    parallel_for(masks.n, grain_of(masks), [&](size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) area[i] = area_of(masks.runs(i));
    });
}

void rle_bbox(const Rles& masks, double* boxes) {
    parallel_for(masks.n, grain_of(masks), [&](size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) {
            check_sum(i, masks.runs(i), masks.pixels(i));
            const Extent e = extent_of(masks.runs(i), static_cast<uint64_t>(masks.height(i)), masks.pixels(i));
            double* const box = boxes + 4 * i;
            box[0] = static_cast<double>(e.x0);
            box[1] = static_cast<double>(e.y0);
            box[2] = static_cast<double>(e.x1 - e.x0);
            box[3] = static_cast<double>(e.y1 - e.y0);
        }
    });
}

void rle_check(const Rles& masks) {
    parallel_for(masks.n, grain_of(masks), [&](size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) {
            check_sum(i, masks.runs(i), masks.pixels(i));
            if (!is_canonical(masks.runs(i))) {
                fail_mask(i, masks.run_count(i) == 0 ? "has no runs" : "has a zero run behind the first");
            }
        }
    });
}

Runs rle_normalize(const Rles& masks) {
    return parallel_ragged<uint32_t>(masks.n, grain_of(masks), [&](size_t i, Buffer<uint32_t>& out) {
        const auto runs = masks.runs(i);
        check_sum(i, runs, masks.pixels(i));
        if (is_canonical(runs)) {
            out.append(runs.data(), runs.size());
            return;
        }
        RunWriter writer(out);
        for_each_interval(runs, [&](uint64_t begin, uint64_t end) { writer.add(begin, end); });
        writer.finish(masks.pixels(i));
    });
}

}  // namespace maskmill
