// Whether outlines are those of a region: no edges in each other's way, rings nested as their directions say.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/polygons.hpp"
#include "support/parallel.hpp"
#include "support/points.hpp"

namespace maskmill {
namespace {

constexpr double kMostStrips = 1024;

struct Point {
    double x, y;
    bool operator==(const Point&) const = default;
};

bool before(Point a, Point b) { return a.x != b.x ? a.x < b.x : a.y < b.y; }

// Positive where c is on the right hand of the way from a to b, as seen with y down.
double side(Point a, Point b, Point c) { return (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x); }

class Untangler {
  public:
    uint8_t check(const Polygons& p, size_t i) {
        load(p, i);
        if (edges_cross() || corners_cross()) return 1;
        return nested() ? 0 : 2;
    }

  private:
    struct Edge {
        Point a, b;  // a is left of b, or above it
        double top, bottom;
        int turn;  // 1 if walked from a to b
        size_t ring;
    };
    struct Corner {
        Point before, at, after;
    };
    struct Place {  // the middle of a ring's first edge: no other ring goes through it
        Point at;
        size_t ring;
        bool hole;
    };

    void load(const Polygons& p, size_t i) {
        edges_.clear();
        corners_.clear();
        places_.clear();
        for (int64_t r = p.masks[i]; r < p.masks[i + 1]; ++r) {
            const double* points = p.points + 2 * p.rings[r];
            const auto n = static_cast<size_t>(p.rings[r + 1] - p.rings[r]);
            const int64_t bad = find_bad_point(points, n);
            if (bad >= 0) fail_point(i, points + 2 * bad, bad);
            add_ring(points, n, static_cast<size_t>(r));
        }
        std::sort(edges_.begin(), edges_.end(), [](const Edge& e, const Edge& f) { return before(e.a, f.a); });
    }

    void add_ring(const double* points, size_t n, size_t number) {
        ring_.clear();
        for (size_t k = 0; k < n; ++k) {
            const Point point{points[2 * k], points[2 * k + 1]};
            if (ring_.empty() || !(point == ring_.back())) ring_.push_back(point);
        }
        while (ring_.size() > 1 && ring_.back() == ring_.front()) ring_.pop_back();
        const size_t m = ring_.size();
        if (m < 2) return;
        double area = 0;
        for (size_t k = 0; k < m; ++k) {
            const Point a = ring_[k], b = ring_[k + 1 == m ? 0 : k + 1];
            corners_.push_back({ring_[k == 0 ? m - 1 : k - 1], a, b});
            const bool forward = before(a, b);
            edges_.push_back(
                {forward ? a : b, forward ? b : a, std::min(a.y, b.y), std::max(a.y, b.y), forward ? 1 : -1, number});
            area += (a.x - ring_[0].x) * (b.y - ring_[0].y) - (b.x - ring_[0].x) * (a.y - ring_[0].y);
        }
        const Point middle{(ring_[0].x + ring_[1].x) / 2, (ring_[0].y + ring_[1].y) / 2};
        places_.push_back({middle, number, area < 0});
    }

    // Corners of one edge on the other one's inside count; corners on corners do not.
    static bool conflict(const Edge& e, const Edge& f) {
        const auto on = [](const Edge& g, Point c, double where) {
            return where == 0 && before(g.a, c) && before(c, g.b);
        };
        const double fa = side(e.a, e.b, f.a), fb = side(e.a, e.b, f.b);
        const double ea = side(f.a, f.b, e.a), eb = side(f.a, f.b, e.b);
        if ((fa > 0) != (fb > 0) && (ea > 0) != (eb > 0) && fa != 0 && fb != 0 && ea != 0 && eb != 0) return true;
        if (on(e, f.a, fa) || on(e, f.b, fb) || on(f, e.a, ea) || on(f, e.b, eb)) return true;
        return e.a == f.a && e.b == f.b;
    }

    // From left to right, in strips that are about as high as two edges: an edge meets those that are in its strips and
    // reach as far right as it begins.
    bool edges_cross() {
        if (edges_.empty()) return false;
        double low = edges_[0].top, high = edges_[0].bottom, heights = 0;
        for (const Edge& e : edges_) {
            low = std::min(low, e.top);
            high = std::max(high, e.bottom);
            heights += e.bottom - e.top;
        }
        const double strip = std::max(2 * heights / static_cast<double>(edges_.size()), (high - low) / kMostStrips);
        const auto strip_of = [&](double y) { return strip > 0 ? static_cast<size_t>((y - low) / strip) : 0; };
        const size_t strips = strip_of(high) + 1;
        if (strips_.size() < strips) strips_.resize(strips);
        for (size_t k = 0; k < strips; ++k) strips_[k].clear();
        for (const Edge& e : edges_) {
            for (size_t k = strip_of(e.top); k <= strip_of(e.bottom); ++k) {
                auto& in_strip = strips_[k];
                size_t kept = 0;
                for (const Edge* f : in_strip) {
                    if (f->b.x < e.a.x) continue;
                    if (f->top <= e.bottom && e.top <= f->bottom && conflict(e, *f)) return true;
                    in_strip[kept++] = f;
                }
                in_strip.resize(kept);
                in_strip.push_back(&e);
            }
        }
        return false;
    }

    // Whether one way through a corner changes from one side of another way to the other.
    bool corners_cross() {
        std::sort(corners_.begin(), corners_.end(),
                  [](const Corner& a, const Corner& b) { return before(a.at, b.at); });
        for (size_t k = 0; k < corners_.size(); ++k) {
            for (size_t j = k + 1; j < corners_.size() && corners_[j].at == corners_[k].at; ++j) {
                if (right_of(corners_[k], corners_[j].before) != right_of(corners_[k], corners_[j].after)) return true;
            }
        }
        return false;
    }
    static bool right_of(const Corner& c, Point d) {
        const double turn = side(c.before, c.at, c.after);
        const bool in = side(c.before, c.at, d) > 0, out = side(c.at, c.after, d) > 0;
        return turn > 0 ? in && out : in || out;
    }

    // No ring is around an outer ring, or rings and as many holes; one more is around a hole.
    bool nested() {
        std::sort(places_.begin(), places_.end(), [](const Place& a, const Place& b) { return before(a.at, b.at); });
        active_.clear();
        size_t next = 0;
        for (const Place& p : places_) {
            for (; next < edges_.size() && edges_[next].a.x <= p.at.x; ++next) active_.push_back(&edges_[next]);
            std::erase_if(active_, [&](const Edge* e) { return e->b.x <= p.at.x; });
            int64_t around = 0;
            for (const Edge* e : active_) {
                if (e->ring != p.ring && side(e->a, e->b, p.at) > 0) around += e->turn;
            }
            if (around != (p.hole ? 1 : 0)) return false;
        }
        return true;
    }

    std::vector<Point> ring_;
    std::vector<Edge> edges_;
    std::vector<const Edge*> active_;
    std::vector<std::vector<const Edge*>> strips_;
    std::vector<Corner> corners_;
    std::vector<Place> places_;
};

}  // namespace

void polygons_tangles(const Polygons& polygons, uint8_t* out) {
    parallel_for(polygons.n, 64, [&](size_t begin, size_t end) {
        Untangler untangler;
        for (size_t i = begin; i < end; ++i) out[i] = untangler.check(polygons, i);
    });
}

}  // namespace maskmill
