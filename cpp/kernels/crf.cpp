#include "kernels/crf.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <vector>

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
        int used = 0;
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
};

// Keys by number, numbered as they come.
class KeyTable {
  public:
    explicit KeyTable(size_t words) : words_(words) { rehash(1024); }

    size_t size() const { return size_; }
    const uint64_t* key(size_t i) const { return keys_.data() + i * words_; }

    uint32_t find_or_add(const uint64_t* key) {
        size_t at = slot(key);
        if (slots_[at] != kNone) return slots_[at];
        if (size_ + 1 == kNone) throw std::invalid_argument("the lattice needs more than 2^32 - 2 vertices");
        slots_[at] = static_cast<uint32_t>(size_++);
        keys_.append(key, words_);
        if (size_ * 2 > slots_.size()) rehash(slots_.size() * 4);
        return static_cast<uint32_t>(size_ - 1);
    }
    uint32_t find(const uint64_t* key) const { return slots_[slot(key)]; }

  private:
    // Where the key is, or where it would go.
    size_t slot(const uint64_t* key) const {
        const size_t mask = slots_.size() - 1;
        for (size_t at = hash(key) & mask;; at = (at + 1) & mask) {
            const uint32_t id = slots_[at];
            if (id == kNone || std::equal(key, key + words_, keys_.data() + id * words_)) return at;
        }
    }
    size_t hash(const uint64_t* key) const {
        uint64_t h = 0;
        for (size_t w = 0; w < words_; ++w) {
            h = (h ^ key[w]) * 0x9e3779b97f4a7c15u;
            h ^= h >> 32;
        }
        return static_cast<size_t>(h);
    }
    void rehash(size_t capacity) {
        slots_.resize(capacity);
        std::fill(slots_.begin(), slots_.end(), kNone);
        for (size_t i = 0; i < size_; ++i) slots_[slot(key(i))] = static_cast<uint32_t>(i);
    }

    size_t words_, size_ = 0;
    Buffer<uint64_t> keys_;
    Buffer<uint32_t> slots_;
};

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
        out.vertices.resize(n_ * (d_ + 1));
        out.weights.resize(n_ * (d_ + 1));
        const size_t pieces = std::clamp<size_t>(n_ / 4096, 1, static_cast<size_t>(thread_count()));
        std::vector<Piece> parts;
        for (size_t p = 0; p < pieces; ++p) parts.emplace_back(n_ * p / pieces, n_ * (p + 1) / pieces, layout_.words());
        parallel_run(pieces, [&](size_t p) { place(parts[p], out); });
        const KeyTable all = merge(parts, out);
        out.points.resize(n_ * (d_ + 1));
        out.shares.resize(n_ * (d_ + 1));
        parallel_run(pieces, [&](size_t p) { enter(parts[p], out); });
        join(all, out);
        return out;
    }

  private:
    // Points in a row, the vertices they come to, and how often.
    struct Piece {
        Piece(size_t from, size_t to, size_t words) : begin(from), end(to), table(words) {}

        size_t begin, end;
        KeyTable table;
        Buffer<int64_t> counts;
        Buffer<uint32_t> number;  // of its vertices among all
        Buffer<int64_t> next;     // where the next point of a vertex goes
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
            const auto margin = 4 * static_cast<int64_t>(d_ + 1);
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

    // The vertices of one point after the other. Consecutive points often share some.
    class Simplex {
      public:
        Simplex(const KeyLayout& layout, size_t d)
            : layout_(layout),
              d_(d),
              ones_(layout.words(), 0),
              keys_((d + 1) * layout.words(), 0),
              last_(keys_),
              ids_(d + 1, kNone),
              of_rank_(d + 1),
              sorted_(d + 1) {
            for (size_t i = 0; i < d; ++i) layout.add(ones_.data(), i, 1);
        }

        // Barycentric coordinates: differences of what is left, from the greatest down.
        void weigh(const float* rest, const int32_t* rank, float* weights) {
            for (size_t i = 0; i <= d_; ++i) {
                const auto r = static_cast<size_t>(rank[i * kCrfLanes]);
                of_rank_[r] = i;
                sorted_[r] = rest[i * kCrfLanes];
            }
            weights[0] = sorted_[d_] + (1.0f - sorted_[0]);
            for (size_t v = 1; v <= d_; ++v) weights[v] = sorted_[d_ - v] - sorted_[d_ - v + 1];
        }

        // Vertex v is `nearest` + v, less d + 1 in the v coordinates with the least left.
        void find(const int32_t* nearest, KeyTable& table, Buffer<int64_t>& counts, uint32_t* ids) {
            const size_t words = layout_.words();
            std::fill_n(keys_.begin(), words, 0);
            for (size_t i = 0; i < d_; ++i) layout_.add(keys_.data(), i, nearest[i * kCrfLanes] - layout_.low(i));
            for (size_t v = 0; v <= d_; ++v) {
                uint64_t* key = keys_.data() + v * words;
                if (v > 0) {
                    for (size_t w = 0; w < words; ++w) key[w] = *(key + w - words) + ones_[w];
                    const size_t wrapped = of_rank_[d_ - v + 1];
                    if (wrapped < d_) layout_.add(key, wrapped, -static_cast<int64_t>(d_ + 1));
                }
                if (ids_[v] == kNone || !std::equal(key, key + words, last_.data() + v * words)) {
                    ids_[v] = table.find_or_add(key);
                    if (ids_[v] == counts.size()) counts.push(0);
                }
                ++counts[ids_[v]];
                ids[v] = ids_[v];
            }
            std::swap(keys_, last_);
        }

      private:
        const KeyLayout& layout_;
        size_t d_;
        std::vector<uint64_t> ones_, keys_, last_;
        std::vector<uint32_t> ids_;
        std::vector<size_t> of_rank_;
        std::vector<float> sorted_;
    };

    void place(Piece& piece, CrfLattice& out) const {
        const size_t corners = d_ + 1;
        std::vector<float> f(d_ * kCrfLanes), rest(corners * kCrfLanes);
        std::vector<int32_t> nearest(corners * kCrfLanes), rank(corners * kCrfLanes);
        std::array<int32_t, kCrfLanes> astray;
        Simplex simplex(layout_, d_);
        for (size_t i = piece.begin; i < piece.end; i += kCrfLanes) {
            const size_t lanes = std::min<size_t>(kCrfLanes, piece.end - i);
            for (size_t k = 0; k < lanes; ++k) {
                for (size_t j = 0; j < d_; ++j) f[j * kCrfLanes + k] = features_[(i + k) * d_ + j];
            }
            MASKMILL_DISPATCH(crf_place, f.data(), static_cast<int>(d_), scale_.data(), rest.data(), nearest.data(),
                              rank.data(), astray.data());
            for (size_t k = 0; k < lanes; ++k) {
                if (astray[k] != 0) refuse();
                simplex.weigh(rest.data() + k, rank.data() + k, out.weights.data() + (i + k) * corners);
                simplex.find(nearest.data() + k, piece.table, piece.counts, out.vertices.data() + (i + k) * corners);
            }
        }
        if (piece.end == n_ && n_ % 4 != 0) add_origin(simplex, piece);
    }

    // The vertices of the point 0, without a point.
    void add_origin(Simplex& simplex, Piece& piece) const {
        const size_t corners = d_ + 1;
        std::vector<float> rest(corners * kCrfLanes, 0), weights(corners);
        std::vector<int32_t> nearest(corners * kCrfLanes, 0), rank(corners * kCrfLanes);
        for (size_t i = 0; i < corners; ++i) rank[i * kCrfLanes] = static_cast<int32_t>(i);
        std::vector<uint32_t> ids(corners);
        simplex.weigh(rest.data(), rank.data(), weights.data());
        simplex.find(nearest.data(), piece.table, piece.counts, ids.data());
        for (const uint32_t id : ids) --piece.counts[id];
    }

    // One table for all pieces: vertices are numbered as if there had been one piece.
    KeyTable merge(std::vector<Piece>& pieces, CrfLattice& out) const {
        KeyTable all = std::move(pieces[0].table);
        Buffer<int64_t> counts;
        counts.append(pieces[0].counts.data(), pieces[0].counts.size());
        for (size_t p = 0; p < pieces.size(); ++p) {
            Piece& piece = pieces[p];
            const size_t own = piece.counts.size();
            piece.number.resize(own);
            piece.next.resize(own);
            for (size_t v = 0; v < own; ++v) {
                const uint32_t id = p == 0 ? static_cast<uint32_t>(v) : all.find_or_add(piece.table.key(v));
                if (id == counts.size()) counts.push(0);
                piece.number[v] = id;
                piece.next[v] = p == 0 ? 0 : counts[id];
                if (p > 0) counts[id] += piece.counts[v];
            }
        }
        out.vertex_count = all.size();
        out.starts.resize(all.size() + 1);
        out.starts[0] = 0;
        for (size_t v = 0; v < all.size(); ++v) out.starts[v + 1] = out.starts[v] + counts[v];
        return all;
    }

    // The points of every vertex, in rising order whatever the pieces.
    void enter(Piece& piece, CrfLattice& out) const {
        for (size_t v = 0; v < piece.number.size(); ++v) piece.next[v] += out.starts[piece.number[v]];
        for (size_t i = piece.begin; i < piece.end; ++i) {
            for (size_t e = i * (d_ + 1); e < (i + 1) * (d_ + 1); ++e) {
                const uint32_t own = out.vertices[e];
                const auto at = static_cast<size_t>(piece.next[own]++);
                out.vertices[e] = piece.number[own];
                out.points[at] = static_cast<uint32_t>(i);
                out.shares[at] = out.weights[e];
            }
        }
    }

    // Along direction j a neighbour has one less in all coordinates, but d more in j; the other way round, the other one.
    void join(const KeyTable& all, CrfLattice& out) const {
        const size_t m = all.size(), words = layout_.words();
        const auto none = static_cast<uint32_t>(m);
        out.neighbours.resize((d_ + 1) * m * 2);
        std::fill(out.neighbours.begin(), out.neighbours.end(), none);
        for (size_t j = 0; j <= d_; ++j) {
            std::vector<uint64_t> step(words, 0);
            for (size_t i = 0; i < d_; ++i) layout_.add(step.data(), i, i == j ? static_cast<int64_t>(d_) : -1);
            uint32_t* pairs = out.neighbours.data() + j * m * 2;
            parallel_for(m, 1024, [&](size_t begin, size_t end) {
                std::vector<uint64_t> key(words);
                for (size_t v = begin; v < end; ++v) {
                    for (size_t w = 0; w < words; ++w) key[w] = all.key(v)[w] + step[w];
                    const uint32_t other = all.find(key.data());
                    if (other == kNone) continue;
                    pairs[2 * v] = other;
                    pairs[2 * size_t{other} + 1] = static_cast<uint32_t>(v);
                }
            });
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
