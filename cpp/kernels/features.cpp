#include "kernels/features.hpp"

#include <atomic>

#include "kernels/features_pixel.inl"
#include "support/parallel.hpp"
#include "support/simd.hpp"
#include "support/strided.hpp"

// Strips of rows are computed by themselves, with a halo of two rows on either side for differences of differences. The
// first pass leaves each plane turned by 90 degrees, (columns, kLanes rows): so both passes add whole lines of a panel,
// the second needs no unaligned loads, and the lines that a sum needs stay in the first cache. Once a tile has all its
// planes, the maps of one column after the other are made, and turned back as they are put together.

namespace maskmill {
namespace {

constexpr int64_t kWide = 32;          // doubles in a row of a panel
constexpr int64_t kLanes = 64;         // rows of a strip, halo included
constexpr int64_t kBlock = 64;         // columns that are computed if one of their pixels is wanted
constexpr int64_t kTile = 1024;        // columns of a task; a multiple of kBlock
constexpr int64_t kPad = 16;           // elements before the first and behind the last column of planes
constexpr int64_t kStage = 128 << 10;  // bytes that are put together before they are written
constexpr int64_t kCached = 1 << 20;   // elements of an output that is written past the cache

// One column of all planes, and what lies beside it.
template <class S>
struct FeatureColumn {
    const S* planes;
    int64_t plane_step, first;      // column x of plane p is at p * plane_step + (x - first) * kLanes
    int64_t x, width, top, height;  // lane 0 is row `top`, which may be outside
    const S* row_scale;

    const S* at(int64_t plane, int64_t column) const { return planes + plane * plane_step + (column - first) * kLanes; }
    int64_t left(int64_t column) const { return std::max<int64_t>(column - 1, 0); }
    int64_t right(int64_t column) const { return std::min(column + 1, width - 1); }
    S column_scale(int64_t column) const { return column == 0 || column == width - 1 ? S{1} : S{0.5}; }
    // Lanes outside of the image get what its border has.
    void extend(S* lanes) const {
        for (int64_t i = 0; i < -top; ++i) lanes[i] = lanes[-top];
        const int64_t last = height - 1 - top;
        for (int64_t i = last + 1; i < std::min(last + 3, kLanes); ++i) lanes[i] = lanes[last];
    }
    void clear_ring(S* lanes) const {
        const bool outermost = x == 0 || x == width - 1;
        for (int64_t i = 0; i < kLanes; ++i) {
            if (outermost || top + i <= 0 || top + i >= height - 1) lanes[i] = 0;
        }
    }
};

}  // namespace
}  // namespace maskmill

#define MASKMILL_SIMD_FILE "kernels/features.inl"
#include "support/simd_foreach.hpp"

namespace maskmill {
namespace {

struct Range {
    int64_t begin, end;
};

// What the threads share.
class Bank {
  public:
    Bank(const FeatureImage& image, const FeaturePlan& plan, const FeatureOutput& out)
        : image_(image), plan_(plan), out_(out), columns_(features_columns(plan)), reach_(plan.n_first) {
        for (size_t m = 0; m < plan.n_maps; ++m) {
            const int64_t op = plan.maps[4 * m];
            if (op >= features::sobel && op <= features::hessian_doubled) halo_ = 2;
        }
        int64_t down = 0, along = 0;
        std::fill_n(reach_.data(), plan.n_first, 0);
        for (size_t p = 0; p < plan.n_second; ++p) {
            int64_t& reach = reach_[static_cast<size_t>(plan.second[2 * p])];
            reach = std::max(reach, plan.radius(plan.second[2 * p + 1]));
            along = std::max(along, reach);
        }
        for (size_t q = 0; q < plan.n_first; ++q) down = std::max(down, plan.radius(plan.first[3 * q + 2]));
        rows_beyond_ = down + halo_;
        columns_beyond_ = along;
        row_index_.resize(static_cast<size_t>(image.height + 2 * rows_beyond_));
        for (int64_t y = -rows_beyond_; y < image.height + rows_beyond_; ++y) {
            row_index_[static_cast<size_t>(y + rows_beyond_)] = within(y, image.height, plan.border);
        }
        strips_ = (image.height + strip_rows() - 1) / strip_rows();
        blocks_ = (image.width + kBlock - 1) / kBlock;
        tiles_ = (image.width + kTile - 1) / kTile;
        past_cache_ = image.height * image.width * columns_ > kCached;
        if (out.at != nullptr) sort_requests();
    }

    template <class S>
    void run() const;

    int64_t strip_rows() const { return kLanes - 2 * halo_; }
    bool wanted(int64_t strip, int64_t block) const { return out_.at == nullptr || !requests(strip, block).empty(); }
    std::span<const int64_t> requests(int64_t strip, int64_t block) const {
        const auto key = static_cast<size_t>(strip * blocks_ + block);
        return {order_.data() + starts_[key], static_cast<size_t>(starts_[key + 1] - starts_[key])};
    }
    Range with_halo(Range columns) const {
        return {std::max<int64_t>(columns.begin - halo_, 0), std::min(columns.end + halo_, image_.width)};
    }
    const int64_t* row_index(int64_t y) const { return row_index_.data() + rows_beyond_ + y; }
    int64_t column_of(int64_t x) const { return within(x, image_.width, plan_.border); }
    // Columns that are looked at for columns begin .. end - 1 of what is made from plane q of the first pass.
    Range reached(size_t q, Range columns) const {
        const int64_t width = image_.width, reach = reach_[q] + halo_;
        Range r{columns.begin - reach, columns.end + reach};
        if (plan_.border != FeatureBorder::nearest) {
            const Range inside = r;
            if (inside.begin < 0) r.end = std::max(r.end, 1 - inside.begin);
            if (inside.end > width) r.begin = std::min(r.begin, 2 * width - 2 - inside.end);
        }
        return {std::max<int64_t>(r.begin, 0), std::min(r.end, width)};
    }

    const FeatureImage& image_;
    const FeaturePlan& plan_;
    const FeatureOutput& out_;
    int64_t columns_, halo_ = 0, rows_beyond_, columns_beyond_;
    int64_t strips_, blocks_, tiles_;
    bool past_cache_;
    Buffer<int64_t> reach_;  // per plane of the first pass, the largest radius along the rows

  private:
    void sort_requests() {
        const auto key = [this](size_t k) {
            return static_cast<size_t>(out_.at[2 * k] / strip_rows() * blocks_ + out_.at[2 * k + 1] / kBlock);
        };
        starts_.resize(static_cast<size_t>(strips_ * blocks_) + 2);
        std::fill(starts_.begin(), starts_.end(), 0);
        for (size_t k = 0; k < out_.n_at; ++k) ++starts_[key(k) + 2];
        for (size_t i = 2; i < starts_.size(); ++i) starts_[i] += starts_[i - 1];
        order_.resize(out_.n_at);
        for (size_t k = 0; k < out_.n_at; ++k) {
            order_[static_cast<size_t>(starts_[key(k) + 1]++)] = static_cast<int64_t>(k);
        }
    }

    Buffer<int64_t> row_index_;       // where the rows from -rows_beyond_ on are found
    Buffer<int64_t> starts_, order_;  // requests by strip and block
};

// One thread's memory, and what it does with the part of a strip that lies in a tile.
template <class S>
class Worker {
  public:
    explicit Worker(const Bank& bank) : bank_(bank), image_(bank.image_), plan_(bank.plan_) {
        const int64_t widest = std::min(kTile + 2 * bank.halo_, image_.width);
        plane_step_ = widest * kLanes;
        half_step_ = (widest + 2 * bank.columns_beyond_ + kWide) * kWide;
        planes_.resize(static_cast<size_t>(plane_step_) * plan_.n_second + 2 * kPad);
        clear(turned_, static_cast<size_t>(half_step_ * (kLanes / kWide)));
        clear(maps_, static_cast<size_t>(bank.columns_ * kLanes));
        panel_.resize(static_cast<size_t>((kLanes + 2 * bank.rows_beyond_) * kWide));
        passed_.resize(static_cast<size_t>(2 * kLanes * kWide));
        row_scale_.resize(kLanes + 2 * kPad);
        const int64_t bytes = bank.columns_ * bank.strip_rows() * static_cast<int64_t>(sizeof(S));
        stage_columns_ = std::clamp<int64_t>(kStage / std::max<int64_t>(bytes, 1), 1, kBlock);
        stage_.resize(static_cast<size_t>(stage_columns_ * bank.columns_ * bank.strip_rows()));
    }

    void run(int64_t strip, int64_t tile) {
        strip_ = strip;
        find_stretches(tile);
        if (stretches_.size() == 0) return;
        const int64_t begin = strip * bank_.strip_rows();
        rows_ = {begin, std::min(begin + bank_.strip_rows(), image_.height)};
        top_ = begin - bank_.halo_;
        lanes_ = rows_.end - rows_.begin + 2 * bank_.halo_;
        S* row_scale = row_scale_.data() + kPad;
        for (int64_t i = -1; i <= kLanes; ++i) {
            row_scale[i] = top_ + i <= 0 || top_ + i >= image_.height - 1 ? S{1} : S{0.5};
        }
        const Range whole = bank_.with_halo({tile * kTile, std::min((tile + 1) * kTile, image_.width)});
        FeatureColumn<S> column{planes_.data() + kPad, plane_step_, whole.begin,   0,
                                image_.width,          top_,        image_.height, row_scale};
        for (size_t q = 0; q < plan_.n_first; ++q) {
            turned_begin_ = whole.begin - bank_.reach_[q];
            first_pass(q, whole);
            for (size_t p = 0; p < plan_.n_second; ++p) {
                if (plan_.second[2 * p] == static_cast<int64_t>(q)) second_pass(p, column);
            }
        }
        for (const Range& stretch : stretches_) {
            for (int64_t x = stretch.begin; x < stretch.end; x += stage_columns_) {
                maps({x, std::min(x + stage_columns_, stretch.end)}, column);
            }
        }
    }

  private:
    template <class T>
    static void clear(Scratch<T>& memory, size_t n) {
        memory.resize(n);
        std::fill_n(memory.data(), n, T{0});
    }
    const double* half(int64_t kernel) const { return plan_.weights + plan_.starts[kernel]; }

    // Columns of a tile that are wanted, joined where they touch.
    void find_stretches(int64_t tile) {
        stretches_.clear();
        const int64_t last = std::min((tile + 1) * kTile / kBlock, bank_.blocks_);
        for (int64_t b = tile * kTile / kBlock; b < last; ++b) {
            if (!bank_.wanted(strip_, b)) continue;
            const Range block{b * kBlock, std::min((b + 1) * kBlock, image_.width)};
            if (stretches_.size() > 0 && stretches_[stretches_.size() - 1].end == block.begin) {
                stretches_[stretches_.size() - 1].end = block.end;
            } else {
                stretches_.push(block);
            }
        }
    }

    // Down the columns that the stretches reach, turned, with what lies beyond the image beside it.
    void first_pass(size_t q, Range whole) {
        const int64_t end = whole.end + bank_.reach_[q], last = image_.width;
        const Range inside{std::max<int64_t>(turned_begin_, 0), std::min(end, last)};
        int64_t done = inside.begin, before = inside.begin;
        for (const Range& stretch : stretches_) {
            const Range r = bank_.reached(q, stretch);
            // Mirrored at the right border, a stretch may reach further to the left than the one before it.
            if (r.begin < before) done = inside.begin;
            before = r.begin;
            done += std::max<int64_t>(r.begin - done, 0) / kWide * kWide;
            for (; done < r.end; done += kWide) first_panel(q, done);
        }
        for (int64_t x = turned_begin_; x < 0; ++x) copy_turned(bank_.column_of(x), x);
        for (int64_t x = last; x < end; ++x) copy_turned(bank_.column_of(x), x);
    }

    void first_panel(size_t q, int64_t x) {
        const int64_t* row = plan_.first + 3 * q;
        const int64_t radius = plan_.radius(row[2]);
        const float* band = image_.data + row[0] * image_.height * image_.width + x;
        MASKMILL_DISPATCH(widen, band, image_.width, bank_.row_index(top_ - radius), lanes_ + 2 * radius,
                          std::min(kWide, image_.width - x), row[1] == 2, panel_.data());
        S *passed = passed_.data(), *turned = passed + kLanes * kWide;
        MASKMILL_DISPATCH(correlate, panel_.data(), lanes_, half(row[2]), radius, plan_.parity[row[2]], passed, kWide);
        MASKMILL_DISPATCH(transpose, passed, kWide, lanes_, kWide, turned, kLanes);
        MASKMILL_DISPATCH(widen_halves, turned, kWide, turned_at(x), half_step_);
    }

    double* turned_at(int64_t x) { return turned_.data() + (x - turned_begin_) * kWide; }
    void copy_turned(int64_t from, int64_t to) {
        for (int64_t h = 0; h < kLanes / kWide; ++h) {
            std::memcpy(turned_at(to) + h * half_step_, turned_at(from) + h * half_step_, kWide * sizeof(double));
        }
    }

    // Along the rows, into a plane.
    void second_pass(size_t p, const FeatureColumn<S>& column) {
        const int64_t kernel = plan_.second[2 * p + 1], radius = plan_.radius(kernel);
        for (const Range& stretch : stretches_) {
            const Range r = bank_.with_halo(stretch);
            S* out = planes_.data() + kPad + static_cast<int64_t>(p) * plane_step_ + (r.begin - column.first) * kLanes;
            for (int64_t lane = 0; lane < lanes_; lane += kWide) {
                const double* panel = turned_at(r.begin - radius) + lane / kWide * half_step_;
                MASKMILL_DISPATCH(correlate, panel, r.end - r.begin, half(kernel), radius, plan_.parity[kernel],
                                  out + lane, kLanes);
            }
            if (bank_.halo_ == 0 || (top_ >= 0 && top_ + lanes_ <= image_.height)) continue;
            for (int64_t x = r.begin; x < r.end; ++x, out += kLanes) column.extend(out);
        }
    }

    void maps(Range some, FeatureColumn<S> column) {
        const int64_t row_step = (some.end - some.begin) * bank_.columns_;
        S* to = stage_.data();
        for (column.x = some.begin; column.x < some.end; ++column.x, to += bank_.columns_) {
            MASKMILL_DISPATCH(column_maps, plan_, column, maps_.data());
            MASKMILL_DISPATCH(transpose, maps_.data() + bank_.halo_, kLanes, bank_.columns_, rows_.end - rows_.begin,
                              to, row_step);
        }
        bank_.out_.at == nullptr ? write_all(some, row_step) : write_requested(some, row_step);
    }

    void write_all(Range some, int64_t row_step) {
        // Rows of pixels at once where the output has nothing between them.
        const int64_t most = bank_.out_.step == bank_.columns_ ? some.end - some.begin : 1;
        for (int64_t y = rows_.begin; y < rows_.end; ++y) {
            const S* from = stage_.data() + (y - rows_.begin) * row_step;
            for (int64_t x = some.begin; x < some.end; x += most, from += most * bank_.columns_) {
                write(from, y, x, most, y * image_.width + x);
            }
        }
    }

    void write_requested(Range some, int64_t row_step) {
        for (int64_t b = some.begin / kBlock; b <= (some.end - 1) / kBlock; ++b) {
            for (const int64_t k : bank_.requests(strip_, b)) {
                const int64_t y = bank_.out_.at[2 * k], x = bank_.out_.at[2 * k + 1];
                if (x < some.begin || x >= some.end) continue;
                const S* from = stage_.data() + (y - rows_.begin) * row_step;
                write(from + (x - some.begin) * bank_.columns_, y, x, 1, k);
            }
        }
    }

    // n pixels from (y, x) on, which are pixels k .. k + n - 1 of the output.
    void write(const S* from, int64_t y, int64_t x, int64_t n, int64_t k) {
        const FeatureOutput& out = bank_.out_;
        const int64_t size = n * bank_.columns_;
        if (out.floats != nullptr) {
            float* to = out.floats + k * out.step;
            if constexpr (sizeof(S) == sizeof(float)) {
                copy_bytes(reinterpret_cast<const uint8_t*>(from), size * static_cast<int64_t>(sizeof(S)),
                           reinterpret_cast<uint8_t*>(to), bank_.past_cache_);
            } else {
                MASKMILL_DISPATCH(convert, from, size, to);
            }
            return;
        }
        double* to = out.doubles + k * out.step;
        MASKMILL_DISPATCH(convert, from, size, to);
        for (size_t m = 0, f = 0; m < plan_.n_maps; f += features::kColumns[plan_.maps[4 * m]], ++m) {
            if (plan_.maps[4 * m] != features::location) continue;
            const int64_t scale = plan_.maps[4 * m + 1];
            const double down = plan_.rows[scale * image_.height + y];
            for (int64_t i = 0; i < n; ++i) {
                to[i * bank_.columns_ + static_cast<int64_t>(f)] =
                    length_of(down, plan_.columns[scale * image_.width + x + i]);
            }
        }
    }

    const Bank& bank_;
    const FeatureImage& image_;
    const FeaturePlan& plan_;
    int64_t plane_step_, half_step_, stage_columns_;
    int64_t strip_ = 0, top_ = 0, lanes_ = 0, turned_begin_ = 0;
    Range rows_{0, 0};
    Buffer<Range> stretches_;
    Scratch<S> planes_, maps_, stage_, passed_, row_scale_;
    Scratch<double> panel_, turned_;
};

template <class S>
void Bank::run() const {
    // A thread's memory costs as much as a strip's work: one for each thread, whatever it gets to do.
    const auto tasks = static_cast<size_t>(strips_ * tiles_);
    std::atomic<size_t> next{0};
    parallel_run(std::min(static_cast<size_t>(thread_count()), tasks), [&](size_t) {
        size_t task = next++;
        if (task >= tasks) return;
        Worker<S> worker(*this);
        for (; task < tasks; task = next++) {
            worker.run(static_cast<int64_t>(task) / tiles_, static_cast<int64_t>(task) % tiles_);
        }
        copied_past_cache();
    });
}

void check(bool good, const char* table, size_t item, const char* expected) {
    if (!good) {
        throw std::invalid_argument(std::string(table) + " " + std::to_string(item) + ": " + expected);
    }
}

bool below(int64_t i, size_t n) { return i >= 0 && static_cast<uint64_t>(i) < n; }

void check_plan(const FeatureImage& image, const FeaturePlan& plan) {
    for (size_t k = 0; k < plan.n_kernels; ++k) {
        check(plan.radius(static_cast<int64_t>(k)) >= 0, "kernel", k, "must have a weight");
        check(plan.parity[k] == 1 || plan.parity[k] == -1, "kernel", k, "parity must be 1 or -1");
    }
    for (size_t q = 0; q < plan.n_first; ++q) {
        const int64_t* row = plan.first + 3 * q;
        check(row[0] >= 0 && row[0] < image.bands, "first", q, "no such band");
        check(row[1] == 1 || row[1] == 2, "first", q, "power must be 1 or 2");
        check(below(row[2], plan.n_kernels), "first", q, "no such kernel");
    }
    for (size_t p = 0; p < plan.n_second; ++p) {
        check(below(plan.second[2 * p], plan.n_first), "second", p, "no such plane of the first pass");
        check(below(plan.second[2 * p + 1], plan.n_kernels), "second", p, "no such kernel");
    }
    for (size_t m = 0; m < plan.n_maps; ++m) {
        const int64_t* map = plan.maps + 4 * m;
        check(map[0] >= 0 && map[0] < features::kOperations, "map", m, "no such operation");
        const bool located = map[0] == features::location;
        if (located) check(below(map[1], plan.n_locations), "map", m, "no such location");
        for (int64_t k = 0; k < features::kPlanes[map[0]]; ++k) {
            check(below(map[1 + k], plan.n_second), "map", m, "no such plane");
        }
    }
}

}  // namespace

int64_t features_columns(const FeaturePlan& plan) {
    int64_t columns = 0;
    for (size_t m = 0; m < plan.n_maps; ++m) {
        const int64_t op = plan.maps[4 * m];
        check(op >= 0 && op < features::kOperations, "map", m, "no such operation");
        columns += features::kColumns[op];
    }
    return columns;
}

void features_check(const FeatureImage& image, const FeaturePlan& plan, const FeatureOutput& out) {
    check_plan(image, plan);
    for (size_t k = 0; k < out.n_at; ++k) {
        const int64_t y = out.at[2 * k], x = out.at[2 * k + 1];
        check(y >= 0 && y < image.height && x >= 0 && x < image.width, "pixel", k, "is outside of the image");
    }
}

void features_bank(const FeatureImage& image, const FeaturePlan& plan, const FeatureOutput& out) {
    features_check(image, plan, out);
    if (image.height == 0 || image.width == 0 || features_columns(plan) == 0) return;
    const Bank bank(image, plan, out);
    if (plan.precise) {
        bank.run<double>();
    } else {
        bank.run<float>();
    }
}

}  // namespace maskmill
