#include "kernels/setops.hpp"

#include <algorithm>
#include <bit>
#include <optional>
#include <vector>

#include "support/parallel.hpp"
#include "support/pixel_bits.hpp"
#include "support/runs.hpp"

namespace maskmill {
namespace {

constexpr size_t kGrainRuns = 1 << 14;

// A mask as bits: quicker to combine than runs where these are short.
class Bits : public PixelBits {
  public:
    using PixelBits::PixelBits;

    // Pixel = bit (this + 2 * other) of `table`.
    void combine(const Bits& other, unsigned table) {
        uint64_t when[4];
        for (unsigned k = 0; k < 4; ++k) when[k] = uint64_t{0} - (table >> k & 1);
        uint64_t* const p = words_.data();
        const uint64_t* const q = other.words_.data();
        for (size_t w = 0; w < pixels() / 64 + 1; ++w) {
            const uint64_t a = p[w], b = q[w];
            p[w] = (~a & ~b & when[0]) | (a & ~b & when[1]) | (~a & b & when[2]) | (a & b & when[3]);
        }
    }
    // Combines with the foreground of a mask of long runs, interval by interval. Union, intersection or exclusive or.
    void paint(std::span<const uint32_t> runs, GroupOp op) {
        const auto with = [&](auto&& change) {
            for_each_interval(runs, [&](uint64_t begin, uint64_t end) { change_interval(begin, end, change); });
        };
        switch (op) {
            case GroupOp::exclusive: return with([](uint64_t& w, uint64_t bits) { w ^= bits; });
            case GroupOp::intersection: {
                // What is to be cleared is the background.
                const auto change = [](uint64_t& w, uint64_t bits) { w &= ~bits; };
                uint64_t at = 0;
                for (size_t j = 0; j < runs.size(); j += 2) {
                    change_interval(at, at + runs[j], change);
                    at += runs[j] + (j + 1 < runs.size() ? runs[j + 1] : 0);
                }
                return;
            }
            default: return with([](uint64_t& w, uint64_t bits) { w |= bits; });
        }
    }

  private:
    template <class Change>
    void change_interval(uint64_t begin, uint64_t end, Change&& change) {
        if (begin == end) return;
        const uint64_t head = ~uint64_t{0} << (begin % 64), tail = ~uint64_t{0} >> (63 - (end - 1) % 64);
        uint64_t* at = words_.data() + begin / 64;
        uint64_t* const last = words_.data() + (end - 1) / 64;
        if (at == last) {
            change(*at, head & tail);
            return;
        }
        change(*at, head);
        while (++at < last) change(*at, ~uint64_t{0});
        change(*last, tail);
    }
};

// Whether the runs of two masks are so short, or so hard to guess, that bits are quicker (measured).
bool prefer_bits(uint64_t runs, uint64_t pixels) { return runs / 2 > pixels / 12; }

// The same for a group: every run is painted once, but walked on every level of the tree; the pixels, 64 at a time,
// are cleared and read once.
bool prefer_bits_for_group(uint64_t runs, uint64_t masks, uint64_t pixels) {
    return masks == 2 ? prefer_bits(runs, pixels)
                      : runs * static_cast<uint64_t>(std::bit_width(masks - 1)) > pixels / 64;
}

// Reduces masks [begin, end) of one group as a tree, appending to `out`.
void reduce(const Rles& masks, size_t begin, size_t end, unsigned table, uint64_t pixels, Buffer<uint32_t>& out) {
    if (end - begin == 1) {
        combine_runs(masks.runs(begin), {}, 0b1010, pixels, out);  // a copy in canonical form
        return;
    }
    if (end - begin == 2) {
        combine_runs(masks.runs(begin), masks.runs(begin + 1), table, pixels, out);
        return;
    }
    const size_t middle = begin + (end - begin) / 2;
    Buffer<uint32_t> left, right;
    reduce(masks, begin, middle, table, pixels, left);
    reduce(masks, middle, end, table, pixels, right);
    combine_runs({left.data(), left.size()}, {right.data(), right.size()}, table, pixels, out);
}

unsigned table_of(GroupOp op) {
    switch (op) {
        case GroupOp::intersection: return 0b1000;
        case GroupOp::exclusive: return 0b0110;
        default: return 0b1110;
    }
}

// The same by bits, from several threads.
void reduce_bits(const Rles& masks, size_t begin, size_t end, GroupOp op, Bits& out) {
    const uint64_t pixels = out.pixels();
    const unsigned table = table_of(op);
    const size_t runs = static_cast<size_t>(masks.offsets[end] - masks.offsets[begin]);
    const size_t pieces = std::min({(end - begin) / 2 + 1, runs / (2 * kGrainRuns) + 1, size_t{8}});
    std::vector<Bits> parts;
    for (size_t p = 1; p < pieces; ++p) parts.emplace_back(pixels);
    const auto start = [&](size_t p) { return begin + (end - begin) * p / pieces; };
    parallel_run(pieces, [&](size_t p) {
        Bits& part = p == 0 ? out : parts[p - 1];
        part.fill(op == GroupOp::intersection);
        std::optional<Bits> next;
        for (size_t i = start(p); i < start(p + 1); ++i) {
            if (masks.run_count(i) <= pixels / 64) {
                part.paint(masks.runs(i), op);
            } else {
                if (!next) next.emplace(pixels);
                next->load(masks.runs(i));
                part.combine(*next, table);
            }
        }
    });
    for (const Bits& part : parts) out.combine(part, table);
}

}  // namespace

Runs setops_merge(const Rles& masks, const int64_t* groups, size_t group_count, const int64_t* group_sizes,
                  GroupOp op) {
    const size_t grain = group_count * kGrainRuns / (masks.total_runs() + 1) + 1;
    return parallel_ragged<uint32_t>(group_count, grain, [&](size_t g, Buffer<uint32_t>& out) {
        const auto begin = static_cast<size_t>(groups[g]), end = static_cast<size_t>(groups[g + 1]);
        const int64_t h = group_sizes[2 * g], w = group_sizes[2 * g + 1];
        const auto pixels = static_cast<uint64_t>(h) * static_cast<uint64_t>(w);
        for (size_t i = begin; i < end; ++i) {
            if (masks.height(i) != h || masks.width(i) != w) {
                fail_mask(i, "size " + size_text(masks.height(i), masks.width(i)) + " differs from its group's " +
                                 size_text(h, w));
            }
            check_sum(i, masks.runs(i), pixels);
        }
        const auto runs = static_cast<uint64_t>(masks.offsets[end] - masks.offsets[begin]);
        if (begin == end) {
            combine_runs({}, {}, 0, pixels, out);
        } else if (end - begin > 1 && prefer_bits_for_group(runs, end - begin, pixels)) {
            Bits bits(pixels);
            reduce_bits(masks, op == GroupOp::first_only ? begin + 1 : begin, end, op, bits);
            if (op == GroupOp::first_only) {
                Bits first(pixels);
                first.load(masks.runs(begin));
                bits.combine(first, 0b0100);
            }
            bits.append_runs(out);
        } else if (op == GroupOp::first_only && end - begin > 1) {
            Buffer<uint32_t> others;
            reduce(masks, begin + 1, end, 0b1110, pixels, others);
            combine_runs(masks.runs(begin), {others.data(), others.size()}, 0b0010, pixels, out);
        } else {
            reduce(masks, begin, end, table_of(op), pixels, out);
        }
    });
}

Runs setops_pairs(const Rles& a, const Rles& b, unsigned table) {
    if (a.n != b.n) {
        throw std::invalid_argument("there must be as many masks on both sides, not " + std::to_string(a.n) + " and " +
                                    std::to_string(b.n));
    }
    const size_t grain = a.n * kGrainRuns / (a.total_runs() + b.total_runs() + 1) + 1;
    return parallel_ragged<uint32_t>(a.n, grain, [&](size_t i, Buffer<uint32_t>& out) {
        if (a.height(i) != b.height(i) || a.width(i) != b.width(i)) {
            fail_mask(i, "sizes " + size_text(a.height(i), a.width(i)) + " and " + size_text(b.height(i), b.width(i)) +
                             " differ");
        }
        check_sum(i, a.runs(i), a.pixels(i));
        check_sum(i, b.runs(i), b.pixels(i));
        if (prefer_bits(a.run_count(i) + b.run_count(i), a.pixels(i))) {
            Bits left(a.pixels(i)), right(a.pixels(i));
            left.load(a.runs(i));
            right.load(b.runs(i));
            left.combine(right, table);
            left.append_runs(out);
        } else {
            combine_runs(a.runs(i), b.runs(i), table, a.pixels(i), out);
        }
    });
}

Runs setops_complement(const Rles& masks) {
    const size_t grain = masks.n * kGrainRuns / (masks.total_runs() + 1) + 1;
    // Without zero runs inside, a background run of no length at the start is all that comes or goes.
    Runs out;
    out.offsets.resize(masks.n + 1);
    int64_t* const lengths = out.offsets.data() + 1;
    parallel_for(masks.n, grain, [&](size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) {
            const auto runs = masks.runs(i);
            check_sum(i, runs, masks.pixels(i));
            const bool plain = masks.pixels(i) > 0 && !has_inner_zero(runs);
            lengths[i] = !plain ? -1 : static_cast<int64_t>(runs[0] == 0 ? runs.size() - 1 : runs.size() + 1);
        }
    });
    if (std::find(lengths, lengths + masks.n, -1) != lengths + masks.n) {
        return parallel_ragged<uint32_t>(masks.n, grain, [&](size_t i, Buffer<uint32_t>& values) {
            combine_runs(masks.runs(i), {}, 0b0101, masks.pixels(i), values);
        });
    }
    out.offsets[0] = 0;
    for (size_t i = 0; i < masks.n; ++i) out.offsets[i + 1] += out.offsets[i];
    out.values.resize(static_cast<size_t>(out.offsets[masks.n]));
    parallel_for(masks.n, grain, [&](size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) {
            const auto runs = masks.runs(i);
            uint32_t* to = out.values.data() + out.offsets[i];
            const size_t skip = runs[0] == 0;
            if (skip == 0) *to++ = 0;
            std::memcpy(to, runs.data() + skip, (runs.size() - skip) * sizeof(uint32_t));
        }
    });
    return out;
}

}  // namespace maskmill
