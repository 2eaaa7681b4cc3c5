#include <algorithm>
#include <cmath>

#include "kernels/patches.hpp"
#include "support/parallel.hpp"

namespace maskmill {
namespace {

// What is known of each column so far. Sum and counts are narrow, and emptied into wide ones before they run over.
template <class T, class Count, class Sum>
struct Columns {
    T *low, *high;
    Count *at_low, *at_high, *padded;
    Sum* sum;
};

}  // namespace
}  // namespace maskmill

#define MASKMILL_SIMD_FILE "kernels/patches.inl"
#include "support/simd_foreach.hpp"

namespace maskmill {
namespace {

template <class T>
struct Types;
template <>
struct Types<uint8_t> {
    using Count = uint8_t;
    using Sum = uint16_t;
    static constexpr int64_t kMost = 255;  // rows until a counter or a sum may run over
};
template <>
struct Types<int8_t> {
    using Count = uint8_t;
    using Sum = int16_t;
    static constexpr int64_t kMost = 255;
};
template <>
struct Types<uint16_t> {
    using Count = uint16_t;
    using Sum = uint32_t;
    static constexpr int64_t kMost = 65535;
};
template <>
struct Types<int16_t> {
    using Count = uint16_t;
    using Sum = int32_t;
    static constexpr int64_t kMost = 65535;
};
template <>
struct Types<uint32_t> {
    using Count = uint32_t;
    using Sum = uint64_t;
    static constexpr int64_t kMost = 0x7fffffff;
};
template <>
struct Types<int32_t> {
    using Count = uint32_t;
    using Sum = int64_t;
    static constexpr int64_t kMost = 0x7fffffff;
};

// Floats have no columns: their sums would depend on how they are cut.
template <>
struct Types<float> : Types<uint8_t> {};
template <>
struct Types<double> : Types<uint8_t> {};

// One patch, or one column of it.
struct Summary {
    double low = std::numeric_limits<double>::infinity(), high = -low;
    int64_t at_low = 0, at_high = 0, padded = 0;

    void merge(const Summary& other) {
        const double l = std::min(low, other.low), h = std::max(high, other.high);
        at_low = (low == l ? at_low : 0) + (other.low == l ? other.at_low : 0);
        at_high = (high == h ? at_high : 0) + (other.high == h ? other.at_high : 0);
        padded += other.padded;
        low = l;
        high = h;
    }
    void add(double value, double padding) {
        merge({value, value, value == value ? 1 : 0, value == value ? 1 : 0, value == padding ? 1 : 0});
    }
    // Column i of n.
    void write(double* out, size_t n, size_t i, double sum, int64_t elements) const {
        const double all = elements > 0 ? static_cast<double>(elements) : std::numeric_limits<double>::quiet_NaN();
        // Which zero was met first does not matter: none is negative.
        const double columns[6] = {low + 0.0,
                                   high + 0.0,
                                   sum / all,
                                   static_cast<double>(at_low) / all,
                                   static_cast<double>(at_high) / all,
                                   static_cast<double>(padded) / all};
        for (size_t k = 0; k < 6; ++k) out[k * n + i] = columns[k];
    }
};

// Columns of neighbours in memory, row by row.
template <class T>
class ColumnSums {
    using Count = typename Types<T>::Count;
    using Sum = typename Types<T>::Sum;

  public:
    void begin(size_t n) {
        n_ = n;
        low_.resize(n);
        high_.resize(n);
        at_low_.resize(n);
        at_high_.resize(n);
        padded_.resize(n);
        sum_.resize(n);
        wide_.resize(n);
        totals_.resize(n);
        std::fill(wide_.begin(), wide_.end(), Summary{});
        std::fill(totals_.begin(), totals_.end(), int64_t{0});
        clear();
    }

    void add(const uint8_t* data, int64_t step, int64_t rows, T padding) {
        const int64_t elements = step / static_cast<int64_t>(sizeof(T));
        for (const T* row = reinterpret_cast<const T*>(data); rows > 0;) {
            if (used_ == Types<T>::kMost) empty();
            const int64_t now = std::min(rows, Types<T>::kMost - used_);
            Columns<T, Count, Sum> columns{low_.data(),     high_.data(),   at_low_.data(),
                                           at_high_.data(), padded_.data(), sum_.data()};
            MASKMILL_DISPATCH(add, row, elements, now, static_cast<int64_t>(n_), padding, columns);
            used_ += now;
            rows -= now;
            row += now * elements;
        }
    }

    const Summary& summary(size_t x) {
        if (used_ > 0) empty();
        return wide_.data()[x];
    }
    int64_t total(size_t x) const { return totals_.data()[x]; }

  private:
    void clear() {
        std::fill(low_.begin(), low_.end(), std::numeric_limits<T>::max());
        std::fill(high_.begin(), high_.end(), std::numeric_limits<T>::lowest());
        std::fill(at_low_.begin(), at_low_.end(), Count{0});
        std::fill(at_high_.begin(), at_high_.end(), Count{0});
        std::fill(padded_.begin(), padded_.end(), Count{0});
        std::fill(sum_.begin(), sum_.end(), Sum{0});
        used_ = 0;
    }
    void empty() {
        for (size_t x = 0; x < n_; ++x) {
            wide_.data()[x].merge({static_cast<double>(low_.data()[x]), static_cast<double>(high_.data()[x]),
                                   at_low_.data()[x], at_high_.data()[x], padded_.data()[x]});
            totals_.data()[x] += static_cast<int64_t>(sum_.data()[x]);
        }
        clear();
    }

    size_t n_ = 0;
    int64_t used_ = 0;  // rows in the narrow counters
    Scratch<T> low_, high_;
    Scratch<Count> at_low_, at_high_, padded_;
    Scratch<Sum> sum_;
    Buffer<Summary> wide_;
    Buffer<int64_t> totals_;
};

template <class T>
T load(const uint8_t* p) {
    T value;
    std::memcpy(&value, p, sizeof(T));
    return value;
}

// The patches of one tile and a group of slices.
template <class T>
struct TileStats {
    const PlaneAxes& axes;
    const PatchPlanes& planes;
    double padding;
    int64_t h, w;
    double* out;

    size_t patches() const { return planes.n_tiles * planes.n_slices; }
    // A value that no element has stands for none: where any may occur, its count is dropped again.
    bool pads() const {
        return padding >= std::numeric_limits<T>::lowest() && padding <= std::numeric_limits<T>::max() &&
               padding == std::floor(padding);
    }

    void put(const Summary& summary, size_t i, double sum) const { summary.write(out, patches(), i, sum, h * w); }

    void rows(const SliceGroup& group, const uint8_t* from, size_t first, ColumnSums<T>& columns) const {
        for (size_t s = group.begin; s < group.end; ++s) {
            columns.begin(static_cast<size_t>(w));
            columns.add(from + planes.slices[s] * axes.slice_step, axes.row_step, h,
                        pads() ? static_cast<T>(padding) : T{});
            Summary all;
            int64_t total = 0;
            for (size_t x = 0; x < static_cast<size_t>(w); ++x) {
                all.merge(columns.summary(x));
                total += columns.total(x);
            }
            if (!pads()) all.padded = 0;
            put(all, first + s, static_cast<double>(total));
        }
    }

    void across(const SliceGroup& group, const uint8_t* from, size_t first, ColumnSums<T>& columns) const {
        columns.begin(static_cast<size_t>(group.high - group.low));
        const uint8_t* row = from + group.low * axes.slice_step;
        for (int64_t r = 0; r < h; ++r, row += axes.row_step) {
            columns.add(row, axes.column_step, w, pads() ? static_cast<T>(padding) : T{});
        }
        for (size_t s = group.begin; s < group.end; ++s) {
            const auto x = static_cast<size_t>(planes.slices[s] - group.low);
            Summary all = columns.summary(x);
            if (!pads()) all.padded = 0;
            put(all, first + s, static_cast<double>(columns.total(x)));
        }
    }

    // Any strides, and floats.
    void plain(const SliceGroup& group, const uint8_t* from, size_t first) const {
        using Total = std::conditional_t<std::is_floating_point_v<T>, double, int64_t>;
        for (size_t s = group.begin; s < group.end; ++s) {
            Summary all;
            Total total = 0;
            for (int64_t r = 0; r < h; ++r) {
                const uint8_t* p = from + planes.slices[s] * axes.slice_step + r * axes.row_step;
                for (int64_t c = 0; c < w; ++c, p += axes.column_step) {
                    const T value = load<T>(p);
                    all.add(static_cast<double>(value), padding);
                    total += static_cast<Total>(value);
                }
            }
            put(all, first + s, static_cast<double>(total));
        }
    }
};

template <class T>
void stats_of(const PatchArray& volume, const PatchPlanes& planes, double padding, double* out) {
    const PlaneAxes axes = plane_axes(volume, planes.axis);
    const TileStats<T> tile{axes, planes, padding, planes.tiles[1] - planes.tiles[0], planes.tiles[3] - planes.tiles[2],
                            out};
    constexpr int64_t kItem = sizeof(T);
    bool regular = !std::is_floating_point_v<T> && reinterpret_cast<uintptr_t>(volume.data) % kItem == 0;
    for (const int64_t step : volume.strides) regular = regular && step % kItem == 0;
    const bool rows = regular && axes.column_step == kItem;
    const bool across = regular && !rows && axes.slice_step == kItem;
    const auto groups = across ? patches_groups(planes, planes.n_slices, 64 / kItem) : patches_groups(planes, 1, 1);
    const int64_t each = tile.h * tile.w * kItem * static_cast<int64_t>(planes.n_slices / groups.size());
    const auto grain = static_cast<size_t>((1 << 20) / (each + 1) + 1);
    parallel_for(planes.n_tiles * groups.size(), grain, [&](size_t begin, size_t end) {
        ColumnSums<T> columns;
        for (size_t job = begin; job < end; ++job) {
            const size_t t = job / groups.size();
            const SliceGroup& group = groups[job % groups.size()];
            const uint8_t* from =
                volume.data + planes.tiles[4 * t] * axes.row_step + planes.tiles[4 * t + 2] * axes.column_step;
            if constexpr (!std::is_floating_point_v<T>) {
                if (rows) {
                    tile.rows(group, from, t * planes.n_slices, columns);
                    continue;
                }
                if (across) {
                    tile.across(group, from, t * planes.n_slices, columns);
                    continue;
                }
            }
            tile.plain(group, from, t * planes.n_slices);
        }
    });
}

}  // namespace

void patches_stats(const PatchArray& volume, PatchType type, const PatchPlanes& planes, double padding, double* out) {
    if (planes.n_tiles == 0 || planes.n_slices == 0) return;
    if (planes.tiles[0] == planes.tiles[1] || planes.tiles[2] == planes.tiles[3]) {
        throw std::invalid_argument("tile 0: there is nothing to describe in no pixels");
    }
    switch (type) {
        case PatchType::u8: return stats_of<uint8_t>(volume, planes, padding, out);
        case PatchType::i8: return stats_of<int8_t>(volume, planes, padding, out);
        case PatchType::u16: return stats_of<uint16_t>(volume, planes, padding, out);
        case PatchType::i16: return stats_of<int16_t>(volume, planes, padding, out);
        case PatchType::u32: return stats_of<uint32_t>(volume, planes, padding, out);
        case PatchType::i32: return stats_of<int32_t>(volume, planes, padding, out);
        case PatchType::f32: return stats_of<float>(volume, planes, padding, out);
        case PatchType::f64: return stats_of<double>(volume, planes, padding, out);
    }
}

}  // namespace maskmill
