#include "kernels/rle.hpp"
#include "kernels/rle_device.inl"
#include "support/cuda_combine.cuh"
#include "support/cuda_runs.cuh"
#include "support/runs.hpp"

namespace maskmill::cuda {
namespace {

template <class T>
MASKMILL_HD bool is_set(const ImageStack& s, int64_t image, int64_t y, int64_t x) {
    return *reinterpret_cast<const T*>(s.data + image * s.step_n + y * s.step_y + x * s.step_x) != 0;
}

// Pixel (0, 0) has background above it, the first pixels of other columns the last one of the column before.
template <class T>
MASKMILL_HD bool is_above_set(const ImageStack& s, int64_t image, int64_t y, int64_t x) {
    if (y > 0) return is_set<T>(s, image, y - 1, x);
    return x > 0 && is_set<T>(s, image, s.height - 1, x - 1);
}

// One thread a word, any layout and item size.
template <class T>
void words_of(const ImageStack& s, int64_t words, uint64_t* bits, uint8_t* changes, Queue& queue) {
    for_each(queue, static_cast<size_t>(s.n * words * s.width), [=] __device__(size_t i) {
        const Place at = place_of(i, s.width, words);
        const int rows = rows_of_word(s.height, at.word);
        uint64_t word = 0;
        for (int row = 0; row < rows; ++row) {
            word |= uint64_t{is_set<T>(s, at.image, at.word * kWordRows + row, at.column)} << row;
        }
        const uint64_t above = is_above_set<T>(s, at.image, at.word * kWordRows, at.column);
        bits[i] = word;
        changes[i] = static_cast<uint8_t>(__popcll(changes_of(word, above, rows)));
    });
}

// Rows of bytes that lie beside each other, in fours: one thread makes the words of four columns.
void words_of_quads(const ImageStack& s, int64_t words, uint64_t* bits, uint8_t* changes, Queue& queue) {
    const int64_t quads = s.width / 4;
    for_each(queue, static_cast<size_t>(s.n * words * quads), [=] __device__(size_t i) {
        const Place at = place_of(i, quads, words);
        const int rows = rows_of_word(s.height, at.word);
        const uint8_t* const pixels = s.data + at.image * s.step_n + at.word * kWordRows * s.step_y + at.column * 4;
        uint64_t word[4] = {0, 0, 0, 0};
        for (int eight = 0; eight < rows; eight += 8) {
            uint32_t block = 0;  // byte c: eight rows of column c
            const int stop = rows - eight < 8 ? rows - eight : 8;
#pragma unroll
            for (int row = 0; row < 8; ++row) {
                if (row < stop) {
                    const uint32_t four = *reinterpret_cast<const uint32_t*>(pixels + (eight + row) * s.step_y);
                    block |= nonzero_bytes(four) >> (7 - row);
                }
            }
#pragma unroll
            for (int c = 0; c < 4; ++c) word[c] |= uint64_t{block >> (8 * c) & 0xff} << eight;
        }
        const size_t first =
            (static_cast<size_t>(at.image) * static_cast<size_t>(words) + static_cast<size_t>(at.word)) *
                static_cast<size_t>(s.width) +
            static_cast<size_t>(at.column) * 4;
#pragma unroll
        for (int c = 0; c < 4; ++c) {
            const uint64_t above = is_above_set<uint8_t>(s, at.image, at.word * kWordRows, at.column * 4 + c);
            bits[first + static_cast<size_t>(c)] = word[c];
            changes[first + static_cast<size_t>(c)] = static_cast<uint8_t>(__popcll(changes_of(word[c], above, rows)));
        }
    });
}

void find_words(const ImageStack& s, int64_t words, uint64_t* bits, uint8_t* changes, Queue& queue) {
    const bool quads = s.itemsize == 1 && s.step_x == 1 && s.width % 4 == 0 && s.step_y % 4 == 0 && s.step_n % 4 == 0 &&
                       reinterpret_cast<uintptr_t>(s.data) % 4 == 0;
    if (quads) return words_of_quads(s, words, bits, changes, queue);
    switch (s.itemsize) {
        case 1: return words_of<uint8_t>(s, words, bits, changes, queue);
        case 2: return words_of<uint16_t>(s, words, bits, changes, queue);
        case 4: return words_of<uint32_t>(s, words, bits, changes, queue);
        default: return words_of<uint64_t>(s, words, bits, changes, queue);
    }
}

}  // namespace

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

Runs rle_encode(const ImageStack& s, Queue& queue) {
    const int64_t words = (s.height + kWordRows - 1) / kWordRows;
    const size_t per_image = static_cast<size_t>(words * s.width), all = static_cast<size_t>(s.n) * per_image;
    const size_t n = static_cast<size_t>(s.n);
    uint64_t* const bits = queue.take<uint64_t>(all);
    uint8_t* const changes = queue.take<uint8_t>(all);
    find_words(s, words, bits, changes, queue);
    // Changes before each word, in the order of runs: down the columns.
    int64_t* const before = queue.take<int64_t>(all + 1);
    const int64_t width = s.width, height = s.height;
    scan(queue, all, before, [=] __device__(size_t i) {
        const size_t inside = i % per_image, column = inside / static_cast<size_t>(words);
        return changes[i - inside + inside % static_cast<size_t>(words) * static_cast<size_t>(width) + column];
    });
    Runs out{nullptr, static_cast<size_t>(read(before + all, queue)) + n, queue.take<int64_t>(n + 1)};
    out.values = queue.take<uint32_t>(out.total);
    int64_t* const offsets = out.offsets;
    // Image i has a run for each change, and one more.
    for_each(queue, n + 1, [=] __device__(size_t i) { offsets[i] = before[i * per_image] + static_cast<int64_t>(i); });
    // Where runs end, counted from the first pixel of the first image: then no run has to know its image.
    const uint64_t pixels = static_cast<uint64_t>(height) * static_cast<uint64_t>(width);
    uint64_t* const ends = queue.take<uint64_t>(out.total);
    for_each(queue, n, [=] __device__(size_t i) { ends[offsets[i + 1] - 1] = (i + 1) * pixels; });
    for_each(queue, all, [=] __device__(size_t i) {
        const Place at = place_of(i, width, words);
        const int64_t place = at.image * static_cast<int64_t>(per_image) + at.column * words + at.word;
        int64_t run = before[place] + at.image;
        if (before[place + 1] + at.image == run) return;
        uint64_t above = 0;
        if (at.word > 0) {
            above = bits[i - static_cast<size_t>(width)] >> (kWordRows - 1);
        } else if (at.column > 0) {
            const size_t last = i + static_cast<size_t>((words - 1) * width) - 1;
            above = bits[last] >> (rows_of_word(height, words - 1) - 1) & 1;
        }
        uint64_t changed = changes_of(bits[i], above, rows_of_word(height, at.word));
        const uint64_t first =
            static_cast<uint64_t>(at.image) * pixels + static_cast<uint64_t>(at.column * height + at.word * kWordRows);
        for (; changed != 0; changed &= changed - 1) {
            ends[run++] = first + static_cast<uint64_t>(__ffsll(static_cast<long long>(changed)) - 1);
        }
    });
    const Faults faults(queue);
    uint32_t* const counts = out.values;
    FaultWord* const word = faults.word();
    for_each(queue, out.total, [=] __device__(size_t j) {
        const uint64_t length = ends[j] - (j == 0 ? 0 : ends[j - 1]);
        counts[j] = static_cast<uint32_t>(length);
        if (length > 0xffffffffu) note_fault(word, kSum, j);
    });
    if (pixels > 0xffffffffu && faults.lowest(queue).kind != 0) {
        throw std::invalid_argument("a run is longer than 2^32 - 1 pixels");
    }
    return out;
}

void rle_decode(const Rles& masks, int64_t total, const OutputStack& out, uint8_t value, Queue& queue) {
    const Faults faults(queue);
    check_offsets(masks, total, faults, queue);
    const uint64_t* const ends = ends_of(masks, total, queue);
    check_sums(masks, ends, faults, queue);
    const int64_t words = (out.height + kWordRows - 1) / kWordRows, height = out.height, width = out.width;
    const int64_t* const offsets = masks.offsets;
    const FaultWord* const word = faults.word();
    const OutputStack stack = out;
    for_each(queue, masks.n * static_cast<size_t>(words * width), [=] __device__(size_t i) {
        const Place at = place_of(i, width, words);
        if (*word <= fault_code(kSum, static_cast<FaultWord>(at.image))) return;  // its runs may lead anywhere
        const int rows = rows_of_word(height, at.word);
        const MaskRuns runs = runs_of(offsets, ends, static_cast<size_t>(at.image));
        const uint64_t first = runs.base + static_cast<uint64_t>(at.column * height + at.word * kWordRows);
        // ends[j + 1] is where run j ends: ends[0] is 0.
        const int64_t run = run_at(ends + 1, runs.begin, runs.last, first);
        const uint64_t bits = bits_of_runs(ends + 1, runs.begin, runs.last, run, first, rows);
        uint8_t* pixel =
            stack.data + at.image * stack.step_n + at.word * kWordRows * stack.step_y + at.column * stack.step_x;
        for (int row = 0; row < rows; ++row, pixel += stack.step_y) *pixel = bits >> row & 1 ? value : uint8_t{0};
    });
    raise(faults, masks, ends, queue);
}

}  // namespace maskmill::cuda
