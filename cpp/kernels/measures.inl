// What measures.cpp does with the segments of one mask: its border as bits, its hulls as polygons.
#pragma once

#include <cmath>

#include "kernels/measures.hpp"
#include "support/bitplane.hpp"

namespace maskmill {
namespace {

struct Segment {
    int64_t x, y0, y1;
};

// Without branches, so that loops over words are what the compiler can vectorise.
inline int64_t ones(uint64_t v) {
    v -= v >> 1 & 0x5555555555555555u;
    v = (v & 0x3333333333333333u) + (v >> 2 & 0x3333333333333333u);
    v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    v += v >> 8;
    v += v >> 16;
    return static_cast<int64_t>((v + (v >> 32)) & 127);
}

// Border pixels by weight, and steps across the border. Works on strips of columns that are not empty, as bits.
class Border {
  public:
    void measure(std::span<const Segment> segments, int64_t* count) {
        count[measured::down] = 2 * static_cast<int64_t>(segments.size());
        for (size_t begin = 0, end; begin < segments.size(); begin = end) {
            end = begin + 1;
            while (end < segments.size() && segments[end].x <= segments[end - 1].x + 1) ++end;
            measure_stretch(segments.subspan(begin, end - begin), count);
        }
    }

  private:
    // Words at once of one plane, halo aside: they stay in the second cache.
    static constexpr int64_t kWords = 1 << 14;
    static constexpr int64_t kHalo = 2;  // columns on either side

    // Columns follow one another without a gap.
    void measure_stretch(std::span<const Segment> segments, int64_t* count) {
        const int64_t first = segments.front().x, last = segments.back().x;
        int64_t top = segments[0].y0, bottom = segments[0].y1;
        for (const Segment& s : segments) {
            top = std::min(top, s.y0);
            bottom = std::max(bottom, s.y1);
        }
        words_ = (bottom - top + 2 + 63) / 64;  // a row more above and below
        const int64_t step = std::max<int64_t>(8, kWords / words_);
        size_t k = 0;
        // The column behind the last has steps, too.
        for (int64_t x = first; x <= last + 1; x += step) {
            const int64_t columns = std::min(step, last + 2 - x);
            mask_.reset((words_ + 2) * 64, columns + 2 * kHalo);
            while (k < segments.size() && segments[k].x < x - kHalo) ++k;
            for (size_t j = k; j < segments.size() && segments[j].x < x + columns + kHalo; ++j) {
                const Segment& s = segments[j];
                mask_.set(s.x - x + kHalo, s.y0 - top + 65, s.y1 - top + 65);
            }
            find_border(columns);
            count_steps(columns, count);
            count_weights(columns, count);
        }
    }

    // Foreground with background among its four neighbours, for the columns and one more on either side.
    void find_border(int64_t columns) {
        border_.reset((words_ + 2) * 64, columns + 2 * kHalo);
        for (int64_t w = 1; w <= words_; ++w) {
            const uint64_t *above = mask_.word(w - 1), *m = mask_.word(w), *below = mask_.word(w + 1);
            uint64_t* const b = border_.word(w);
            for (int64_t i = 1; i < columns + 2 * kHalo - 1; ++i) {
                const uint64_t up = m[i] << 1 | above[i] >> 63, down = m[i] >> 1 | below[i] << 63;
                b[i] = m[i] & ~(m[i - 1] & m[i + 1] & up & down);
            }
        }
    }

    // From each column's left neighbour to it.
    void count_steps(int64_t columns, int64_t* count) {
        int64_t right = 0, falling = 0, rising = 0;
        for (int64_t w = 1; w <= words_; ++w) {
            const uint64_t *above = mask_.word(w - 1), *m = mask_.word(w), *below = mask_.word(w + 1);
            for (int64_t i = kHalo; i < columns + kHalo; ++i) {
                const uint64_t up = m[i] << 1 | above[i] >> 63, down = m[i] >> 1 | below[i] << 63;
                right += ones(m[i - 1] ^ m[i]);
                falling += ones(m[i - 1] ^ down);
                rising += ones(m[i - 1] ^ up);
            }
        }
        count[measured::right] += right;
        count[measured::falling] += falling;
        count[measured::rising] += rising;
    }

    // How many of four, as bits of weight 1, 2 and 4.
    struct Sum {
        Sum(uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
            const uint64_t both = a & b, others = c & d;
            one = a ^ b ^ c ^ d;
            two = both ^ others ^ ((a ^ b) & (c ^ d));
            four = both & others;
        }
        uint64_t one, two, four;
    };

    void count_weights(int64_t columns, int64_t* count) {
        int64_t straight = 0, diagonal = 0, mixed = 0;
        for (int64_t w = 1; w <= words_; ++w) {
            const uint64_t *above = border_.word(w - 1), *b = border_.word(w), *below = border_.word(w + 1);
            const auto up = [=](int64_t i) { return b[i] << 1 | above[i] >> 63; };
            const auto down = [=](int64_t i) { return b[i] >> 1 | below[i] << 63; };
            for (int64_t i = kHalo; i < columns + kHalo; ++i) {
                const Sum side(b[i - 1], b[i + 1], up(i), down(i));
                const Sum corner(up(i - 1), down(i - 1), up(i + 1), down(i + 1));
                const uint64_t one_side = b[i] & side.one & ~side.two;
                const uint64_t no_side = b[i] & ~(side.one | side.two | side.four);
                const uint64_t three_corners = corner.one & corner.two;
                straight += ones(b[i] & side.two & ~(corner.four | three_corners));
                diagonal += ones((no_side & corner.two & ~corner.one) | (one_side & three_corners));
                mixed += ones(one_side & (corner.one ^ corner.two));
            }
        }
        count[measured::straight] += straight;
        count[measured::diagonal] += diagonal;
        count[measured::mixed] += mixed;
    }

    int64_t words_ = 0;  // rows of words that hold pixels
    BitPlane mask_, border_;
};

// Corners of a convex polygon, in units that the user knows.
struct Corner {
    int64_t x, y;
};

inline int64_t turn(const Corner& a, const Corner& b, const Corner& c) {
    return (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);
}

// A convex polygon, of points that come in order of x: its upper and its lower chain, and its corners, no three on a
// line, clockwise as seen (y down) from the upper left one.
class Hull {
  public:
    void clear() { top_.clear(), bottom_.clear(); }
    void add_top(int64_t x, int64_t y) { push(top_, {x, y}, 1); }
    void add_bottom(int64_t x, int64_t y) { push(bottom_, {x, y}, -1); }
    void close() {
        corners_.clear();
        corners_.append(top_.data(), top_.size());
        for (size_t k = bottom_.size(); k-- > 0;) {
            const Corner& c = bottom_[k];
            const bool shared = (k == 0 || k + 1 == bottom_.size()) && c.y == top_[k == 0 ? 0 : top_.size() - 1].y;
            if (!shared) corners_.push(c);
        }
    }
    std::span<const Corner> corners() const { return {corners_.data(), corners_.size()}; }
    const Buffer<Corner>& top() const { return top_; }
    const Buffer<Corner>& bottom() const { return bottom_; }

  private:
    static void push(Buffer<Corner>& chain, Corner c, int64_t side) {
        size_t n = chain.size();
        if (n > 0 && chain[n - 1].x == c.x) {  // one of them is within
            if (side * (c.y - chain[n - 1].y) >= 0) return;
            --n;
        }
        while (n >= 2 && side * turn(chain[n - 2], chain[n - 1], c) <= 0) --n;
        chain.resize(n);
        chain.push(c);
    }
    Buffer<Corner> top_, bottom_, corners_;
};

// The hulls of pixels' corners and of their diamonds are that of their centres, widened: its corners are enough.
class Hulls {
  public:
    void measure(std::span<const Segment> segments, const double* pixel, int64_t* count, double* length) {
        load(segments);
        widen_to_corners();
        find_feret(pixel[0], pixel[1], length);
        widen_to_diamonds();
        count[measured::convex_area] = fill(count[measured::x0], count[measured::x1]);
        widen_to_diamonds();
        find_rectangle(0.5 * pixel[0], 0.5 * pixel[1], length);
    }

  private:
    void load(std::span<const Segment> segments) {
        centres_.clear();
        for (size_t begin = 0, end; begin < segments.size(); begin = end) {
            end = begin + 1;
            while (end < segments.size() && segments[end].x == segments[begin].x) ++end;
            centres_.add_top(segments[begin].x, segments[begin].y0);
            centres_.add_bottom(segments[begin].x, segments[end - 1].y1 - 1);
        }
    }

    // In pixels from the first pixel's corner.
    void widen_to_corners() {
        hull_.clear();
        for (const Corner& c : centres_.top()) {
            hull_.add_top(c.x, c.y);
            hull_.add_top(c.x + 1, c.y);
        }
        for (const Corner& c : centres_.bottom()) {
            hull_.add_bottom(c.x, c.y + 1);
            hull_.add_bottom(c.x + 1, c.y + 1);
        }
        hull_.close();
    }

    // In half pixels from the first pixel's centre: the points half a pixel beside every centre.
    void widen_to_diamonds() {
        hull_.clear();
        for (const Corner& c : centres_.top()) {
            hull_.add_top(2 * c.x - 1, 2 * c.y);
            hull_.add_top(2 * c.x, 2 * c.y - 1);
            hull_.add_top(2 * c.x + 1, 2 * c.y);
        }
        for (const Corner& c : centres_.bottom()) {
            hull_.add_bottom(2 * c.x - 1, 2 * c.y);
            hull_.add_bottom(2 * c.x, 2 * c.y + 1);
            hull_.add_bottom(2 * c.x + 1, 2 * c.y);
        }
        hull_.close();
    }

    // Makes the centres those of the pixels whose centres are within the hull or on it; returns how many they are.
    int64_t fill(int64_t begin, int64_t end) {
        centres_.clear();
        int64_t pixels = 0;
        const Corner *top = hull_.top().data(), *bottom = hull_.bottom().data();
        for (int64_t x = begin; x < end; ++x) {
            while (top[1].x < 2 * x) ++top;
            while (bottom[1].x < 2 * x) ++bottom;
            const int64_t first = -floor_half(2 * x, top, -1), last = floor_half(2 * x, bottom, 1);
            pixels += last - first + 1;
            centres_.add_top(x, first);
            centres_.add_bottom(x, last);
        }
        return pixels;
    }

    // Half of side * y where the edge that begins at e is at x, rounded down.
    static int64_t floor_half(int64_t x, const Corner* e, int64_t side) {
        const int64_t dx = e[1].x - e[0].x, dy = e[1].y - e[0].y;
        const int64_t above = side * (e[0].y * dx + dy * (x - e[0].x)), below = 2 * dx;
        return above >= 0 ? above / below : -((below - 1 - above) / below);
    }

    struct Point {
        double x, y;
    };
    static double dot(const Point& a, const Point& b) { return a.x * b.x + a.y * b.y; }
    static double cross(const Point& a, const Point& b) { return a.x * b.y - a.y * b.x; }
    static Point minus(const Point& a, const Point& b) { return {a.x - b.x, a.y - b.y}; }
    size_t after(size_t k) const { return k + 1 == points_.size() ? 0 : k + 1; }

    void scale(double sx, double sy) {
        area_ = sx * sy;
        points_.resize(hull_.corners().size());
        for (size_t k = 0; k < points_.size(); ++k) {
            points_[k] = {static_cast<double>(hull_.corners()[k].x) * sx,
                          static_cast<double>(hull_.corners()[k].y) * sy};
        }
    }

    // visit(edge k, its vector, the corner farthest from it, the area that both span) with a caliper that turns once.
    // Which corner is farthest does not depend on the scale, and is exact in integers.
    template <class Visit>
    void for_each_edge(Visit&& visit) const {
        const auto corners = hull_.corners();
        size_t far = 1;
        for (size_t k = 0; k < corners.size(); ++k) {
            const size_t next = after(k);
            int64_t spanned = turn(corners[k], corners[next], corners[far]);
            for (int64_t more; (more = turn(corners[k], corners[next], corners[after(far)])) > spanned;
                 spanned = more) {
                far = after(far);
            }
            visit(k, minus(points_[next], points_[k]), far, area_ * static_cast<double>(spanned));
        }
    }

    void find_rectangle(double sx, double sy, double* length) {
        scale(sx, sy);
        double best = std::numeric_limits<double>::infinity();
        size_t front = 0, back = 0;
        for_each_edge([&](size_t k, const Point& e, size_t far, double across) {
            if (k == 0) front = after(0), back = far;
            while (dot(e, points_[after(front)]) > dot(e, points_[front])) front = after(front);
            while (dot(e, points_[after(back)]) < dot(e, points_[back])) back = after(back);
            const double along = dot(e, points_[front]) - dot(e, points_[back]);
            const double square = dot(e, e), rectangle = along * across / square;
            if (!(rectangle < best)) return;
            best = rectangle;
            const double edge = std::sqrt(square);
            length[measured::rectangle_long] = std::max(along, across) / edge;
            length[measured::rectangle_short] = std::min(along, across) / edge;
            length[measured::rectangle_dx] = along >= across ? e.x : -e.y;
            length[measured::rectangle_dy] = along >= across ? e.y : e.x;
        });
    }

    void find_feret(double sx, double sy, double* length) {
        scale(sx, sy);
        double least = std::numeric_limits<double>::infinity(), most = 0;
        Point longest{0, 0};
        for_each_edge([&](size_t k, const Point& e, size_t far, double across) {
            least = std::min(least, across / std::sqrt(dot(e, e)));
            // Of an edge parallel to this one both ends are as far; its other end is met from the other side.
            for (const size_t end : {k, after(k)}) {
                for (const size_t other : {far, after(far)}) {
                    const Point d = minus(points_[std::max(end, other)], points_[std::min(end, other)]);
                    if (dot(d, d) > most || (dot(d, d) == most && comes_before(d, longest))) {
                        most = dot(d, d);
                        longest = d;
                    }
                }
            }
        });
        double low = cross(longest, points_[0]), high = low;
        for (const Point& p : points_) {
            low = std::min(low, cross(longest, p));
            high = std::max(high, cross(longest, p));
        }
        const double diameter = std::sqrt(most);
        length[measured::feret_max] = diameter;
        length[measured::feret_dx] = longest.x;
        length[measured::feret_dy] = longest.y;
        length[measured::feret_min] = least;
        length[measured::feret_orthogonal] = (high - low) / diameter;
    }

    // Any order that is the same for everybody who finds several longest ones.
    static bool comes_before(const Point& a, const Point& b) { return a.x > b.x || (a.x == b.x && a.y > b.y); }

    Hull centres_, hull_;
    Buffer<Point> points_;  // the hull's corners, scaled
    double area_ = 1;       // of a unit
};

}  // namespace
}  // namespace maskmill
