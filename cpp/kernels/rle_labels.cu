// Label images on a GPU.
//
// To masks    A stretch (pixels of one label, one after the other down the columns) is two runs of its label's mask. So:
//             find where labels change, as rle_encode does; sort the stretches by label, in order; count, scan, fill. Cost:
//             one pass over the pixels (and 1/7 of a byte a pixel for words), then about 150 bytes a stretch, most of them
//             for sorting. Floor: the pixels once.
// From masks  Every pixel keeps the highest number of a mask that covers it (atomicMax on 4 bytes, 32 pixels of a run at a
//             time), from which labels are written; by rows in squares of 32 x 32, through shared memory. Cost: 8 bytes a
//             pixel of the image, and 4 a pixel of foreground.
#include "kernels/rle.hpp"
#include "kernels/rle_device.inl"
#include "support/cuda_runs.cuh"
#include "support/cuda_sort.cuh"
#include "support/runs.hpp"

namespace maskmill::cuda {
namespace {

enum LabelFault : unsigned { kTooLarge = 1, kTooLong = 2 };

// One label image, as keys that sort as the labels do: signed ones with the sign bit turned.
template <class T>
struct Labels {
    ImageStack stack;
    T bias;

    MASKMILL_HD T at(int64_t y, int64_t x) const {
        const T item = *reinterpret_cast<const T*>(stack.data + y * stack.step_y + x * stack.step_x);
        return static_cast<T>(item ^ bias);
    }
    MASKMILL_HD T at_place(uint64_t place) const {
        const auto height = static_cast<uint64_t>(stack.height);
        return at(static_cast<int64_t>(place % height), static_cast<int64_t>(place / height));
    }
    MASKMILL_HD int64_t value_of(T key) const { return static_cast<int64_t>(uint64_t{key} - uint64_t{bias}); }
    // Bit r: the label at row + r is not that above it (or, for row 0, that at the end of the column before).
    MASKMILL_HD uint64_t changes(int64_t column, int64_t row, int rows) const {
        uint64_t found = 0;
        T last = 0;
        if (row > 0) {
            last = at(row - 1, column);
        } else if (column > 0) {
            last = at(stack.height - 1, column - 1);
        } else {
            last = static_cast<T>(~at(0, 0));  // the first stretch starts here
        }
        for (int r = 0; r < rows; ++r) {
            const T item = at(row + r, column);
            found |= uint64_t{item != last} << r;
            last = item;
        }
        return found;
    }
};

// Where stretches start in the order of pixels, and the key of each; one place more is the number of pixels.
template <class T>
struct Stretches {
    size_t n;
    uint64_t* starts;
    T* keys;
};

template <class T>
Stretches<T> stretches_of(const Labels<T>& labels, Queue& queue) {
    const int64_t height = labels.stack.height, width = labels.stack.width;
    const int64_t words = (height + kWordRows - 1) / kWordRows;
    const size_t all = static_cast<size_t>(words * width);
    uint64_t* const bits = queue.take<uint64_t>(all);
    for_each(queue, all, [=] __device__(size_t i) {
        const Place at = place_of(i, width, words);
        bits[i] = labels.changes(at.column, at.word * kWordRows, rows_of_word(height, at.word));
    });
    // Changes before each word, down the columns.
    int64_t* const before = queue.take<int64_t>(all + 1);
    scan(queue, all, before, [=] __device__(size_t i) -> int64_t {
        const size_t column = i / static_cast<size_t>(words), word = i % static_cast<size_t>(words);
        return __popcll(bits[word * static_cast<size_t>(width) + column]);
    });
    const size_t n = static_cast<size_t>(read(before + all, queue));
    const Stretches<T> out{n, queue.take<uint64_t>(n + 1), queue.take<T>(n)};
    for_each(queue, all + 1, [=] __device__(size_t i) {
        if (i == all) {
            out.starts[n] = static_cast<uint64_t>(height * width);
            return;
        }
        const Place at = place_of(i, width, words);
        int64_t k = before[at.column * words + at.word];
        for (uint64_t left = bits[i]; left != 0; left &= left - 1, ++k) {
            const int64_t row = at.word * kWordRows + __ffsll(static_cast<long long>(left)) - 1;
            out.starts[k] = static_cast<uint64_t>(at.column * height + row);
            out.keys[k] = labels.at(row, at.column);
        }
    });
    return out;
}

// Stretches by label, and within a label in order.
template <class T>
struct Sorted {
    const T* keys;
    const uint64_t* stretches;
    const uint64_t* starts;
    size_t n;
    T background;

    MASKMILL_HD bool is_first(size_t e) const { return e == 0 || keys[e - 1] != keys[e]; }
    MASKMILL_HD bool is_last(size_t e) const { return e + 1 == n || keys[e + 1] != keys[e]; }
    MASKMILL_HD uint64_t start(size_t e) const { return starts[stretches[e]]; }
    MASKMILL_HD uint64_t end(size_t e) const { return starts[stretches[e] + 1]; }
    MASKMILL_HD uint64_t pixels() const { return starts[n]; }
    // The gap before it and itself; and what is behind the last one.
    MASKMILL_HD int runs(size_t e) const { return keys[e] == background ? 0 : is_last(e) && end(e) < pixels() ? 3 : 2; }
};

template <class T>
LabelMasks masks_of(const ImageStack& stack, bool is_signed, Queue& queue) {
    const Labels<T> labels{stack, is_signed ? static_cast<T>(uint64_t{1} << (8 * sizeof(T) - 1)) : T{0}};
    const Stretches<T> found = stretches_of(labels, queue);
    const size_t n = found.n;
    uint64_t* order = queue.take<uint64_t>(n);
    const Sums sums(n, queue);
    FaultWord* const word = sums.faults.word();
    for_each(queue, n, [=] __device__(size_t k) {
        order[k] = k;
        if (labels.bias == 0 && uint64_t{found.keys[k]} > 0x7fffffffffffffffu) note_fault(word, kTooLarge, k);
    });
    T* keys = found.keys;
    sort_pairs(queue, n, keys, order, 8 * static_cast<int>(sizeof(T)));
    const Sorted<T> sorted{keys, order, found.starts, n, labels.bias};
    int64_t* const before = sums.before;  // runs before each stretch
    int64_t* const ranks = queue.take<int64_t>(n + 1);
    scan(queue, n, ranks,
         [=] __device__(size_t e) -> int64_t { return sorted.runs(e) > 0 && sorted.is_first(e) ? 1 : 0; });
    scan(queue, n, before, [=] __device__(size_t e) -> int64_t { return sorted.runs(e); });
    const Sums::Found known = sums.found(queue);
    if (const Fault fault = fault_of(known.fault); fault.kind == kTooLarge) {
        const uint64_t place = read(found.starts + fault.item, queue), height = static_cast<uint64_t>(stack.height);
        const uint8_t* const item = stack.data + static_cast<int64_t>(place % height) * stack.step_y +
                                    static_cast<int64_t>(place / height) * stack.step_x;
        throw std::invalid_argument("label " + std::to_string(read(reinterpret_cast<const T*>(item), queue)) +
                                    " is larger than 2^63 - 1");
    }

    const size_t masks = static_cast<size_t>(read(ranks + n, queue)), total = static_cast<size_t>(known.total);
    const LabelMasks out{
        {queue.take<uint32_t>(total), total, queue.take<int64_t>(masks + 1)}, queue.take<int64_t>(masks), masks};
    for_each(queue, n + 1, [=] __device__(size_t e) {
        if (e == n) {
            out.runs.offsets[masks] = static_cast<int64_t>(total);
            return;
        }
        const int runs = sorted.runs(e);
        if (runs == 0) return;
        const bool is_first = sorted.is_first(e);
        if (is_first) {
            out.runs.offsets[ranks[e]] = before[e];
            out.values[ranks[e]] = labels.value_of(keys[e]);
        }
        const uint64_t lengths[3] = {sorted.start(e) - (is_first ? 0 : sorted.end(e - 1)),
                                     sorted.end(e) - sorted.start(e), sorted.pixels() - sorted.end(e)};
        for (int r = 0; r < runs; ++r) {
            out.runs.values[before[e] + r] = static_cast<uint32_t>(lengths[r]);
            if (lengths[r] > 0xffffffffu) note_fault(word, kTooLong, e);
        }
    });
    const bool may_be_too_long = stack.height > 0 && stack.width > 0xffffffff / stack.height;
    if (may_be_too_long && sums.faults.lowest(queue).kind != 0) {
        throw std::invalid_argument("a run is longer than 2^32 - 1 pixels");
    }
    return out;
}

// Pieces of foreground runs, of up to kPiece pixels.
constexpr uint64_t kPiece = 256;

struct Pieces {
    Owners owners;
    const uint32_t* counts;
    const uint64_t* ends;
    const int64_t* before;  // pieces before each run
    size_t runs;

    MASKMILL_HD int64_t of_run(size_t j) const {
        if (*owners.fault != ~FaultWord{0}) return 0;
        const int64_t first = owners.first_of(j);
        if (first < 0 || (static_cast<int64_t>(j) - first) % 2 == 0) return 0;
        return static_cast<int64_t>((counts[j] + kPiece - 1) / kPiece);
    }
};

template <class T>
MASKMILL_HD void write_label(uint32_t top, const int64_t* values, const OutputStack& out, int64_t y, int64_t x) {
    if (top == 0) return;
    *reinterpret_cast<T*>(out.data + y * out.step_y + x * out.step_x) = static_cast<T>(values[top - 1]);
}

constexpr int kTile = 32;

// Tops lie down the columns: a block turns a square of them, so that reads and writes are both of neighbours.
template <class T>
__global__ void __launch_bounds__(kThreads)
    rows_kernel(const uint32_t* tops, const int64_t* values, OutputStack out, unsigned across) {
    __shared__ uint32_t tile[kTile][kTile + 1];
    const int64_t x0 = int64_t{blockIdx.x % across} * kTile, y0 = int64_t{blockIdx.x / across} * kTile;
    const int lane = static_cast<int>(threadIdx.x) % kTile, first = static_cast<int>(threadIdx.x) / kTile;
    constexpr int kStep = static_cast<int>(kThreads) / kTile;
    for (int column = first; column < kTile; column += kStep) {
        const int64_t y = y0 + lane, x = x0 + column;
        if (y < out.height && x < out.width) tile[column][lane] = tops[x * out.height + y];
    }
    __syncthreads();
    for (int row = first; row < kTile; row += kStep) {
        const int64_t y = y0 + row, x = x0 + lane;
        if (y < out.height && x < out.width) write_label<T>(tile[lane][row], values, out, y, x);
    }
}

template <class T>
void write_labels(const uint32_t* tops, const int64_t* values, const OutputStack& stack, Queue& queue) {
    if (std::abs(stack.step_x) < std::abs(stack.step_y)) {
        const unsigned across = blocks_for(static_cast<size_t>(stack.width), kTile);
        const size_t down = blocks_for(static_cast<size_t>(stack.height), kTile);
        launch(rows_kernel<T>, dim3(blocks_for(down * across, 1)), dim3(kThreads), 0, queue, tops, values, stack,
               across);
        return;
    }
    const OutputStack out = stack;
    for_each(queue, static_cast<size_t>(out.height * out.width), [=] __device__(size_t i) {
        const int64_t at = static_cast<int64_t>(i);
        write_label<T>(tops[i], values, out, at % out.height, at / out.height);
    });
}

}  // namespace

LabelMasks rle_from_labels(const ImageStack& labels, bool is_signed, Queue& queue) {
    switch (labels.itemsize) {
        case 1: return masks_of<uint8_t>(labels, is_signed, queue);
        case 2: return masks_of<uint16_t>(labels, is_signed, queue);
        case 4: return masks_of<uint32_t>(labels, is_signed, queue);
        default: return masks_of<uint64_t>(labels, is_signed, queue);
    }
}

void rle_to_labels(const Rles& masks, int64_t total, const int64_t* host_values, const OutputStack& out, Queue& queue) {
    if (masks.n >= 0xffffffffu) throw std::invalid_argument("a label image takes fewer than 2^32 - 1 masks");
    const Faults faults(queue);
    FaultWord* const word = faults.word();
    check_offsets(masks, total, faults, queue);
    const uint64_t* const ends = ends_of(masks, total, queue);
    const int64_t *const offsets = masks.offsets, *const sizes = masks.sizes;
    const int64_t height = out.height, width = out.width;
    const uint64_t pixels = static_cast<uint64_t>(height) * static_cast<uint64_t>(width);
    for_each(queue, masks.n, [=] __device__(size_t i) {
        if (*word < fault_code(kSum, 0)) return;
        const bool fits = sizes[2 * i] == height && sizes[2 * i + 1] == width;
        if (!fits || ends[offsets[i + 1]] - ends[offsets[i]] != pixels) note_fault(word, kOther, i);
    });
    const size_t runs = static_cast<size_t>(total);
    int64_t* const before = queue.take<int64_t>(runs + 1);
    const Pieces pieces{{offsets, masks.n, word}, masks.counts, ends, before, runs};
    scan(queue, runs, before, [=] __device__(size_t j) { return pieces.of_run(j); });
    uint32_t* const tops = queue.take<uint32_t>(pixels);
    fill_bytes(tops, 0, pixels * sizeof(uint32_t), queue);
    // The host does not know how many pieces there are: warps take them in turns.
    const size_t warps = std::min<size_t>(1 << 16, runs + pixels / kPiece + 1);
    for_each(queue, 32 * warps, [=] __device__(size_t i) {
        const int64_t all = before[runs];
        for (auto piece = static_cast<int64_t>(i / 32); piece < all; piece += static_cast<int64_t>(warps)) {
            const size_t j = owner_of(before, runs, piece);
            const int64_t mask = pieces.owners.of(j);
            const uint64_t start = ends[j] - ends[offsets[mask]];
            const uint64_t from = start + static_cast<uint64_t>(piece - before[j]) * kPiece,
                           end = start + pieces.counts[j];
            for (uint64_t at = from + i % 32; at < from + kPiece && at < end; at += 32) {
                atomicMax(tops + at, static_cast<uint32_t>(mask) + 1);
            }
        }
    });
    const int64_t* const values = on_device(host_values, masks.n, queue);
    switch (out.itemsize) {
        case 1: write_labels<uint8_t>(tops, values, out, queue); break;
        case 2: write_labels<uint16_t>(tops, values, out, queue); break;
        case 4: write_labels<uint32_t>(tops, values, out, queue); break;
        default: write_labels<uint64_t>(tops, values, out, queue);
    }
    const Fault fault = faults.lowest(queue);
    if (fault.kind == 0) return;
    // The host's twin paints upon a picture of its own, if it gets that far.
    retell(fault, [&] {
        const HostMasks copy(masks, total, queue);
        Buffer<uint8_t> picture(pixels);
        maskmill::rle_to_labels(copy.rles(), host_values, {picture.data(), 1, 1, height, width, 0, width, 1});
    });
}

}  // namespace maskmill::cuda
