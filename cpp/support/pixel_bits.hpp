// A mask at one bit per pixel in column order, for the kernels that would be slow on short runs.
//
// Layout      Pixel p of the runs is bit p % 64 of word p / 64, whatever the height: a run may cross columns.
//             (support/bitplane.hpp has whole words per column instead.)
// Invariant   Bits beyond the last pixel may be anything.
#pragma once

#include <algorithm>

#include "support/runs.hpp"

namespace maskmill {

class PixelBits {
  public:
    PixelBits() = default;
    explicit PixelBits(uint64_t pixels) { resize(pixels); }

    void resize(uint64_t pixels) {
        pixels_ = pixels;
        words_.resize(pixels / 64 + 2);
    }
    uint64_t pixels() const { return pixels_; }

    void fill(bool value) { std::fill(words_.begin(), words_.end(), uint64_t{0} - uint64_t{value}); }
    void invert() {
        for (uint64_t& w : words_) w = ~w;
    }

    // The runs must sum to the pixels.
    void load(std::span<const uint32_t> runs) {
        fill(false);
        // First a bit where the value changes. The word that is being filled is only written, never read back.
        uint64_t at = 0, word = 0, bits = 0;
        for (const uint32_t run : runs) {
            at += run;
            const uint64_t same = uint64_t{0} - uint64_t{at / 64 == word};  // a branch would be guessed wrong too often
            bits = (bits & same) ^ uint64_t { 1 } << (at % 64);
            word = at / 64;
            words_.data()[word] = bits;
        }
        uint64_t before = 0;
        for (uint64_t& w : words_) {
            uint64_t x = w;
            for (int by = 1; by < 64; by *= 2) x ^= x << by;
            w = x ^ before;
            before = uint64_t{0} - (w >> 63);
        }
    }
    void append_runs(Buffer<uint32_t>& out) const {
        RunScanner scan(out);
        uint64_t before = 0;
        for (uint64_t w = 0; w * 64 < pixels_; ++w) {
            const uint64_t x = words_.data()[w], rest = pixels_ - w * 64;
            const uint64_t valid = rest >= 64 ? ~uint64_t{0} : (uint64_t{1} << rest) - 1;
            scan.changes((x ^ (x << 1 | before)) & valid, w * 64);
            before = x >> 63;
        }
        scan.finish(pixels_);
    }

    // 64 pixels from pixel `at` on, which must be one.
    uint64_t get(uint64_t at) const {
        const uint64_t* const p = words_.data() + at / 64;
        return p[0] >> (at % 64) | p[1] << 1 << (63 - at % 64);
    }
    // Sets the pixels from `at` on that are 1 in `bits`.
    void add(uint64_t at, uint64_t bits) {
        uint64_t* const p = words_.data() + at / 64;
        p[0] |= bits << (at % 64);
        p[1] |= bits >> 1 >> (63 - at % 64);
    }

  protected:
    Scratch<uint64_t> words_;  // one more than are needed, so that any 64 pixels can be read

  private:
    uint64_t pixels_ = 0;
};

// Bit k of word i becomes bit i of word k.
inline void transpose_block(uint64_t (&a)[64]) {
    uint64_t low = 0xffffffff;  // the lower half of every 2 * size bits
    for (unsigned size = 32; size > 0; size /= 2, low ^= low << size) {
        for (unsigned block = 0; block < 64; block += 2 * size) {
            for (unsigned k = block; k < block + size; ++k) {
                const uint64_t swapped = (a[k] >> size ^ a[k + size]) & low;
                a[k] ^= swapped << size;
                a[k + size] ^= swapped;
            }
        }
    }
}

inline uint64_t reverse_bits(uint64_t x) {
    x = (x >> 1 & 0x5555555555555555u) | (x & 0x5555555555555555u) << 1;
    x = (x >> 2 & 0x3333333333333333u) | (x & 0x3333333333333333u) << 2;
    x = (x >> 4 & 0x0f0f0f0f0f0f0f0fu) | (x & 0x0f0f0f0f0f0f0f0fu) << 4;
    x = (x >> 8 & 0x00ff00ff00ff00ffu) | (x & 0x00ff00ff00ff00ffu) << 8;
    x = (x >> 16 & 0x0000ffff0000ffffu) | (x & 0x0000ffff0000ffffu) << 16;
    return x >> 32 | x << 32;
}

}  // namespace maskmill
