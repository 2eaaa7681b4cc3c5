#include "kernels/hamming.hpp"

#include <atomic>
#include <bit>
#include <memory>

#include "support/parallel.hpp"
#include "support/simd.hpp"

// What the loops work on comes first.
#include "kernels/hamming_index.inl"

#define MASKMILL_SIMD_FILE "kernels/hamming.inl"
#include "support/simd_foreach.hpp"

namespace maskmill {
namespace {

constexpr uint32_t kNone = 0xffffffff;
constexpr size_t kJoinTasks = kBuckets / kNeighbours;  // for each part

// body(std::integral_constant<int, W>) for the width of codes.
template <class Body>
auto with_width(int width, Body&& body) {
    switch (width) {
        case 1: return body(std::integral_constant<int, 1>());
        case 2: return body(std::integral_constant<int, 2>());
        case 3: return body(std::integral_constant<int, 3>());
        default: return body(std::integral_constant<int, 4>());
    }
}

// Ends of blocks of codes: the first are small, because what is near is often found at once.
template <int W>
size_t block_end(size_t begin, size_t n) {
    return std::min(n, begin + std::clamp<size_t>(begin, 64, kBlock / W));
}

// The join: emit(part, query, code, distance) for all pairs within the radius, once for each part in which they are near
// enough. Calls for one query never run at the same time. start(task) -> emit is called by each task.
template <int W, class Start>
void join(const Planes& queries, const Planes& codes, int radius, Start&& start) {
    for (int part = 0; part < Parts<W>::count; ++part) {
        const int reach = Parts<W>::reach(part, radius);
        if (reach < 0) break;
        const Buffer<uint32_t> masks = ball(reach);
        Buckets sorted[2];
        const bool same = same_codes(queries, codes);
        parallel_run(same ? 1 : 2, [&](size_t k) { sorted[k] = in_buckets<W>(k == 0 ? queries : codes, part); });
        const Buckets &from = sorted[0], &to = sorted[same ? 0 : 1];
        parallel_run(kJoinTasks, [&](size_t task) {
            auto emit = start(static_cast<size_t>(part) * kJoinTasks + task);
            const auto hit = [&](size_t i, size_t j, int d) { emit(part, from.ids[i], to.ids[j], d); };
            const std::span<const uint32_t> all_masks{masks.data(), masks.size()};
            MASKMILL_DISPATCH(scan_buckets<W>, from, to, task * kNeighbours, all_masks, radius, hit);
        });
    }
}

// Pairs

struct Hit {
    uint32_t i;
    uint32_t j;
    int32_t distance;
};

// Hits by task, found in any order; no more are taken in when there are more than wanted.
struct Hits {
    explicit Hits(int64_t limit) : most(limit) {}

    void start(size_t tasks) {
        parts = std::make_unique<Buffer<Hit>[]>(tasks);
        count = tasks;
    }
    bool full() const { return found.load(std::memory_order_relaxed) > most; }
    void push(Buffer<Hit>& part, Hit hit) {
        constexpr int64_t kStep = 4096;
        if (part.size() % kStep == 0 && (part.size() > 0) && found.fetch_add(kStep) + kStep > most) return;
        part.push(hit);
    }
    size_t total() const {
        size_t n = 0;
        for (size_t k = 0; k < count; ++k) n += parts[k].size();
        return n;
    }

    std::unique_ptr<Buffer<Hit>[]> parts;
    size_t count = 0;
    int64_t most;
    std::atomic<int64_t> found{0};  // in steps
};

template <int W>
void brute_hits(const Planes& a, const Planes& b, int radius, bool self, Hits& hits) {
    constexpr size_t kRows = 8 * kGroup;
    hits.start((a.n + kRows - 1) / kRows);
    parallel_run(hits.count, [&](size_t task) {
        Buffer<Hit>& part = hits.parts[task];
        const size_t i0 = task * kRows, i1 = std::min(a.n, i0 + kRows);
        const auto hit = [&](size_t i, size_t j, int d) {
            if (!self || j > i) hits.push(part, {static_cast<uint32_t>(i), static_cast<uint32_t>(j), d});
        };
        for (size_t j0 = self ? i0 : 0; j0 < b.n && !hits.full(); j0 += kBlock / W) {
            const size_t j1 = std::min(b.n, j0 + kBlock / W);
            MASKMILL_DISPATCH(scan_all<W>, a, i0, i1, b, j0, j1, radius, hit);
        }
    });
}

// Whether an earlier part shows the pair, too.
template <int W>
bool met_before(const Planes& a, size_t i, const Planes& b, size_t j, int part, int radius) {
    for (int p = 0; p < part; ++p) {
        const uint32_t differ = Parts<W>::of(a, i, p) ^ Parts<W>::of(b, j, p);
        if (std::popcount(differ) <= Parts<W>::reach(p, radius)) return true;
    }
    return false;
}

template <int W>
void join_hits(const Planes& a, const Planes& b, int radius, bool self, Hits& hits) {
    hits.start(Parts<W>::count * kJoinTasks);
    join<W>(a, b, radius, [&](size_t task) {
        return [&, task](int part, uint32_t i, uint32_t j, int d) {
            if (self && j <= i) return;
            if (!hits.full() && !met_before<W>(a, i, b, j, part, radius)) hits.push(hits.parts[task], {i, j, d});
        };
    });
}

// Whether there are no more than `hits` takes.
template <int W>
bool find_hits(const Planes& a, const Planes& b, int radius, bool self, Hits& hits) {
    if (join_pays<W>(a, b, radius)) {
        join_hits<W>(a, b, radius, self, hits);
    } else {
        brute_hits<W>(a, b, radius, self, hits);
    }
    return !hits.full() && static_cast<int64_t>(hits.total()) <= hits.most;
}

// By row (i or j) and then by the other: row r is values[offsets[r] .. offsets[r + 1]).
template <class RowOf, class Less>
Ragged<Hit> by_row(const Hits& hits, size_t rows, RowOf&& row_of, Less&& less) {
    Ragged<Hit> out;
    out.values.resize(hits.total());
    out.offsets.resize(rows + 1);
    Buffer<int64_t> next(rows + 2);
    std::fill(next.begin(), next.end(), 0);
    for (size_t k = 0; k < hits.count; ++k) {
        for (const Hit& hit : hits.parts[k]) ++next[row_of(hit) + 2];
    }
    for (size_t r = 2; r < rows + 2; ++r) next[r] += next[r - 1];
    std::copy(next.begin() + 1, next.end(), out.offsets.begin());
    for (size_t k = 0; k < hits.count; ++k) {
        for (const Hit& hit : hits.parts[k]) out.values[static_cast<size_t>(next[row_of(hit) + 1]++)] = hit;
    }
    parallel_for(rows, 4096, [&](size_t begin, size_t end) {
        for (size_t r = begin; r < end; ++r) {
            std::sort(out.values.data() + out.offsets[r], out.values.data() + out.offsets[r + 1], less);
        }
    });
    return out;
}

HammingPairs all_pairs(const Codes& a, const Codes& b, int radius, bool self, int64_t limit) {
    Hits hits(limit);
    const bool complete = with_width(a.width, [&](auto w) {
        const PlanarCodes<w()> first = shuffled<w()>(a);
        if (self) return find_hits<w()>(first.view(), first.view(), radius, true, hits);
        return find_hits<w()>(first.view(), shuffled<w()>(b).view(), radius, false, hits);
    });
    if (!complete) {
        throw std::invalid_argument("more than " + std::to_string(limit) + " pairs are within " +
                                    std::to_string(radius) + " bits");
    }
    const Ragged<Hit> sorted =
        by_row(hits, a.n, [](const Hit& hit) { return hit.i; }, [](const Hit& x, const Hit& y) { return x.j < y.j; });
    const size_t n = sorted.values.size();
    HammingPairs out;
    out.i.resize(n);
    out.j.resize(n);
    out.distance.resize(n);
    parallel_for(n, 1 << 16, [&](size_t begin, size_t end) {
        for (size_t k = begin; k < end; ++k) {
            out.i[k] = sorted.values[k].i;
            out.j[k] = sorted.values[k].j;
            out.distance[k] = sorted.values[k].distance;
        }
    });
    return out;
}

// Nearest

// Distance above, index below: the least is the first of the nearest.
constexpr uint64_t kNowhere = ~uint64_t{0};
constexpr uint64_t key_of(int distance, size_t index) { return static_cast<uint64_t>(distance) << 32 | index; }

template <int W>
void brute_nearest(const Planes& queries, const Planes& exemplars, int radius, uint64_t* best) {
    parallel_for(queries.n, kGroup, [&](size_t begin, size_t end) {
        for (size_t i0 = begin; i0 < end; i0 += kGroup) {
            const size_t i1 = std::min(end, i0 + kGroup);
            const auto hit = [&](size_t i, size_t j, int d) { best[i] = std::min(best[i], key_of(d, j)); };
            int within = radius;
            for (size_t j0 = 0, j1; j0 < exemplars.n && within >= 0; j0 = j1) {
                j1 = block_end<W>(j0, exemplars.n);
                MASKMILL_DISPATCH(scan<W>, queries, i0, i1, exemplars, j0, j1, within, hit);
                // Later ones must be nearer to count.
                const uint64_t worst = *std::max_element(best + i0, best + i1);
                if (worst != kNowhere) within = std::min(within, static_cast<int>(worst >> 32) - 1);
            }
        }
    });
}

template <int W>
void nearest(const Codes& query_codes, const Codes& exemplar_codes, int radius, uint64_t* best) {
    const PlanarCodes<W> queries = shuffled<W>(query_codes), exemplars = shuffled<W>(exemplar_codes);
    std::fill(best, best + queries.size(), kNowhere);
    // Whoever has one within a small radius is done. The others are tried with greater ones while that pays.
    PlanarCodes<W> left(queries.size());
    Buffer<uint32_t> items(queries.size());
    Buffer<uint64_t> found(queries.size());
    for (size_t i = 0; i < queries.size(); ++i) {
        left.push(queries.view(), i);
        items[i] = static_cast<uint32_t>(i);
    }
    for (int within = -1; left.size() > 0 && within < radius;) {
        within = std::min(radius, within + Parts<W>::count);
        std::fill(found.begin(), found.begin() + left.size(), kNowhere);
        if (join_pays<W>(left.view(), exemplars.view(), within)) {
            join<W>(left.view(), exemplars.view(), within, [&](size_t) {
                return [&](int, uint32_t i, uint32_t j, int d) { found[i] = std::min(found[i], key_of(d, j)); };
            });
        } else {
            within = radius;
            brute_nearest<W>(left.view(), exemplars.view(), within, found.data());
        }
        size_t n = 0;
        for (size_t i = 0; i < left.size(); ++i) {
            best[items[i]] = found[i];
            if (found[i] != kNowhere) continue;
            items[n] = items[i];
            left.copy(n++, left.view(), i);
        }
        left.set_size(n);
    }
}

// Greedy

// Per query the first exemplar within the radius, or kNone.
template <int W>
void brute_first(const Planes& queries, const Planes& exemplars, int radius, uint32_t* first) {
    parallel_for(queries.n, 8 * kGroup, [&](size_t begin, size_t end) {
        PlanarCodes<W> left(end - begin);
        Buffer<uint32_t> items(end - begin);
        for (size_t i = begin; i < end; ++i) {
            items[left.size()] = static_cast<uint32_t>(i);
            left.push(queries, i);
            first[i] = kNone;
        }
        const auto hit = [&](size_t i, size_t j, int) {
            first[items[i]] = std::min(first[items[i]], static_cast<uint32_t>(j));
        };
        for (size_t j0 = 0, j1; j0 < exemplars.n && left.size() > 0; j0 = j1) {
            j1 = block_end<W>(j0, exemplars.n);
            MASKMILL_DISPATCH(scan_all<W>, left.view(), size_t{0}, left.size(), exemplars, j0, j1, radius, hit);
            size_t n = 0;
            for (size_t i = 0; i < left.size(); ++i) {
                if (first[items[i]] != kNone) continue;
                items[n] = items[i];
                left.copy(n++, left.view(), i);
            }
            left.set_size(n);
        }
    });
}

template <int W>
void find_first(const Planes& queries, const Planes& exemplars, int radius, uint32_t* first) {
    if (!join_pays<W>(queries, exemplars, radius)) return brute_first<W>(queries, exemplars, radius, first);
    std::fill(first, first + queries.n, kNone);
    join<W>(queries, exemplars, radius,
            [&](size_t) { return [&](int, uint32_t i, uint32_t j, int) { first[i] = std::min(first[i], j); }; });
}

template <int W>
class Greedy {
  public:
    Greedy(size_t n, int radius, int64_t* leader, int64_t* distance)
        : kept_codes_(n), radius_(radius), leader_(leader), distance_(distance) {}

    // Items that may still be kept, in their order.
    struct Items {
        Planes codes;
        const uint32_t* numbers;

        Items slice(size_t begin, size_t end) const { return {codes.slice(begin, end), numbers + begin}; }
    };
    struct OwnItems {
        explicit OwnItems(size_t capacity) : codes(capacity), numbers(capacity) {}
        Items view() const { return {codes.view(), numbers.data()}; }

        PlanarCodes<W> codes;
        Buffer<uint32_t> numbers;
    };

    // Those that no exemplar is near to; number(e) is what exemplar e is called as a leader.
    template <class Number>
    OwnItems filter(const Items& items, const Planes& exemplars, Number&& number) {
        Buffer<uint32_t> first(items.codes.n);
        find_first<W>(items.codes, exemplars, radius_, first.data());
        const auto dropped = std::count_if(first.begin(), first.end(), [](uint32_t e) { return e != kNone; });
        OwnItems left(items.codes.n - static_cast<size_t>(dropped));
        for (size_t i = 0; i < items.codes.n; ++i) {
            if (first[i] == kNone) {
                left.numbers[left.codes.size()] = items.numbers[i];
                left.codes.push(items.codes, i);
            } else {
                drop(items, i, exemplars, first[i], number(first[i]));
            }
        }
        return left;
    }

    // Keeps and drops. No item is near to those kept before. The first half is settled, what it keeps drops from the
    // second half, and the rest of that is settled: all pairs that must be compared are, in few big blocks.
    void settle(const Items& items) {
        if (items.codes.n <= kFew) return settle_few(items);
        if (items.codes.n >= kMany && few_are_near(items.codes) && settle_by_pairs(items)) return;
        const size_t middle = items.codes.n / 2, before = kept.size();
        settle(items.slice(0, middle));
        const Planes news = kept_codes_.view().slice(before, kept.size());
        const OwnItems rest =
            filter(items.slice(middle, items.codes.n), news, [&](size_t e) { return kept[before + e]; });
        settle(rest.view());
    }

    Buffer<int64_t> kept;

  private:
    static constexpr size_t kFew = 48;
    static constexpr size_t kMany = 1 << 14;
    static constexpr size_t kNear = 4;  // neighbours of an item, on average

    // By a sample: one search for all pairs is quicker than many of halves, unless there are too many pairs.
    bool few_are_near(const Planes& codes) const {
        constexpr size_t kSample = 1024;
        size_t near = 0;
        for (size_t i = 0; i < kSample; ++i) {
            for (size_t j = 0; j < kSample; ++j) {
                const size_t a = i * (codes.n / kSample), b = j * (codes.n / kSample) + codes.n / kSample / 2;
                near += baseline::distance<W>(codes, a, codes, b) <= radius_;
            }
        }
        return near * codes.n <= kSample * kSample * 2 * kNear;
    }

    bool settle_by_pairs(const Items& items) {
        Hits hits(static_cast<int64_t>(2 * kNear * items.codes.n));
        if (!find_hits<W>(items.codes, items.codes, radius_, true, hits)) return false;
        const Ragged<Hit> earlier = by_row(
            hits, items.codes.n, [](const Hit& hit) { return hit.j; },
            [](const Hit& x, const Hit& y) { return x.i < y.i; });
        Buffer<char> keeps(items.codes.n);
        for (size_t i = 0; i < items.codes.n; ++i) {
            const Hit *near = earlier.values.data() + earlier.offsets[i],
                      *end = earlier.values.data() + earlier.offsets[i + 1];
            while (near < end && !keeps[near->i]) ++near;
            keeps[i] = near == end;
            if (keeps[i]) {
                keep(items, i);
            } else {
                drop(items, i, items.codes, near->i, items.numbers[near->i]);
            }
        }
        return true;
    }

    // The loop itself.
    void settle_few(const Items& items) {
        const size_t before = kept.size();
        for (size_t i = 0; i < items.codes.n; ++i) {
            const Planes news = kept_codes_.view().slice(before, kept.size());
            size_t e = 0;
            while (e < news.n && baseline::distance<W>(items.codes, i, news, e) > radius_) ++e;
            if (e < news.n) {
                drop(items, i, news, e, kept[before + e]);
                continue;
            }
            keep(items, i);
        }
    }

    void keep(const Items& items, size_t i) {
        leader_[items.numbers[i]] = items.numbers[i];
        distance_[items.numbers[i]] = 0;
        kept.push(items.numbers[i]);
        kept_codes_.push(items.codes, i);
    }

    void drop(const Items& items, size_t i, const Planes& exemplars, size_t e, int64_t number) {
        leader_[items.numbers[i]] = number;
        distance_[items.numbers[i]] = baseline::distance<W>(items.codes, i, exemplars, e);
    }

    PlanarCodes<W> kept_codes_;
    int radius_;
    int64_t* leader_;
    int64_t* distance_;
};

}  // namespace

HammingPairs hamming_pairs(const Codes& codes, const Codes& other, int radius, int64_t limit) {
    return all_pairs(codes, other, radius, false, limit);
}

HammingPairs hamming_self_pairs(const Codes& codes, int radius, int64_t limit) {
    return all_pairs(codes, codes, radius, true, limit);
}

void hamming_nearest(const Codes& queries, const Codes& exemplars, int radius, int64_t* index, int64_t* distance) {
    Buffer<uint64_t> best(queries.n);
    with_width(queries.width, [&](auto w) { nearest<w()>(queries, exemplars, radius, best.data()); });
    for (size_t i = 0; i < queries.n; ++i) {
        index[i] = best[i] == kNowhere ? -1 : static_cast<int64_t>(best[i] & 0xffffffff);
        distance[i] = best[i] == kNowhere ? -1 : static_cast<int64_t>(best[i] >> 32);
    }
}

Buffer<int64_t> hamming_greedy(const Codes& codes, const Codes& exemplars, int radius, int64_t* leader,
                               int64_t* distance) {
    return with_width(codes.width, [&](auto w) {
        Greedy<w()> greedy(codes.n, radius, leader, distance);
        typename Greedy<w()>::OwnItems items(0);
        items.codes = shuffled<w()>(codes);
        items.numbers.resize(codes.n);
        for (size_t i = 0; i < codes.n; ++i) items.numbers[i] = static_cast<uint32_t>(i);
        if (exemplars.n > 0) {
            items = greedy.filter(items.view(), shuffled<w()>(exemplars).view(),
                                  [](size_t e) { return -1 - static_cast<int64_t>(e); });
        }
        greedy.settle(items.view());
        return std::move(greedy.kept);
    });
}

}  // namespace maskmill
