#include "kernels/geometry.hpp"

#include <algorithm>

#include "support/parallel.hpp"
#include "support/pixel_bits.hpp"
#include "support/runs.hpp"

namespace maskmill {
namespace {

constexpr size_t kGrainRuns = 1 << 14;

size_t grain_of(const Rles& masks) { return masks.n * kGrainRuns / (masks.total_runs() + 1) + 1; }

// Whether runs are so short that bits are quicker (measured).
bool prefer_bits(std::span<const uint32_t> runs, uint64_t pixels) { return runs.size() > pixels / 32; }

// The lowest n bits, or all.
uint64_t lowest(int64_t n) { return n >= 64 ? ~uint64_t{0} : (uint64_t{1} << n) - 1; }

struct Segment {
    uint64_t x, y0, y1;
};

void collect(std::span<const uint32_t> runs, uint64_t height, Buffer<Segment>& out) {
    out.clear();
    for_each_segment(runs, height, [&](uint64_t x, uint64_t y0, uint64_t y1) { out.push({x, y0, y1}); });
}

// Background runs first: what the window of the complement shows outside of the image is foreground here.
void invert_last(Buffer<uint32_t>& out, size_t first, uint64_t pixels) {
    if (pixels == 0) return;
    uint32_t* const runs = out.data() + first;
    if (runs[0] == 0) {
        std::memmove(runs, runs + 1, (out.size() - first - 1) * sizeof(uint32_t));
        out.resize(out.size() - 1);
    } else {
        out.push(0);
        uint32_t* const moved = out.data() + first;
        std::memmove(moved + 1, moved, (out.size() - first - 1) * sizeof(uint32_t));
        moved[0] = 0;
    }
}

// visit(x, y0, y1) for the foreground, or for the background of the image.
template <class Visit>
void for_each_segment_of(std::span<const uint32_t> runs, uint64_t height, bool background, Visit&& visit) {
    if (!background) {
        for_each_segment(runs, height, visit);
    } else if (!runs.empty() && runs[0] == 0) {
        for_each_segment(runs.subspan(1), height, visit);
    } else {
        Buffer<uint32_t> inverted;
        inverted.push(0);
        inverted.append(runs.data(), runs.size());
        for_each_segment({inverted.data(), inverted.size()}, height, visit);
    }
}

void window(std::span<const uint32_t> runs, uint64_t height, const int64_t* box, bool fill, Buffer<uint32_t>& out) {
    const int64_t x = box[0], y = box[1], w = box[2], h = box[3];
    const size_t first = out.size();
    const auto pixels = static_cast<uint64_t>(w) * static_cast<uint64_t>(h);
    RunWriter writer(out);
    for_each_segment_of(runs, height, fill, [&](uint64_t column, uint64_t y0, uint64_t y1) {
        const int64_t to = static_cast<int64_t>(column) - x;
        const int64_t top = std::max<int64_t>(static_cast<int64_t>(y0) - y, 0);
        const int64_t bottom = std::min<int64_t>(static_cast<int64_t>(y1) - y, h);
        if (to < 0 || to >= w || top >= bottom) return;
        writer.add(static_cast<uint64_t>(to * h + top), static_cast<uint64_t>(to * h + bottom));
    });
    writer.finish(pixels);
    if (fill) invert_last(out, first, pixels);
}

// The pixels of a mask, or the others; and room for `target` pixels, all 0.
void load(std::span<const uint32_t> runs, uint64_t pixels, bool background, PixelBits& bits, uint64_t target,
          PixelBits& room) {
    bits.resize(pixels);
    bits.load(runs);
    if (background) bits.invert();
    room.resize(target);
    room.fill(false);
}

void window_bits(const PixelBits& image, uint64_t height, uint64_t width, const int64_t* box, PixelBits& out) {
    const auto h = static_cast<int64_t>(height), w = static_cast<int64_t>(width);
    const int64_t x0 = std::max<int64_t>(box[0], 0), x1 = std::min(box[0] + box[2], w);
    const int64_t y0 = std::max<int64_t>(box[1], 0), y1 = std::min(box[1] + box[3], h);
    for (int64_t x = x0; x < x1; ++x) {
        const int64_t to = (x - box[0]) * box[3] - box[1];
        for (int64_t y = y0; y < y1; y += 64) {
            out.add(static_cast<uint64_t>(to + y), image.get(static_cast<uint64_t>(x * h + y)) & lowest(y1 - y));
        }
    }
}

void flip_bits(const PixelBits& image, uint64_t height, uint64_t width, bool horizontal, bool vertical,
               PixelBits& out) {
    for (uint64_t x = 0; x < width; ++x) {
        const uint64_t from = x * height, to = (horizontal ? width - 1 - x : x) * height;
        for (uint64_t y = 0; y < height; y += 64) {
            const uint64_t n = std::min<uint64_t>(height - y, 64);
            const uint64_t bits = image.get(from + y) & lowest(static_cast<int64_t>(n));
            if (vertical) {
                out.add(to + height - y - n, reverse_bits(bits) >> (64 - n));
            } else {
                out.add(to + y, bits);
            }
        }
    }
}

void transpose_bits(const PixelBits& image, uint64_t height, uint64_t width, PixelBits& out) {
    uint64_t block[64];
    for (uint64_t x = 0; x < width; x += 64) {
        const uint64_t columns = std::min<uint64_t>(width - x, 64);
        for (uint64_t y = 0; y < height; y += 64) {
            for (uint64_t k = 0; k < 64; ++k) block[k] = k < columns ? image.get((x + k) * height + y) : 0;
            transpose_block(block);
            const uint64_t rows = std::min<uint64_t>(height - y, 64);
            for (uint64_t k = 0; k < rows; ++k) out.add((y + k) * width + x, block[k]);
        }
    }
}

// The same pixels from the last to the first.
void turn(std::span<const uint32_t> runs, uint64_t pixels, Buffer<uint32_t>& out) {
    RunWriter writer(out);
    size_t end = runs.size();
    uint64_t at = end % 2 == 1 ? runs[--end] : 0;
    for (; end > 0; end -= 2) {
        writer.add(at, at + runs[end - 1]);
        at += uint64_t{runs[end - 1]} + runs[end - 2];
    }
    writer.finish(pixels);
}

// One way: columns from last to first, or each from bottom to top.
void flip(const Buffer<Segment>& segments, uint64_t height, uint64_t width, bool horizontal, Buffer<uint32_t>& out) {
    RunWriter writer(out);
    const auto add = [&](const Segment& s) {
        const uint64_t column = (horizontal ? width - 1 - s.x : s.x) * height;
        const uint64_t y0 = horizontal ? s.y0 : height - s.y1, y1 = horizontal ? s.y1 : height - s.y0;
        writer.add(column + y0, column + y1);
    };
    const size_t n = segments.size();
    if (horizontal) {  // columns from last to first, each from top to bottom
        for (size_t end = n; end > 0;) {
            size_t begin = end - 1;
            while (begin > 0 && segments[begin - 1].x == segments[end - 1].x) --begin;
            for (size_t k = begin; k < end; ++k) add(segments[k]);
            end = begin;
        }
    } else {  // columns from first to last, each from bottom to top
        for (size_t begin = 0; begin < n;) {
            size_t end = begin + 1;
            while (end < n && segments[end].x == segments[begin].x) ++end;
            for (size_t k = end; k-- > begin;) add(segments[k]);
            begin = end;
        }
    }
    writer.finish(height * width);
}

// Vertical stretches of pixel edges between column x - 1 and column x.
struct Edge {
    uint64_t x, y0, y1;
};

// In every row, the value changes where it crosses an edge: edges sorted by column are, row by row, the runs of the
// transposed mask. First all edges, then a counting sort of their rows.
void find_edges(const Buffer<Segment>& segments, uint64_t width, Buffer<Edge>& edges) {
    edges.clear();
    const auto compare = [&](uint64_t x, const Segment* left, const Segment* left_end, const Segment* right,
                             const Segment* right_end) {
        // Ends of both columns' segments in rising order; the two columns differ between the 1st and the 2nd, the
        // 3rd and the 4th, and so on.
        bool in_left = false, in_right = false;
        uint64_t open = 0;
        for (;;) {
            const uint64_t l = left == left_end ? ~uint64_t{0} : in_left ? left->y1 : left->y0;
            const uint64_t r = right == right_end ? ~uint64_t{0} : in_right ? right->y1 : right->y0;
            const uint64_t y = std::min(l, r);
            if (y == ~uint64_t{0}) return;
            const bool differed = in_left != in_right;
            if (l == y) {
                if (in_left) ++left;
                in_left = !in_left;
            }
            if (r == y) {
                if (in_right) ++right;
                in_right = !in_right;
            }
            const bool differ = in_left != in_right;
            if (differ && !differed) open = y;
            if (!differ && differed) edges.push({x, open, y});
        }
    };
    const Segment* const end = segments.end();
    const Segment* left = segments.begin();
    const Segment* left_end = left;
    uint64_t x = 0;
    for (const Segment* right = left; right != end || left != left_end;) {
        if (left == left_end) x = right->x;
        const Segment* right_end = right;
        while (right_end != end && right_end->x == x) ++right_end;
        compare(x, left, left_end, right, right_end);
        left = right;
        left_end = right = right_end;
        ++x;
        if (x > width) break;
    }
}

void transpose(const Buffer<Segment>& segments, Buffer<Edge>& edges, Buffer<int64_t>& row_start, Buffer<uint32_t>& at,
               uint64_t height, uint64_t width, Buffer<uint32_t>& out) {
    find_edges(segments, width, edges);
    row_start.resize(height + 2);
    std::fill(row_start.begin(), row_start.end(), 0);
    int64_t* const begin = row_start.data() + 1;
    for (const Edge& e : edges) {  // a difference array of counts per row ...
        ++begin[e.y0];
        --begin[e.y1];
    }
    int64_t count = 0, total = 0;
    for (uint64_t y = 0; y < height; ++y) {  // ... summed twice: counts, then starts
        count += begin[y];
        begin[y] = total;
        total += count;
    }
    begin[height] = total;
    at.resize(static_cast<size_t>(total));
    for (const Edge& e : edges) {
        for (uint64_t y = e.y0; y < e.y1; ++y) at[static_cast<size_t>(begin[y]++)] = static_cast<uint32_t>(e.x);
    }
    // begin[y] is now the end of row y; its start is the end of the row before.
    RunWriter writer(out);
    int64_t k = 0;
    for (uint64_t y = 0; y < height; ++y) {
        for (; k < begin[y]; k += 2) {
            writer.add(y * width + at[static_cast<size_t>(k)], y * width + at[static_cast<size_t>(k) + 1]);
        }
    }
    writer.finish(height * width);
}

}  // namespace

Runs geometry_window(const Rles& masks, const int64_t* boxes, bool fill) {
    for (size_t i = 0; i < masks.n; ++i) {
        const int64_t* const box = boxes + 4 * i;
        const int64_t w = box[2], h = box[3];
        if (std::any_of(box, box + 4, [](int64_t v) { return v < -0x7fffffff || v > 0x7fffffff; })) {
            throw std::invalid_argument("box " + std::to_string(i) +
                                        ": values must be within -2147483647 and 2147483647");
        }
        if (w < 0 || h < 0) {
            throw std::invalid_argument("box " + std::to_string(i) + ": width and height must be 0 or more, not " +
                                        std::to_string(w) + " and " + std::to_string(h));
        }
    }
    return parallel_pieces<uint32_t>(masks.n, grain_of(masks), [&](size_t begin, size_t end, auto& piece) {
        PixelBits bits, seen;
        for (size_t i = begin; i < end; ++i) {
            const int64_t* const box = boxes + 4 * i;
            const auto runs = masks.runs(i);
            const auto h = static_cast<uint64_t>(masks.height(i)), w = static_cast<uint64_t>(masks.width(i));
            check_sum(i, runs, h * w);
            const auto pixels = static_cast<uint64_t>(box[2]) * static_cast<uint64_t>(box[3]);
            if (prefer_bits(runs, h * w + pixels)) {
                load(runs, h * w, fill, bits, pixels, seen);
                window_bits(bits, h, w, box, seen);
                if (fill) seen.invert();
                seen.append_runs(piece.values);
            } else {
                window(runs, h, box, fill, piece.values);
            }
            piece.close();
        }
    });
}

Runs geometry_flip(const Rles& masks, bool horizontal, bool vertical) {
    return parallel_pieces<uint32_t>(masks.n, grain_of(masks), [&](size_t begin, size_t end, auto& piece) {
        Buffer<Segment> segments;
        PixelBits bits, flipped;
        for (size_t i = begin; i < end; ++i) {
            const auto runs = masks.runs(i);
            const auto h = static_cast<uint64_t>(masks.height(i)), w = static_cast<uint64_t>(masks.width(i));
            check_sum(i, runs, h * w);
            if (horizontal && vertical) {
                turn(runs, h * w, piece.values);
            } else if (!horizontal && !vertical) {
                combine_runs(runs, {}, 0b1010, h * w, piece.values);  // a copy in canonical form
            } else if (prefer_bits(runs, h * w)) {
                load(runs, h * w, false, bits, h * w, flipped);
                flip_bits(bits, h, w, horizontal, vertical, flipped);
                flipped.append_runs(piece.values);
            } else {
                collect(runs, h, segments);
                flip(segments, h, w, horizontal, piece.values);
            }
            piece.close();
        }
    });
}

Runs geometry_transpose(const Rles& masks) {
    return parallel_pieces<uint32_t>(masks.n, grain_of(masks), [&](size_t begin, size_t end, auto& piece) {
        Buffer<Segment> segments;
        Buffer<Edge> edges;
        Buffer<int64_t> row_start;
        Buffer<uint32_t> at;
        PixelBits bits, transposed;
        for (size_t i = begin; i < end; ++i) {
            const auto runs = masks.runs(i);
            const auto h = static_cast<uint64_t>(masks.height(i)), w = static_cast<uint64_t>(masks.width(i));
            check_sum(i, runs, h * w);
            if (prefer_bits(runs, h * w)) {
                load(runs, h * w, false, bits, h * w, transposed);
                transpose_bits(bits, h, w, transposed);
                transposed.append_runs(piece.values);
            } else {
                collect(runs, h, segments);
                transpose(segments, edges, row_start, at, h, w, piece.values);
            }
            piece.close();
        }
    });
}

}  // namespace maskmill
