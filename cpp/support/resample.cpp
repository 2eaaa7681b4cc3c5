#include "support/resample.hpp"

#include <array>
#include <cmath>

#include "support/sine.hpp"

namespace maskmill {
namespace {

// A ResampleAxis as the loops see it.
struct AxisWords {
    int64_t inputs, outputs;
    const int64_t *group, *groups, *start;
    const int32_t* words;
};

}  // namespace
}  // namespace maskmill

#define MASKMILL_SIMD_FILE "support/resample.inl"
#include "support/simd_foreach.hpp"

namespace maskmill {
namespace {

constexpr double kPi = 3.141592653589793;

double sinc(double x) {
    if (x == 0.0) return 1.0;
    x *= kPi;
    return sine(x) / x;
}

double box(double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }

double bilinear(double x) {
    x = std::fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

// The two constants are floats in the reference.
double hamming(double x) {
    x = std::fabs(x);
    if (x == 0.0) return 1.0;
    if (x >= 1.0) return 0.0;
    x *= kPi;
    return sine(x) / x * (0.54F + 0.46F * cosine(x));
}

double bicubic(double x) {
    constexpr double a = -0.5;
    x = std::fabs(x);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

double lanczos(double x) { return -3.0 <= x && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0; }

struct Kernel {
    double (*weight)(double);
    double reach;
};

Kernel kernel_of(Filter filter) {
    switch (filter) {
        case Filter::box: return {box, 0.5};
        case Filter::bilinear: return {bilinear, 1.0};
        case Filter::hamming: return {hamming, 1.0};
        case Filter::bicubic: return {bicubic, 2.0};
        case Filter::lanczos: break;
    }
    return {lanczos, 3.0};
}

}  // namespace

bool vertical_first(int64_t height, int64_t width, int64_t new_height, int64_t new_width, Regime regime) {
    if (new_height >= height || regime == Regime::pillow_12_1) return false;
    if (regime == Regime::pillow_12_2) return height > 100 * width;
    return height - new_height > 2 * (width - new_width);
}

// The order of every operation here is part of the definition.
Taps resample_taps(int64_t inputs, int64_t outputs, Filter filter) {
    const Kernel kernel = kernel_of(filter);
    const double scale = static_cast<double>(inputs) / static_cast<double>(outputs);
    const double stretch = std::max(scale, 1.0);
    const double reach = kernel.reach * stretch, inverse = 1.0 / stretch;
    Taps taps;
    taps.starts.push(0);
    Buffer<double> row;
    for (int64_t o = 0; o < outputs; ++o) {
        const double centre = (static_cast<double>(o) + 0.5) * scale;
        const int64_t first = std::max<int64_t>(0, static_cast<int64_t>(centre - reach + 0.5));
        const int64_t last = std::min(inputs, static_cast<int64_t>(centre + reach + 0.5));
        row.clear();
        double total = 0.0;
        for (int64_t i = first; i < last; ++i) {
            row.push(kernel.weight((static_cast<double>(i) - centre + 0.5) * inverse));
            total += row[row.size() - 1];
        }
        for (double w : row) {
            if (total != 0.0) w /= total;
            taps.weights.push(static_cast<int32_t>(w * 4194304.0 + (w < 0 ? -0.5 : 0.5)));
        }
        taps.first.push(first);
        taps.starts.push(static_cast<int64_t>(taps.weights.size()));
    }
    return taps;
}

ResampleAxis::ResampleAxis(int64_t inputs, int64_t outputs, Filter filter)
    : inputs_(inputs), outputs_(outputs), level_(simd_level()) {
    if (inputs == outputs) return;
    const Taps taps = resample_taps(inputs, outputs, filter);
    const int64_t per_group = MASKMILL_DISPATCH(words_per_group, );
    int64_t words = 0;
    for (int64_t o = 0; o < outputs; ++o) {
        const int64_t first = taps.first[o], last = first + taps.starts[o + 1] - taps.starts[o];
        group_.push(first / 4);
        groups_.push((last + 3) / 4 - first / 4);
        start_.push(words);
        words += groups_[o] * per_group;
    }
    words_.resize(words);
    for (int64_t o = 0; o < outputs; ++o) {
        const int64_t first = taps.first[o], count = taps.starts[o + 1] - taps.starts[o];
        for (int64_t g = 0; g < groups_[o]; ++g) {
            int32_t weights[4];
            for (int64_t j = 0; j < 4; ++j) {
                const int64_t i = (group_[o] + g) * 4 + j - first;
                weights[j] = i >= 0 && i < count ? taps.weights[taps.starts[o] + i] : 0;
            }
            int32_t* to = words_.data() + start_[o] + g * per_group;
            MASKMILL_DISPATCH(encode_group, weights, to);
        }
    }
}

void ResampleAxis::operator()(const Lines& lines, uint8_t* out, ptrdiff_t line, ptrdiff_t step,
                              Scratch<uint8_t>& packed) const {
    if (inputs_ == outputs_) {
        for (size_t l = 0; l < lines.count; ++l) {
            const uint8_t* from = lines.data + static_cast<ptrdiff_t>(l) * lines.line;
            uint8_t* to = out + static_cast<ptrdiff_t>(l) * line;
            for (int64_t i = 0; i < inputs_; ++i) to[i * step] = from[i * lines.step];
        }
        return;
    }
    const int64_t all_groups = (inputs_ + 3) / 4;
    packed.resize(static_cast<size_t>(all_groups) * 4 * kLinesAtOnce + 64 * kLinesAtOnce);
    const AxisWords axis{inputs_, outputs_, group_.data(), groups_.data(), start_.data(), words_.data()};
    switch (level_) {  // that of the words, whatever the level is now
#if MASKMILL_X86
        case Simd::avx512: avx512::resample_lines(axis, lines, out, line, step, packed.data()); break;
        case Simd::avx2: avx2::resample_lines(axis, lines, out, line, step, packed.data()); break;
#endif
        default: baseline::resample_lines(axis, lines, out, line, step, packed.data());
    }
}

namespace {

// What a thread made last, in turn. Long axes are not kept: the whole takes at most some megabytes.
class AxisCache {
  public:
    std::shared_ptr<const ResampleAxis> get(int64_t inputs, int64_t outputs, Filter filter) {
        for (const Entry& entry : entries_) {
            if (entry.axis && entry.filter == filter && entry.axis->inputs() == inputs &&
                entry.axis->outputs() == outputs && entry.axis->level() == simd_level()) {
                return entry.axis;
            }
        }
        auto axis = std::make_shared<const ResampleAxis>(inputs, outputs, filter);
        if (std::max(inputs, outputs) <= kLongest) entries_[next_++ % entries_.size()] = {filter, axis};
        return axis;
    }

  private:
    static constexpr int64_t kLongest = 4096;
    struct Entry {
        Filter filter;
        std::shared_ptr<const ResampleAxis> axis;
    };
    std::array<Entry, 16> entries_{};
    size_t next_ = 0;
};

}  // namespace

std::shared_ptr<const ResampleAxis> resample_axis(int64_t inputs, int64_t outputs, Filter filter) {
    thread_local AxisCache cache;
    return cache.get(inputs, outputs, filter);
}

Resize::Resize(int64_t height, int64_t width, int64_t new_height, int64_t new_width, Filter filter, Regime regime)
    : horizontal_(resample_axis(width, new_width, filter)),
      vertical_(resample_axis(height, new_height, filter)),
      vertical_first_(vertical_first(height, width, new_height, new_width, regime)) {}

void Resize::operator()(const Pixels& image, uint8_t* out, Memory& memory, int channel) const {
    const uint8_t* data = image.data + channel * image.channel;
    const int64_t height = vertical_->inputs(), width = horizontal_->inputs();
    const int64_t new_height = vertical_->outputs(), new_width = horizontal_->outputs();
    // The first pass leaves the lines of the second side by side: line l's pixel i is between[i * lines + l].
    if (vertical_first_) {
        memory.between.resize(static_cast<size_t>(new_height * width));
        (*vertical_)({data, image.column, image.row, static_cast<size_t>(width)}, memory.between.data(), 1, width,
                     memory.packed);
        (*horizontal_)({memory.between.data(), width, 1, static_cast<size_t>(new_height)}, out, new_width, 1,
                       memory.packed);
    } else {
        memory.between.resize(static_cast<size_t>(height * new_width));
        (*horizontal_)({data, image.row, image.column, static_cast<size_t>(height)}, memory.between.data(), 1, height,
                       memory.packed);
        (*vertical_)({memory.between.data(), height, 1, static_cast<size_t>(new_width)}, out, 1, new_width,
                     memory.packed);
    }
}

}  // namespace maskmill
