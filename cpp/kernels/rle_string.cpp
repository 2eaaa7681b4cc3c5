#include "kernels/rle.hpp"
#include "support/parallel.hpp"
#include "support/runs.hpp"

namespace maskmill {
namespace {

constexpr size_t kGrainChars = 1 << 16;
constexpr size_t kMaxChars = 7;  // a difference of two counts has 33 bits, five of them a character

// Five bits a character; bit 32 says "more follows"; the sign is that of the last group.
inline char* put(int64_t x, char* p) {
    for (;;) {
        const auto group = static_cast<char>(x & 0x1f);
        x >>= 5;
        const bool more = (group & 0x10) ? x != -1 : x != 0;
        *p++ = static_cast<char>(48 + (more ? group | 0x20 : group));
        if (!more) return p;
    }
}

void parse(size_t mask, const char* p, const char* end, Buffer<uint32_t>& out) {
    const char* start = p;
    const size_t first = out.size();
    uint32_t* counts = out.room(static_cast<size_t>(end - p));
    size_t m = 0;
    while (p < end) {
        int64_t x = 0;
        unsigned c;
        int shift = 0;
        do {
            if (p == end) fail_mask(mask, "its string ends in the middle of a count");
            c = static_cast<unsigned char>(*p++) - 48u;
            if (c > 63) {
                fail_mask(mask, "character " + std::to_string(p - 1 - start) + " of its string has code " +
                                    std::to_string(c + 48u) + ", not 48 to 111");
            }
            if (shift > 30) fail_mask(mask, "a count in its string is longer than 7 characters");
            x |= static_cast<int64_t>(c & 0x1f) << shift;
            shift += 5;
        } while (c & 0x20);
        if (c & 0x10) x |= -(int64_t{1} << shift);
        if (m > 2) x += counts[m - 2];
        if (x < 0 || x > 0xffffffffLL) {
            fail_mask(mask, "count " + std::to_string(m) + " of its string is " + std::to_string(x) +
                                ", not 0 to 4294967295");
        }
        counts[m++] = static_cast<uint32_t>(x);
    }
    out.resize(first + m);
}

}  // namespace

void rle_append_string(std::span<const uint32_t> runs, Buffer<char>& out) {
    char* const start = out.room(runs.size() * kMaxChars);
    char* p = start;
    for (size_t i = 0; i < runs.size(); ++i) {
        p = put(static_cast<int64_t>(runs[i]) - (i > 2 ? static_cast<int64_t>(runs[i - 2]) : 0), p);
    }
    out.advance(static_cast<size_t>(p - start));
}

Ragged<char> rle_to_string(const Rles& masks) {
    const size_t grain = masks.n * kGrainChars / (3 * masks.total_runs() + 1) + 1;
    return parallel_ragged<char>(masks.n, grain,
                                 [&](size_t i, Buffer<char>& out) { rle_append_string(masks.runs(i), out); });
}

Runs rle_from_string(const char* chars, const int64_t* offsets, size_t n) {
    const size_t total = n == 0 ? 0 : static_cast<size_t>(offsets[n] - offsets[0]);
    const size_t grain = n * kGrainChars / (total + 1) + 1;
    return parallel_ragged<uint32_t>(
        n, grain, [&](size_t i, Buffer<uint32_t>& out) { parse(i, chars + offsets[i], chars + offsets[i + 1], out); });
}

}  // namespace maskmill
