#include "kernels/crf.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <utility>
#include <vector>

#include "support/pages.hpp"
#include "support/parallel.hpp"

namespace maskmill {
namespace {

constexpr int kCrfLanes = 16;

}  // namespace
}  // namespace maskmill

#define MASKMILL_SIMD_FILE "kernels/crf_lattice.inl"
#include "support/simd_foreach.hpp"

namespace maskmill {
namespace {

constexpr uint32_t kNone = ~uint32_t{0};
// Beyond, neighbouring float32 are too far apart to say where in a simplex a point lies.
constexpr double kFarthest = 1 << 22;

// Where the d coordinates of a vertex lie in the words of its key. Every field is wide enough for all vertices and their
// neighbours, so that keys are added and subtracted whole, without carries between fields.
class KeyLayout {
  public:
    KeyLayout(std::span<const int64_t> low, std::span<const int64_t> high) : low_(low.begin(), low.end()) {
        size_t word = 0;
        int& used = used_;
        for (size_t i = 0; i < low.size(); ++i) {
            const int bits = std::bit_width(static_cast<uint64_t>(high[i] - low[i]));
            if (used + bits > 64) {
                ++word;
                used = 0;
            }
            fields_.push_back({word, used});
            used += bits;
        }
        words_ = word + 1;
    }

    size_t words() const { return words_; }
    int last_bits() const { return used_; }  // of the last word
    void add(uint64_t* key, size_t i, int64_t value) const {
        key[fields_[i].word] += static_cast<uint64_t>(value) << fields_[i].shift;
    }
    int64_t low(size_t i) const { return low_[i]; }

  private:
    struct Field {
        size_t word;
        int shift;
    };
    std::vector<int64_t> low_;
    std::vector<Field> fields_;
    size_t words_ = 1;
    int used_ = 0;
};

// Keys by number, numbered as they come.
class KeyTable {
  public:
    explicit KeyTable(size_t words) : words_(words) { rehash(1024); }

    size_t size() const { return size_; }
    size_t words() const { return words_; }
    const uint64_t* key(size_t i) const { return keys_.data() + i * words_; }

    uint64_t hash(const uint64_t* key) const {
        uint64_t h = 0;
        for (size_t w = 0; w < words_; ++w) {
            h = (h ^ key[w]) * 0x9e3779b97f4a7c15u;
            h ^= h >> 32;
        }
        return h;
    }
    // Look-ups miss the cache twice, so they are made in batches: first all slots are asked for, then the keys there.
    void prefetch_slot(uint64_t hash) const { prefetch_row(slots_.data() + (hash & mask_)); }
    void prefetch_key(uint64_t hash) const {
        const uint32_t id = slots_[hash & mask_];
        if (id != kNone) prefetch_row(key(id));
    }

    uint32_t find_or_add(const uint64_t* key, uint64_t hash) {
        const size_t at = slot(key, hash);
        if (slots_[at] != kNone) return slots_[at];
        if (size_ + 1 == kNone) throw std::invalid_argument("the lattice needs more than 2^32 - 2 vertices");
        slots_[at] = static_cast<uint32_t>(size_++);
        keys_.append(key, words_);
        if (size_ * 2 > slots_.size()) rehash(slots_.size() * 4);
        return static_cast<uint32_t>(size_ - 1);
    }
    uint32_t find(const uint64_t* key, uint64_t hash) const { return slots_[slot(key, hash)]; }

    bool same(const uint64_t* a, const uint64_t* b) const {
        uint64_t differ = 0;
        for (size_t w = 0; w < words_; ++w) differ |= a[w] ^ b[w];
        return differ == 0;
    }

  private:
    // Where the key is, or where it would go.
    size_t slot(const uint64_t* wanted, uint64_t hash) const {
        for (size_t at = hash & mask_;; at = (at + 1) & mask_) {
            const uint32_t id = slots_[at];
            if (id == kNone || same(wanted, key(id))) return at;
        }
    }
    void rehash(size_t capacity) {
        resize_huge(slots_, capacity);
        mask_ = capacity - 1;
        std::fill(slots_.begin(), slots_.end(), kNone);
        for (size_t i = 0; i < size_; ++i) slots_[slot(key(i), hash(key(i)))] = static_cast<uint32_t>(i);
    }

    size_t words_, size_ = 0, mask_ = 0;
    Buffer<uint64_t> keys_;
    Buffer<uint32_t> slots_;
};

// Keys of one word in rising order, with their numbers.
struct SortedKeys {
    Buffer<uint64_t> keys;
    Buffer<uint32_t> numbers;
};

// One pass of a radix sort, by the `kDigit` bits from `shift` on: stable, and the same for any number of pieces.
constexpr int kDigit = 11;
void sort_digit(const SortedKeys& from, SortedKeys& to, int shift) {
    constexpr size_t kBins = size_t{1} << kDigit;
    const size_t m = from.keys.size();
    const size_t pieces = std::clamp<size_t>(m / 65536, 1, static_cast<size_t>(thread_count()));
    const auto bin = [&](size_t i) { return (from.keys[i] >> shift) & (kBins - 1); };
    std::vector<size_t> next(pieces * kBins, 0);
    parallel_run(pieces, [&](size_t p) {
        size_t* count = next.data() + p * kBins;
        for (size_t i = m * p / pieces; i < m * (p + 1) / pieces; ++i) ++count[bin(i)];
    });
    size_t sum = 0;
    for (size_t b = 0; b < kBins; ++b) {
        for (size_t p = 0; p < pieces; ++p) sum += std::exchange(next[p * kBins + b], sum);
    }
    parallel_run(pieces, [&](size_t p) {
        size_t* place = next.data() + p * kBins;
        for (size_t i = m * p / pieces; i < m * (p + 1) / pieces; ++i) {
            const size_t at = place[bin(i)]++;
            to.keys[at] = from.keys[i];
            to.numbers[at] = from.numbers[i];
        }
    });
}

SortedKeys sorted_keys(const KeyTable& table, int bits) {
    SortedKeys from, to;
    for (SortedKeys* s : {&from, &to}) {
        resize_huge(s->keys, table.size());
        resize_huge(s->numbers, table.size());
    }
    for (size_t i = 0; i < table.size(); ++i) {
        from.keys[i] = *table.key(i);
        from.numbers[i] = static_cast<uint32_t>(i);
    }
    for (int shift = 0; shift < bits; shift += kDigit) {
        sort_digit(from, to, shift);
        std::swap(from, to);
    }
    return from;
}

struct Range {
    float low = std::numeric_limits<float>::infinity(), high = -std::numeric_limits<float>::infinity();
};

std::vector<Range> ranges_of(const float* features, size_t n, size_t d) {
    constexpr size_t kPiece = 1 << 14;
    const size_t pieces = (n + kPiece - 1) / kPiece;
    std::vector<Range> each(pieces * d);
    parallel_for(pieces, 1, [&](size_t begin, size_t end) {
        for (size_t p = begin; p < end; ++p) {
            Range* range = each.data() + p * d;
            for (size_t i = p * kPiece; i < std::min(n, (p + 1) * kPiece); ++i) {
                for (size_t k = 0; k < d; ++k) {
                    const float f = features[i * d + k];
                    if (!std::isfinite(f)) {
                        throw std::invalid_argument("point " + std::to_string(i) + ": feature " + std::to_string(k) +
                                                    " must be finite, not " + number_text(f));
                    }
                    range[k].low = std::min(range[k].low, f);
                    range[k].high = std::max(range[k].high, f);
                }
            }
        }
    });
    std::vector<Range> all(d);
    for (size_t i = 0; i < each.size(); ++i) {
        all[i % d].low = std::min(all[i % d].low, each[i].low);
        all[i % d].high = std::max(all[i % d].high, each[i].high);
    }
    return all;
}

class LatticeBuilder {
  public:
    LatticeBuilder(const float* features, size_t n, int d)
        : features_(features), n_(n), d_(static_cast<size_t>(d)), scale_(scales(d)), layout_(layout()) {}

    CrfLattice build() {
        CrfLattice out;
        resize_huge(out.vertices, n_ * (d_ + 1));
        resize_huge(out.weights, n_ * (d_ + 1));
        const size_t pieces = std::clamp<size_t>(n_ / 4096, 1, static_cast<size_t>(thread_count()));
        std::vector<Piece> parts;
        for (size_t p = 0; p < pieces; ++p) parts.emplace_back(n_ * p / pieces, n_ * (p + 1) / pieces, layout_.words());
        parallel_run(pieces, [&](size_t p) { place(parts[p], out); });
        const KeyTable all = merge(parts);
        out.vertex_count = all.size();
        parallel_run(pieces, [&](size_t p) { renumber(parts[p], out); });
        join(all, out);
        return out;
    }

  private:
    // Points in a row, and the vertices they come to.
    struct Piece {
        Piece(size_t from, size_t to, size_t words) : begin(from), end(to), table(words) {}

        size_t begin, end;
        KeyTable table;
        Buffer<uint32_t> number;  // of its vertices among all
    };

    static std::vector<float> scales(int d) {
        const auto deviation = static_cast<float>(std::sqrt(2.0 / 3.0) * (d + 1));
        std::vector<float> scale;
        for (int i = 0; i < d; ++i) {
            scale.push_back(static_cast<float>(1.0 / std::sqrt(static_cast<double>((i + 2) * (i + 1))) * deviation));
        }
        return scale;
    }

    KeyLayout layout() const {
        std::vector<Range> range = ranges_of(features_, n_, d_);
        std::vector<int64_t> low(d_, 0), high(d_, 0);
        if (n_ == 0) return {low, high};
        double sum_low = 0, sum_high = 0;  // of the scaled features from j on
        for (size_t j = d_ + 1; j-- > 0;) {
            double e_low = sum_low, e_high = sum_high;
            if (j > 0) {
                const double from = n_ % 4 != 0 ? std::min(range[j - 1].low, 0.0f) : range[j - 1].low;
                const double to = n_ % 4 != 0 ? std::max(range[j - 1].high, 0.0f) : range[j - 1].high;
                const double c_low = from * scale_[j - 1], c_high = to * scale_[j - 1];
                e_low -= static_cast<double>(j) * c_high;
                e_high -= static_cast<double>(j) * c_low;
                sum_low += c_low;
                sum_high += c_high;
            }
            if (e_low < -kFarthest || e_high > kFarthest) refuse();
            if (j == d_) continue;  // the last coordinate is not in the key
            // The greatest step is 3.5 (d + 1); the rest is for what float32 rounds.
            const auto margin = 8 * static_cast<int64_t>(d_ + 1) + 16;
            low[j] = static_cast<int64_t>(std::floor(e_low)) - margin;
            high[j] = static_cast<int64_t>(std::ceil(e_high)) + margin;
        }
        return {low, high};
    }

    [[noreturn]] void refuse() const {
        throw std::invalid_argument("features reach too far for float32: a point is more than " +
                                    number_text(kFarthest / static_cast<double>(d_ + 1)) +
                                    " standard deviations of the kernel away from 0");
    }

    // The keys of `lanes` points, whose rest and rank are those of crf_place, and their weights. `steps`: from a vertex to
    // the next, whose coordinates are one more, but for one that has d less (the last is not in the key).
    struct Simplices {
        Simplices(const KeyLayout& layout, size_t d)
            : least(layout.words(), 0),
              steps((d + 1) * layout.words(), 0),
              keys(kCrfLanes * (d + 1) * layout.words(), 0),
              hashes(kCrfLanes * (d + 1)),
              of_rank(d + 1),
              sorted(d + 1) {
            for (size_t i = 0; i < d; ++i) layout.add(least.data(), i, -layout.low(i));
            for (size_t wrapped = 0; wrapped <= d; ++wrapped) {
                uint64_t* step = steps.data() + wrapped * layout.words();
                for (size_t i = 0; i < d; ++i) layout.add(step, i, i == wrapped ? -static_cast<int64_t>(d) : 1);
            }
        }
        std::vector<uint64_t> least, steps, keys, hashes;
        std::vector<size_t> of_rank;
        std::vector<float> sorted;
    };

    // Barycentric coordinates: differences of what is left, from the greatest down. Vertex v is `nearest` + v, less d + 1
    // in the v coordinates with the least left.
    void make_keys(const float* rest, const int32_t* rank, const int32_t* nearest, float* weights, uint64_t* keys,
                   Simplices& s) const {
        for (size_t i = 0; i <= d_; ++i) {
            const auto r = static_cast<size_t>(rank[i * kCrfLanes]);
            s.of_rank[r] = i;
            s.sorted[r] = rest[i * kCrfLanes];
        }
        weights[0] = s.sorted[d_] + (1.0f - s.sorted[0]);
        for (size_t v = 1; v <= d_; ++v) weights[v] = s.sorted[d_ - v] - s.sorted[d_ - v + 1];

        const size_t words = layout_.words();
        std::copy_n(s.least.data(), words, keys);
        for (size_t i = 0; i < d_; ++i) layout_.add(keys, i, nearest[i * kCrfLanes]);
        for (size_t v = 1; v <= d_; ++v) {
            uint64_t* key = keys + v * words;
            const uint64_t* step = s.steps.data() + s.of_rank[d_ - v + 1] * words;
            for (size_t w = 0; w < words; ++w) key[w] = *(key + w - words) + step[w];
        }
    }

    void place(Piece& piece, CrfLattice& out) const {
        const size_t corners = d_ + 1, words = layout_.words();
        std::vector<float> f(d_ * kCrfLanes), rest(corners * kCrfLanes);
        std::vector<int32_t> nearest(corners * kCrfLanes), rank(corners * kCrfLanes);
        std::array<int32_t, kCrfLanes> astray;
        Simplices s(layout_, d_);
        for (size_t i = piece.begin; i < piece.end; i += kCrfLanes) {
            const size_t lanes = std::min<size_t>(kCrfLanes, piece.end - i);
            for (size_t k = 0; k < lanes; ++k) {
                for (size_t j = 0; j < d_; ++j) f[j * kCrfLanes + k] = features_[(i + k) * d_ + j];
            }
            MASKMILL_DISPATCH(crf_place, f.data(), static_cast<int>(d_), scale_.data(), rest.data(), nearest.data(),
                              rank.data(), astray.data());
            for (size_t k = 0; k < lanes; ++k) {
                if (astray[k] != 0) refuse();
                make_keys(rest.data() + k, rank.data() + k, nearest.data() + k, out.weights.data() + (i + k) * corners,
                          s.keys.data() + k * corners * words, s);
            }
            look_up(piece.table, s.keys.data(), lanes * corners, s.hashes.data(), out.vertices.data() + i * corners);
        }
        if (piece.end == n_ && n_ % 4 != 0) add_origin(piece, s);
    }

    // The numbers of `count` keys; hashes: scratch.
    static void look_up(KeyTable& table, const uint64_t* keys, size_t count, uint64_t* hashes, uint32_t* ids) {
        for (size_t e = 0; e < count; ++e) {
            hashes[e] = table.hash(keys + e * table.words());
            table.prefetch_slot(hashes[e]);
        }
        for (size_t e = 0; e < count; ++e) table.prefetch_key(hashes[e]);
        for (size_t e = 0; e < count; ++e) ids[e] = table.find_or_add(keys + e * table.words(), hashes[e]);
    }

    // The vertices of the point 0, without a point.
    void add_origin(Piece& piece, Simplices& s) const {
        const size_t corners = d_ + 1;
        std::vector<float> rest(corners * kCrfLanes, 0), weights(corners);
        std::vector<int32_t> nearest(corners * kCrfLanes, 0), rank(corners * kCrfLanes);
        for (size_t i = 0; i < corners; ++i) rank[i * kCrfLanes] = static_cast<int32_t>(i);
        make_keys(rest.data(), rank.data(), nearest.data(), weights.data(), s.keys.data(), s);
        for (size_t v = 0; v < corners; ++v) {
            const uint64_t* key = s.keys.data() + v * layout_.words();
            piece.table.find_or_add(key, piece.table.hash(key));
        }
    }

    // One table for all pieces: vertices are numbered as if there had been one piece.
    KeyTable merge(std::vector<Piece>& pieces) const {
        KeyTable all = std::move(pieces[0].table);
        std::array<uint64_t, 64> hashes;
        for (size_t p = 1; p < pieces.size(); ++p) {
            Piece& piece = pieces[p];
            piece.number.resize(piece.table.size());
            for (size_t v = 0; v < piece.table.size(); v += hashes.size()) {
                const size_t count = std::min(hashes.size(), piece.table.size() - v);
                look_up(all, piece.table.key(v), count, hashes.data(), piece.number.data() + v);
            }
        }
        return all;
    }

    void renumber(const Piece& piece, CrfLattice& out) const {
        if (piece.begin == 0) return;  // the first was there first
        for (size_t e = piece.begin * (d_ + 1); e < piece.end * (d_ + 1); ++e) {
            out.vertices[e] = piece.number[out.vertices[e]];
        }
    }

    // Along direction j a neighbour has one less in all coordinates, but d more in j; the other way round, the other one.
    void join(const KeyTable& all, CrfLattice& out) const {
        const size_t m = all.size(), words = layout_.words();
        const auto none = static_cast<uint32_t>(m);
        resize_huge(out.neighbours, (d_ + 1) * m * 2);
        const SortedKeys sorted = words == 1 ? sorted_keys(all, layout_.last_bits()) : SortedKeys{};
        parallel_run(d_ + 1, [&](size_t j) {
            std::vector<uint64_t> step(words, 0);
            for (size_t i = 0; i < d_; ++i) layout_.add(step.data(), i, i == j ? static_cast<int64_t>(d_) : -1);
            uint32_t* pairs = out.neighbours.data() + j * m * 2;
            std::fill_n(pairs, 2 * m, none);
            if (words == 1) {
                merge_along(sorted, step[0], pairs);
            } else {
                find_along(all, step, 0, m, pairs);
            }
        });
    }

    // Keys of one word plus a step are in the order of the keys: all neighbours are met in one walk.
    static void merge_along(const SortedKeys& sorted, uint64_t step, uint32_t* pairs) {
        const size_t m = sorted.keys.size();
        const uint64_t* key = sorted.keys.data();
        const uint32_t* number = sorted.numbers.data();
        for (size_t v = 0, w = 0; v < m && w < m;) {
            const uint64_t wanted = key[v] + step, found = key[w];
            if (wanted == found) {
                pairs[2 * size_t{number[v]}] = number[w];
                pairs[2 * size_t{number[w]} + 1] = number[v];
            }
            v += wanted <= found ? 1 : 0;
            w += found <= wanted ? 1 : 0;
        }
    }

    void find_along(const KeyTable& all, const std::vector<uint64_t>& step, size_t begin, size_t end,
                    uint32_t* pairs) const {
        constexpr size_t kBatch = 32;
        const size_t words = layout_.words();
        std::vector<uint64_t> keys(kBatch * words), hashes(kBatch);
        for (size_t first = begin; first < end; first += kBatch) {
            const size_t count = std::min(kBatch, end - first);
            for (size_t k = 0; k < count; ++k) {
                uint64_t* key = keys.data() + k * words;
                for (size_t w = 0; w < words; ++w) key[w] = all.key(first + k)[w] + step[w];
                hashes[k] = all.hash(key);
                all.prefetch_slot(hashes[k]);
            }
            for (size_t k = 0; k < count; ++k) all.prefetch_key(hashes[k]);
            for (size_t k = 0; k < count; ++k) {
                const uint32_t other = all.find(keys.data() + k * words, hashes[k]);
                if (other == kNone) continue;
                pairs[2 * (first + k)] = other;
                pairs[2 * size_t{other} + 1] = static_cast<uint32_t>(first + k);
            }
        }
    }

    const float* features_;
    size_t n_, d_;
    std::vector<float> scale_;
    KeyLayout layout_;
};

}  // namespace

CrfLattice crf_lattice(const float* features, size_t n, int d) { return LatticeBuilder(features, n, d).build(); }

}  // namespace maskmill
