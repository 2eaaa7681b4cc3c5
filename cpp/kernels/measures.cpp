#include "kernels/measures.hpp"

#include <cmath>

#include "kernels/measures.inl"
#include "support/parallel.hpp"
#include "support/runs.hpp"

namespace maskmill {
namespace {

using namespace measured;

// One mask's segments, column by column, and which of them belong together.
class Segments {
  public:
    void load(size_t mask, std::span<const uint32_t> runs, uint64_t height) {
        all_.clear();
        for_each_segment(runs, height, [&](uint64_t x, uint64_t y0, uint64_t y1) {
            if (all_.size() > 0) {  // zero runs may leave segments that touch: they are one
                Segment& last = all_[all_.size() - 1];
                if (last.x == static_cast<int64_t>(x) && last.y1 == static_cast<int64_t>(y0)) {
                    last.y1 = static_cast<int64_t>(y1);
                    return;
                }
            }
            all_.push({static_cast<int64_t>(x), static_cast<int64_t>(y0), static_cast<int64_t>(y1)});
        });
        if (all_.size() >= ~uint32_t{0}) fail_mask(mask, "it has more than 2^32 - 2 column segments");
    }

    std::span<const Segment> all() const { return {all_.data(), all_.size()}; }

    // Joins what meets in neighbouring columns, at corners too; returns the number of components.
    int64_t join() {
        const auto n = static_cast<uint32_t>(all_.size());
        root_.resize(n);
        met_.resize(n);
        int64_t components = 0;
        uint32_t left = 0;  // first segment of the column before that may still meet segment k
        for (uint32_t k = 0; k < n; ++k) {
            const Segment& s = all_[k];
            root_[k] = k;
            ++components;
            while (left < k && (all_[left].x + 1 < s.x || (all_[left].x + 1 == s.x && all_[left].y1 < s.y0))) ++left;
            uint32_t j = left;
            for (; j < k && all_[j].x + 1 == s.x && all_[j].y0 <= s.y1; ++j) {
                const uint32_t a = find(j), b = find(k);
                components -= a != b;
                root_[std::max(a, b)] = std::min(a, b);
            }
            met_[k] = j - left;
        }
        return components;
    }

    // Meetings counted by `join`, of the segments that are left.
    int64_t meetings() const {
        int64_t sum = 0;
        for (size_t k = 0; k < all_.size(); ++k) sum += met_[k];
        return sum;
    }

    void keep_largest() {
        area_.resize(all_.size());
        std::fill(area_.begin(), area_.end(), 0);
        for (uint32_t k = 0; k < all_.size(); ++k) area_[find(k)] += all_[k].y1 - all_[k].y0;
        const auto best = static_cast<uint32_t>(std::max_element(area_.begin(), area_.end()) - area_.begin());
        size_t kept = 0;
        for (uint32_t k = 0; k < all_.size(); ++k) {
            if (find(k) != best) continue;
            met_[kept] = met_[k];
            all_[kept++] = all_[k];
        }
        all_.resize(kept);
    }

  private:
    uint32_t find(uint32_t i) {
        while (root_[i] != i) i = root_[i] = root_[root_[i]];
        return i;
    }

    Buffer<Segment> all_;
    Buffer<uint32_t> root_, met_;
    Buffer<int64_t> area_;
};

// Before there are segments: a run may reach across billions of columns.
void check_box(size_t mask, const Extent& box) {
    const auto h = static_cast<int64_t>(box.y1 - box.y0), w = static_cast<int64_t>(box.x1 - box.x0);
    if (std::max(h, w) > kLongestBox) {
        fail_mask(mask, "its box of " + size_text(h, w) + " is too large to be measured: no side may be longer than " +
                            std::to_string(kLongestBox));
    }
}

void measure_box(std::span<const Segment> segments, int64_t* count) {
    int64_t top = segments[0].y0, bottom = segments[0].y1, pixels = 0;
    for (const Segment& s : segments) {
        top = std::min(top, s.y0);
        bottom = std::max(bottom, s.y1);
        pixels += s.y1 - s.y0;
    }
    count[area] = pixels;
    count[x0] = segments.front().x;
    count[x1] = segments.back().x + 1;
    count[y0] = top;
    count[y1] = bottom;
}

// Two passes: the second sums squares of small numbers. Every sum is of one order, the segments'.
void measure_moments(std::span<const Segment> segments, const int64_t* count, double* length) {
    const auto pixels = static_cast<double>(count[area]);
    double sum_x = 0, sum_y = 0;  // from the box's corner
    for (const Segment& s : segments) {
        const auto n = static_cast<double>(s.y1 - s.y0);
        sum_x += n * static_cast<double>(s.x - count[x0]);
        sum_y += n * (0.5 * static_cast<double>(s.y0 + s.y1 - 1 - 2 * count[y0]));
    }
    const double mean_x = sum_x / pixels, mean_y = sum_y / pixels;
    double sum_xx = 0, sum_yy = 0, sum_xy = 0;
    for (const Segment& s : segments) {
        const auto n = static_cast<double>(s.y1 - s.y0);
        const double dx = static_cast<double>(s.x - count[x0]) - mean_x;
        const double dy = 0.5 * static_cast<double>(s.y0 + s.y1 - 1 - 2 * count[y0]) - mean_y;
        sum_xx += n * (dx * dx);
        sum_yy += n * (dy * dy + (n * n - 1) / 12);  // consecutive integers about their mean
        sum_xy += n * (dx * dy);
    }
    length[x] = static_cast<double>(count[x0]) + mean_x;
    length[y] = static_cast<double>(count[y0]) + mean_y;
    length[xx] = sum_xx / pixels;
    length[yy] = sum_yy / pixels;
    length[xy] = sum_xy / pixels;
}

}  // namespace

Measures measures_table(const Rles& masks, bool largest, const double* pixels) {
    Measures out;
    out.counts.resize(masks.n * kCounts);
    out.lengths.resize(masks.n * kLengths);
    std::fill(out.counts.begin(), out.counts.end(), 0);
    std::fill(out.lengths.begin(), out.lengths.end(), std::numeric_limits<double>::quiet_NaN());
    const size_t grain = masks.n * 1024 / (masks.total_runs() + 1) + 1;
    parallel_for(masks.n, grain, [&](size_t begin, size_t end) {
        Segments segments;
        Border border;
        Hulls hulls;
        for (size_t i = begin; i < end; ++i) {
            check_sum(i, masks.runs(i), masks.pixels(i));
            check_box(i, extent_of(masks.runs(i), static_cast<uint64_t>(masks.height(i)), masks.pixels(i)));
            segments.load(i, masks.runs(i), static_cast<uint64_t>(masks.height(i)));
            if (segments.all().empty()) continue;
            int64_t* const count = out.counts.data() + i * kCounts;
            double* const length = out.lengths.data() + i * kLengths;
            count[components] = segments.join();
            if (largest && count[components] > 1) segments.keep_largest();
            const auto all = segments.all();
            const int64_t parts = largest ? 1 : count[components];
            count[holes] = parts - (static_cast<int64_t>(all.size()) - segments.meetings());
            measure_box(all, count);
            measure_moments(all, count, length);
            border.measure(all, count);
            hulls.measure(all, pixels + 2 * i, count, length);
        }
    });
    return out;
}

}  // namespace maskmill
