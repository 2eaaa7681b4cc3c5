// Pillow's resampling on a GPU, and what the files of kernels/hashes*.cu share.
//
// Floor     One read of the pixels: 224 x 224 patches at 4.3 TB/s are 86 M patches/s. Their 9 x 224 sums of 150 weighted
//           pixels (dhash of 64 bits) are 76,000 groups of four pixels, three dot products each: at the 64 of them that an
//           SM starts a clock, an H200 does 65 M patches/s. Wanted are 20 M patches/s, a quarter of the memory's speed.
// Design    Weights are three signed digits of base 256, as with AVX-512: dp4a multiplies four pixels by four digits, and
//           pixels stay packed. Digits' sums may leave 32 bits; modulo 2^32 the total is right, and that does not.
//           First pass (hashes_resample.cu): a block takes 32 to 128 lines of any images into shared memory, an odd number
//           of words apart, each byte read once and side by side. A warp makes one output of all these lines: its lanes
//           read different banks, its weights are the same for all lanes (one load of 16 bytes for up to four lines), so
//           that a group costs 1.25 loads and 3 dot products. For 224 x 224 pixels and four lines a lane: 9 warps, 64
//           registers, no spills, 32 KB of shared memory, so 3 blocks an SM, which ask for 14 KB at once (sm_90). What is
//           left is a 25th of the pixels: the second pass and the bits take a thread for each number.
//           Rows are loaded by aligned words, two of them where a row begins at no multiple of four; strided ones byte by
//           byte.
// Cost      By its instructions (SASS), four groups of four lines take 85, of which 48 are dot products, and a word of a
//           row 6: of a patch of 224 x 224 12,600 + 2,400 + 1,500 of a warp, 4,100 clocks of an SM; the dot products
//           alone take 3,560. That is 55 M patches/s at most, and 33 M/s at 60 % of it. Reckoned, never run on a GPU.
//           Weights, as everything else that depends on sizes alone, are made on the host.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "kernels/hashes_dct.inl"
#include "support/cuda.cuh"

namespace maskmill::cuda {

// An image on the device, and the row of the codes that is its own.
struct HashItem {
    const uint8_t* data = nullptr;
    int64_t row = 0, column = 0, channel = 0;
    int64_t place = 0;
};

// Images of one size: a table, or (table null) `first` and those that follow it, `step` bytes apart.
struct HashSource {
    HashItem first;
    int64_t step = 0;
    const HashItem* table = nullptr;  // on the device
    int64_t height = 0, width = 0;
    int channels = 1, taken = 0;  // how many there are, and which one is hashed

    MASKMILL_HD HashItem at(int64_t i) const {
        if (table != nullptr) return table[i];
        HashItem item = first;
        item.data += i * step;
        item.place += i;
        return item;
    }
    HashSource from(int64_t begin) const {
        HashSource s = *this;
        if (table != nullptr) {
            s.table += begin;
        } else {
            s.first.data += begin * step;
            s.first.place += begin;
        }
        return s;
    }
    HashSource only(int c) const {
        HashSource s = *this;
        s.taken = c;
        s.channels = 1;
        return s;
    }
};

// A C-contiguous stack of gray images, such as what is between the steps.
inline HashSource stack_of(const uint8_t* data, int64_t height, int64_t width) {
    HashSource s;
    s.first = {data, width, 1, 0, 0};
    s.step = height * width;
    s.height = height;
    s.width = width;
    return s;
}

// Digits of the weights of four pixels.
struct alignas(16) HashDigits {
    uint32_t low, middle, high, none;
};

// The groups of four inputs that an output is made of, and where their digits are.
struct HashSpan {
    int32_t group, groups;
    int64_t digits;
};

struct HashAxis {
    int64_t inputs, outputs;
    const HashSpan* spans;
    const HashDigits* digits;
};

// sum + the products of four unsigned bytes and four signed ones, modulo 2^32.
MASKMILL_HD uint32_t dot(uint32_t pixels, uint32_t digits, uint32_t sum) {
#ifdef __CUDA_ARCH__
    asm("dp4a.u32.s32 %0, %1, %2, %0;" : "+r"(sum) : "r"(pixels), "r"(digits));
#else
    for (int shift = 0; shift < 32; shift += 8) {
        sum += (pixels >> shift & 255) * static_cast<uint32_t>(static_cast<int8_t>(digits >> shift));
    }
#endif
    return sum;
}

struct HashSum {
    uint32_t low = 1U << 21, middle = 0, high = 0;

    MASKMILL_HD void add(uint32_t pixels, const HashDigits& digits) {
        low = dot(pixels, digits.low, low);
        middle = dot(pixels, digits.middle, middle);
        high = dot(pixels, digits.high, high);
    }
    MASKMILL_HD uint8_t pixel() const {
        const int32_t sum = static_cast<int32_t>(low + (middle << 8) + (high << 16)) >> 22;
        return static_cast<uint8_t>(sum < 0 ? 0 : sum > 255 ? 255 : sum);
    }
};

// Pixels 4 w .. 4 w + 3 of a line; 0 beyond its end.
MASKMILL_HD uint32_t four_pixels(const uint8_t* line, int64_t step, int64_t inputs, int64_t w) {
    const uint8_t* const p = line + 4 * w * step;
    if (step == 1 && (reinterpret_cast<uintptr_t>(p) & 3) == 0 && 4 * w + 4 <= inputs) {
#ifdef __CUDA_ARCH__
        return *reinterpret_cast<const uint32_t*>(p);
#endif
    }
    uint32_t word = 0;
    for (int64_t j = 0; j < 4 && 4 * w + j < inputs; ++j) word |= static_cast<uint32_t>(p[j * step]) << (8 * j);
    return word;
}

// Pillow's gray.
MASKMILL_HD uint8_t gray_of(uint32_t r, uint32_t g, uint32_t b) {
    return static_cast<uint8_t>((19595 * r + 38470 * g + 7471 * b + 32768) >> 16);
}

// Weights and what else depends on sizes alone, sent to the device.
template <class T>
const T* sent(const T* values, size_t n, Queue& queue) {
    T* const out = queue.take<T>(n);
    if (n > 0) copy_to_device(out, values, n * sizeof(T), queue);
    return out;
}

inline HashItem item_of(const Pixels& image, int64_t place) {
    return {image.data, image.row, image.column, image.channel, place};
}

// An image and those that follow it.
inline HashSource source_of(const Pixels& first, ptrdiff_t step) {
    HashSource source;
    source.first = item_of(first, 0);
    source.step = step;
    source.height = first.height;
    source.width = first.width;
    source.channels = first.channels;
    return source;
}

// run(images of one size, how many) for each size.
template <class Run>
void each_size(std::span<const Pixels> images, Queue& queue, Run&& run) {
    std::map<std::pair<ImageSize, int>, std::vector<HashItem>> groups;
    for (size_t i = 0; i < images.size(); ++i) {
        const Pixels& image = images[i];
        const std::pair key(ImageSize{image.height, image.width}, image.channels == 1 ? 1 : 3);
        groups[key].push_back(item_of(image, static_cast<int64_t>(i)));
    }
    for (const auto& [key, items] : groups) {
        HashSource source;
        source.first = items[0];
        source.table = sent(items.data(), items.size(), queue);
        source.height = key.first.height;
        source.width = key.first.width;
        source.channels = key.second;
        run(source, static_cast<int64_t>(items.size()));
    }
}

// Gray pictures (n, height, width).
void make_gray(const HashSource& images, int64_t n, uint8_t* out, Queue& queue);

// Both passes, for images of one size.
class HashResize {
  public:
    HashResize(int64_t height, int64_t width, int64_t new_height, int64_t new_width, Filter filter, Regime regime,
               Queue& queue);

    size_t bytes_between() const { return static_cast<size_t>(lines_padded() * first().outputs); }
    // n images to (n, new_height, new_width). `between` is memory of n * bytes_between().
    void operator()(const HashSource& images, int64_t n, uint8_t* between, uint8_t* out, Queue& queue) const;

  private:
    const HashAxis& first() const { return vertical_first_ ? vertical_ : horizontal_; }
    int64_t lines() const { return vertical_first_ ? horizontal_.inputs : vertical_.inputs; }
    int64_t lines_padded() const { return (lines() + 3) / 4 * 4; }

    HashAxis horizontal_, vertical_;
    bool vertical_first_;
};

// Of frequencies (hashes_frequency.cu): grids (n, side, side) of phash, phash_simple or whash to their bits, a byte each,
// (n, bits).
class HashFrequency {
  public:
    HashFrequency(const HashRule& rule, int64_t side, Queue& queue);

    size_t doubles() const { return static_cast<size_t>(2 * side_ * side_ + 2); }  // of memory for each image
    void operator()(const uint8_t* grids, int64_t n, double* memory, uint8_t* bits, Queue& queue) const;

  private:
    HashRule rule_;
    int64_t side_;
    DctPlan plan_;
};

}  // namespace maskmill::cuda
