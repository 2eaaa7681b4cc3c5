// PDQ: 64 x 64 pixels by two tent filters, their 16 x 16 lowest frequencies but the mean, compared with the median.
#include <bit>
#include <numeric>

#include "kernels/hashes.hpp"
#include "kernels/hashes_pdq_parts.inl"
#include "support/parallel.hpp"

#define MASKMILL_SIMD_FILE "kernels/hashes_pdq.inl"
#include "support/simd_foreach.hpp"

namespace maskmill {
namespace {

constexpr int64_t kSide = kPdqSide;
constexpr int64_t kBand = 32;  // lanes of box_axis: rows that go through the filters together

// The reference's box filter along one axis, for many lanes at once, one step of the axis after the other. The output
// lags behind by `ahead` steps.
class Box {
  public:
    void start(int64_t side, int64_t lanes) {
        side_ = side;
        lanes_ = lanes;
        window_ = pdq_window(side);
        ahead_ = (window_ + 2) / 2 - 1;
        step_ = count_ = 0;
        sum_.resize(static_cast<size_t>(lanes));
        std::fill_n(sum_.data(), lanes, 0.0F);
        kept_.resize(static_cast<size_t>(window_ * lanes));
    }

    // Takes the next values. True: there is an output, `position()`.
    bool add(const float* values) {
        float* slot = kept_.data() + step_ % window_ * lanes_;
        if (step_ >= window_) {
            MASKMILL_DISPATCH(box_slide, sum_.data(), values, slot, lanes_);
        } else {
            MASKMILL_DISPATCH(box_add, sum_.data(), values, slot, lanes_);
            ++count_;
        }
        return step_++ >= ahead_;
    }

    // After the last values: the window leaves the image. False: all outputs were given.
    bool drop() {
        if (step_ == side_ + ahead_) return false;
        MASKMILL_DISPATCH(box_drop, sum_.data(), kept_.data() + step_ % window_ * lanes_, lanes_);
        --count_;
        ++step_;
        return true;
    }

    int64_t position() const { return step_ - 1 - ahead_; }
    void mean(float* out) const { MASKMILL_DISPATCH(box_mean, sum_.data(), static_cast<float>(count_), out, lanes_); }

  private:
    int64_t side_ = 0, lanes_ = 0, window_ = 0, ahead_ = 0, step_ = 0, count_ = 0;
    Scratch<float> sum_, kept_;
};

// The filters of one image, a band of rows at a time: along rows, along columns, along rows, along columns; the last
// two only where a sample is taken. No more than a few bands are in memory.
class Downsample {
  public:
    void operator()(const Pixels& image, PdqLuma luma, float* out) {
        height_ = image.height;
        width_ = image.width;
        padded_ = (width_ + 3) / 4 * 4;
        out_ = out;
        next_row_ = rows_ = 0;
        const auto band = static_cast<size_t>(kBand * padded_);
        for (Scratch<float>* memory : {&band_, &turned_, &smooth_, &waiting_}) memory->resize(band);
        narrow_.resize(static_cast<size_t>(kBand * kSide));
        narrow_turned_.resize(static_cast<size_t>(kBand * kSide));
        std::fill_n(band_.data(), band, 0.0F);
        std::fill_n(waiting_.data(), band, 0.0F);
        every_.resize(static_cast<size_t>(width_));
        std::iota(every_.begin(), every_.end(), int64_t{0});
        for (int64_t k = 0; k < kSide; ++k) samples_[k] = pdq_sampled(k, width_);
        down_.start(height_, padded_);
        down_again_.start(height_, kSide);
        for (int64_t y = 0; y < height_; y += kBand) {
            const int64_t n = std::min(kBand, height_ - y);
            for (int64_t r = 0; r < n; ++r) read_luma(image, y + r, luma, band_.data() + r * padded_);
            MASKMILL_DISPATCH(transpose_floats, band_.data(), padded_, kBand, padded_, turned_.data(), kBand);
            across(every_.data(), width_, smooth_.data());
            MASKMILL_DISPATCH(transpose_floats, smooth_.data(), kBand, padded_, kBand, band_.data(), padded_);
            for (int64_t r = 0; r < n; ++r) {
                if (down_.add(band_.data() + r * padded_)) wait();
            }
        }
        while (down_.drop()) wait();
        second_round();
        while (down_again_.drop()) take();
    }

    // 64 x 64 pixels as they are.
    void copy(const Pixels& image, PdqLuma luma, float* out) {
        width_ = padded_ = kSide;
        for (int64_t y = 0; y < kSide; ++y) read_luma(image, y, luma, out + y * kSide);
    }

  private:
    void read_luma(const Pixels& image, int64_t y, PdqLuma luma, float* out) {
        const uint8_t* row = image.data + y * image.row;
        planes_.resize(static_cast<size_t>(3 * padded_));
        uint8_t *red = planes_.data(), *green = red + padded_, *blue = green + padded_;
        if (image.channels == 1) {
            for (int64_t x = 0; x < width_; ++x) red[x] = row[x * image.column];
            MASKMILL_DISPATCH(luma_gray, red, width_, out);
            return;
        }
        MASKMILL_DISPATCH(split_channels, row, image.column, image.channel, width_, red, green, blue);
        if (luma == PdqLuma::pdqhash) {
            MASKMILL_DISPATCH(luma_pdqhash, red, green, blue, width_, out);
        } else {
            MASKMILL_DISPATCH(luma_float32, red, green, blue, width_, out);
        }
    }

    // Columns of turned_ through the filter, as far as wanted.
    void across(const int64_t* wanted, int64_t n, float* out) {
        MASKMILL_DISPATCH(box_axis, turned_.data(), width_, pdq_window(width_), wanted, n, out);
    }

    // A row has come out of the first round.
    void wait() {
        down_.mean(waiting_.data() + rows_ * padded_);
        if (++rows_ == kBand) second_round();
    }

    void second_round() {
        MASKMILL_DISPATCH(transpose_floats, waiting_.data(), padded_, kBand, padded_, turned_.data(), kBand);
        across(samples_, kSide, narrow_turned_.data());
        MASKMILL_DISPATCH(transpose_floats, narrow_turned_.data(), kBand, kSide, kBand, narrow_.data(), kSide);
        for (int64_t r = 0; r < rows_; ++r) {
            if (down_again_.add(narrow_.data() + r * kSide)) take();
        }
        rows_ = 0;
    }

    // A row has come out of the second round.
    void take() {
        for (; next_row_ < kSide && pdq_sampled(next_row_, height_) == down_again_.position(); ++next_row_) {
            down_again_.mean(out_ + next_row_ * kSide);
        }
    }

    int64_t height_ = 0, width_ = 0, padded_ = 0, rows_ = 0, next_row_ = 0;
    float* out_ = nullptr;
    int64_t samples_[kSide];
    Buffer<int64_t> every_;
    Box down_, down_again_;
    Scratch<float> band_, turned_, smooth_, waiting_, narrow_, narrow_turned_;
    Scratch<uint8_t> planes_;
};

// Gray images of sides up to 256 have windows of 1 or 2, and nothing is ever rounded: twice (a + b) / 2, the last pixel
// repeated, is (a + 2 b + c) / 4, and of that only the samples are needed.
void downsample_exactly(const Pixels& image, Scratch<uint8_t>& gathered, float* out) {
    const int64_t h = image.height, w = image.width;
    const int64_t down = pdq_window(h) - 1, across = pdq_window(w) - 1;
    gathered.resize(static_cast<size_t>(3 * w));
    uint16_t sums[4 * kSide + 2];
    int64_t wanted[kSide];
    for (int64_t k = 0; k < kSide; ++k) wanted[k] = pdq_sampled(k, w);
    for (int64_t i = 0; i < kSide; ++i) {
        const uint8_t* rows[3];
        for (int64_t k = 0; k < 3; ++k) {
            rows[k] = image.data + std::min(pdq_sampled(i, h) + k * down, h - 1) * image.row;
            if (image.column == 1) continue;
            uint8_t* line = gathered.data() + k * w;
            for (int64_t x = 0; x < w; ++x) line[x] = rows[k][x * image.column];
            rows[k] = line;
        }
        MASKMILL_DISPATCH(tent_row, rows[0], rows[1], rows[2], w, across, wanted, sums, out + i * kSide);
    }
}

// The 128th smallest of 256.
float lower_median(const float* values) {
    alignas(64) int32_t keys[256];
    for (int i = 0; i < 256; ++i) keys[i] = pdq_ordered(std::bit_cast<int32_t>(values[i]));
    uint32_t found = 0x80000000U;
    for (uint32_t bit = 0x80000000U; bit != 0; bit >>= 1) {
        const int32_t tried = pdq_tried(found, bit);
        const int below = MASKMILL_DISPATCH(count_below, keys, tried);
        if (below <= kPdqMedianRank) found = static_cast<uint32_t>(tried);
    }
    return std::bit_cast<float>(pdq_ordered(static_cast<int32_t>(found)));
}

// Bit 16 i + j counts from the last: the first word has the last rows.
void to_words(const float* frequencies, uint64_t* words) {
    const float median = lower_median(frequencies);
    for (int w = 0; w < 4; ++w) {
        uint64_t bits = 0;
        for (int k = 0; k < 64; ++k) bits |= static_cast<uint64_t>(frequencies[(3 - w) * 64 + k] > median) << k;
        words[w] = bits;
    }
}

void turned_words(const float* frequencies, PdqTurn turn, uint64_t* words) {
    float out[256];
    for (int i = 0; i < 16; ++i) {
        for (int j = 0; j < 16; ++j) {
            const float v = turn.transposed ? frequencies[16 * j + i] : frequencies[16 * i + j];
            out[16 * i + j] = turn.negates(i, j) ? -v : v;
        }
    }
    to_words(out, words);
}

struct Memory {
    Downsample downsample;
    Scratch<uint8_t> gathered;
    alignas(64) float pixels[64 * 64];
    alignas(64) float frequencies[256];
};

void downsample(const Pixels& image, PdqLuma luma, bool dihedral, Memory& memory) {
    if (image.channels == 1 && image.height <= kPdqExact && image.width <= kPdqExact) {
        downsample_exactly(image, memory.gathered, memory.pixels);
    } else if (image.height == kSide && image.width == kSide && !dihedral) {
        // The reference filters such an image only where it also turns it.
        memory.downsample.copy(image, luma, memory.pixels);
    } else {
        memory.downsample(image, luma, memory.pixels);
    }
}

void hash(const Pixels& image, PdqLuma luma, bool dihedral, Memory& memory, uint64_t* words, uint8_t* quality) {
    const int codes = dihedral ? 8 : 1;
    if (image.height < kPdqLeastSide || image.width < kPdqLeastSide) {
        std::fill_n(words, 4 * codes, uint64_t{0});
        *quality = 0;
        return;
    }
    downsample(image, luma, dihedral, memory);
    const int32_t sum = MASKMILL_DISPATCH(gradient_sum, memory.pixels);
    *quality = static_cast<uint8_t>(std::min(sum / 90, 100));
    MASKMILL_DISPATCH(dct_64_to_16, pdq_cosines().matrix, pdq_cosines().turned, memory.pixels, memory.frequencies);
    for (int k = 0; k < codes; ++k) turned_words(memory.frequencies, pdq_turn(k), words + 4 * k);
}

}  // namespace

void hashes_pdq(std::span<const Pixels> images, PdqLuma luma, bool dihedral, uint64_t* codes, uint8_t* quality) {
    const size_t words = dihedral ? 32 : 4;
    parallel_for(images.size(), 4, [&](size_t begin, size_t end) {
        const auto memory = std::make_unique<Memory>();
        for (size_t i = begin; i < end; ++i) hash(images[i], luma, dihedral, *memory, codes + i * words, quality + i);
    });
}

}  // namespace maskmill
