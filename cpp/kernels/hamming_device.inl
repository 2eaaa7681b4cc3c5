// The join of codes on a GPU, which pairs, nearest and greedy share.
//
// Floor     A 64-bit distance takes two POPC, of which an SM starts 16 a clock (CUDA's table of throughputs, compute
//           capability 8.0 to 9.0): 8 pairs, on an H200 (132 SMs at 1.7 GHz) 1.8 T pairs/s. Wanted are 0.5 T pairs/s at
//           64 bits, 28 % of that. Wider codes are added up before their bits are counted: at 256 bits 4 POPC instead
//           of 8, and 20 other operations, of which an SM starts 64 a clock, make 0.7 T pairs/s.
// Design    A thread holds kRows codes in registers, and compares them with codes of a tile in shared memory, which all
//           threads of a warp read at once (a broadcast: one load for kRows pairs). A pair costs 2 XOR, 2 POPC, an
//           addition and a comparison that gathers its outcome in a predicate: 6 instructions of which an SM starts 4 x 32
//           a clock, so that POPC stays the bound. Only where one of kRows x kAtOnce pairs is near are they looked at
//           singly. Tiles are 2 KB a word, and memory is read once for each 512 rows: 8 bytes for 512 pairs.
// Compiled  For sm_90, the inner loop is 201 instructions for 32 pairs of 64 bits, 64 of them POPC: 6.3 a pair. 48 to 56
//           registers at 64 bits, 72 to 96 at 256, none spilled: 36 of the 64 warps of an SM at 64 bits.
#pragma once

#include <bit>

#include "kernels/hamming.hpp"
#include "support/cuda.cuh"

namespace maskmill::cuda {

constexpr unsigned kJoinThreads = 128;
constexpr int kRows = 4;  // codes that a thread holds
constexpr size_t kRowTile = kJoinThreads * kRows;
constexpr int kColumns = 256;  // codes of a tile
constexpr int kAtOnce = 8;     // codes of a tile that are looked at together
constexpr uint32_t kNobody = 0xffffffff;

MASKMILL_HD int bits_in(uint32_t word) {
#ifdef __CUDA_ARCH__
    return __popc(word);
#else
    return std::popcount(word);
#endif
}

// Bit by bit, how many of three words have it: two instructions.
struct ThreeBits {
    uint32_t ones, twos;

    MASKMILL_HD ThreeBits(uint32_t a, uint32_t b, uint32_t c) : ones(a ^ b ^ c), twos((a & b) | (c & (a | b))) {}
};

// Words are added bit by bit before bits are counted: 3, 4 and 4 POPC for 4, 6 and 8 words.
template <int W>
MASKMILL_HD int code_distance(const uint64_t* a, const uint64_t* b) {
    static_assert(W >= 1 && W <= 4);
    uint32_t x[2 * W];
    MASKMILL_UNROLL
    for (int w = 0; w < W; ++w) {
        const uint64_t both = a[w] ^ b[w];
        x[2 * w] = static_cast<uint32_t>(both);
        x[2 * w + 1] = static_cast<uint32_t>(both >> 32);
    }
    if constexpr (W == 1) return bits_in(x[0]) + bits_in(x[1]);
    if constexpr (W == 2) {
        const ThreeBits three(x[0], x[1], x[2]);
        return bits_in(three.ones) + bits_in(x[3]) + 2 * bits_in(three.twos);
    }
    if constexpr (W == 3) {
        const ThreeBits low(x[0], x[1], x[2]), high(x[3], x[4], x[5]);
        return bits_in(low.ones) + bits_in(high.ones) + 2 * (bits_in(low.twos) + bits_in(high.twos));
    }
    if constexpr (W == 4) {
        const ThreeBits low(x[0], x[1], x[2]), high(x[3], x[4], x[5]), both(low.ones, high.ones, x[6]);
        const ThreeBits twos(low.twos, high.twos, both.twos);
        return bits_in(both.ones) + bits_in(x[7]) + 2 * bits_in(twos.ones) + 4 * bits_in(twos.twos);
    }
}

// For a width that is known late; not for hot loops.
MASKMILL_HD int code_distance(const uint64_t* a, const uint64_t* b, int width) {
    int bits = 0;
    for (int w = 0; w < width; ++w) bits += code_distance<1>(a + w, b + w);
    return bits;
}

// The codes of a thread, and the greatest distance that counts for each; -1: none does.
template <int W>
struct Rows {
    uint64_t words[kRows][W];
    int within[kRows];
};

// Where row r of this thread is among all.
__device__ __forceinline__ size_t row_of(size_t tile, int r) {
    return tile * kRowTile + static_cast<size_t>(r) * kJoinThreads + threadIdx.x;
}

template <int W>
__device__ __forceinline__ void load_row(const uint64_t* codes, size_t i, uint64_t* words) {
#pragma unroll
    for (int w = 0; w < W; ++w) words[w] = codes[i * W + static_cast<size_t>(w)];
}

// hit(r, column, distance) for all columns from `begin` to `end` that count, in rising order for each row; it may lower
// rows.within[r]. All threads of a block must come along.
template <int W, class Hit>
__device__ __forceinline__ void scan_columns(Rows<W>& rows, const uint64_t* codes, size_t begin, size_t end, Hit hit) {
    __shared__ uint64_t tile[kColumns * W];
    for (size_t at = begin; at < end; at += kColumns) {
        const int n = end - at < kColumns ? static_cast<int>(end - at) : kColumns;
        __syncthreads();
        for (int k = static_cast<int>(threadIdx.x); k < kColumns * W; k += static_cast<int>(kJoinThreads)) {
            tile[k] = k < n * W ? codes[at * W + static_cast<size_t>(k)] : 0;
        }
        __syncthreads();
        bool idle = true;
#pragma unroll
        for (int r = 0; r < kRows; ++r) idle &= rows.within[r] < 0;
        if (idle) continue;
        for (int c = 0; c < n; c += kAtOnce) {
            bool near = false;
#pragma unroll
            for (int k = 0; k < kAtOnce; ++k) {
#pragma unroll
                for (int r = 0; r < kRows; ++r) {
                    near |= code_distance<W>(rows.words[r], tile + (c + k) * W) <= rows.within[r];
                }
            }
            if (!near) continue;
#pragma unroll 1
            for (int k = c; k < c + kAtOnce && k < n; ++k) {
#pragma unroll
                for (int r = 0; r < kRows; ++r) {
                    const int d = code_distance<W>(rows.words[r], tile + k * W);
                    if (d <= rows.within[r]) hit(r, at + static_cast<size_t>(k), d);
                }
            }
        }
    }
}

// How a join is cut into blocks: tiles of rows by slabs of columns, the first slab of all tiles first.
struct Cut {
    size_t tiles, slab, slabs;

    unsigned blocks() const { return blocks_for(tiles * slabs, 1); }
};
inline Cut cut_of(size_t rows, size_t columns) {
    // Enough blocks for all SMs several times over, and no more than a grid takes.
    constexpr size_t kBlocks = 1 << 14, kLongest = 1 << 16;
    Cut cut{(rows + kRowTile - 1) / kRowTile, kColumns, 0};
    while (cut.slab < kLongest && columns / cut.slab * cut.tiles > kBlocks) cut.slab *= 2;
    cut.slabs = (columns + cut.slab - 1) / cut.slab;
    return cut;
}

// body(std::integral_constant<int, W>) for the width of codes.
template <class Body>
void with_code_width(int width, Body&& body) {
    switch (width) {
        case 1: return body(std::integral_constant<int, 1>());
        case 2: return body(std::integral_constant<int, 2>());
        case 3: return body(std::integral_constant<int, 3>());
        default: return body(std::integral_constant<int, 4>());
    }
}

}  // namespace maskmill::cuda
