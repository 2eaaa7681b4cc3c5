// Connected components by union-find over the vertical segments of neighbouring columns.
#include <algorithm>

#include "kernels/morphology.hpp"
#include "support/parallel.hpp"
#include "support/runs.hpp"

namespace maskmill {
namespace {

constexpr size_t kGrainRuns = 1 << 13;

size_t grain_of(const Rles& masks) { return masks.n * kGrainRuns / (masks.total_runs() + 1) + 1; }

void check_connectivity(int connectivity) {
    if (connectivity != 4 && connectivity != 8) {
        throw std::invalid_argument("connectivity must be 4 or 8, not " + std::to_string(connectivity));
    }
}

// One mask's segments with the component of each.
class Regions {
  public:
    struct Segment {
        uint64_t x, y0, y1;
    };

    void find(std::span<const uint32_t> runs, uint64_t height, bool diagonal) {
        segments_.clear();
        for_each_segment(runs, height, [&](uint64_t x, uint64_t y0, uint64_t y1) {
            // Zero runs may leave segments that touch: they are one.
            if (segments_.size() > 0) {
                Segment& last = segments_[segments_.size() - 1];
                if (last.x == x && last.y1 == y0) {
                    last.y1 = y1;
                    return;
                }
            }
            segments_.push({x, y0, y1});
        });
        const size_t n = segments_.size();
        root_.resize(n);
        for (size_t i = 0; i < n; ++i) root_[i] = i;
        const uint64_t reach = diagonal ? 1 : 0;
        size_t left = 0;  // first segment of the column before that may still meet segment k
        for (size_t k = 0; k < n; ++k) {
            const Segment& s = segments_[k];
            while (left < k && (segments_[left].x + 1 < s.x ||
                                (segments_[left].x + 1 == s.x && segments_[left].y1 + reach <= s.y0))) {
                ++left;
            }
            for (size_t j = left; j < k && segments_[j].x + 1 == s.x && segments_[j].y0 < s.y1 + reach; ++j) join(j, k);
        }
        // Roots are the first segments of their components, so numbers rise with the first pixel.
        number_.resize(n);
        count_ = 0;
        for (size_t k = 0; k < n; ++k) {
            const size_t r = find_root(k);
            number_[k] = r == k ? count_++ : number_[r];
        }
    }

    size_t count() const { return count_; }
    size_t size() const { return segments_.size(); }
    const Segment& segment(size_t k) const { return segments_[k]; }
    size_t number(size_t k) const { return number_[k]; }

  private:
    size_t find_root(size_t i) {
        while (root_[i] != i) i = root_[i] = root_[root_[i]];
        return i;
    }
    void join(size_t i, size_t j) {
        const size_t a = find_root(i), b = find_root(j);
        root_[std::max(a, b)] = std::min(a, b);
    }

    Buffer<Segment> segments_;
    Buffer<size_t> root_, number_;
    size_t count_ = 0;
};

// The background's runs: those of the complement.
std::span<const uint32_t> inverted(std::span<const uint32_t> runs, Buffer<uint32_t>& store) {
    if (!runs.empty() && runs[0] == 0) return runs.subspan(1);
    store.clear();
    store.push(0);
    store.append(runs.data(), runs.size());
    return {store.data(), store.size()};
}

}  // namespace

Components morphology_components(const Rles& masks, int connectivity) {
    check_connectivity(connectivity);
    struct Piece {
        Runs runs;
        Buffer<int64_t> parent;
    };
    const size_t pieces = std::min<size_t>(masks.n / grain_of(masks) + 1, 4 * static_cast<size_t>(thread_count()));
    const auto parts = std::make_unique<Piece[]>(pieces);
    parallel_run(pieces, [&](size_t p) {
        Regions regions;
        Buffer<uint64_t> end;
        Buffer<int64_t> cursor;
        Piece& part = parts[p];
        for (size_t i = masks.n * p / pieces; i < masks.n * (p + 1) / pieces; ++i) {
            const uint64_t pixels = masks.pixels(i);
            const auto h = static_cast<uint64_t>(masks.height(i));
            check_sum(i, masks.runs(i), pixels);
            regions.find(masks.runs(i), h, connectivity == 8);
            // Count, scan, fill, as for label images.
            const size_t n = regions.count();
            end.resize(n);
            cursor.resize(n + 1);
            std::fill(end.begin(), end.end(), ~uint64_t{0});
            std::fill(cursor.begin(), cursor.end(), 0);
            for (size_t k = 0; k < regions.size(); ++k) {
                const auto& s = regions.segment(k);
                const size_t c = regions.number(k);
                if (s.x * h + s.y0 != end[c]) cursor[c] += 2;
                end[c] = s.x * h + s.y1;
            }
            int64_t at = static_cast<int64_t>(part.runs.values.size());
            for (size_t c = 0; c < n; ++c) {
                const int64_t length = cursor[c] + (end[c] < pixels ? 1 : 0);
                cursor[c] = at;
                at += length;
                part.runs.offsets.push(at);
                part.parent.push(static_cast<int64_t>(i));
                end[c] = 0;
            }
            const size_t first = part.runs.values.size();
            part.runs.values.resize(static_cast<size_t>(at));
            uint32_t* const counts = part.runs.values.data();
            for (size_t k = 0; k < regions.size(); ++k) {
                const auto& s = regions.segment(k);
                const size_t c = regions.number(k);
                const uint64_t begin = s.x * h + s.y0, stop = s.x * h + s.y1;
                const int64_t own =
                    c == 0 ? static_cast<int64_t>(first) : part.runs.offsets[part.runs.offsets.size() - n + c - 1];
                if (begin == end[c] && cursor[c] > own) {
                    counts[cursor[c] - 1] = checked_run(counts[cursor[c] - 1] + (stop - begin));
                } else {
                    counts[cursor[c]++] = checked_run(begin - end[c]);
                    counts[cursor[c]++] = checked_run(stop - begin);
                }
                end[c] = stop;
            }
            for (size_t c = 0; c < n; ++c) {
                if (end[c] < pixels) counts[cursor[c]] = checked_run(pixels - end[c]);
            }
        }
    });
    Components out;
    out.runs.offsets.push(0);
    for (size_t p = 0; p < pieces; ++p) {
        const auto shift = static_cast<int64_t>(out.runs.values.size());
        out.runs.values.append(parts[p].runs.values.data(), parts[p].runs.values.size());
        for (const int64_t end : parts[p].runs.offsets) out.runs.offsets.push(shift + end);
        out.parent.append(parts[p].parent.data(), parts[p].parent.size());
    }
    return out;
}

Runs morphology_fill_holes(const Rles& masks, int connectivity) {
    check_connectivity(connectivity);
    return parallel_pieces<uint32_t>(masks.n, grain_of(masks), [&](size_t begin, size_t end, auto& piece) {
        Regions regions;
        Buffer<uint32_t> store;
        Buffer<uint8_t> open;
        for (size_t i = begin; i < end; ++i) {
            const auto h = static_cast<uint64_t>(masks.height(i)), w = static_cast<uint64_t>(masks.width(i));
            check_sum(i, masks.runs(i), h * w);
            regions.find(inverted(masks.runs(i), store), h, connectivity == 4);
            open.resize(regions.count());
            std::fill(open.begin(), open.end(), uint8_t{0});
            for (size_t k = 0; k < regions.size(); ++k) {
                const auto& s = regions.segment(k);
                if (s.x == 0 || s.x + 1 == w || s.y0 == 0 || s.y1 == h) open[regions.number(k)] = 1;
            }
            // All but the open background is foreground.
            RunWriter writer(piece.values);
            uint64_t at = 0;
            for (size_t k = 0; k < regions.size(); ++k) {
                if (!open[regions.number(k)]) continue;
                const auto& s = regions.segment(k);
                writer.add(at, s.x * h + s.y0);
                at = s.x * h + s.y1;
            }
            writer.add(at, h * w);
            writer.finish(h * w);
            piece.close();
        }
    });
}

Runs morphology_remove_small(const Rles& masks, uint64_t min_area, int connectivity) {
    check_connectivity(connectivity);
    return parallel_pieces<uint32_t>(masks.n, grain_of(masks), [&](size_t begin, size_t end, auto& piece) {
        Regions regions;
        Buffer<uint64_t> area;
        for (size_t i = begin; i < end; ++i) {
            const auto h = static_cast<uint64_t>(masks.height(i));
            check_sum(i, masks.runs(i), masks.pixels(i));
            regions.find(masks.runs(i), h, connectivity == 8);
            area.resize(regions.count());
            std::fill(area.begin(), area.end(), uint64_t{0});
            for (size_t k = 0; k < regions.size(); ++k) {
                area[regions.number(k)] += regions.segment(k).y1 - regions.segment(k).y0;
            }
            RunWriter writer(piece.values);
            for (size_t k = 0; k < regions.size(); ++k) {
                const auto& s = regions.segment(k);
                if (area[regions.number(k)] >= min_area) writer.add(s.x * h + s.y0, s.x * h + s.y1);
            }
            writer.finish(masks.pixels(i));
            piece.close();
        }
    });
}

}  // namespace maskmill
