#include <algorithm>
#include <cmath>

#include "kernels/patches.hpp"
#include "support/parallel.hpp"

namespace maskmill {
namespace {

template <class T>
T rounded(double value) {
    if constexpr (std::is_floating_point_v<T>) {
        return static_cast<T>(value);
    } else {
        const double low = std::numeric_limits<T>::lowest(), high = std::numeric_limits<T>::max();
        return static_cast<T>(std::clamp(std::nearbyint(value), low, high));
    }
}

// One row of the output after the other, so that every element sees its patches in their order.
template <class T>
class Stitcher {
  public:
    Stitcher(const uint8_t* patches, const PatchBoxes& boxes, const PatchWindows& windows, PatchBlend blend,
             const int64_t* shape, uint8_t* out)
        : patches_(patches), boxes_(boxes), windows_(windows), blend_(blend), shape_(shape), out_(out) {
        index_rows();
    }

    void run() const {
        const int64_t row = shape_[2] * shape_[3];
        parallel_for(static_cast<size_t>(rows()), static_cast<size_t>((1 << 14) / row + 1),
                     [&](size_t begin, size_t end) {
                         Buffer<double> values(static_cast<size_t>(row)), weights(static_cast<size_t>(shape_[2]));
                         for (size_t r = begin; r < end; ++r)
                             blend_row(static_cast<int64_t>(r), values.data(), weights.data());
                     });
    }

  private:
    int64_t rows() const { return shape_[0] * shape_[1]; }

    template <class Visit>
    void for_each_row(const PatchBox& box, Visit&& visit) const {
        for (int64_t z = std::max<int64_t>(box.low[0], 0); z < std::min(box.high[0], shape_[0]); ++z) {
            for (int64_t y = std::max<int64_t>(box.low[1], 0); y < std::min(box.high[1], shape_[1]); ++y) {
                visit(static_cast<size_t>(z * shape_[1] + y));
            }
        }
    }

    // For every row of the output, the boxes that cover it, in their order.
    void index_rows() {
        starts_.resize(boxes_.n + 1);
        ends_.resize(static_cast<size_t>(rows()) + 1);
        std::fill(ends_.begin(), ends_.end(), size_t{0});
        starts_[0] = 0;
        for (size_t i = 0; i < boxes_.n; ++i) {
            const PatchBox box = box_at(boxes_, i);
            starts_[i + 1] = starts_[i] + box.elements() * shape_[3];
            for_each_row(box, [&](size_t r) { ++ends_[r + 1]; });
        }
        for (size_t r = 0; r + 1 < ends_.size(); ++r) ends_[r + 1] += ends_[r];
        covering_.resize(ends_[ends_.size() - 1]);
        Buffer<size_t> next;
        next.append(ends_.data(), ends_.size());
        for (size_t i = 0; i < boxes_.n; ++i) {
            for_each_row(box_at(boxes_, i), [&](size_t r) { covering_[next[r]++] = static_cast<uint32_t>(i); });
        }
    }

    const double* window(size_t i, int axis) const {
        const int first = 3 - boxes_.axes;
        static constexpr double kOne = 1;
        return axis < first
                   ? &kOne
                   : windows_.values +
                         windows_.starts[i * static_cast<size_t>(boxes_.axes) + static_cast<size_t>(axis - first)];
    }

    void blend_row(int64_t r, double* values, double* weights) const {
        const int64_t z = r / shape_[1], y = r % shape_[1], channels = shape_[3];
        std::fill_n(values, shape_[2] * channels, 0.0);
        std::fill_n(weights, shape_[2], 0.0);
        for (size_t k = ends_[static_cast<size_t>(r)]; k < ends_[static_cast<size_t>(r) + 1]; ++k) {
            const size_t i = covering_[k];
            const PatchBox box = box_at(boxes_, i);
            const double weight = window(i, 0)[z - box.low[0]] * window(i, 1)[y - box.low[1]];
            const double* along = window(i, 2);
            const int64_t line = (z - box.low[0]) * box.size(1) + y - box.low[1];
            const uint8_t* from =
                patches_ + (starts_[i] + line * box.size(2) * channels) * static_cast<int64_t>(sizeof(T));
            for (int64_t x = std::max<int64_t>(box.low[2], 0); x < std::min(box.high[2], shape_[2]); ++x) {
                const int64_t at = x - box.low[2];
                add(from + at * channels * static_cast<int64_t>(sizeof(T)), weight * along[at], values + x * channels,
                    weights[x]);
            }
        }
        uint8_t* to = out_ + r * shape_[2] * channels * static_cast<int64_t>(sizeof(T));
        for (int64_t x = 0; x < shape_[2]; ++x) {
            for (int64_t c = 0; c < channels; ++c, to += sizeof(T)) {
                if (weights[x] == 0) continue;
                const T value = rounded<T>(values[x * channels + c]);
                std::memcpy(to, &value, sizeof(T));
            }
        }
    }

    void add(const uint8_t* from, double weight, double* values, double& sum) const {
        const bool first = sum == 0;
        sum += weight;
        const double share = weight / sum;
        for (int64_t c = 0; c < shape_[3]; ++c) {
            T element;
            std::memcpy(&element, from + c * static_cast<int64_t>(sizeof(T)), sizeof(T));
            const double v = static_cast<double>(element), m = values[c];
            if (first || blend_ == PatchBlend::last) {
                values[c] = v;
            } else if (blend_ == PatchBlend::max) {
                values[c] = v > m || m != m ? v : m;
            } else {
                values[c] = v == m ? m : m + (v - m) * share;
            }
        }
    }

    const uint8_t* patches_;
    const PatchBoxes& boxes_;
    const PatchWindows& windows_;
    PatchBlend blend_;
    const int64_t* shape_;
    uint8_t* out_;
    Buffer<int64_t> starts_;  // elements before each patch
    Buffer<size_t> ends_;
    Buffer<uint32_t> covering_;
};

}  // namespace

void patches_stitch(const uint8_t* patches, PatchType type, const PatchBoxes& boxes, const PatchWindows& windows,
                    PatchBlend blend, const int64_t* shape, uint8_t* out) {
    if (std::find(shape, shape + 4, 0) != shape + 4) return;
    const auto stitch = [&]<class T>(T) { Stitcher<T>(patches, boxes, windows, blend, shape, out).run(); };
    switch (type) {
        case PatchType::u8: return stitch(uint8_t{});
        case PatchType::i8: return stitch(int8_t{});
        case PatchType::u16: return stitch(uint16_t{});
        case PatchType::i16: return stitch(int16_t{});
        case PatchType::u32: return stitch(uint32_t{});
        case PatchType::i32: return stitch(int32_t{});
        case PatchType::f32: return stitch(float{});
        case PatchType::f64: return stitch(double{});
    }
}

}  // namespace maskmill
