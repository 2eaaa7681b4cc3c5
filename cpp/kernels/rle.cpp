#include "kernels/rle.hpp"

#include "support/parallel.hpp"
#include "support/runs.hpp"

namespace maskmill {
namespace {

constexpr size_t kGrainRuns = 1 << 16;  // about 50 us

size_t grain_of(const Rles& masks) { return masks.n * kGrainRuns / (masks.total_runs() + 1) + 1; }

void bbox_of(std::span<const uint32_t> runs, uint64_t height, double* box) {
    uint64_t x0 = ~uint64_t{0}, x1 = 0, y0 = height, y1 = 0;
    for_each_segment(runs, height, [&](uint64_t x, uint64_t top, uint64_t bottom) {
        if (x0 == ~uint64_t{0}) x0 = x;
        x1 = x + 1;
        y0 = top < y0 ? top : y0;
        y1 = bottom > y1 ? bottom : y1;
    });
    const bool empty = x1 == 0;
    box[0] = empty ? 0 : static_cast<double>(x0);
    box[1] = empty ? 0 : static_cast<double>(y0);
    box[2] = empty ? 0 : static_cast<double>(x1 - x0);
    box[3] = empty ? 0 : static_cast<double>(y1 - y0);
}

bool is_canonical(std::span<const uint32_t> runs) {
    for (size_t j = 1; j < runs.size(); ++j) {
        if (runs[j] == 0) return false;
    }
    return !runs.empty();
}

}  // namespace

void rle_area(const Rles& masks, uint64_t* area) {
    parallel_for(masks.n, grain_of(masks), [&](size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) {
            const auto runs = masks.runs(i);
            uint64_t sum = 0;
            for (size_t j = 1; j < runs.size(); j += 2) sum += runs[j];
            area[i] = sum;
        }
    });
}

void rle_bbox(const Rles& masks, double* boxes) {
    parallel_for(masks.n, grain_of(masks), [&](size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) {
            check_sum(i, masks.runs(i), masks.pixels(i));
            bbox_of(masks.runs(i), static_cast<uint64_t>(masks.height(i)), boxes + 4 * i);
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
