#include "kernels/coco_rle.hpp"

#include <algorithm>

#include "support/boxes.hpp"
#include "support/parallel.hpp"
#include "support/runs.hpp"

namespace maskmill {
namespace {

constexpr size_t kGrainPairs = 1 << 16;  // about 50 us

using Span = std::span<const uint32_t>;

[[noreturn]] void fail_rle(size_t index, const std::string& what) {
    throw std::invalid_argument("RLE " + std::to_string(index) + ": " + what);
}

// Steps through the runs of one operand as pycocotools does: `left` is what remains of the current run.
struct Walker {
    explicit Walker(Span r) : runs(r), left(r[0]) {}
    void advance(uint32_t by) {
        left -= by;
        if (left == 0 && next < runs.size()) {
            left = runs[next++];
            value = !value;
        }
    }
    bool at_end() const { return left == 0 && next == runs.size(); }

    Span runs;
    uint32_t left;
    size_t next = 1;
    bool value = false;
};

// visit(length, a's value, b's value) for stretches on which neither changes. Ends when both operands stand at a run
// of no length, as pycocotools does, be it their end or two zero runs that meet. False if one ends before the other,
// where pycocotools would never end.
template <class Visit>
bool walk(Walker& a, Walker& b, Visit&& visit) {
    for (;;) {
        const uint32_t step = std::min(a.left, b.left);
        const bool va = a.value, vb = b.value;
        a.advance(step);
        b.advance(step);
        const bool ends = a.left + b.left == 0;  // modulo 2^32, as there
        visit(step, va, vb, ends);
        if (ends) return true;
        if (step == 0 && (a.at_end() || b.at_end())) return false;
    }
}

void merge_two(Span a, Span b, bool intersect, size_t index, Buffer<uint32_t>& out) {
    if (a.empty() || b.empty()) fail_rle(index, "has no counts to merge");
    Walker wa(a), wb(b);
    bool value = false;
    uint32_t length = 0;
    const bool ended = walk(wa, wb, [&](uint32_t step, bool, bool, bool ends) {
        length += step;
        const bool before = value;
        value = intersect ? wa.value && wb.value : wa.value || wb.value;
        if (value != before || ends) {
            out.push(length);
            length = 0;
        }
    });
    if (!ended) fail_rle(index, "its counts and those before it have different sums");
}

double iou_by_walk(const Rles& a, size_t i, const Rles& b, size_t j, bool crowd) {
    const Span ra = a.runs(i), rb = b.runs(j);
    Walker wa(ra), wb(rb);
    uint32_t common = 0, either = 0;
    const bool ended = walk(wa, wb, [&](uint32_t step, bool va, bool vb, bool) {
        if (va || vb) either += step;
        if (va && vb) common += step;
    });
    if (!ended) fail_rle(i, "its counts and those of RLE " + std::to_string(j) + " have different sums");
    if (common == 0) return 0;
    return static_cast<double>(common) / static_cast<double>(crowd ? coco_rle_area(ra) : either);
}

}  // namespace

void coco_rle_parse(const char* chars, size_t n, Buffer<uint32_t>& out) {
    if (const void* nul = n > 0 ? std::memchr(chars, 0, n) : nullptr) {
        n = static_cast<size_t>(static_cast<const char*>(nul) - chars);
    }
    const size_t first = out.size();
    uint32_t* const counts = out.room(n);
    const auto group = [&](size_t p) { return (static_cast<unsigned char>(chars[p]) - 48u) & 0xff; };
    size_t m = 0, p = 0;
    while (p < n) {
        // Most counts differ little from the one before the previous: one character, or two.
        unsigned c = group(p++);
        uint32_t x = c & 0x1f;
        if ((c & 0x20) == 0) {
            x = (x ^ 0x10) - 0x10;
        } else if (p < n && (group(p) & 0x20) == 0) {
            x |= (group(p++) & 0x1f) << 5;
            x = (x ^ 0x200) - 0x200;
        } else {
            unsigned k = 1;
            do {
                c = p < n ? group(p) : 0xd0;  // cut short: a NUL minus 48 ends the count, and is negative
                ++p;
                // From the eighth character on, x86 shifts modulo 32.
                x |= k < 7 ? static_cast<uint32_t>(static_cast<uint64_t>(c & 0x1f) << (5 * k))
                           : (c & 0x1f) << (5 * k % 32);
                ++k;
            } while ((c & 0x20) != 0);
            // The sign; that of seven characters lies above bit 32.
            if ((c & 0x10) != 0 && k != 7) x |= 0xffffffffu << (5 * k % 32);
        }
        if (m > 2) x += counts[m - 2];
        counts[m++] = x;
    }
    out.resize(first + m);
}

bool coco_rle_decode(const Rles& masks, uint8_t* out, uint64_t room) {
    uint64_t at = 0;
    for (size_t i = 0; i < masks.n; ++i) {
        uint8_t value = 0;
        for (const uint32_t run : masks.runs(i)) {
            if (run > room - at) return false;
            std::memset(out + at, value, run);
            at += run;
            value ^= 1;
        }
    }
    std::memset(out + at, 0, room - at);
    return true;
}

uint32_t coco_rle_area(Span runs) {
    uint32_t sum = 0;
    for (size_t j = 1; j < runs.size(); j += 2) sum += runs[j];
    return sum;
}

void coco_rle_bbox(Span runs, int64_t height, int64_t width, size_t index, double* box) {
    const auto h = static_cast<uint32_t>(height), w = static_cast<uint32_t>(width);
    const size_t m = runs.size() / 2 * 2;
    if (m == 0) {
        std::fill(box, box + 4, 0.0);
        return;
    }
    uint32_t x0 = w, y0 = h, x1 = 0, y1 = 0, at = 0;
    uint32_t column = 0, column_start = 0;  // the column of the last run: the next is mostly one further
    for (size_t j = 1; j < m; j += 2) {
        const uint32_t start = at + runs[j - 1], end = start + runs[j] - 1;
        at = end + 1;
        if (runs[j] == 0) continue;
        if (h == 0) fail_rle(index, "has foreground, but its height is 0");
        const auto locate = [&](uint32_t position) {
            if (position >= column_start && position - column_start < h) return;
            if (position >= column_start && position - column_start < 2 * static_cast<uint64_t>(h)) {
                ++column;
                column_start += h;
            } else {
                column = position / h;
                column_start = column * h;
            }
        };
        locate(start);
        const uint32_t start_x = column, start_y = start - column_start;
        locate(end);
        const uint32_t end_x = column, end_y = end - column_start;
        x0 = std::min(x0, start_x);
        x1 = std::max(x1, end_x);
        if (start_x < end_x) {
            y0 = 0;
            y1 = h - 1;
        } else {
            y0 = std::min(y0, start_y);
            y1 = std::max(y1, end_y);
        }
    }
    box[0] = x0;
    box[1] = y0;
    box[2] = x1 - x0 + 1;
    box[3] = y1 - y0 + 1;
}

CocoMerged coco_rle_merge(const Rles& masks, bool intersect) {
    CocoMerged out{0, 0, {}};
    if (masks.n == 0) return out;
    Buffer<uint32_t> merged;
    merged.append(masks.runs(0).data(), masks.runs(0).size());
    bool canonical = !has_inner_zero(masks.runs(0));
    for (size_t i = 1; i < masks.n; ++i) {
        if (masks.height(i) != masks.height(0) || masks.width(i) != masks.width(0)) return out;
        const Span left{merged.data(), merged.size()}, right = masks.runs(i);
        Buffer<uint32_t> next;
        const uint64_t sum = canonical ? sum_of(left) : 0;
        canonical = canonical && !left.empty() && !right.empty() && !has_inner_zero(right) && sum == sum_of(right);
        if (canonical) {
            combine_runs(left, right, intersect ? 0b1000 : 0b1110, sum, next);
        } else {
            merge_two(left, right, intersect, i, next);
            canonical = !has_inner_zero({next.data(), next.size()});
        }
        merged = std::move(next);
    }
    out.height = masks.height(0);
    out.width = masks.width(0);
    out.runs = std::move(merged);
    return out;
}

void coco_rle_iou(const Rles& a, const Rles& b, const uint8_t* iscrowd, double* out) {
    Buffer<double> boxes(4 * (a.n + b.n));
    double* const a_boxes = boxes.data();
    double* const b_boxes = a_boxes + 4 * a.n;
    for (size_t i = 0; i < a.n; ++i) coco_rle_bbox(a.runs(i), a.height(i), a.width(i), i, a_boxes + 4 * i);
    for (size_t j = 0; j < b.n; ++j) coco_rle_bbox(b.runs(j), b.height(j), b.width(j), j, b_boxes + 4 * j);
    coco_rle_box_iou(a_boxes, a.n, b_boxes, b.n, iscrowd, out);
    for (size_t j = 0; j < b.n; ++j) {
        for (size_t i = 0; i < a.n; ++i) {
            double& cell = out[j * a.n + i];
            if (!(cell > 0)) continue;
            cell =
                a.height(i) != b.height(j) || a.width(i) != b.width(j) ? -1 : iou_by_walk(a, i, b, j, iscrowd[j] != 0);
        }
    }
}

void coco_rle_box_iou(const double* a, size_t m, const double* b, size_t n, const uint8_t* iscrowd, double* out) {
    BoxColumns boxes;
    boxes.resize(m);
    for (size_t i = 0; i < m; ++i) boxes.set(i, a + 4 * i);
    parallel_for(n, kGrainPairs / (m + 1) + 1, [&](size_t begin, size_t end) {
        for (size_t j = begin; j < end; ++j) boxes.iou_with_gt(b + 4 * j, iscrowd[j] != 0, out + j * m);
    });
}

}  // namespace maskmill
