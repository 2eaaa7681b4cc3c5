#include "kernels/overlap.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <memory>
#include <vector>

#include "support/parallel.hpp"
#include "support/runs.hpp"

#define MASKMILL_SIMD_FILE "kernels/overlap.inl"
#include "support/simd_foreach.hpp"

namespace maskmill {
namespace {

// A mask made ready for many comparisons: its box, and its pixels either as bits inside the box (rows of words as in
// support/bitplane.hpp, from word row w0 on) or as runs.
struct Shape {
    std::span<const uint32_t> runs;
    int64_t height = 0, width = 0;
    int64_t x0 = 0, x1 = 0, y0 = 0, y1 = 0;  // empty masks: x0 == x1
    uint64_t area = 0;
    int64_t bits = -1;  // index into the words of its group; -1: runs only

    int64_t w0() const { return y0 / 64; }
    int64_t word_rows() const { return (y1 - 1) / 64 - w0() + 1; }
    int64_t words() const { return (x1 - x0) * word_rows(); }
    // Laying out and reading bits costs about 1/8 of walking as many runs.
    bool prefers_bits() const { return words() <= 16 * static_cast<int64_t>(runs.size()); }
};

// The runs must be complete.
Shape shape_of(std::span<const uint32_t> runs, int64_t height, int64_t width) {
    Shape s;
    s.runs = runs;
    s.height = height;
    s.width = width;
    const Extent e =
        extent_of(runs, static_cast<uint64_t>(height), static_cast<uint64_t>(height) * static_cast<uint64_t>(width));
    s.x0 = static_cast<int64_t>(e.x0);
    s.x1 = static_cast<int64_t>(e.x1);
    s.y0 = static_cast<int64_t>(e.y0);
    s.y1 = static_cast<int64_t>(e.y1);
    s.area = area_of(runs);
    return s;
}

constexpr size_t kGrainMasks = 64;
constexpr int64_t kMostWords = 1 << 27;  // 1 GiB of bits; what is beyond stays runs

Shape shape_of(const Rles& masks, size_t i) {
    check_sum(i, masks.runs(i), masks.pixels(i));
    return shape_of(masks.runs(i), masks.height(i), masks.width(i));
}

// Shapes with the words that hold their bits.
struct Group {
    std::vector<Shape> shapes;
    Scratch<uint64_t> words;

    // Lays out the shapes [begin, end) that want bits, from several threads if there are many.
    void lay_out(size_t begin, size_t end) {
        int64_t total = 0;
        for (size_t i = begin; i < end; ++i) {
            Shape& s = shapes[i];
            s.bits = -1;
            if (s.x0 == s.x1 || !s.prefers_bits() || total > kMostWords) continue;
            s.bits = total;
            total += (s.words() + 7) / 8 * 8;
        }
        words.resize(static_cast<size_t>(total));
        parallel_for(end - begin, kGrainMasks, [&](size_t first, size_t last) {
            for (size_t i = begin + first; i < begin + last; ++i) {
                if (shapes[i].bits >= 0) write(shapes[i]);
            }
        });
    }

  private:
    void write(const Shape& s) {
        uint64_t* const base = words.data() + s.bits;
        const int64_t columns = s.x1 - s.x0, w0 = s.w0();
        std::fill(base, base + s.words(), uint64_t{0});
        for_each_segment(s.runs, static_cast<uint64_t>(s.height), [&](uint64_t x, uint64_t y0, uint64_t y1) {
            const int64_t first = static_cast<int64_t>(y0 / 64) - w0, last = static_cast<int64_t>((y1 - 1) / 64) - w0;
            const uint64_t head = ~uint64_t{0} << (y0 % 64), tail = ~uint64_t{0} >> (63 - (y1 - 1) % 64);
            uint64_t* at = base + first * columns + (static_cast<int64_t>(x) - s.x0);
            if (first == last) {
                *at |= head & tail;
                return;
            }
            *at |= head;
            for (int64_t w = first + 1; w < last; ++w) *(at += columns) = ~uint64_t{0};
            *(at + columns) |= tail;
        });
    }
};

// Boxes of up to n shapes, a column for each side, for testing many at a time. Those not set meet nothing.
class ShapeBoxes {
  public:
    explicit ShapeBoxes(size_t n) : n_(n), stride_((n + 63) / 64 * 64) {
        sides_.resize(4 * stride_);
        std::fill(sides_.begin(), sides_.end(), 0);
    }
    void set(size_t k, const Shape& s) {
        const std::array<int32_t, 4> box = box_of(s);
        for (size_t side = 0; side < 4; ++side) sides_.data()[side * stride_ + k] = box[side];
    }
    // visit(k) for the boxes that have an area in common with that of s, until it returns false.
    template <class Visit>
    void for_each_meeting(const Shape& s, Visit&& visit) const {
        const std::array<int32_t, 4> box = box_of(s);
        for (size_t first = 0; first < n_; first += 64) {
            uint64_t meet = MASKMILL_DISPATCH(boxes_that_meet, sides_.data() + first, stride_, box.data());
            for (; meet != 0; meet &= meet - 1) {
                if (!visit(first + static_cast<size_t>(std::countr_zero(meet)))) return;
            }
        }
    }

  private:
    static std::array<int32_t, 4> box_of(const Shape& s) {
        return {static_cast<int32_t>(s.x0), static_cast<int32_t>(s.x1), static_cast<int32_t>(s.y0),
                static_cast<int32_t>(s.y1)};
    }

    size_t n_, stride_;
    Scratch<int32_t> sides_;  // x0, x1, y0, y1
};

bool boxes_meet(const Shape& a, const Shape& b) { return a.x0 < b.x1 && b.x0 < a.x1 && a.y0 < b.y1 && b.y0 < a.y1; }

uint64_t walk(std::span<const uint32_t> a, std::span<const uint32_t> b) {
    uint64_t common = 0, a_end = 0, b_end = 0, a_begin = 0, b_begin = 0;
    size_t i = 0, j = 0;
    const auto next = [](std::span<const uint32_t> runs, size_t& k, uint64_t& begin, uint64_t& end) {
        if (k + 1 >= runs.size()) return false;
        begin = end + runs[k];
        end = begin + runs[k + 1];
        k += 2;
        return true;
    };
    bool more = next(a, i, a_begin, a_end) && next(b, j, b_begin, b_end);
    while (more) {
        const uint64_t begin = std::max(a_begin, b_begin), end = std::min(a_end, b_end);
        if (begin < end) common += end - begin;
        more = a_end < b_end ? next(a, i, a_begin, a_end) : next(b, j, b_begin, b_end);
    }
    return common;
}

uint64_t intersect(const Shape& a, const uint64_t* a_words, const Shape& b, const uint64_t* b_words) {
    if (a.bits < 0 || b.bits < 0) return walk(a.runs, b.runs);
    const int64_t x0 = std::max(a.x0, b.x0), x1 = std::min(a.x1, b.x1);
    const int64_t w0 = std::max(a.w0(), b.w0());
    const int64_t w1 = std::min(a.w0() + a.word_rows(), b.w0() + b.word_rows());
    const int64_t step_a = a.x1 - a.x0, step_b = b.x1 - b.x0;
    const uint64_t* pa = a_words + a.bits + (w0 - a.w0()) * step_a + (x0 - a.x0);
    const uint64_t* pb = b_words + b.bits + (w0 - b.w0()) * step_b + (x0 - b.x0);
    return MASKMILL_DISPATCH(and_popcount_rows, pa, step_a, pb, step_b, w1 - w0, static_cast<size_t>(x1 - x0));
}

double iou_of(const Shape& a, const Shape& b, uint64_t common, bool crowd) {
    if (common == 0) return 0;
    const uint64_t below = crowd ? a.area : a.area + b.area - common;
    return static_cast<double>(common) / static_cast<double>(below);
}

constexpr uint64_t kNoCount = ~uint64_t{0};

// Bits of a block of a (in second-level cache) are compared with those of all of a block of b.
constexpr int64_t kBlockWordsA = 1 << 15, kBlockWordsB = 1 << 23;
constexpr size_t kBlockMasksA = 256;

// Calls visit(i, j, a's shape, b's shape, pixels in common) for every pair whose boxes meet, from several threads.
// Pairs of different sizes have -1 pixels in common.
template <class Visit>
void for_each_meeting_pair(const Rles& a, const Rles& b, Visit&& visit) {
    Group left, right;
    left.shapes.resize(a.n);
    right.shapes.resize(b.n);
    parallel_for(a.n, kGrainMasks, [&](size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) left.shapes[i] = shape_of(a, i);
    });
    parallel_for(b.n, kGrainMasks, [&](size_t begin, size_t end) {
        for (size_t j = begin; j < end; ++j) right.shapes[j] = shape_of(b, j);
    });
    // Consecutive masks of about so many words.
    const auto blocks_of = [](const Group& g, int64_t words, size_t most) {
        std::vector<size_t> starts{0};
        int64_t sum = 0;
        for (size_t i = 0; i < g.shapes.size(); ++i) {
            sum += g.shapes[i].prefers_bits() ? g.shapes[i].words() : 64;
            if (sum >= words || i + 1 - starts.back() == most) {
                starts.push_back(i + 1);
                sum = 0;
            }
        }
        if (starts.back() != g.shapes.size()) starts.push_back(g.shapes.size());
        return starts;
    };
    const std::vector<size_t> a_blocks = blocks_of(left, kBlockWordsA, kBlockMasksA),
                              b_blocks = blocks_of(right, kBlockWordsB, b.n);
    for (size_t v = 0; v + 1 < b_blocks.size(); ++v) {
        right.lay_out(b_blocks[v], b_blocks[v + 1]);
        parallel_for(a_blocks.size() - 1, 1, [&](size_t begin, size_t end) {
            Group block;
            for (size_t u = begin; u < end; ++u) {
                block.shapes.assign(left.shapes.begin() + static_cast<std::ptrdiff_t>(a_blocks[u]),
                                    left.shapes.begin() + static_cast<std::ptrdiff_t>(a_blocks[u + 1]));
                block.lay_out(0, block.shapes.size());
                ShapeBoxes boxes(block.shapes.size());
                for (size_t k = 0; k < block.shapes.size(); ++k) boxes.set(k, block.shapes[k]);
                for (size_t j = b_blocks[v]; j < b_blocks[v + 1]; ++j) {
                    const Shape& sb = right.shapes[j];
                    boxes.for_each_meeting(sb, [&](size_t k) {
                        const Shape& sa = block.shapes[k];
                        const bool same_size = sa.height == sb.height && sa.width == sb.width;
                        visit(a_blocks[u] + k, j, sa, sb,
                              same_size ? intersect(sa, block.words.data(), sb, right.words.data()) : kNoCount);
                        return true;
                    });
                }
            }
        });
    }
}

// Zeros, written from several threads where the system has to give new pages for them.
template <class T>
void clear(T* out, size_t n) {
    parallel_for(n, size_t{1} << 17, [&](size_t begin, size_t end) { std::fill(out + begin, out + end, T{0}); });
}

// Throws for the first pair of different sizes, in row-major order.
void require_one_size(const Rles& a, const Rles& b) {
    if (a.n == 0 || b.n == 0) return;
    const auto fail_unless_equal = [&](size_t i, size_t j) {
        if (a.height(i) == b.height(j) && a.width(i) == b.width(j)) return;
        throw std::invalid_argument("mask " + std::to_string(i) + " of a: size " + size_text(a.height(i), a.width(i)) +
                                    " differs from " + size_text(b.height(j), b.width(j)) + " of mask " +
                                    std::to_string(j) + " of b");
    };
    for (size_t j = 0; j < b.n; ++j) fail_unless_equal(0, j);
    for (size_t i = 1; i < a.n; ++i) fail_unless_equal(i, 0);  // all of b are alike by now
}

}  // namespace

void overlap_iou(const Rles& a, const Rles& b, const uint8_t* iscrowd, SizeMismatch mismatch, double* out,
                 int64_t step_a, int64_t step_b) {
    if (mismatch == SizeMismatch::fail) require_one_size(a, b);
    clear(out, a.n * b.n);
    for_each_meeting_pair(a, b, [&](size_t i, size_t j, const Shape& sa, const Shape& sb, uint64_t common) {
        out[static_cast<int64_t>(i) * step_a + static_cast<int64_t>(j) * step_b] =
            common == kNoCount ? -1 : iou_of(sa, sb, common, iscrowd[j] != 0);
    });
}

void overlap_intersection(const Rles& a, const Rles& b, uint64_t* out) {
    require_one_size(a, b);
    clear(out, a.n * b.n);
    for_each_meeting_pair(
        a, b, [&](size_t i, size_t j, const Shape&, const Shape&, uint64_t common) { out[i * b.n + j] = common; });
}

void overlap_iou_cells(const MaskSource& a, const MaskSource& b, const uint8_t* iscrowd, const CellPairs& cells,
                       double* out) {
    // One side of a cell: runs are read behind each other before shapes may point to them.
    struct Side {
        Group group;
        Buffer<uint32_t> runs;
        std::vector<size_t> ends;
        std::vector<int64_t> sizes;

        void load(MaskReader& reader, const int64_t* index, int64_t first, int64_t last) {
            runs.clear();
            ends.clear();
            sizes.clear();
            for (int64_t k = first; k < last; ++k) {
                int64_t h = 0, w = 0;
                reader.read(index[k], runs, h, w);
                ends.push_back(runs.size());
                sizes.push_back(h);
                sizes.push_back(w);
            }
            group.shapes.clear();
            for (size_t k = 0, begin = 0; k < ends.size(); begin = ends[k++]) {
                group.shapes.push_back(
                    shape_of({runs.data() + begin, ends[k] - begin}, sizes[2 * k], sizes[2 * k + 1]));
            }
        }
    };
    parallel_for(cells.n, 16, [&](size_t begin, size_t end) {
        Side left, right;
        const auto read_a = a(), read_b = b();
        for (size_t c = begin; c < end; ++c) {
            const int64_t m = cells.a_cells[c + 1] - cells.a_cells[c], n = cells.b_cells[c + 1] - cells.b_cells[c];
            if (m == 0 || n == 0) continue;
            left.load(*read_a, cells.a_index, cells.a_cells[c], cells.a_cells[c + 1]);
            right.load(*read_b, cells.b_index, cells.b_cells[c], cells.b_cells[c + 1]);
            // A mask that is compared once or twice is walked; laying out bits pays from then on.
            if (m * n > 2) {
                left.group.lay_out(0, left.group.shapes.size());
                right.group.lay_out(0, right.group.shapes.size());
            }
            double* p = out + cells.out_cells[c];
            for (const Shape& sa : left.group.shapes) {
                const int64_t* row = cells.b_index + cells.b_cells[c];
                for (const Shape& sb : right.group.shapes) {
                    const bool crowd = iscrowd[*row++] != 0;
                    double iou = 0;
                    if (boxes_meet(sa, sb)) {
                        iou = sa.height != sb.height || sa.width != sb.width
                                  ? -1
                                  : iou_of(sa, sb, intersect(sa, left.group.words.data(), sb, right.group.words.data()),
                                           crowd);
                    }
                    *p++ = iou;
                }
            }
        }
    });
}

void overlap_nms(const Rles& masks, double threshold, uint8_t* keep) {
    for (size_t i = 1; i < masks.n; ++i) {
        if (masks.height(i) != masks.height(0) || masks.width(i) != masks.width(0)) {
            fail_mask(i, "size " + size_text(masks.height(i), masks.width(i)) + " differs from " +
                             size_text(masks.height(0), masks.width(0)) + " of mask 0");
        }
    }
    Group group;
    group.shapes.resize(masks.n);
    parallel_for(masks.n, kGrainMasks, [&](size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) group.shapes[i] = shape_of(masks, i);
    });
    group.lay_out(0, masks.n);
    const uint64_t* words = group.words.data();
    ShapeBoxes kept(masks.n);
    for (size_t j = 0; j < masks.n; ++j) {
        const Shape& s = group.shapes[j];
        keep[j] = j == 0 || !(threshold < 0);  // below 0, even those that meet nobody go
        kept.for_each_meeting(s, [&](size_t i) {
            const Shape& other = group.shapes[i];
            if (iou_of(other, s, intersect(other, words, s, words), false) > threshold) keep[j] = 0;
            return keep[j] != 0;
        });
        if (keep[j] != 0) kept.set(j, s);
    }
}

}  // namespace maskmill
