#include "kernels/outlines.hpp"

#include <algorithm>
#include <memory>

#include "support/parallel.hpp"
#include "support/runs.hpp"

namespace maskmill {
namespace {

// The tops and bottoms of vertical segments are edges one pixel wide: edge 2 s is the top of segment s, walked to the
// right; 2 s + 1 its bottom, walked to the left.
class Tracer {
  public:
    void trace(std::span<const uint32_t> runs, uint64_t height, int connectivity, bool bridge, Outlines& out) {
        load(runs, height);
        join_edges(connectivity == 8);
        find_rings();
        if (bridge) bridge_holes();
        for (size_t r = 0; r < first_.size(); ++r) {
            if (bridge && parent_[r] >= 0) continue;
            write_ring(first_[r], out);
            out.parent.push(parent_[r]);
        }
    }

  private:
    using Edge = uint32_t;
    static constexpr Edge kNone = ~Edge{0};
    static bool is_top(Edge e) { return (e & 1) == 0; }

    void load(std::span<const uint32_t> runs, uint64_t height) {
        x_.clear();
        y_.clear();
        for_each_segment(runs, height, [&](uint64_t x, uint64_t y0, uint64_t y1) {
            if (x_.size() > 0 && x_[x_.size() - 1] == x && y_[y_.size() - 1] == y0) {  // zero run between
                y_[y_.size() - 1] = static_cast<uint32_t>(y1);
                return;
            }
            x_.push(static_cast<uint32_t>(x));
            y_.push(static_cast<uint32_t>(y0));
            y_.push(static_cast<uint32_t>(y1));
        });
        if (y_.size() >= kNone) throw std::invalid_argument("a mask has more than 2^31 column segments");
        next_.resize(y_.size());
        before_.resize(y_.size());
    }

    // Joins what meets on the border between a column and the next: edges of the left one, whose right ends are there,
    // and of the right one.
    void join_border(Edge left, Edge left_end, Edge right, Edge right_end, bool diagonal) {
        Edge waiting = kNone;
        while (left != left_end || right != right_end) {
            bool take_left;
            if (left == left_end || right == right_end) {
                take_left = right == right_end;
            } else if (y_[left] != y_[right]) {
                take_left = y_[left] < y_[right];
            } else {
                // At a touching corner, joining the upper end to a top means going on into the other column.
                take_left = is_top(left) == diagonal;
            }
            const Edge e = take_left ? left++ : right++;
            if (waiting == kNone) {
                waiting = e;
                continue;
            }
            // The walk comes in on tops from the left and bottoms from the right.
            const bool e_arrives = is_top(e) == take_left;
            const Edge from = e_arrives ? e : waiting, to = e_arrives ? waiting : e;
            next_[from] = to;
            before_[to] = from;
            waiting = kNone;
        }
    }

    void join_edges(bool diagonal) {
        const Edge n = static_cast<Edge>(y_.size());
        Edge left = 0, left_end = 0;
        for (Edge right = 0; right < n || left < left_end;) {
            // The border left of the next column that has segments, or right of the last one seen.
            const bool adjacent = right < n && left < left_end && x_[left / 2] + 1 == x_[right / 2];
            Edge right_end = right;
            if (left == left_end || adjacent) {
                while (right_end < n && x_[right_end / 2] == x_[right / 2]) right_end += 2;
            }
            join_border(left, left_end, right, right_end, diagonal);
            left = right;
            left_end = right = right_end;
        }
    }

    void find_rings() {
        const Edge n = static_cast<Edge>(y_.size());
        ring_.resize(n);
        std::fill(ring_.begin(), ring_.end(), kNone);
        first_.clear();
        parent_.clear();
        for (Edge start = 0; start < n; ++start) {
            if (ring_[start] != kNone) continue;
            const auto r = static_cast<uint32_t>(first_.size());
            Edge e = start;
            do {
                ring_[e] = r;
                e = next_[e];
            } while (e != start);
            first_.push(start);
            // The first edge of a hole is the bottom of the segment above it; that segment's top is on the outline of
            // the same region, or on a hole above.
            int64_t parent = -1;
            if (!is_top(start)) {
                const uint32_t above = ring_[start - 1];
                parent = parent_[above] < 0 ? static_cast<int64_t>(above) : parent_[above];
            }
            parent_.push(parent);
        }
    }

    // A hole's first edge ends, and the top of the segment above it begins, on one column border: exchanging what
    // follows makes one ring of two.
    void bridge_holes() {
        for (size_t r = 0; r < first_.size(); ++r) {
            if (parent_[r] < 0) continue;
            const Edge bottom = first_[r], top = bottom - 1;
            const Edge into_top = before_[top], after_bottom = next_[bottom];
            next_[into_top] = after_bottom;
            before_[after_bottom] = into_top;
            next_[bottom] = top;
            before_[top] = bottom;
        }
    }

    void write_ring(Edge start, Outlines& out) {
        const size_t begin = out.points.size();
        Edge e = start;
        do {
            const Edge to = next_[e];
            if (y_[e] != y_[to]) {  // else the outline goes straight on
                const double x = static_cast<double>(x_[e / 2]) + (is_top(e) ? 1 : 0);
                double* const p = out.points.room(4);
                p[0] = x;
                p[1] = static_cast<double>(y_[e]);
                p[2] = x;
                p[3] = static_cast<double>(y_[to]);
                out.points.advance(4);
            }
            e = to;
        } while (e != start);
        if (is_top(start)) {  // the corner where the first edge begins was written last
            double* const p = out.points.data();
            const size_t end = out.points.size();
            std::rotate(p + begin, p + end - 2, p + end);
        }
        out.rings.push(static_cast<int64_t>(out.points.size() / 2));
    }

    Buffer<uint32_t> x_;  // per segment
    Buffer<uint32_t> y_;  // per edge
    Buffer<Edge> next_, before_, first_;
    Buffer<uint32_t> ring_;
    Buffer<int64_t> parent_;
};

}  // namespace

Outlines outlines_trace(const Rles& masks, int connectivity, bool bridge) {
    if (connectivity != 4 && connectivity != 8) {
        throw std::invalid_argument("connectivity must be 4 or 8, not " + std::to_string(connectivity));
    }
    const size_t grain = masks.n * 4096 / (masks.total_runs() + 1) + 1;
    const size_t pieces = std::min<size_t>(masks.n / grain + 1, 4 * static_cast<size_t>(thread_count()));
    const auto parts = std::make_unique<Outlines[]>(pieces);
    parallel_run(pieces, [&](size_t p) {
        Tracer tracer;
        Outlines& part = parts[p];
        for (size_t i = masks.n * p / pieces; i < masks.n * (p + 1) / pieces; ++i) {
            check_sum(i, masks.runs(i), masks.pixels(i));
            tracer.trace(masks.runs(i), static_cast<uint64_t>(masks.height(i)), connectivity, bridge, part);
            part.masks.push(static_cast<int64_t>(part.rings.size()));
        }
    });
    Outlines out;
    out.rings.push(0);
    out.masks.push(0);
    for (size_t p = 0; p < pieces; ++p) {
        const auto points = static_cast<int64_t>(out.points.size() / 2),
                   rings = static_cast<int64_t>(out.parent.size());
        for (const int64_t end : parts[p].rings) out.rings.push(points + end);
        for (const int64_t end : parts[p].masks) out.masks.push(rings + end);
        out.points.append(parts[p].points.data(), parts[p].points.size());
        out.parent.append(parts[p].parent.data(), parts[p].parent.size());
    }
    return out;
}

}  // namespace maskmill
