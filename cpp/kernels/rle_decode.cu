// Decoding on a GPU: pixels found as bits, 64 at a time, in the runs' order; written as they lie.
//
// Floor       The pixels once, written.
// Line        Images in Fortran order without gaps, as `out` is by default, are one line of bytes: a warp writes 2048 that
//             follow each other, across columns and images. Its lanes look together for the run where these begin (32
//             places at once); where that reaches through, all is said; else each lane finds the 64 pixels of its word
//             from there by small steps. Then lanes exchange words, so that each writes 16 bytes beside its neighbours'.
// Quads       Where rows are without gaps, a thread makes 64 rows of four columns, and writes four bytes at once.
// Else        a thread makes 64 rows of one column, byte by byte; its neighbours those of the next columns, or of the
//             next images, whichever lie closer.
// Cost        Bytes moved for a byte of output: 1, and 8 for each run (mostly below 1/100). The sums of runs before: 20 a
//             run. 5 launches beside the scan, one wait.
// Registers   (sm_90) 37 line, 40 quads, 32 else; no shared memory, no spills.
#include "kernels/rle.hpp"
#include "kernels/rle_device.inl"
#include "support/cuda_bits.cuh"
#include "support/cuda_runs.cuh"

namespace maskmill::cuda {
namespace {

constexpr unsigned kWarpsPerBlock = kThreads / kWarpLanes;

// Masks of one size, that follow each other.
struct Line {
    const int64_t* offsets;
    const uint64_t* ends;  // ends[j]: where run j ends; ends[-1] is where the first one begins
    uint64_t pixels;       // of a mask
    uint64_t all;          // of all masks

    MASKMILL_HD uint64_t origin() const { return ends[offsets[0] - 1]; }
    // Pixels [at, at + rows) as bits; no run before `run` reaches them.
    MASKMILL_HD uint64_t bits(uint64_t at, int rows, int64_t run) const {
        const uint64_t start = origin();
        uint64_t mask = at / pixels, found = 0;
        for (int row = 0; row < rows; ++mask) {
            const uint64_t left = (mask + 1) * pixels - at - static_cast<uint64_t>(row);
            const int own = left < static_cast<uint64_t>(rows - row) ? static_cast<int>(left) : rows - row;
            const int64_t begin = offsets[mask], last = offsets[mask + 1];
            const uint64_t first = start + at + static_cast<uint64_t>(row);
            run = run_near(ends, run < begin ? begin : run, last, first);
            found |= bits_of_runs(ends, begin, last, run, first, own) << row;
            row += own;
        }
        return found;
    }
};

// As run_at, for all lanes of a warp: each looks at one of 32 places.
__device__ __forceinline__ int64_t run_of_warp(const uint64_t* ends, int64_t first, int64_t last, uint64_t at,
                                               int lane) {
    while (first < last) {
        const int64_t step = (last - first + kWarpLanes - 1) / kWarpLanes, probe = first + (lane + 1) * step - 1;
        const unsigned before = __ballot_sync(~0u, probe < last && ends[probe] <= at);
        const int64_t end = first + (__popc(before) + 1) * step - 1;  // the first place that is not before `at`
        first += __popc(before) * step;
        last = end < last ? end : last;
    }
    return first;
}

// `data` is a multiple of 16, of which the first `skew` bytes are not the line's.
__global__ void __launch_bounds__(kThreads)
    line_kernel(uint8_t* data, int64_t skew, Line line, uint32_t value, const FaultWord* fault) {
    const auto all = static_cast<int64_t>(line.all);
    const int64_t first = (static_cast<int64_t>(blockIdx.x) * kWarpsPerBlock + threadIdx.x / kWarpLanes) * kWarpPixels;
    if (first >= all + skew || *fault != ~FaultWord{0}) return;
    const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
    const int64_t begin = first < skew ? 0 : first - skew;  // the warp's first pixel
    const uint64_t mask = static_cast<uint64_t>(begin) / line.pixels;
    const int64_t run = run_of_warp(line.ends, line.offsets[mask], line.offsets[mask + 1],
                                    line.origin() + static_cast<uint64_t>(begin), lane);
    const int64_t word = first + word_of_lane(lane) * kWordPixels - skew, at = word < 0 ? 0 : word;
    const int64_t end = word + kWordPixels < all ? word + kWordPixels : all;
    uint64_t bits = 0;
    if (first >= skew && line.ends[run] >= line.origin() + static_cast<uint64_t>(begin + kWarpPixels)) {
        bits = (run - line.offsets[mask]) % 2 == 1 ? ~uint64_t{0} : 0;  // all of one run
    } else if (at < end) {
        bits = line.bits(static_cast<uint64_t>(at), static_cast<int>(end - at), run) << (at - word);
    }
    const uint64_t pieces = exchanged(bits, lane);
    uint8_t* const place = data + first + 16 * lane;
    if (first >= skew && first + kWarpPixels <= all + skew) {
#pragma unroll
        for (int k = 0; k < 4; ++k) {
            *reinterpret_cast<Bytes16*>(place + 512 * k) =
                bytes_of_bits(static_cast<uint32_t>(pieces >> 16 * k), value);
        }
        return;
    }
#pragma unroll 1
    for (int b = 0; b < kWordPixels; ++b) {
        const int64_t step = b / 16 * 512 + b % 16, to = first + 16 * lane + step;
        if (to >= skew && to < all + skew) place[step] = static_cast<uint8_t>((pieces >> b & 1) * value);
    }
}

void write_line(const Line& line, const OutputStack& out, uint8_t value, const Faults& faults, Queue& queue) {
    const auto skew = static_cast<int64_t>(reinterpret_cast<uintptr_t>(out.data) % 16);
    const size_t warps = (static_cast<size_t>(skew) + line.all + kWarpPixels - 1) / kWarpPixels;
    launch(line_kernel, dim3(blocks_for(warps, kWarpsPerBlock)), dim3(kThreads), 0, queue, out.data - skew, skew, line,
           uint32_t{value}, faults.word());
}

// Rows of four columns.
template <bool kWhole>
__device__ __forceinline__ void write_quad(const uint64_t* bits, uint32_t value, uint8_t* pixels, int64_t step,
                                           int rows) {
#pragma unroll
    for (int eight = 0; eight < kWordRows; eight += 8) {
        if (!kWhole && eight >= rows) break;
        uint32_t block = 0;  // byte c: eight rows of column c
#pragma unroll
        for (int c = 0; c < 4; ++c) block |= static_cast<uint32_t>(bits[c] >> eight & 0xff) << 8 * c;
#pragma unroll
        for (int r = 0; r < 8; ++r, pixels += step) {
            if (kWhole || eight + r < rows) *reinterpret_cast<uint32_t*>(pixels) = (block >> r & 0x01010101u) * value;
        }
    }
}

void write_quads(const Line& line, const OutputStack& out, uint8_t value, const Faults& faults, Queue& queue) {
    const int64_t words = (out.height + kWordRows - 1) / kWordRows, quads = out.width / 4;
    const FaultWord* const fault = faults.word();
    const OutputStack stack = out;
    for_each(queue, static_cast<size_t>(stack.n * words * quads), [=] __device__(size_t i) {
        if (*fault != ~FaultWord{0}) return;
        const Place at = place_of(i, quads, words);
        const int64_t y = at.word * kWordRows, x = at.column * 4;
        const int rows = rows_of_word(stack.height, at.word);
        const int64_t begin = line.offsets[at.image], last = line.offsets[at.image + 1];
        uint64_t first = line.ends[begin - 1] + static_cast<uint64_t>(x * stack.height + y);
        int64_t run = run_at(line.ends, begin, last, first);
        uint64_t bits[4];
#pragma unroll
        for (int c = 0; c < 4; ++c, first += static_cast<uint64_t>(stack.height)) {
            if (c > 0) run = run_near(line.ends, run, last, first);
            bits[c] = bits_of_runs(line.ends, begin, last, run, first, rows);
        }
        uint8_t* const pixels = stack.data + at.image * stack.step_n + y * stack.step_y + x;
        if (rows == kWordRows) {
            write_quad<true>(bits, value, pixels, stack.step_y, rows);
        } else {
            write_quad<false>(bits, value, pixels, stack.step_y, rows);
        }
    });
}

template <bool kWhole>
__device__ __forceinline__ void write_column(uint64_t bits, uint32_t value, uint8_t* pixel, int64_t step, int rows) {
#pragma unroll
    for (int row = 0; row < kWordRows; ++row, pixel += step) {
        if (!kWhole && row >= rows) break;
        *pixel = static_cast<uint8_t>((bits >> row & 1) * value);
    }
}

// Any layout.
void write_pixels(const Line& line, const OutputStack& out, uint8_t value, const Faults& faults, Queue& queue) {
    const int64_t words = (out.height + kWordRows - 1) / kWordRows;
    const FaultWord* const fault = faults.word();
    const OutputStack stack = out;
    const Order order = order_of(out, words);
    for_each(queue, static_cast<size_t>(stack.n * words * stack.width), [=] __device__(size_t i) {
        if (*fault != ~FaultWord{0}) return;
        const Place at = order.place(i);
        const int64_t y = at.word * kWordRows;
        const int rows = rows_of_word(stack.height, at.word);
        const int64_t begin = line.offsets[at.image], last = line.offsets[at.image + 1];
        const uint64_t first = line.ends[begin - 1] + static_cast<uint64_t>(at.column * stack.height + y);
        const int64_t run = run_at(line.ends, begin, last, first);
        const uint64_t bits = bits_of_runs(line.ends, begin, last, run, first, rows);
        uint8_t* const pixel = stack.data + at.image * stack.step_n + y * stack.step_y + at.column * stack.step_x;
        if (rows == kWordRows) {
            write_column<true>(bits, value, pixel, stack.step_y, rows);
        } else {
            write_column<false>(bits, value, pixel, stack.step_y, rows);
        }
    });
}

}  // namespace

void rle_decode(const Rles& masks, int64_t total, const OutputStack& out, uint8_t value, Queue& queue) {
    const Faults faults(queue);
    check_offsets(masks, total, faults, queue);
    const uint64_t* const ends = ends_of(masks, total, queue);
    check_sums(masks, ends, faults, queue);
    const uint64_t pixels = static_cast<uint64_t>(out.height) * static_cast<uint64_t>(out.width);
    const Line line{masks.offsets, ends + 1, pixels, pixels * masks.n};
    const bool gapless = (out.height == 1 || out.step_y == 1) && (out.width == 1 || out.step_x == out.height) &&
                         (out.n == 1 || out.step_n == out.height * out.width);
    const bool quads = out.step_x == 1 && out.width % 4 == 0 && out.step_y % 4 == 0 && out.step_n % 4 == 0 &&
                       reinterpret_cast<uintptr_t>(out.data) % 4 == 0;
    if (line.all > 0) (gapless ? write_line : quads ? write_quads : write_pixels)(line, out, value, faults, queue);
    raise(faults, masks, ends, queue);
}

}  // namespace maskmill::cuda
