// Pillow's resampling of 8-bit images, bit for bit: antialiased, separable, with a rounding to 8 bits after each pass.
//
// Reference   Pillow's Resample.c as it behaves since 3.4; nothing of it is copied. Weights are made in double, divided
//             by their sum, and rounded to 22 fraction bits; a pixel is clip((sum of weight * pixel + 2^21) >> 22).
//             An axis whose length does not change has no pass.
// Invariants  The sums are integers and no partial sum leaves 32 bits, so any order, level or thread gives the same bits.
//             The weights need an accurate sine: it is computed here, the same on every platform.
// Cost        n_out * (taps per output) multiply-adds per line, 3 instructions per 4 of 16 lines with AVX-512 VNNI.
#pragma once

#include <memory>

#include "support/common.hpp"
#include "support/simd.hpp"

namespace maskmill {

enum class Filter { box, bilinear, hamming, bicubic, lanczos };

// Which pass comes first has changed twice: up to 12.1 the horizontal one; 12.2 and 12.3: the vertical one where
// H > 100 W and the height shrinks; from 13: the vertical one where the height shrinks by more than twice what the
// width does.
enum class Regime { pillow_12_1, pillow_12_2, pillow_13 };

bool vertical_first(int64_t height, int64_t width, int64_t new_height, int64_t new_width, Regime regime);

// A borrowed 8-bit image of any strides, in bytes; negative ones too. Pixel (y, x) of channel c is
// data[y * row + x * column + c * channel].
struct Pixels {
    const uint8_t* data = nullptr;
    int64_t height = 0, width = 0;
    ptrdiff_t row = 0, column = 0, channel = 0;
    int channels = 1;
};

// Weights of one axis: output o is the sum over i of weights[starts[o] + i] * input[first[o] + i].
struct Taps {
    Buffer<int64_t> first;
    Buffer<int64_t> starts;  // (outputs + 1,)
    Buffer<int32_t> weights;
};
Taps resample_taps(int64_t inputs, int64_t outputs, Filter filter);

// Lines of pixels that are resampled alike: pixel i of line l is data[l * line + i * step]. What lies `ahead` bytes from
// what is read is prefetched; 0: the lines that follow.
struct Lines {
    const uint8_t* data;
    ptrdiff_t line, step;
    size_t count;
    ptrdiff_t ahead = 0;
};
constexpr size_t kLinesAtOnce = 64;

// One pass. The weights are kept as the instructions of the level need them; may be used by many threads at once.
class ResampleAxis {
  public:
    ResampleAxis(int64_t inputs, int64_t outputs, Filter filter);

    // Output o of line l goes to out[l * line + o * step]. `packed` is scratch memory.
    void operator()(const Lines& lines, uint8_t* out, ptrdiff_t line, ptrdiff_t step, Scratch<uint8_t>& packed) const;

    int64_t inputs() const { return inputs_; }
    int64_t outputs() const { return outputs_; }
    Simd level() const { return level_; }

  private:
    int64_t inputs_, outputs_;
    Simd level_;
    Buffer<int64_t> group_;   // per output: the first of its groups of four inputs ...
    Buffer<int64_t> groups_;  // ... how many there are ...
    Buffer<int64_t> start_;   // ... and where their words start
    Scratch<int32_t> words_;
};

// The axis of the level of now. Each thread keeps its last few for the calls to come: to make weights takes longer than
// to hash one image.
std::shared_ptr<const ResampleAxis> resample_axis(int64_t inputs, int64_t outputs, Filter filter);

// Both passes, for images of one size; may be used by many threads at once.
class Resize {
  public:
    struct Memory {
        Scratch<uint8_t> packed;
        Buffer<uint8_t> between;
    };

    Resize(int64_t height, int64_t width, int64_t new_height, int64_t new_width, Filter filter, Regime regime);

    // `out` is (new_height, new_width), C-contiguous. Takes one channel of the image.
    void operator()(const Pixels& image, uint8_t* out, Memory& memory, int channel = 0) const;

    const ResampleAxis& horizontal() const { return *horizontal_; }
    const ResampleAxis& vertical() const { return *vertical_; }
    bool is_vertical_first() const { return vertical_first_; }

  private:
    std::shared_ptr<const ResampleAxis> horizontal_, vertical_;
    bool vertical_first_;
};

}  // namespace maskmill
