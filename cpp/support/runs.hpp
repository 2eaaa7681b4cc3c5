// Walking and writing runs: what the kernels on run-length masks have in common.
#pragma once

#include <span>

#include "support/common.hpp"

namespace maskmill {

[[noreturn]] inline void fail_mask(size_t mask, const std::string& what) {
    throw std::invalid_argument("mask " + std::to_string(mask) + ": " + what);
}

inline uint64_t sum_of(std::span<const uint32_t> runs) {
    uint64_t sum = 0;
    for (const uint32_t run : runs) sum += run;
    return sum;
}

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
