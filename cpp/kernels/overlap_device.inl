// Bodies that the GPU runs for each item of kernels/overlap.hpp, in functions that the host can run, too.
#pragma once

#include "support/cuda_runs.cuh"

namespace maskmill::cuda {

// Masks made ready for many comparisons; copied into kernels.
struct Shapes {
    size_t n;
    const int64_t* offsets;
    const uint64_t* ends;     // where runs end, as ends_of says
    const uint64_t* covered;  // foreground of all runs before each one
    const double* boxes;      // x, y, width, height

    MASKMILL_HD int64_t runs(size_t i) const { return offsets[i + 1] - offsets[i]; }
    MASKMILL_HD uint64_t area(size_t i) const { return covered[offsets[i + 1]] - covered[offsets[i]]; }
};

MASKMILL_HD bool boxes_meet(const double* a, const double* b) {
    return a[0] < b[0] + b[2] && b[0] < a[0] + a[2] && a[1] < b[1] + b[3] && b[1] < a[1] + a[3];
}

// Foreground of mask i before position `at`; `run` is where to look first, and becomes the run found.
MASKMILL_HD uint64_t covered_before(const Shapes& s, size_t i, uint64_t at, int64_t& run) {
    const int64_t begin = s.offsets[i], last = s.offsets[i + 1];
    const uint64_t place = s.ends[begin] + at;
    if (run < last && s.ends[run + 1] <= place) run = run_at(s.ends + 1, run + 1, last, place);
    const uint64_t inside = run < last && (run - begin) % 2 == 1 ? place - s.ends[run] : 0;
    return s.covered[run] + inside;
}

// Pixels that mask i of a, of these runs from `first` on, every `step`-th, has in common with mask j of b.
MASKMILL_HD uint64_t common_of_runs(const Shapes& a, size_t i, int64_t first, int64_t last, int64_t step,
                                    const Shapes& b, size_t j) {
    uint64_t common = 0;
    const uint64_t base = a.ends[a.offsets[i]];
    int64_t run = b.offsets[j];
    for (int64_t k = first; k < last; k += step) {
        const uint64_t before = covered_before(b, j, a.ends[k] - base, run);
        common += covered_before(b, j, a.ends[k + 1] - base, run) - before;
    }
    return common;
}

// The foreground runs of mask i that reach into columns [x0, x1): every second one from `first` on, before `last`.
struct RunRange {
    int64_t first, last;
};
MASKMILL_HD RunRange runs_in_columns(const Shapes& s, size_t i, double x0, double x1, int64_t height) {
    const int64_t begin = s.offsets[i], last = s.offsets[i + 1];
    const uint64_t base = s.ends[begin], rows = static_cast<uint64_t>(height);
    const int64_t first = run_at(s.ends + 1, begin, last, base + static_cast<uint64_t>(x0) * rows);
    const int64_t stop = run_at(s.ends + 1, first, last, base + static_cast<uint64_t>(x1) * rows);
    return {(first - begin) % 2 == 1 ? first : first + 1, stop < last ? stop + 1 : last};
}

}  // namespace maskmill::cuda
