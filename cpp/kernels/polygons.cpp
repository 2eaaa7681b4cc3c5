#include "kernels/polygons.hpp"

#include <algorithm>
#include <cmath>

#include "support/crossings.hpp"
#include "support/parallel.hpp"
#include "support/points.hpp"

namespace maskmill {
namespace {

// Crossings of one ring by parity alone. A column has two, or a few more: they stand side by side, and are put in order
// when they are read.
class RingCrossings {
  public:
    // Columns first to last may be crossed.
    void start(int64_t height, int64_t first, int64_t last) {
        height_ = height;
        first_ = first;
        const auto columns = static_cast<size_t>(std::max<int64_t>(0, last - first + 1));
        counts_.resize(columns);
        std::fill(counts_.begin(), counts_.end(), 0u);
        rows_.resize(columns * kSlots);
        more_.clear();
    }
    void add(int64_t column, int64_t row) {
        const auto c = static_cast<size_t>(column - first_);
        const uint32_t n = counts_[c]++;
        if (n < kSlots) {
            rows_[c * kSlots + n] = static_cast<uint32_t>(row);
        } else {
            more_.push({static_cast<uint32_t>(c), static_cast<uint32_t>(row), 0});
        }
    }

    // visit(column, row) for all crossings in column order.
    template <class Visit>
    void for_each(Visit&& visit) {
        sort_more();
        const Crossing* rest = more_.begin();
        for (size_t c = 0; c < counts_.size(); ++c) {
            const auto column = static_cast<int64_t>(c) + first_;
            for (const uint32_t row : rows_of_column(c, rest)) visit(column, static_cast<int64_t>(row));
        }
    }

    // Appends the runs; true, unless the image has so many pixels that a run may not fit: then nothing is done.
    bool write(int64_t width, Buffer<uint32_t>& out) {
        const auto pixels = static_cast<uint64_t>(height_) * static_cast<uint64_t>(width);
        if (pixels > 0xffffffffu) return false;
        sort_more();
        const Crossing* rest = more_.begin();
        uint32_t* const begin = out.room(counts_.size() * kSlots + 2 * more_.size() + 3);
        uint32_t* p = begin;
        uint32_t end = 0;    // of the last interval written
        uint32_t start = 0;  // of the open interval
        bool open = false;
        const auto toggle = [&](uint32_t at) {
            if (!open) {
                start = at;
            } else if (at > start) {
                if (start == end && p != begin) {
                    p[-1] += at - start;
                } else {
                    *p++ = start - end;
                    *p++ = at - start;
                }
                end = at;
            }
            open = !open;
        };
        uint32_t column = static_cast<uint32_t>(first_ * height_);
        for (size_t c = 0; c < counts_.size(); ++c, column += static_cast<uint32_t>(height_)) {
            for (const uint32_t row : rows_of_column(c, rest)) toggle(column + row);
        }
        if (open) toggle(static_cast<uint32_t>(pixels));
        if (end < pixels || p == begin) *p++ = static_cast<uint32_t>(pixels) - end;
        out.advance(static_cast<size_t>(p - begin));
        return true;
    }

  private:
    static constexpr uint32_t kSlots = 4;

    void sort_more() {
        std::sort(more_.begin(), more_.end(), [](const Crossing& a, const Crossing& b) { return a.column < b.column; });
    }
    // The rows of one column in order; columns are asked for one after the other.
    std::span<const uint32_t> rows_of_column(size_t c, const Crossing*& rest) {
        const uint32_t n = counts_[c];
        uint32_t* const rows = rows_.data() + c * kSlots;
        if (n == 2) {
            const uint32_t a = rows[0], b = rows[1];
            rows[0] = std::min(a, b);
            rows[1] = std::max(a, b);
        } else if (n > kSlots) {
            many_.clear();
            many_.append(rows, kSlots);
            for (; rest != more_.end() && rest->column == c; ++rest) many_.push(rest->row);
            std::sort(many_.begin(), many_.end());
            return {many_.data(), many_.size()};
        } else if (n > 2) {
            std::sort(rows, rows + n);
        }
        return {rows, n};
    }

    int64_t height_ = 0, first_ = 0;
    Buffer<uint32_t> counts_, rows_, many_;
    Buffer<Crossing> more_;
};

// Fifths of a pixel. trunc(z + 0.5) as C converts: toward zero.
int64_t fifths(double v) { return static_cast<int32_t>(5.0 * v + 0.5); }
int64_t truncated(double v) { return static_cast<int64_t>(v); }

// A point on the outline at height `fifth` lies in or above this pixel: ceil((fifth - 2) / 5), within the image.
int64_t row_of(int64_t fifth, int64_t height) { return fifth <= 2 ? 0 : std::min((fifth + 2) / 5, height); }

// The columns x of the image for which 5 x + 2 and 5 x + 3 lie within [low, high] fifths.
int64_t first_column(int64_t low) { return low <= 2 ? 0 : (low + 2) / 5; }
int64_t last_column(int64_t high, int64_t width) { return high < 3 ? -1 : std::min((high - 3) / 5, width - 1); }

// The crossings of one edge with the middle fifths 5 x + 2 of the image's columns x, exactly as if it were drawn point
// by point along its longer side.
void coco_edge(int64_t xs, int64_t ys, int64_t xe, int64_t ye, int64_t height, int64_t width, RingCrossings& out) {
    const int64_t dx = std::abs(xe - xs), dy = std::abs(ye - ys);
    if (dx == 0) return;
    const bool along_x = dx >= dy;
    const bool flip = along_x ? xs > xe : ys > ye;  // always drawn from the smaller end
    if (flip) {
        std::swap(xs, xe);
        std::swap(ys, ye);
    }
    // Columns whose crossing, between the points at c = 5 x + 2 and c + 1, is on the edge.
    const int64_t first = first_column(std::min(xs, xe)), last = last_column(std::max(xs, xe), width);
    if (along_x) {
        const double s = static_cast<double>(ye - ys) / static_cast<double>(dx);
        const auto y_at = [&](int64_t t) {
            return truncated((static_cast<double>(ys) + s * static_cast<double>(t)) + 0.5);
        };
        for (int64_t x = first; x <= last; ++x) {
            const int64_t t = 5 * x + 2 - xs;
            out.add(x, row_of(std::min(y_at(t), y_at(t + 1)), height));
        }
        return;
    }
    const double s = static_cast<double>(xe - xs) / static_cast<double>(dy);
    const double per_column = static_cast<double>(dy) / static_cast<double>(xe - xs);
    const auto x_at = [&](int64_t t) {
        return truncated((static_cast<double>(xs) + s * static_cast<double>(t)) + 0.5);
    };
    const bool rising = xe > xs;
    for (int64_t x = first; x <= last; ++x) {
        const int64_t c = 5 * x + 2;
        // t: the first point past the crossing, x_at(t) >= c + 1 when rising, <= c when falling. Guessed by the
        // inverse, settled by the exact expression, which is monotone.
        const auto past = [&](int64_t t) { return rising ? x_at(t) > c : x_at(t) <= c; };
        const double guess = (static_cast<double>(c - xs) + 0.5) * per_column;
        int64_t t = std::clamp<int64_t>(static_cast<int64_t>(guess) + 1, 1, dy);
        while (t > 1 && past(t - 1)) --t;
        while (t <= dy && !past(t)) ++t;
        if (t > dy || past(t - 1)) continue;  // the drawn edge ends before the crossing
        // Where rounding makes a step of two fifths, pycocotools sees only the one next to the point drawn last.
        const int64_t drawn_last = x_at(flip ? t - 1 : t);
        const bool seen = rising != flip ? drawn_last == c + 1 : drawn_last == c;
        if (seen) out.add(x, row_of(ys + t - 1, height));
    }
}

// The crossings of one ring; returns the first bad point, or -1.
int64_t coco_ring(const double* points, size_t n, int64_t height, int64_t width, RingCrossings& out) {
    const int64_t bad = find_bad_point(points, n);
    if (bad >= 0) return bad;
    double low = n > 0 ? points[0] : 0, high = low;
    for (size_t k = 0; k < n; ++k) {
        low = std::min(low, points[2 * k]);
        high = std::max(high, points[2 * k]);
    }
    out.start(height, first_column(fifths(low)), last_column(fifths(high), width));
    if (n == 0) return -1;
    const int64_t x0 = fifths(points[0]), y0 = fifths(points[1]);
    int64_t x = x0, y = y0;
    for (size_t k = 1; k <= n; ++k) {
        const int64_t next_x = k < n ? fifths(points[2 * k]) : x0, next_y = k < n ? fifths(points[2 * k + 1]) : y0;
        coco_edge(x, y, next_x, next_y, height, width, out);
        x = next_x;
        y = next_y;
    }
    return -1;
}

// The same for samples at pixel centres: crossings of the edge with the vertical lines x + 0.5.
int64_t centre_ring(const double* points, size_t n, int64_t height, int64_t width, Crossings& out) {
    const int64_t bad = find_bad_point(points, n);
    if (bad >= 0) return bad;
    for (size_t k = 0; k < n; ++k) {
        const double* a = points + 2 * k;
        const double* b = points + 2 * (k + 1 == n ? 0 : k + 1);
        if (a[0] == b[0]) continue;
        const int32_t turn = a[0] < b[0] ? 1 : -1;
        if (turn < 0) std::swap(a, b);  // the same crossing whichever way an edge is walked
        const double slope = (b[1] - a[1]) / (b[0] - a[0]);
        const int64_t first = std::max<int64_t>(0, static_cast<int64_t>(std::ceil(a[0] - 0.5)));
        const int64_t end = std::min(width, static_cast<int64_t>(std::ceil(b[0] - 0.5)));
        for (int64_t x = first; x < end; ++x) {
            const double y = a[1] + ((static_cast<double>(x) + 0.5) - a[0]) * slope;
            const double row = std::ceil(y - 0.5);
            out.add(x, row <= 0 ? 0 : row >= static_cast<double>(height) ? height : static_cast<int64_t>(row), turn);
        }
    }
    return -1;
}

void rasterize_centres(const Polygons& p, size_t i, bool odd, Crossings& crossings, Buffer<uint32_t>& out) {
    const int64_t h = p.sizes[2 * i], w = p.sizes[2 * i + 1];
    crossings.start(h, w);
    for (int64_t r = p.masks[i]; r < p.masks[i + 1]; ++r) {
        const double* points = p.points + 2 * p.rings[r];
        const int64_t bad = centre_ring(points, static_cast<size_t>(p.rings[r + 1] - p.rings[r]), h, w, crossings);
        if (bad >= 0) fail_point(i, points + 2 * bad, bad);
    }
    crossings.write(odd, out);
}

void rasterize_coco(const Polygons& p, size_t i, CocoFiller& filler, Buffer<uint32_t>& out) {
    filler.start(p.sizes[2 * i], p.sizes[2 * i + 1]);
    for (int64_t r = p.masks[i]; r < p.masks[i + 1]; ++r) {
        const double* points = p.points + 2 * p.rings[r];
        const int64_t bad = filler.add_ring(points, static_cast<size_t>(p.rings[r + 1] - p.rings[r]));
        if (bad >= 0) fail_point(i, points + 2 * bad, bad);
    }
    filler.finish(out);
}

// Of the rules that have files of their own.
std::unique_ptr<MaskFiller> make_filler(FillRule rule) {
    if (rule == FillRule::skimage || rule == FillRule::labelme) return make_row_filler(rule);
    if (rule == FillRule::coverage) return make_coverage_filler();
    return nullptr;
}

}  // namespace

void fail_point(size_t mask, const double* point, int64_t k) {
    fail_mask(mask, "point " + std::to_string(k) + " of a ring is (" + number_text(point[0]) + ", " +
                        number_text(point[1]) + "), not finite and at most 4e8");
}

struct CocoFiller::Room {
    RingCrossings ring;
    Crossings all;  // of more than one ring: the sum of turns is the number of rings around a pixel
    int64_t height = 0, width = 0;
    size_t rings = 0;

    // A ring's crossings turn in and out by parity.
    void unite() {
        int32_t turn = 1;
        ring.for_each([&](int64_t column, int64_t row) {
            all.add(column, row, turn);
            turn = -turn;
        });
    }
};

CocoFiller::CocoFiller() : room_(std::make_unique<Room>()) {}
CocoFiller::~CocoFiller() = default;

void CocoFiller::start(int64_t height, int64_t width) {
    room_->ring.start(height, 0, -1);
    room_->all.start(height, width);
    room_->height = height;
    room_->width = width;
    room_->rings = 0;
}

int64_t CocoFiller::add_ring(const double* points, size_t n) {
    Room& r = *room_;
    if (r.rings++ > 0) r.unite();  // the ring before
    return coco_ring(points, n, r.height, r.width, r.ring);
}

void CocoFiller::finish(Buffer<uint32_t>& out) {
    Room& r = *room_;
    if (r.rings <= 1 && r.ring.write(r.width, out)) return;
    r.unite();
    r.all.write(false, out);
}

Runs polygons_rasterize(const Polygons& polygons, FillRule rule) {
    const int64_t points = polygons.n == 0 ? 0 : polygons.rings[polygons.masks[polygons.n]];
    const size_t grain = polygons.n * 2048 / (static_cast<size_t>(points) + 1) + 1;
    return parallel_pieces<uint32_t>(polygons.n, grain, [&](size_t begin, size_t end, auto& piece) {
        Crossings crossings;
        CocoFiller coco;
        const auto filler = make_filler(rule);
        for (size_t i = begin; i < end; ++i) {
            if (filler != nullptr) {
                filler->fill(polygons, i, piece.values);
            } else if (rule == FillRule::coco) {
                rasterize_coco(polygons, i, coco, piece.values);
            } else {
                rasterize_centres(polygons, i, rule == FillRule::even_odd, crossings, piece.values);
            }
            piece.close();
        }
    });
}

}  // namespace maskmill
