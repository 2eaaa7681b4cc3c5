// Where outlines cross columns of pixels, and rows of pixels turned into columns.
#pragma once

#include <algorithm>

#include "support/runs.hpp"

namespace maskmill {

// Where an outline crosses a column: row and, for non_zero, direction.
struct Crossing {
    uint32_t column;
    uint32_t row;
    int32_t turn;
};

// Crossings of one mask, sorted by column, then row, when they are read.
class Crossings {
  public:
    void start(int64_t height, int64_t width) {
        height_ = height;
        width_ = width;
        list_.clear();
        first_ = width;
        last_ = -1;
    }
    // 0 <= column < width, 0 <= row <= height.
    void add(int64_t column, int64_t row, int32_t turn = 1) {
        list_.push({static_cast<uint32_t>(column), static_cast<uint32_t>(row), turn});
        first_ = std::min(first_, column);
        last_ = std::max(last_, column);
    }

    // Writes the runs in which the sum of turns, in column order, is odd or not zero. Sums go on from column to column:
    // a closed outline leaves none, but one that pycocotools draws with a step of two fifths may.
    void write(bool odd, Buffer<uint32_t>& out) {
        sort();
        RunWriter writer(out);
        const auto inside = [&](int32_t sum) { return odd ? (sum & 1) != 0 : sum != 0; };
        const auto pixels = static_cast<uint64_t>(height_ * width_);
        int32_t sum = 0;
        uint64_t open = 0;
        for (const Crossing& x : sorted_) {
            const uint64_t at = static_cast<uint64_t>(x.column) * static_cast<uint64_t>(height_) + x.row;
            const bool before = inside(sum);
            sum += x.turn;
            if (!before && inside(sum)) open = at;
            if (before && !inside(sum)) writer.add(open, at);
        }
        if (inside(sum)) writer.add(open, pixels);
        writer.finish(pixels);
    }

  private:
    // Counting sort by column; within a column there are two or a few more.
    void sort() {
        sorted_.resize(list_.size());
        if (list_.size() == 0) return;
        const int64_t columns = last_ - first_ + 1;
        starts_.resize(static_cast<size_t>(columns) + 1);
        std::fill(starts_.begin(), starts_.end(), 0);
        for (const Crossing& x : list_) ++starts_[static_cast<size_t>(x.column - first_) + 1];
        for (int64_t c = 0; c < columns; ++c) starts_[static_cast<size_t>(c) + 1] += starts_[static_cast<size_t>(c)];
        cursor_.resize(static_cast<size_t>(columns));
        std::copy_n(starts_.begin(), columns, cursor_.begin());
        for (const Crossing& x : list_)
            sorted_[static_cast<size_t>(cursor_[static_cast<size_t>(x.column - first_)]++)] = x;
        for (int64_t c = 0; c < columns; ++c) {
            Crossing* const begin = sorted_.begin() + starts_[static_cast<size_t>(c)];
            Crossing* const end = sorted_.begin() + starts_[static_cast<size_t>(c) + 1];
            if (end - begin == 2) {
                if (begin[1].row < begin[0].row) std::swap(begin[0], begin[1]);
            } else if (end - begin > 2) {
                std::sort(begin, end, [](const Crossing& a, const Crossing& b) { return a.row < b.row; });
            }
        }
    }

    int64_t height_ = 0, width_ = 0, first_ = 0, last_ = -1;
    Buffer<Crossing> list_, sorted_;
    Buffer<int64_t> starts_, cursor_;
};

// Pixels given row by row, in any order and overlapping, to runs.
class RowSpans {
  public:
    void start(int64_t height, int64_t width) {
        height_ = height;
        width_ = width;
        spans_.clear();
    }
    // Pixels x0 to x1 - 1 of row y, as far as they are in the image.
    void add(int64_t y, int64_t x0, int64_t x1) {
        x0 = std::max<int64_t>(x0, 0);
        x1 = std::min(x1, width_);
        if (x0 >= x1 || y < 0 || y >= height_) return;
        spans_.push({static_cast<uint32_t>(y), static_cast<uint32_t>(x0), static_cast<uint32_t>(x1)});
    }

    // A run of a column begins or ends above a row where the row and the one before differ.
    void write(Buffer<uint32_t>& out) {
        std::sort(spans_.begin(), spans_.end(),
                  [](const Span& a, const Span& b) { return a.y != b.y ? a.y < b.y : a.x0 < b.x0; });
        crossings_.start(height_, width_);
        ends_.clear();
        for (size_t k = 0; k < spans_.size();) {
            const uint32_t y = spans_[k].y;
            if (ends_.size() > 0 && y != row_ + 1) end_row(row_ + 1);
            row_ = y;
            before_.clear();
            std::swap(before_, ends_);
            for (; k < spans_.size() && spans_[k].y == y; ++k) {
                if (ends_.size() > 0 && spans_[k].x0 <= ends_[ends_.size() - 1]) {
                    uint32_t& end = ends_[ends_.size() - 1];
                    end = std::max(end, spans_[k].x1);
                } else {
                    ends_.push(spans_[k].x0);
                    ends_.push(spans_[k].x1);
                }
            }
            differ(y);
        }
        if (ends_.size() > 0) end_row(row_ + 1);
        crossings_.write(true, out);
    }

  private:
    struct Span {
        uint32_t y, x0, x1;
    };

    void end_row(uint32_t y) {
        before_.clear();
        std::swap(before_, ends_);
        differ(y);
    }
    // Crossings above row y of the columns that are in one of two rows: between the ends of both, in order.
    void differ(uint32_t y) {
        size_t a = 0, b = 0;
        uint32_t from = 0;
        bool open = false;
        while (a < before_.size() || b < ends_.size()) {
            const bool take_a = b == ends_.size() || (a < before_.size() && before_[a] <= ends_[b]);
            const uint32_t at = take_a ? before_[a++] : ends_[b++];
            if (open) {
                for (uint32_t x = from; x < at; ++x) crossings_.add(x, y);
            }
            from = at;
            open = !open;
        }
    }

    int64_t height_ = 0, width_ = 0;
    uint32_t row_ = 0;
    Buffer<Span> spans_;
    Buffer<uint32_t> ends_, before_;  // of the merged spans of a row and of the one before it
    Crossings crossings_;
};

}  // namespace maskmill
