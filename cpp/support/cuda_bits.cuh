// Bytes <-> bits on a GPU: 16 bytes at a time, and between the lanes of a warp, of which each reads or writes bytes beside
// those of its neighbours, while it wants 64 pixels that follow each other.
#pragma once

#include "support/cuda.cuh"

namespace maskmill::cuda {

constexpr int kWarpLanes = 32;
constexpr int kWordPixels = 64;                            // in one word of bits
constexpr int64_t kWarpPixels = kWarpLanes * kWordPixels;  // in the words of a warp

// What a lane reads or writes at once.
struct alignas(16) Bytes16 {
    uint32_t fours[4];
};

// Bit 7 of each byte: whether the byte is not zero.
MASKMILL_HD uint32_t nonzero_bytes(uint32_t v) { return (((v & 0x7f7f7f7fu) + 0x7f7f7f7fu) | v) & 0x80808080u; }

// Bit j: whether byte j is not zero. The product brings bit 7 of the bytes to bits 28 to 31; no two of its terms meet.
MASKMILL_HD uint32_t bits_of_bytes(const Bytes16& bytes) {
    uint32_t bits = 0;
    MASKMILL_UNROLL
    for (int i = 0; i < 4; ++i) bits |= nonzero_bytes(bytes.fours[i]) * 0x00204081u >> 28 << 4 * i;
    return bits;
}

// Byte j: `value` if bit j is set, else 0.
MASKMILL_HD Bytes16 bytes_of_bits(uint32_t bits, uint32_t value) {
    Bytes16 bytes;
    MASKMILL_UNROLL
    for (int i = 0; i < 4; ++i) bytes.fours[i] = ((bits >> 4 * i & 0xf) * 0x00204081u & 0x01010101u) * value;
    return bytes;
}

// The sum of 16 bytes.
MASKMILL_HD uint32_t sum_of(const Bytes16& bytes) {
    uint32_t pairs = 0;  // of bytes 0 and 2, of bytes 1 and 3 of all fours; each far below 2^16
    MASKMILL_UNROLL
    for (int i = 0; i < 4; ++i) pairs += (bytes.fours[i] & 0x00ff00ffu) + (bytes.fours[i] >> 8 & 0x00ff00ffu);
    return (pairs & 0xffffu) + (pairs >> 16);
}

// The word of a warp's 32 that a lane has after `exchanged`.
MASKMILL_HD int word_of_lane(int lane) { return 8 * (lane % 4) + lane / 4; }

// Four lanes give four pieces of 16 bits each; lane r gets the piece r of each of them, in order. So pieces of 16 bytes,
// of which a warp's lanes read 512 at once, four times, become the words word_of_lane; and back.
__device__ __forceinline__ uint64_t exchanged(uint64_t pieces, int lane) {
    const auto low = static_cast<uint32_t>(pieces), high = static_cast<uint32_t>(pieces >> 32);
    // The pieces that this lane and that two further both keep: 0 and 1, or 2 and 3.
    const bool upper = (lane & 2) != 0, odd = (lane & 1) != 0;
    const uint32_t other = __shfl_xor_sync(~0u, upper ? low : high, 2);
    const uint32_t first = upper ? other : low, second = upper ? high : other;  // from lanes r & 1, and r & 1 + 2
    const uint32_t evens = (first & 0xffffu) | second << 16, odds = first >> 16 | (second & 0xffff0000u);
    const uint32_t given = __shfl_xor_sync(~0u, odd ? evens : odds, 1);
    const uint32_t a = odd ? given : evens, b = odd ? odds : given;  // from lanes 0 and 2, and from lanes 1 and 3
    return (uint64_t{a >> 16 | (b & 0xffff0000u)} << 32) | (a & 0xffffu) | b << 16;
}

// Lane r gives the bits (r, c) of two matrices of 32 x 32, and gets the bits (c, r): in the low and in the high half.
__device__ __forceinline__ uint64_t transposed(uint64_t bits, int lane) {
    uint64_t kept = 0x0000ffff0000ffff;  // the columns that lanes without bit `by` keep
    MASKMILL_UNROLL
    for (int by = 16; by > 0; by /= 2, kept ^= kept << by) {
        const uint64_t other = __shfl_xor_sync(~0u, bits, by);
        bits = (lane & by) != 0 ? (other >> by & kept) | (bits & ~kept) : (bits & kept) | (other & kept) << by;
    }
    return bits;
}

}  // namespace maskmill::cuda
