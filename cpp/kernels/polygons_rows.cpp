// Rules that go by rows: those of scikit-image and labelme.
#include <cmath>
#include <unordered_map>
#include <vector>

#include "kernels/polygons.hpp"
#include "support/crossings.hpp"
#include "support/points.hpp"

namespace maskmill {
namespace {

// The first column of [0, width] from which on `past` holds, which it then does to the end. `guess` is mostly right.
template <class Past>
int64_t first_past(int64_t width, double guess, Past&& past) {
    const double near = std::ceil(guess);
    const int64_t g = near <= 0 ? 0 : near >= static_cast<double>(width) ? width : static_cast<int64_t>(near);
    if ((g == width || past(g)) && (g == 0 || !past(g - 1))) return g;
    int64_t low = 0, high = width;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (past(middle)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

// Pixel (y, x) is tested as the point (x, y), to which rays go on both sides: it is inside, or on an edge, if one of
// them crosses an odd number of edges; and within 1e-12 of a corner.
class SkimageFiller : public MaskFiller {
  public:
    void fill(const Polygons& p, size_t i, Buffer<uint32_t>& out) override {
        const int64_t h = p.sizes[2 * i], w = p.sizes[2 * i + 1];
        spans_.start(h, w);
        edges_.clear();
        for (int64_t r = p.masks[i]; r < p.masks[i + 1]; ++r) add_ring(p, i, r, h);
        // Rows rise; an edge is active from its upper end to its lower.
        std::sort(edges_.begin(), edges_.end(), [](const Edge& a, const Edge& b) { return a.first < b.first; });
        active_.clear();
        size_t next = 0;
        for (int64_t y = 0; next < edges_.size() || !active_.empty(); ++y) {
            if (active_.empty()) y = edges_[next].first;
            std::erase_if(active_, [&](const Edge* e) { return e->last < y; });
            while (next < edges_.size() && edges_[next].first == y) active_.push_back(&edges_[next++]);
            fill_row(y, w);
        }
        spans_.write(out);
    }

  private:
    struct Edge {
        double x0, y0, x1, y1;  // to this point, from that before
        int64_t first, last;    // rows
    };

    void add_ring(const Polygons& p, size_t i, int64_t r, int64_t h) {
        const double* points = p.points + 2 * p.rings[r];
        const auto n = static_cast<size_t>(p.rings[r + 1] - p.rings[r]);
        const int64_t bad = find_bad_point(points, n);
        if (bad >= 0) fail_point(i, points + 2 * bad, bad);
        for (size_t k = 0; k < n; ++k) {
            const double* b = points + 2 * k;
            const double* a = points + 2 * (k == 0 ? n - 1 : k - 1);
            const double x = std::round(b[0]), y = std::round(b[1]);
            if (std::abs(b[0] - x) < 1e-12 && std::abs(b[1] - y) < 1e-12) {
                spans_.add(static_cast<int64_t>(y), static_cast<int64_t>(x), static_cast<int64_t>(x) + 1);
            }
            if (a[1] == b[1]) continue;
            const Edge e{b[0],
                         b[1],
                         a[0],
                         a[1],
                         std::max<int64_t>(0, static_cast<int64_t>(std::ceil(std::min(a[1], b[1])))),
                         std::min(h - 1, static_cast<int64_t>(std::floor(std::max(a[1], b[1]))))};
            if (e.first <= e.last) edges_.push_back(e);
        }
    }

    void fill_row(int64_t y, int64_t w) {
        right_.clear();
        left_.clear();
        const auto row = static_cast<double>(y);
        for (const Edge* e : active_) {
            const double y0 = e->y0 - row, y1 = e->y1 - row;
            // How far right of column x the edge is. It falls from column to column, also after rounding.
            const auto distance = [&](int64_t x) {
                const double column = static_cast<double>(x);
                return ((e->x0 - column) * y1 - (e->x1 - column) * y0) / (y1 - y0);
            };
            const double guess = (e->x0 * y1 - e->x1 * y0) / (y1 - y0);
            if ((y0 > 0) != (y1 > 0)) {
                right_.push_back(first_past(w, guess, [&](int64_t x) { return !(distance(x) > 0); }));
            }
            if ((y0 < 0) != (y1 < 0)) {
                left_.push_back(first_past(w, guess, [&](int64_t x) { return distance(x) < 0; }));
            }
        }
        for (auto* ends : {&right_, &left_}) {
            std::sort(ends->begin(), ends->end());
            for (size_t k = 0; k + 1 < ends->size(); k += 2) spans_.add(y, (*ends)[k], (*ends)[k + 1]);
        }
    }

    RowSpans spans_;
    std::vector<Edge> edges_;
    std::vector<const Edge*> active_;
    std::vector<int64_t> right_, left_;
};

// Pillow's ImageDraw.polygon with a fill, on corners cut off to integers, in single precision as there.
class LabelmeFiller : public MaskFiller {
  public:
    void fill(const Polygons& p, size_t i, Buffer<uint32_t>& out) override {
        const int64_t h = p.sizes[2 * i];
        spans_.start(h, p.sizes[2 * i + 1]);
        for (int64_t r = p.masks[i]; r < p.masks[i + 1]; ++r) {
            const double* points = p.points + 2 * p.rings[r];
            const auto n = static_cast<size_t>(p.rings[r + 1] - p.rings[r]);
            const int64_t bad = find_bad_point(points, n);
            if (bad >= 0) fail_point(i, points + 2 * bad, bad);
            fill_ring(points, n, h);
        }
        spans_.write(out);
    }

  private:
    struct Edge {
        int32_t x0, y0;  // where it was begun
        int32_t top, bottom;
        float slope;

        float x_at(int64_t y) const {
            return static_cast<float>(static_cast<int32_t>(y) - y0) * slope + static_cast<float>(x0);
        }
    };

    void add_edge(int32_t x0, int32_t y0, int32_t x1, int32_t y1) {
        if (y0 == y1) {
            spans_.add(y0, std::min(x0, x1), int64_t{std::max(x0, x1)} + 1);
            return;
        }
        const float slope = static_cast<float>(x1 - x0) / static_cast<float>(y1 - y0);
        edges_.push_back({x0, y0, std::min(y0, y1), std::max(y0, y1), slope});
    }

    void fill_ring(const double* points, size_t n, int64_t h) {
        edges_.clear();
        const auto corner = [&](size_t k) { return static_cast<int32_t>(points[k]); };
        int32_t lowest = 0;
        for (size_t k = 0; k < n; ++k) {
            const size_t next = k + 1 == n ? 0 : k + 1;
            lowest = std::max(lowest, corner(2 * k + 1));
            const bool closed = next == 0 && corner(2 * k) == corner(0) && corner(2 * k + 1) == corner(1);
            if (!closed) add_edge(corner(2 * k), corner(2 * k + 1), corner(2 * next), corner(2 * next + 1));
        }
        // Active edges stay in the order in which they were drawn: corners are joined by it.
        order_.resize(edges_.size());
        for (size_t k = 0; k < order_.size(); ++k) order_[k] = k;
        std::stable_sort(order_.begin(), order_.end(),
                         [&](size_t a, size_t b) { return edges_[a].top < edges_[b].top; });
        active_.clear();
        size_t next = 0;
        for (int64_t y = 0; y < h && (next < order_.size() || !active_.empty()); ++y) {
            if (active_.empty()) y = std::max<int64_t>(y, edges_[order_[next]].top);
            if (y >= h) break;
            std::erase_if(active_, [&](size_t k) { return edges_[k].bottom < y; });
            const size_t old = active_.size();
            for (; next < order_.size() && edges_[order_[next]].top <= y; ++next) {
                if (edges_[order_[next]].bottom >= y) active_.push_back(order_[next]);
            }
            if (active_.size() > old) std::sort(active_.begin(), active_.end());
            fill_row(y, lowest);
        }
    }

    void fill_row(int64_t y, int64_t lowest) {
        ends_.clear();
        above_.clear();
        below_.clear();
        for (const size_t k : active_) {
            const Edge& e = edges_[k];
            const float x = e.x_at(y);
            ends_.push_back(x);
            if (y == e.bottom && y < lowest) {
                ends_.push_back(x);
            } else if ((y == e.bottom || y == e.top) && e.slope != 0) {
                ends_.back() = joined(y, e, x);
            }
            if (e.slope == 0) continue;
            // Of edges that end in one place, the first drawn is the one to be joined to.
            if (y == e.top) below_.emplace(std::round(x), &e);
            if (y == e.bottom) above_.emplace(std::round(x), &e);
        }
        std::sort(ends_.begin(), ends_.end());
        for (size_t k = 0; k + 1 < ends_.size(); k += 2) {
            spans_.add(y, round_up(ends_[k]), int64_t{round_down(ends_[k + 1])} + 1);
        }
    }

    // Where the row begins or ends at a corner between e and an edge drawn before: if both leave it to the same side by
    // more than a pixel, next to where the nearer of them is in the next row.
    float joined(int64_t y, const Edge& e, float x) const {
        const auto& others = y == e.bottom ? above_ : below_;
        const auto found = others.find(std::round(x));
        if (found == others.end()) return x;
        const int64_t next = y == e.bottom ? y - 1 : y + 1;
        const float a = e.x_at(next), b = found->second->x_at(next);
        if (x > a + 1 && x > b + 1) return std::round(std::max(a, b)) + 1;
        if (x < a - 1 && x < b - 1) return std::round(std::min(a, b)) - 1;
        return x;
    }

    // Halves go away from zero, and towards it.
    static int32_t round_up(float x) {
        return static_cast<int32_t>(x >= 0 ? std::floor(x + 0.5f) : -std::floor(-static_cast<double>(x) + 0.5));
    }
    static int32_t round_down(float x) {
        return static_cast<int32_t>(x >= 0 ? std::ceil(x - 0.5f) : -std::ceil(-static_cast<double>(x) - 0.5));
    }

    RowSpans spans_;
    std::vector<Edge> edges_;
    std::vector<size_t> order_, active_;
    std::unordered_map<float, const Edge*> above_, below_;
    std::vector<float> ends_;
};

}  // namespace

std::unique_ptr<MaskFiller> make_row_filler(FillRule rule) {
    if (rule == FillRule::skimage) return std::make_unique<SkimageFiller>();
    return std::make_unique<LabelmeFiller>();
}

}  // namespace maskmill
