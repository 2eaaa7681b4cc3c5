// PDQ on a GPU: what its kernels (hashes_pdq.cu) do with an image's 64 x 64 pixels, and with a pixel's colours.
#pragma once

#include "kernels/hashes.hpp"
#include "kernels/hashes_pdq_parts.inl"
#include "support/cuda.cuh"

namespace maskmill::cuda {

constexpr int kPdqThreads = 256;  // of a block, which has one image

// An image on the device, and the row of the codes that is its own.
struct PdqImage {
    const uint8_t* data = nullptr;
    int64_t row = 0, column = 0, channel = 0, place = 0;
    int32_t height = 0, width = 0;
    int64_t channels = 1;  // wide, so that no byte of a table is left unwritten

    MASKMILL_HD bool is_gray() const { return channels == 1; }
};

// A table, or (table null) `first` and those that follow it, `step` bytes apart.
struct PdqImages {
    PdqImage first;
    int64_t step = 0;
    const PdqImage* table = nullptr;

    MASKMILL_HD PdqImage at(int64_t i) const {
        if (table != nullptr) return table[i];
        PdqImage image = first;
        image.data += i * step;
        image.place += i;
        return image;
    }
};

struct PdqCodes {
    const float* cosines;  // (64, 16)
    uint32_t* codes;       // halves of words, the lower first
    uint8_t* quality;
    bool dihedral;
    PdqLuma luma;
};

// a / whole, as IEEE rounds it, for whole numbers below 2^22 and the float `inverse` next to 1 / whole. a * inverse
// errs by less than two units in the last place, so that the rest is exact; rest * inverse errs by 2^-22 units, and the
// quotient is not nearer than 1 / (2 whole) of them to the middle of two floats.
MASKMILL_HD float pdq_quotient(float a, float whole, float inverse) {
    const float near = a * inverse;
    return std::fma(std::fma(-whole, near, a), inverse, near);
}

MASKMILL_HD float pdq_luma(PdqLuma luma, uint32_t r, uint32_t g, uint32_t b) {
    if (luma == PdqLuma::pdqhash) {
        return pdq_quotient(static_cast<float>(299 * r + 587 * g + 114 * b), 1000.0F, 1.0F / 1000.0F);
    }
    return 0.299F * static_cast<float>(r) + 0.587F * static_cast<float>(g) + 0.114F * static_cast<float>(b);
}

struct alignas(16) PdqFour {
    float v[4];
};

// Shared memory of a block.
struct PdqShared {
    static constexpr int kHalfStep = 68;  // rows of `half` begin in other banks

    alignas(16) float pixels[64 * 64];
    alignas(16) float turned[64 * 16];
    alignas(16) float half[16 * kHalfStep];
    float frequencies[256];
    int32_t sum;
};

MASKMILL_HD int32_t pdq_step(float a, float b) {
    const auto d = static_cast<int32_t>(pdq_quotient((a - b) * 100.0F, 255.0F, 1.0F / 255.0F));
    return d < 0 ? -d : d;
}

__device__ __forceinline__ void pdq_gradients(PdqShared& s, int t) {
    int32_t sum = 0;
    for (int e = t; e < 64 * 64; e += kPdqThreads) {
        const float* const p = s.pixels + e;
        if (e < 63 * 64) sum += pdq_step(p[0], p[64]);
        if (e % 64 < 63) sum += pdq_step(p[0], p[1]);
    }
    sum = warp_sum(sum);
    if (t % 32 == 0) atomicAdd(&s.sum, sum);
}

// half (16, 64) = cosines (16, 64) * pixels (64, 64): four rows of a column for each thread.
__device__ __forceinline__ void pdq_columns(PdqShared& s, int t) {
    const int x = t % 64, group = t / 64;
    const auto* const weights = reinterpret_cast<const PdqFour*>(s.turned) + group;
    float sums[4] = {0, 0, 0, 0};
    for (int k = 0; k < 64; ++k) {
        const float p = s.pixels[k * 64 + x];
        const PdqFour w = weights[4 * k];
        MASKMILL_UNROLL
        for (int r = 0; r < 4; ++r) sums[r] += w.v[r] * p;
    }
    MASKMILL_UNROLL
    for (int r = 0; r < 4; ++r) s.half[(4 * group + r) * PdqShared::kHalfStep + x] = sums[r];
}

// frequencies (16, 16) = half (16, 64) * turned (64, 16): one for each thread.
__device__ __forceinline__ void pdq_rows(PdqShared& s, int t) {
    const auto* const left = reinterpret_cast<const PdqFour*>(s.half + t / 16 * PdqShared::kHalfStep);
    float sum = 0;
    for (int k = 0; k < 16; ++k) {
        const PdqFour h = left[k];
        MASKMILL_UNROLL
        for (int r = 0; r < 4; ++r) sum += h.v[r] * s.turned[(4 * k + r) * 16 + t % 16];
    }
    s.frequencies[t] = sum;
}

__device__ __forceinline__ int32_t pdq_bits_of(float value) {
#ifdef __CUDA_ARCH__
    return __float_as_int(value);
#else
    return std::bit_cast<int32_t>(value);
#endif
}

// The 128th smallest of all threads' values, as an ordered integer.
__device__ __forceinline__ int32_t pdq_median(float value) {
    const int32_t key = pdq_ordered(pdq_bits_of(value));
    uint32_t found = 0x80000000U;
    for (uint32_t bit = 0x80000000U; bit != 0; bit >>= 1) {
        const int32_t tried = pdq_tried(found, bit);
        if (__syncthreads_count(key < tried) <= kPdqMedianRank) found = static_cast<uint32_t>(tried);
    }
    return static_cast<int32_t>(found);
}

// Codes of what `frequencies` are. Transposing them changes no median: four are enough, of those negated in no, the odd
// rows, the odd columns, and in one of both.
__device__ __forceinline__ void pdq_words(const PdqShared& s, const PdqCodes& to, int64_t place, int t) {
    const int i = t / 16, j = t % 16, n = to.dihedral ? 8 : 1;
    int32_t medians[4] = {};
    MASKMILL_UNROLL
    for (int k = 0; k < 4; ++k) {
        const PdqTurn turn{false, k % 2 == 1, k / 2 == 1};
        if (k < n) medians[k] = pdq_median(turn.negates(i, j) ? -s.frequencies[t] : s.frequencies[t]);
    }
    for (int k = 0; k < n; ++k) {
        const PdqTurn turn = pdq_turn(k);
        const float v = s.frequencies[turn.transposed ? 16 * j + i : t];
        const bool rows = turn.transposed ? turn.odd_columns : turn.odd_rows;
        const bool columns = turn.transposed ? turn.odd_rows : turn.odd_columns;
        const int32_t median = columns ? (rows ? medians[3] : medians[2]) : (rows ? medians[1] : medians[0]);
        const int32_t key = pdq_ordered(pdq_bits_of(turn.negates(i, j) ? -v : v));
        // -0 is no more than 0: of the two, keys alone would say so.
        const bool set = key > median && !(key == 0 && median == -1);
        const unsigned bits = __ballot_sync(~0U, set);
        // Bit 16 i + j counts from the last: the first word has the last rows.
        if (t % 32 == 0) to.codes[(place * n + k) * 8 + 2 * (3 - t / 64) + t / 32 % 2] = bits;
    }
}

// A block's work on s.pixels, which all of its threads see.
__device__ __forceinline__ void pdq_finish(PdqShared& s, const PdqCodes& to, int64_t place) {
    const auto t = static_cast<int>(threadIdx.x);
    for (int e = t; e < 64 * 16; e += kPdqThreads) s.turned[e] = to.cosines[e];
    if (t == 0) s.sum = 0;
    __syncthreads();
    pdq_gradients(s, t);
    pdq_columns(s, t);
    __syncthreads();
    pdq_rows(s, t);
    if (t == 0) to.quality[place] = static_cast<uint8_t>(s.sum / 90 < 100 ? s.sum / 90 : 100);
    __syncthreads();
    pdq_words(s, to, place, t);
}

}  // namespace maskmill::cuda
