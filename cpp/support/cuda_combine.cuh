// Set operations on run-length masks on a GPU: many masks become one, pixel by pixel, as canonical runs.
//
// Design      Every run's end is an event: from here on, one mask more (or one less) covers the pixels. Sorted by place,
//             events are summed up; where the sum says another value than before, a run of the result ends. So the work
//             is spread over runs, however unequal masks are, and a group of a thousand masks is one sort, not a tree.
//             Where a group is one mask or two, their runs are in order: a run's event finds its place by one binary
//             search in the other mask, and nothing is sorted.
// Cost        About 60 bytes moved a run: events are written (9), summed (16) and asked twice (each with a binary search
//             where events meet); 18 for each of 5 to 8 passes besides, where they are sorted. Floor: 8 bytes a run. 12
//             launches, or 20 with a sort; one wait.
#pragma once

#include "support/cuda_runs.cuh"

namespace maskmill::cuda {

// How a group's other masks count together.
enum class Others { any, all, odd };

// Pixel = bit (first + 2 * others) of `table`, first being whether a group's first mask has it.
struct Rule {
    unsigned table;
    Others others;
};

// Masks of a, and for pairs those of b, in groups.
struct Operands {
    Rles a;
    int64_t a_total;
    Rles b{};  // as many as of a, or none
    int64_t b_total = 0;
    // Group g is masks starts[g] .. starts[g + 1] of a; without starts, mask g of a (and of b).
    const int64_t* starts = nullptr;
    size_t groups = 0;
    const int64_t* sizes = nullptr;  // of the groups
};

struct Combined {
    Runs runs;
    Fault fault;  // if any, there are no runs, and it is the caller's to tell
};

// Waits for the stream once.
Combined combine(const Operands& operands, Rule rule, Queue& queue);

}  // namespace maskmill::cuda
