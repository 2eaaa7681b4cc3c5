// Ellipses, column by column.
#include <cmath>

#include "kernels/polygons.hpp"
#include "support/parallel.hpp"
#include "support/points.hpp"
#include "support/runs.hpp"

namespace maskmill {
namespace {

struct Ellipse {
    double cx, cy, rx, ry, cos, sin;

    // Whether the centre of a pixel is in it; multiplied out, so that whole and half numbers are exact.
    bool has(int64_t x, int64_t y) const {
        const double dx = (static_cast<double>(x) + 0.5) - cx, dy = (static_cast<double>(y) + 0.5) - cy;
        const double u = dx * cos + dy * sin, v = dy * cos - dx * sin;
        return u * u * (ry * ry) + v * v * (rx * rx) <= (rx * rx) * (ry * ry);
    }
};

int64_t within(double v, int64_t most) {
    return v <= 0 ? 0 : v >= static_cast<double>(most) ? most : static_cast<int64_t>(v);
}

void check(size_t i, const Ellipse& e) {
    const double numbers[] = {e.cx, e.cy, e.rx, e.ry, e.cos, e.sin};
    for (const double v : numbers) {
        if (!(std::abs(v) <= kLargestCoordinate)) {
            fail_mask(i, "an ellipse must be of finite numbers of at most 4e8, not " + number_text(v));
        }
    }
    if (e.rx < 0 || e.ry < 0) {
        fail_mask(i, "radii must be 0 or more, not " + number_text(std::min(e.rx, e.ry)));
    }
}

void write(const Ellipse& e, int64_t h, int64_t w, Buffer<uint32_t>& out) {
    RunWriter writer(out);
    const double rx2 = e.rx * e.rx, ry2 = e.ry * e.ry;
    const double a = e.sin * e.sin * ry2 + e.cos * e.cos * rx2;
    const double half = std::sqrt(rx2 * e.cos * e.cos + ry2 * e.sin * e.sin);
    const bool any = e.rx > 0 && e.ry > 0 && a > 0;
    const int64_t first = within(std::floor(e.cx - half - 0.5), w), last = within(std::ceil(e.cx + half + 0.5), w);
    for (int64_t x = first; any && x < last; ++x) {
        // In a column, an ellipse is between the two solutions of a square equation, but for rounding.
        const double dx = (static_cast<double>(x) + 0.5) - e.cx;
        const double b = dx * e.sin * e.cos * (ry2 - rx2);
        const double c = dx * dx * (e.cos * e.cos * ry2 + e.sin * e.sin * rx2) - rx2 * ry2;
        const double root = std::sqrt(std::max(b * b - a * c, 0.0));
        int64_t begin = within(std::ceil(e.cy + (-b - root) / a - 0.5), h);
        int64_t end = within(std::floor(e.cy + (-b + root) / a + 0.5), h);
        while (begin > 0 && e.has(x, begin - 1)) --begin;
        while (begin < end && !e.has(x, begin)) ++begin;
        end = std::max(begin, end);
        while (end < h && e.has(x, end)) ++end;
        while (end > begin && !e.has(x, end - 1)) --end;
        writer.add(static_cast<uint64_t>(x * h + begin), static_cast<uint64_t>(x * h + end));
    }
    writer.finish(static_cast<uint64_t>(h) * static_cast<uint64_t>(w));
}

}  // namespace

Runs polygons_ellipses(const double* ellipses, const int64_t* sizes, size_t n) {
    return parallel_ragged<uint32_t>(n, 256, [&](size_t i, Buffer<uint32_t>& out) {
        const double* v = ellipses + 6 * i;
        const Ellipse e{v[0], v[1], v[2], v[3], v[4], v[5]};
        check(i, e);
        write(e, sizes[2 * i], sizes[2 * i + 1], out);
    });
}

}  // namespace maskmill
