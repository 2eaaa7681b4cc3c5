#include <algorithm>
#include <cmath>
#include <queue>
#include <vector>

#include "kernels/polygons.hpp"
#include "support/parallel.hpp"
#include "support/points.hpp"

namespace maskmill {
namespace {

struct Point {
    double x, y;
};

double square_distance(Point a, Point b) {
    const double dx = b.x - a.x, dy = b.y - a.y;
    return dx * dx + dy * dy;
}

// Squared distance from p to the segment from a to b.
double square_distance(Point p, Point a, Point b) {
    const double length = square_distance(a, b);
    if (length == 0) return square_distance(a, p);
    const double along = ((p.x - a.x) * (b.x - a.x) + (p.y - a.y) * (b.y - a.y)) / length;
    const double t = along < 0 ? 0 : along > 1 ? 1 : along;
    return square_distance({a.x + t * (b.x - a.x), a.y + t * (b.y - a.y)}, p);
}

double triangle_area(Point a, Point b, Point c) {
    return std::abs((b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x)) / 2;
}

void douglas_peucker(const Point* ring, size_t n, double tolerance, std::vector<uint8_t>& keep) {
    const auto farthest = [&](size_t begin, size_t end, double& most) {  // strictly between; end may be n: point 0
        size_t found = begin;
        most = -1;
        for (size_t k = begin + 1; k < end; ++k) {
            const double d = square_distance(ring[k], ring[begin], ring[end == n ? 0 : end]);
            if (d > most) {
                most = d;
                found = k;
            }
        }
        return found;
    };
    size_t middle = 0;
    double most = -1;
    for (size_t k = 1; k < n; ++k) {
        const double d = square_distance(ring[0], ring[k]);
        if (d > most) {
            most = d;
            middle = k;
        }
    }
    keep[0] = keep[middle] = 1;
    size_t kept = 2;
    std::vector<std::pair<size_t, size_t>> open{{0, middle}, {middle, n}};
    while (!open.empty()) {
        const auto [begin, end] = open.back();
        open.pop_back();
        const size_t k = farthest(begin, end, most);
        if (!(most > tolerance * tolerance)) continue;
        keep[k] = 1;
        ++kept;
        open.push_back({begin, k});
        open.push_back({k, end});
    }
    if (kept < 3) {  // a ring thinner than the tolerance: the third point is the one farthest from the chord
        double best = -1;
        size_t third = 0;
        for (size_t k = 0; k < n; ++k) {
            const double d = keep[k] ? -1 : square_distance(ring[k], ring[0], ring[middle]);
            if (d > best) {
                best = d;
                third = k;
            }
        }
        keep[third] = 1;
    }
}

void drop_triangles(const Point* ring, size_t n, double tolerance, std::vector<uint8_t>& keep) {
    struct Entry {
        double area;
        size_t point;
        size_t version;
        bool operator<(const Entry& other) const {  // smallest area first, then lowest number
            return area != other.area ? area > other.area : point > other.point;
        }
    };
    std::vector<size_t> before(n), after(n), version(n, 0);
    std::priority_queue<Entry> queue;
    for (size_t k = 0; k < n; ++k) {
        before[k] = k == 0 ? n - 1 : k - 1;
        after[k] = k + 1 == n ? 0 : k + 1;
        keep[k] = 1;
    }
    const auto enter = [&](size_t k) {
        queue.push({triangle_area(ring[before[k]], ring[k], ring[after[k]]), k, ++version[k]});
    };
    for (size_t k = 0; k < n; ++k) enter(k);
    double dropped = 0;
    for (size_t left = n; left > 3 && !queue.empty();) {
        const Entry e = queue.top();
        queue.pop();
        if (e.version != version[e.point]) continue;
        if (!(dropped + e.area <= tolerance)) break;
        dropped += e.area;
        keep[e.point] = 0;
        ++version[e.point];
        --left;
        after[before[e.point]] = after[e.point];
        before[after[e.point]] = before[e.point];
        enter(before[e.point]);
        enter(after[e.point]);
    }
}

}  // namespace

Rings polygons_simplify(const double* points, const int64_t* rings, const double* tolerances, size_t n,
                        SimplifyMethod method) {
    for (size_t r = 0; r < n; ++r) {
        if (!(tolerances[r] >= 0)) {
            throw std::invalid_argument("tolerance must be 0 or more, not " + number_text(tolerances[r]));
        }
    }
    const size_t total = n == 0 ? 0 : static_cast<size_t>(rings[n] - rings[0]);
    Ragged<Point> kept =
        parallel_pieces<Point>(n, n * 4096 / (total + 1) + 1, [&](size_t begin, size_t end, auto& piece) {
            std::vector<Point> ring;
            std::vector<uint8_t> keep;
            for (size_t r = begin; r < end; ++r) {
                ring.clear();
                for (int64_t k = rings[r]; k < rings[r + 1]; ++k) ring.push_back({points[2 * k], points[2 * k + 1]});
                const int64_t bad = find_bad_point(points + 2 * rings[r], ring.size());
                if (bad >= 0) {
                    const Point& p = ring[static_cast<size_t>(bad)];
                    throw std::invalid_argument("ring " + std::to_string(r) + ": point " + std::to_string(bad) +
                                                " is (" + number_text(p.x) + ", " + number_text(p.y) +
                                                "), not finite and at most 4e8");
                }
                if (ring.size() <= 3) {
                    piece.values.append(ring.data(), ring.size());
                } else {
                    keep.assign(ring.size(), 0);
                    if (method == SimplifyMethod::area) {
                        drop_triangles(ring.data(), ring.size(), tolerances[r], keep);
                    } else {
                        douglas_peucker(ring.data(), ring.size(), tolerances[r], keep);
                    }
                    for (size_t k = 0; k < ring.size(); ++k) {
                        if (keep[k]) piece.values.push(ring[k]);
                    }
                }
                piece.close();
            }
        });
    Rings out;
    out.points.append(reinterpret_cast<const double*>(kept.values.data()), 2 * kept.values.size());
    out.offsets = std::move(kept.offsets);
    return out;
}

}  // namespace maskmill
