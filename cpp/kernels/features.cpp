#include "kernels/features.hpp"

#include "kernels/features_pixel.inl"
#include "support/parallel.hpp"
#include "support/simd.hpp"

// Strips of rows are computed by themselves, with a halo of two rows on either side for differences of differences. The
// first pass leaves each plane turned by 90 degrees, (columns, kLanes rows): so both passes add whole lines of a panel,
// the second needs no unaligned loads, and a thread's window of a line stays in the first cache. Of a block of columns
// all planes are made, then the maps of one column after the other, which are turned back as they are put together.

namespace maskmill {
namespace {

constexpr int64_t kWide = 32;    // doubles in a row of a panel
constexpr int64_t kLanes = 64;   // rows of a strip, halo included
constexpr int64_t kBlock = 64;   // columns whose planes are made together
constexpr int64_t kTile = 1024;  // columns of a task; a multiple of kBlock
constexpr int64_t kPad = 16;     // elements before the first and behind the last column of planes
constexpr int64_t kStage = 128 << 10;

// One column of all planes of a block, and what lies beside it.
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
        columns_beyond_ = along + halo_;
        fill_index(row_index_, image.height, rows_beyond_);
        fill_index(column_index_, image.width, columns_beyond_);
        strips_ = (image.height + strip_rows() - 1) / strip_rows();
        blocks_ = (image.width + kBlock - 1) / kBlock;
        tiles_ = (image.width + kTile - 1) / kTile;
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
    Buffer<int64_t> row_index_, column_index_;  // where rows and columns from -beyond on are found

  private:
    void fill_index(Buffer<int64_t>& index, int64_t n, int64_t beyond) const {
        index.resize(static_cast<size_t>(n + 2 * beyond));
        for (int64_t i = -beyond; i < n + beyond; ++i) {
            index[static_cast<size_t>(i + beyond)] = within(i, n, plan_.border);
        }
    }

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

    Buffer<int64_t> reach_;           // per plane of the first pass, the largest radius along the rows
    Buffer<int64_t> starts_, order_;  // requests by strip and block
};

// One thread's memory, and what it does with a strip.
template <class S>
class Worker {
  public:
    explicit Worker(const Bank& bank) : bank_(bank), image_(bank.image_), plan_(bank.plan_) {
        int64_t widest = 0;
        for (int64_t t = 0; t < bank.tiles_; ++t) {
            for (size_t q = 0; q < plan_.n_first; ++q) {
                const Range r = panels(bank_.reached(q, tile_columns(t)));
                widest = std::max(widest, r.end - r.begin);
            }
        }
        first_step_ = widest * kLanes;
        plane_step_ = std::min(kBlock + 2 * bank.halo_, image_.width) * kLanes;
        clear(first_, static_cast<size_t>(first_step_) * plan_.n_first);
        clear(planes_, static_cast<size_t>(plane_step_) * plan_.n_second + 2 * kPad);
        clear(maps_, static_cast<size_t>(bank.columns_ * kLanes));
        const int64_t lines = std::max(kLanes + 2 * bank.rows_beyond_, kBlock + 2 * bank.columns_beyond_);
        panel_.resize(static_cast<size_t>(lines * kWide));
        turned_.resize(static_cast<size_t>(kLanes * kWide));
        row_scale_.resize(kLanes);
        const int64_t bytes = bank.columns_ * bank.strip_rows() * static_cast<int64_t>(sizeof(S));
        stage_columns_ = std::clamp<int64_t>(kStage / std::max<int64_t>(bytes, 1), 1, kBlock);
        stage_.resize(static_cast<size_t>(stage_columns_ * bank.columns_ * bank.strip_rows()));
        starts_.resize(plan_.n_first);
    }

    void run(int64_t strip, int64_t tile) {
        strip_ = strip;
        const int64_t begin = strip * bank_.strip_rows();
        rows_ = {begin, std::min(begin + bank_.strip_rows(), image_.height)};
        top_ = begin - bank_.halo_;
        lanes_ = rows_.end - rows_.begin + 2 * bank_.halo_;
        for (int64_t i = 0; i < kLanes; ++i) {
            row_scale_.data()[i] = top_ + i <= 0 || top_ + i >= image_.height - 1 ? S{1} : S{0.5};
        }
        const Range columns = tile_columns(tile);
        const Range blocks{columns.begin / kBlock, (columns.end + kBlock - 1) / kBlock};
        bool any = false;
        for (int64_t b = blocks.begin; b < blocks.end; ++b) any |= bank_.wanted(strip, b);
        if (!any) return;
        for (size_t q = 0; q < plan_.n_first; ++q) first_pass(q, columns, blocks);
        for (int64_t b = blocks.begin; b < blocks.end; ++b) {
            if (bank_.wanted(strip, b)) block(b);
        }
    }

  private:
    template <class T>
    static void clear(Scratch<T>& memory, size_t n) {
        memory.resize(n);
        std::fill_n(memory.data(), n, T{0});
    }
    Range tile_columns(int64_t tile) const { return {tile * kTile, std::min((tile + 1) * kTile, image_.width)}; }
    static Range panels(Range r) { return {r.begin / kWide * kWide, (r.end + kWide - 1) / kWide * kWide}; }
    const double* half(int64_t kernel) const { return plan_.weights + plan_.starts[kernel]; }

    // Down the columns, of those that the wanted blocks of a tile reach.
    void first_pass(size_t q, Range columns, Range blocks) {
        starts_[q] = panels(bank_.reached(q, columns)).begin;
        int64_t done = starts_[q];
        Range last{0, 0};
        for (int64_t b = blocks.begin; b < blocks.end; ++b) {
            if (!bank_.wanted(strip_, b)) continue;
            const Range r = panels(bank_.reached(q, {b * kBlock, std::min((b + 1) * kBlock, image_.width)}));
            // Mirrored at the right border, a block may reach further to the left than the one before it.
            if (r.begin < last.begin) done = starts_[q];
            for (int64_t x = std::max(done, r.begin); x < r.end; x += kWide) first_panel(q, x);
            last = r;
            done = std::max(done, r.end);
        }
    }

    void first_panel(size_t q, int64_t x) {
        const int64_t* row = plan_.first + 3 * q;
        const int64_t radius = plan_.radius(row[2]);
        const float* band = image_.data + row[0] * image_.height * image_.width + x;
        const int64_t* index = bank_.row_index_.data() + bank_.rows_beyond_ + top_ - radius;
        MASKMILL_DISPATCH(widen, band, image_.width, index, lanes_ + 2 * radius, std::min(kWide, image_.width - x),
                          row[1] == 2, panel_.data());
        MASKMILL_DISPATCH(correlate, panel_.data(), lanes_, half(row[2]), radius, plan_.parity[row[2]], turned_.data(),
                          kWide);
        S* out = first_.data() + static_cast<int64_t>(q) * first_step_ + (x - starts_[q]) * kLanes;
        MASKMILL_DISPATCH(transpose, turned_.data(), kWide, lanes_, kWide, out, kLanes);
    }

    void block(int64_t b) {
        const Range inner{b * kBlock, std::min((b + 1) * kBlock, image_.width)};
        const Range outer{std::max<int64_t>(inner.begin - bank_.halo_, 0),
                          std::min(inner.end + bank_.halo_, image_.width)};
        FeatureColumn<S> column{planes_.data() + kPad, plane_step_, outer.begin,   inner.begin,
                                image_.width,          top_,        image_.height, row_scale_.data()};
        for (size_t p = 0; p < plan_.n_second; ++p) second_pass(p, outer, column);
        for (int64_t x = inner.begin; x < inner.end; x += stage_columns_) {
            const Range some{x, std::min(x + stage_columns_, inner.end)};
            const int64_t row_step = (some.end - some.begin) * bank_.columns_;
            for (column.x = some.begin; column.x < some.end; ++column.x) {
                MASKMILL_DISPATCH(column_maps, plan_, column, maps_.data());
                MASKMILL_DISPATCH(transpose, maps_.data() + bank_.halo_, kLanes, bank_.columns_,
                                  rows_.end - rows_.begin, stage_.data() + (column.x - some.begin) * bank_.columns_,
                                  row_step);
            }
            write(b, some, row_step);
        }
    }

    // Along the rows, into the planes of a block.
    void second_pass(size_t p, Range outer, const FeatureColumn<S>& column) {
        const int64_t q = plan_.second[2 * p], kernel = plan_.second[2 * p + 1], radius = plan_.radius(kernel);
        const int64_t start = starts_[static_cast<size_t>(q)];
        const S* from = first_.data() + q * first_step_ - start * kLanes;
        const int64_t n = outer.end - outer.begin;
        S* out = planes_.data() + kPad + static_cast<int64_t>(p) * plane_step_;
        const int64_t* index = bank_.column_index_.data() + bank_.columns_beyond_ + outer.begin - radius;
        for (int64_t lane = 0; lane < lanes_; lane += kWide) {
            MASKMILL_DISPATCH(widen, from + lane, kLanes, index, n + 2 * radius, kWide, false, panel_.data());
            MASKMILL_DISPATCH(correlate, panel_.data(), n, half(kernel), radius, plan_.parity[kernel], out + lane,
                              kLanes);
        }
        if (bank_.halo_ == 0 || (rows_.begin > 0 && rows_.end < image_.height)) return;
        for (int64_t x = 0; x < n; ++x) column.extend(out + x * kLanes);
    }

    void write(int64_t b, Range some, int64_t row_step) {
        const FeatureOutput& out = bank_.out_;
        if (out.at == nullptr) {
            for (int64_t y = rows_.begin; y < rows_.end; ++y) {
                const S* from = stage_.data() + (y - rows_.begin) * row_step;
                for (int64_t x = some.begin; x < some.end; ++x, from += bank_.columns_) {
                    write_pixel(from, y, x, y * image_.width + x);
                }
            }
            return;
        }
        for (const int64_t k : bank_.requests(strip_, b)) {
            const int64_t y = out.at[2 * k], x = out.at[2 * k + 1];
            if (x < some.begin || x >= some.end) continue;
            write_pixel(stage_.data() + (y - rows_.begin) * row_step + (x - some.begin) * bank_.columns_, y, x, k);
        }
    }

    void write_pixel(const S* from, int64_t y, int64_t x, int64_t k) {
        const FeatureOutput& out = bank_.out_;
        if (out.floats != nullptr) {
            float* to = out.floats + k * out.step;
            for (int64_t f = 0; f < bank_.columns_; ++f) to[f] = static_cast<float>(from[f]);
            return;
        }
        double* to = out.doubles + k * out.step;
        for (int64_t f = 0; f < bank_.columns_; ++f) to[f] = static_cast<double>(from[f]);
        for (size_t m = 0, f = 0; m < plan_.n_maps; f += features::kColumns[plan_.maps[4 * m]], ++m) {
            if (plan_.maps[4 * m] != features::location) continue;
            const int64_t scale = plan_.maps[4 * m + 1];
            const double along = plan_.columns[scale * image_.width + x], down = plan_.rows[scale * image_.height + y];
            to[f] = std::sqrt(along * along + down * down);
        }
    }

    const Bank& bank_;
    const FeatureImage& image_;
    const FeaturePlan& plan_;
    int64_t first_step_, plane_step_, stage_columns_;
    int64_t strip_ = 0, top_ = 0, lanes_ = 0;
    Range rows_{0, 0};
    Scratch<S> first_, planes_, maps_, stage_, turned_, row_scale_;
    Scratch<double> panel_;
    Buffer<int64_t> starts_;  // first column of each plane of the first pass
};

template <class S>
void Bank::run() const {
    parallel_for(static_cast<size_t>(strips_ * tiles_), 1, [&](size_t begin, size_t end) {
        Worker<S> worker(*this);
        for (size_t i = begin; i < end; ++i) {
            const auto task = static_cast<int64_t>(i);
            worker.run(task / tiles_, task % tiles_);
        }
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

void features_bank(const FeatureImage& image, const FeaturePlan& plan, const FeatureOutput& out) {
    check_plan(image, plan);
    for (size_t k = 0; k < out.n_at; ++k) {
        const int64_t y = out.at[2 * k], x = out.at[2 * k + 1];
        check(y >= 0 && y < image.height && x >= 0 && x < image.width, "pixel", k, "is outside of the image");
    }
    if (image.height == 0 || image.width == 0 || features_columns(plan) == 0) return;
    const Bank bank(image, plan, out);
    if (plan.precise) {
        bank.run<double>();
    } else {
        bank.run<float>();
    }
}

}  // namespace maskmill
