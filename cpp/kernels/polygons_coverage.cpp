// Rule coverage: pixels of which polygons cover at least half.
#include <cmath>
#include <vector>

#include "kernels/polygons.hpp"
#include "support/crossings.hpp"
#include "support/points.hpp"

namespace maskmill {
namespace {

constexpr double kHalf = 0.5 - 1e-9;  // sums of areas are rounded
constexpr double kThinnest = 1e-9;    // pixels: slabs are not cut into thinner ones where edges cross

// Every column of pixels is cut into slabs at corners and where edges cross. In a slab, edges lie one below the other,
// and what is between the first and the second, the third and the fourth, .. is inside.
class CoverageFiller : public MaskFiller {
  public:
    void fill(const Polygons& p, size_t i, Buffer<uint32_t>& out) override {
        const int64_t h = p.sizes[2 * i], w = p.sizes[2 * i + 1];
        crossings_.start(h, w);
        edges_.clear();
        double top = 0, bottom = 0;
        for (int64_t r = p.masks[i]; r < p.masks[i + 1]; ++r) add_ring(p, i, r, top, bottom);
        if (!edges_.empty() && h > 0) {
            row0_ = std::clamp<int64_t>(static_cast<int64_t>(std::floor(top)), 0, h);
            row1_ = std::clamp<int64_t>(static_cast<int64_t>(std::ceil(bottom)), 0, h);
            const auto rows = static_cast<size_t>(row1_ - row0_);
            part_.assign(rows, 0);
            step_.assign(rows, 0);
            if (rows > 0) fill_columns(w);
        }
        crossings_.write(true, out);
    }

  private:
    struct Edge {
        double ax, ay, bx, by;  // ax < bx
        double slope;

        double y_at(double x) const { return x <= ax ? ay : x >= bx ? by : ay + (x - ax) * slope; }
    };
    struct Chord {  // an edge within a slab
        double left, right;
        size_t edge;
    };

    void add_ring(const Polygons& p, size_t i, int64_t r, double& top, double& bottom) {
        const double* points = p.points + 2 * p.rings[r];
        const auto n = static_cast<size_t>(p.rings[r + 1] - p.rings[r]);
        const int64_t bad = find_bad_point(points, n);
        if (bad >= 0) fail_point(i, points + 2 * bad, bad);
        for (size_t k = 0; k < n; ++k) {
            const double* a = points + 2 * k;
            const double* b = points + 2 * (k + 1 == n ? 0 : k + 1);
            if (a[0] == b[0]) continue;
            if (a[0] > b[0]) std::swap(a, b);
            if (edges_.empty()) top = bottom = a[1];
            top = std::min({top, a[1], b[1]});
            bottom = std::max({bottom, a[1], b[1]});
            edges_.push_back({a[0], a[1], b[0], b[1], (b[1] - a[1]) / (b[0] - a[0])});
        }
    }

    void fill_columns(int64_t w) {
        std::stable_sort(edges_.begin(), edges_.end(), [](const Edge& a, const Edge& b) { return a.ax < b.ax; });
        active_.clear();
        size_t next = 0;
        for (int64_t x = 0; x < w && (next < edges_.size() || !active_.empty()); ++x) {
            if (active_.empty() && edges_[next].ax >= static_cast<double>(x + 1)) {
                x = static_cast<int64_t>(std::floor(edges_[next].ax));
                if (x >= w) break;
            }
            const double left = static_cast<double>(x), right = static_cast<double>(x + 1);
            for (; next < edges_.size() && edges_[next].ax < right; ++next) active_.push_back(next);
            std::erase_if(active_, [&](size_t k) { return edges_[k].bx <= left; });
            fill_column(x, left, right);
        }
    }

    void fill_column(int64_t x, double left, double right) {
        cuts_.assign({left, right});
        for (const size_t k : active_) {
            if (edges_[k].ax > left) cuts_.push_back(edges_[k].ax);
            if (edges_[k].bx < right) cuts_.push_back(edges_[k].bx);
        }
        std::sort(cuts_.begin(), cuts_.end());
        low_ = row1_;
        high_ = row0_;
        for (size_t k = 0; k + 1 < cuts_.size(); ++k) {
            if (cuts_[k] < cuts_[k + 1]) fill_between(cuts_[k], cuts_[k + 1]);
        }
        read_column(x);
    }

    // Between two neighbouring corners, cut again where edges cross.
    void fill_between(double from, double to) {
        slabs_.assign(1, {from, to});
        while (!slabs_.empty()) {
            const auto [u0, u1] = slabs_.back();
            slabs_.pop_back();
            chords_.clear();
            for (const size_t k : active_) {
                if (edges_[k].ax <= u0 && edges_[k].bx >= u1) {
                    chords_.push_back({edges_[k].y_at(u0), edges_[k].y_at(u1), k});
                }
            }
            std::sort(chords_.begin(), chords_.end(), [](const Chord& a, const Chord& b) {
                const double ma = a.left + a.right, mb = b.left + b.right;
                return ma != mb ? ma < mb : a.edge < b.edge;
            });
            const double cut = crossing(u0, u1);
            if (cut > u0) {
                slabs_.push_back({cut, u1});
                slabs_.push_back({u0, cut});
                continue;
            }
            for (size_t k = 0; k < chords_.size(); ++k) add_below(chords_[k], u1 - u0, k % 2 == 0 ? 1 : -1);
        }
    }

    // Where two neighbours cross, but not next to an end of the slab; or u0.
    double crossing(double u0, double u1) const {
        for (size_t k = 0; k + 1 < chords_.size(); ++k) {
            const double left = chords_[k + 1].left - chords_[k].left, right = chords_[k + 1].right - chords_[k].right;
            if ((left < 0) == (right < 0) || left == 0 || right == 0) continue;
            const double cut = u0 + (u1 - u0) * (left / (left - right));
            if (cut - u0 > kThinnest && u1 - cut > kThinnest) return cut;
        }
        return u0;
    }

    // Adds, with a sign, how much of every pixel of the column is below a chord of this width.
    void add_below(const Chord& chord, double width, double sign) {
        const double y0 = std::min(chord.left, chord.right), y1 = std::max(chord.left, chord.right);
        const auto clipped = [&](double y) {
            return static_cast<int64_t>(std::clamp(y, static_cast<double>(row0_), static_cast<double>(row1_)));
        };
        const int64_t first = clipped(std::floor(y0)), full = clipped(std::ceil(y1));
        for (int64_t row = first; row < full; ++row) {
            const double r = static_cast<double>(row), a = std::max(r, y0), b = std::min(r + 1, y1);
            double area = r + 1 - a;  // of a flat one
            if (y0 < y1) {
                const double over = (a - y0) / (y1 - y0), within = (b - y0) / (y1 - y0) - over;
                area = over + within * ((r + 1 - a) + (r + 1 - b)) / 2;
            }
            part_[static_cast<size_t>(row - row0_)] += sign * width * area;
        }
        if (full < row1_) step_[static_cast<size_t>(full - row0_)] += sign * width;
        low_ = std::min(low_, first);
        high_ = std::max(high_, std::min(full + 1, row1_));
    }

    void read_column(int64_t x) {
        double sum = 0;
        bool inside = false;
        for (int64_t row = low_; row < high_; ++row) {
            const auto k = static_cast<size_t>(row - row0_);
            sum += step_[k];
            const bool now = sum + part_[k] >= kHalf;
            part_[k] = step_[k] = 0;
            if (now != inside) crossings_.add(x, row);
            inside = now;
        }
        const bool rest = high_ < row1_ && sum >= kHalf;
        if (rest != inside) crossings_.add(x, high_);
        if (rest) crossings_.add(x, row1_);
    }

    Crossings crossings_;
    std::vector<Edge> edges_;
    std::vector<size_t> active_;
    std::vector<double> cuts_, part_, step_;
    std::vector<std::pair<double, double>> slabs_;
    std::vector<Chord> chords_;
    int64_t row0_ = 0, row1_ = 0;  // rows that the polygons may cover
    int64_t low_ = 0, high_ = 0;   // rows touched in this column
};

}  // namespace

std::unique_ptr<MaskFiller> make_coverage_filler() { return std::make_unique<CoverageFiller>(); }

}  // namespace maskmill
