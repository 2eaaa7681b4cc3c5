// Walking and writing runs: what the kernels on run-length masks have in common.
#pragma once

#include <bit>
#include <span>

#include "support/common.hpp"

namespace maskmill {

[[noreturn]] inline void fail_mask(size_t mask, const std::string& what) {
    throw std::invalid_argument("mask " + std::to_string(mask) + ": " + what);
}

uint64_t sum_of(std::span<const uint32_t> runs);
// Sum of every second run, from the second on.
uint64_t area_of(std::span<const uint32_t> runs);
// Whether there is a run of no length behind the first.
bool has_inner_zero(std::span<const uint32_t> runs);

// Every kernel that turns positions into addresses calls this first: the runs are the user's.
inline void check_sum(size_t mask, std::span<const uint32_t> runs, uint64_t pixels) {
    const uint64_t sum = sum_of(runs);
    if (sum != pixels) {
        fail_mask(mask, "runs sum to " + std::to_string(sum) + ", image has " + std::to_string(pixels) + " pixels");
    }
}

inline uint32_t checked_run(uint64_t length) {
    if (length > 0xffffffffu) throw std::invalid_argument("a run is longer than 2^32 - 1 pixels");
    return static_cast<uint32_t>(length);
}

// visit(begin, end) for every foreground run, as positions in column order.
template <class Visit>
void for_each_interval(std::span<const uint32_t> runs, Visit&& visit) {
    uint64_t at = 0;
    for (size_t j = 0; j + 1 < runs.size(); j += 2) {
        const uint64_t begin = at + runs[j];
        at = begin + runs[j + 1];
        visit(begin, at);
    }
}

// visit(x, y0, y1) for every foreground run, cut at column borders.
template <class Visit>
void for_each_segment(std::span<const uint32_t> runs, uint64_t height, Visit&& visit) {
    uint64_t x = 0, column = 0;  // column = x * height: most runs end in this column or the next
    for_each_interval(runs, [&](uint64_t begin, uint64_t end) {
        if (begin == end) return;
        if (begin - column >= height) {
            x += begin - column < 2 * height ? 1 : (begin - column) / height;
            column = x * height;
        }
        while (end - column > height) {
            visit(x, begin - column, height);
            ++x;
            column += height;
            begin = column;
        }
        visit(x, begin - column, end - column);
    });
}

// The rows and columns that hold foreground, ends excluded; x0 == x1 where there is none.
struct Extent {
    uint64_t x0 = 0, x1 = 0, y0 = 0, y1 = 0;
};

// The runs must sum to `pixels`. Looks at the ends only, once every row is known to hold foreground.
inline Extent extent_of(std::span<const uint32_t> runs, uint64_t height, uint64_t pixels) {
    size_t last = runs.size() / 2 * 2;  // behind the last foreground run
    uint64_t end = runs.size() % 2 == 1 ? pixels - runs.back() : pixels;
    while (last > 0 && runs[last - 1] == 0) {
        end -= runs[last - 2];
        last -= 2;
    }
    if (last == 0) return {};
    size_t j = 0;
    uint64_t at = runs[0];
    for (; runs[j + 1] == 0; at += runs[j]) j += 2;
    Extent e{at / height, (end - 1) / height + 1, height, 0};
    uint64_t column = e.x0 * height;  // where the column of this run begins: most runs end in it or the next
    for (;;) {
        const uint64_t length = runs[j + 1];
        if (length > 0) {
            if (at - column >= height) column = at - column < 2 * height ? column + height : at / height * height;
            const uint64_t y0 = at - column, y1 = y0 + length;
            if (y1 > height) {  // on to the top of the next column
                e.y0 = 0;
                e.y1 = height;
                break;
            }
            e.y0 = y0 < e.y0 ? y0 : e.y0;
            e.y1 = y1 > e.y1 ? y1 : e.y1;
            if (e.y1 - e.y0 == height) break;
        }
        j += 2;
        if (j >= last) break;
        at += length + runs[j];
    }
    return e;
}

// Writes canonical runs from foreground intervals in rising order; touching intervals become one.
class RunWriter {
  public:
    explicit RunWriter(Buffer<uint32_t>& out) : out_(out) {}

    void add(uint64_t begin, uint64_t end) {
        if (begin == end) return;
        if (begin == end_ && started_) {
            end_ = end;
            return;
        }
        flush();
        push(begin - end_);
        begin_ = begin;
        end_ = end;
        started_ = true;
    }
    void finish(uint64_t pixels) {
        flush();
        if (end_ < pixels || !started_) push(pixels - end_);
    }

  private:
    void flush() {
        if (started_) push(end_ - begin_);
    }
    void push(uint64_t length) { out_.push(checked_run(length)); }

    Buffer<uint32_t>& out_;
    uint64_t begin_ = 0, end_ = 0;
    bool started_ = false;
};

// Collects the positions where runs end, as run lengths. Position 0 is the first pixel of the piece being scanned.
class RunScanner {
  public:
    explicit RunScanner(Buffer<uint32_t>& out) : out_(out) {}

    // A run ends before pixel position + i for every bit i set.
    void changes(uint64_t bits, uint64_t position) {
        if (bits == 0) return;
        uint32_t* room = out_.room(64);
        size_t k = 0;
        do {
            const uint64_t at = position + static_cast<uint64_t>(std::countr_zero(bits));
            room[k++] = checked_run(at - start_);
            start_ = at;
            bits &= bits - 1;
        } while (bits != 0);
        out_.advance(k);
    }
    // Length of the run that is open at the end of the piece.
    uint64_t tail(uint64_t end) const { return end - start_; }
    void finish(uint64_t end) { out_.push(checked_run(tail(end))); }

  private:
    Buffer<uint32_t>& out_;
    uint64_t start_ = 0;
};

// Where the value changes, as positions; after the last run, "never".
class Toggles {
  public:
    explicit Toggles(std::span<const uint32_t> runs) : runs_(runs) { next(); }
    uint64_t at() const { return at_; }
    void next() { at_ = i_ + 1 < runs_.size() ? at_ + runs_[i_++] : never; }
    static constexpr uint64_t never = ~uint64_t{0};

  private:
    std::span<const uint32_t> runs_;
    size_t i_ = 0;
    uint64_t at_ = 0;
};

// Pixel = bit (a + 2 * b) of `table`, as canonical runs.
inline void combine_runs(std::span<const uint32_t> a, std::span<const uint32_t> b, unsigned table, uint64_t pixels,
                         Buffer<uint32_t>& out) {
    Toggles ta(a), tb(b);
    unsigned state = 0;  // bit 0: in a, bit 1: in b
    uint64_t start = 0;  // of the run being written
    bool value = false;
    uint32_t* p = out.room(a.size() + b.size() + 1);
    uint32_t* const first = p;
    const auto write = [&](uint64_t at) {
        const uint64_t length = at - start;
        *p++ = checked_run(length);
        start = at;
    };
    for (uint64_t at = 0; at < pixels; at = ta.at() < tb.at() ? ta.at() : tb.at()) {
        while (ta.at() == at) {  // more than once only where there are zero runs
            state ^= 1;
            ta.next();
        }
        while (tb.at() == at) {
            state ^= 2;
            tb.next();
        }
        const bool now = (table >> state & 1) != 0;
        if (now != value) {
            write(at);
            value = now;
        }
    }
    write(pixels);
    out.advance(static_cast<size_t>(p - first));
}

}  // namespace maskmill
