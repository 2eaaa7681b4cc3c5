#include <array>
#include <bit>
#include <cmath>
#include <utility>
#include <vector>

#include "kernels/crf.hpp"
#include "support/pages.hpp"
#include "support/parallel.hpp"

namespace maskmill {
namespace {

constexpr int kCrfBlock = 128;    // points that are sliced and normalised together
constexpr size_t kCrfAhead = 16;  // rows asked for ahead of their use
constexpr size_t kRow = 16;       // labels of a row: a cache line

// 2^(i / 32).
constexpr double kCrfPowers[32] = {
    0x1.0000000000000p+0, 0x1.059b0d3158574p+0, 0x1.0b5586cf9890fp+0, 0x1.11301d0125b51p+0, 0x1.172b83c7d517bp+0,
    0x1.1d4873168b9aap+0, 0x1.2387a6e756238p+0, 0x1.29e9df51fdee1p+0, 0x1.306fe0a31b715p+0, 0x1.371a7373aa9cbp+0,
    0x1.3dea64c123422p+0, 0x1.44e086061892dp+0, 0x1.4bfdad5362a27p+0, 0x1.5342b569d4f82p+0, 0x1.5ab07dd485429p+0,
    0x1.6247eb03a5585p+0, 0x1.6a09e667f3bcdp+0, 0x1.71f75e8ec5f74p+0, 0x1.7a11473eb0187p+0, 0x1.82589994cce13p+0,
    0x1.8ace5422aa0dbp+0, 0x1.93737b0cdc5e5p+0, 0x1.9c49182a3f090p+0, 0x1.a5503b23e255dp+0, 0x1.ae89f995ad3adp+0,
    0x1.b7f76f2fb5e47p+0, 0x1.c199bdd85529cp+0, 0x1.cb720dcef9069p+0, 0x1.d5818dcfba487p+0, 0x1.dfc97337b9b5fp+0,
    0x1.ea4afa2a490dap+0, 0x1.f50765b6e4540p+0,
};

// What the blur multiplies a constant by, undone.
inline float crf_alpha(int d) { return 1.0f / (1.0f + std::ldexp(1.0f, -d)); }

}  // namespace
}  // namespace maskmill

#define MASKMILL_SIMD_FILE "kernels/crf_rows.inl"
#include "support/simd_foreach.hpp"

namespace maskmill {
namespace {

// Labels in rows of 16, the last of 1, 2, 4, 8 or 16: a plane of rows each.
struct Chunk {
    size_t first, labels, width;
};

std::vector<Chunk> chunks_of(size_t labels) {
    std::vector<Chunk> chunks;
    for (size_t first = 0; first < labels; first += kRow) {
        const size_t own = std::min(kRow, labels - first);
        chunks.push_back({first, own, std::bit_ceil(own)});
    }
    return chunks;
}

size_t padded(size_t labels) {
    const std::vector<Chunk> chunks = chunks_of(labels);
    return chunks.empty() ? 0 : chunks.back().first + chunks.back().width;
}

// function<W>(...) for the width of a chunk.
#define CRF_BY_WIDTH(width, function, ...)                          \
    switch (width) {                                                \
        case 1: MASKMILL_DISPATCH(function<1>, __VA_ARGS__); break; \
        case 2: MASKMILL_DISPATCH(function<2>, __VA_ARGS__); break; \
        case 4: MASKMILL_DISPATCH(function<4>, __VA_ARGS__); break; \
        case 8: MASKMILL_DISPATCH(function<8>, __VA_ARGS__); break; \
        default: MASKMILL_DISPATCH(function<16>, __VA_ARGS__);      \
    }

// Points cut into pieces of whole blocks, in a row: piece p ends where p + 1 begins.
std::vector<size_t> cut(size_t n) {
    const size_t blocks = (n + kCrfBlock - 1) / kCrfBlock;
    const auto threads = static_cast<size_t>(thread_count());
    const size_t pieces = threads == 1 ? 1 : std::clamp<size_t>(blocks / 32, 1, 2 * threads);
    std::vector<size_t> cuts;
    for (size_t p = 0; p <= pieces; ++p) cuts.push_back(std::min(n, blocks * p / pieces * kCrfBlock));
    return cuts;
}

// Values at the vertices of one term's lattice, filtered there; rows of labels by chunks.
//
// Pieces of points are splatted at once. Vertices are numbered as points come to them, so most that a piece comes to are
// its own: no earlier piece comes there. To the others its points give when all pieces are through, from rows that were
// kept: every sum is in the order of the points.
class Filtered {
  public:
    Filtered(const CrfTerm& term, size_t labels, const std::vector<size_t>& cuts)
        : term_(term), labels_(labels), chunks_(chunks_of(labels)), own_(cuts.size(), 0), late_(cuts.size() - 1) {
        const size_t pieces = late_.size();
        parallel_run(pieces, [&](size_t p) { own_[p + 1] = end_of_vertices(cuts[p], cuts[p + 1]); });
        for (size_t p = 0; p < pieces; ++p) own_[p + 1] = std::max(own_[p], own_[p + 1]);
        own_.back() = term.lattice.m;
        parallel_run(pieces, [&](size_t p) { find_late(cuts[p], cuts[p + 1], p); });
        for (Scratch<float>& values : values_) {
            resize_huge(values, padded(labels) * (term.lattice.m + 1));
            for (const Chunk& chunk : chunks_) {
                std::fill_n(values.data() + row(chunk, term.lattice.m), chunk.width, 0.0f);
            }
        }
    }

    // Before the first points of a piece.
    void clear(size_t piece) {
        for (const Chunk& chunk : chunks_) {
            float* values = values_[1 - now_].data();
            std::fill(values + row(chunk, own_[piece]), values + row(chunk, own_[piece + 1]), 0.0f);
        }
        late_[piece].kept = 0;
    }

    // The next `count` points of a piece, from planes that are `stride` apart; rows: scratch.
    void splat(size_t piece, size_t begin, size_t count, const float* planes, size_t stride, float* rows) {
        Late& late = late_[piece];
        const size_t from = late.kept;
        while (late.kept < late.points.size() && late.points[late.kept] < begin + count) ++late.kept;
        const float* factor = term_.before == nullptr ? nullptr : term_.before + begin;
        for (const Chunk& chunk : chunks_) {
            CRF_BY_WIDTH(chunk.width, crf_to_rows, planes + chunk.first * stride, stride, chunk.labels, count, factor,
                         rows);
            CRF_BY_WIDTH(chunk.width, crf_splat, term_.lattice, rows, nullptr, begin, count, own_[piece],
                         own_[piece + 1], values_[1 - now_].data() + row(chunk, 0));
            float* kept = late.rows.data() + chunk.first * late.points.size();
            for (size_t i = from; i < late.kept; ++i) {
                std::copy_n(rows + (late.points[i] - begin) * chunk.width, chunk.width, kept + i * chunk.width);
            }
        }
    }

    // After the last points of all pieces.
    void blur() {
        constexpr size_t kGrain = 2048;
        const CrfLatticeView& lattice = term_.lattice;
        float *from = values_[1 - now_].data(), *to = values_[now_].data();
        parallel_for(lattice.m, kGrain, [&](size_t begin, size_t end) { splat_late(begin, end, from); });
        for (size_t j = 0; j <= static_cast<size_t>(lattice.d); ++j) {
            const uint32_t* neighbours = lattice.neighbours + j * lattice.m * 2;
            parallel_for(lattice.m, kGrain, [&](size_t begin, size_t end) {
                for (const Chunk& chunk : chunks_) {
                    const size_t at = row(chunk, 0);
                    CRF_BY_WIDTH(chunk.width, crf_blur, neighbours, from + at, to + at, begin, end);
                }
            });
            std::swap(from, to);
        }
        if (lattice.d % 2 == 1) now_ = 1 - now_;  // an even number of directions: back where it was splatted
    }

    // planes (labels, kCrfBlock) += weight * what comes back to `count` points from `begin` on; rows: scratch.
    void add(size_t begin, size_t count, float weight, float* rows, float* planes) const {
        for (const Chunk& chunk : chunks_) {
            const float* values = values_[now_].data() + row(chunk, 0);
            CRF_BY_WIDTH(chunk.width, crf_slice, term_, values, labels_ <= 2, begin, count, rows);
            float* to = planes + chunk.first * kCrfBlock;
            CRF_BY_WIDTH(chunk.width, crf_add, rows, weight, chunk.labels, to);
        }
    }

  private:
    // Points of a piece that come to vertices of earlier ones, and their rows.
    struct Late {
        std::vector<uint32_t> points;
        Scratch<float> rows;
        size_t kept = 0;
    };

    uint32_t end_of_vertices(size_t begin, size_t end) const {
        const auto corners = static_cast<size_t>(term_.lattice.d + 1);
        uint32_t after = 0;
        for (size_t e = begin * corners; e < end * corners; ++e) after = std::max(after, term_.lattice.vertices[e] + 1);
        return after;
    }

    void find_late(size_t begin, size_t end, size_t piece) {
        const auto corners = static_cast<size_t>(term_.lattice.d + 1);
        Late& late = late_[piece];
        for (size_t i = begin; i < end && piece > 0; ++i) {
            const uint32_t* vertex = term_.lattice.vertices + i * corners;
            if (*std::min_element(vertex, vertex + corners) < own_[piece]) {
                late.points.push_back(static_cast<uint32_t>(i));
            }
        }
        late.rows.resize(late.points.size() * padded(labels_));
    }

    void splat_late(size_t begin, size_t end, float* values) const {
        for (size_t p = 1; p < late_.size(); ++p) {
            const Late& late = late_[p];
            const auto first = static_cast<uint32_t>(begin);
            const uint32_t last = std::min(static_cast<uint32_t>(end), own_[p]);
            if (first >= last || late.points.empty()) continue;
            for (const Chunk& chunk : chunks_) {
                const float* rows = late.rows.data() + chunk.first * late.points.size();
                CRF_BY_WIDTH(chunk.width, crf_splat, term_.lattice, rows, late.points.data(), 0, late.points.size(),
                             first, last, values + row(chunk, 0));
            }
        }
    }

    size_t row(const Chunk& chunk, size_t vertex) const {
        return chunk.first * (term_.lattice.m + 1) + vertex * chunk.width;
    }

    const CrfTerm& term_;
    size_t labels_;
    std::vector<Chunk> chunks_;
    std::vector<uint32_t> own_;  // where the vertices of each piece begin
    std::vector<Late> late_;
    std::array<Scratch<float>, 2> values_;  // filtered; to be splatted into
    size_t now_ = 0;
};

void to_planes(const float* block, size_t labels, size_t n, size_t begin, size_t count, float* planes) {
    for (size_t l = 0; l < labels; ++l) std::copy_n(block + l * kCrfBlock, count, planes + l * n + begin);
}

// Scratch memory for a block of points: three of (labels, kCrfBlock).
struct Block {
    explicit Block(size_t labels) {
        memory.resize((2 * labels + kRow) * kCrfBlock);
        std::fill(memory.begin(), memory.end(), 0.0f);
        logits = memory.data();
        filtered = logits + labels * kCrfBlock;
        rows = filtered + labels * kCrfBlock;
    }
    Scratch<float> memory;
    float *logits, *filtered, *rows;
};

// body(piece, begin, count, block) for blocks of points, in order within each piece.
template <class Body>
void for_each_block(const std::vector<size_t>& cuts, size_t labels, Body&& body) {
    parallel_run(cuts.size() - 1, [&](size_t p) {
        Block block(labels);
        for (size_t begin = cuts[p]; begin < cuts[p + 1]; begin += kCrfBlock) {
            body(p, begin, std::min<size_t>(kCrfBlock, cuts[p + 1] - begin), block);
        }
    });
}

// Adds a term's negative energy to the block's logits.
void add_term(const CrfTerm& term, const Filtered& values, size_t labels, size_t begin, size_t count, Block& block) {
    if (term.compatibility == nullptr) return values.add(begin, count, term.weight, block.rows, block.logits);
    std::fill_n(block.filtered, labels * kCrfBlock, 0.0f);
    values.add(begin, count, 1, block.rows, block.filtered);
    for (size_t l = 0; l < labels; ++l) {
        float* to = block.logits + l * kCrfBlock;
        for (size_t other = 0; other < labels; ++other) {
            const float energy = term.compatibility[l * labels + other];
            const float* from = block.filtered + other * kCrfBlock;
            for (size_t k = 0; k < kCrfBlock; ++k) to[k] -= energy * from[k];
        }
    }
}

}  // namespace

void crf_filter(const CrfLatticeView& lattice, const float* values, size_t labels, float* out) {
    const CrfTerm term{lattice};
    const std::vector<size_t> cuts = cut(lattice.n);
    Filtered filtered(term, labels, cuts);
    for_each_block(cuts, labels, [&](size_t piece, size_t begin, size_t count, Block& block) {
        if (begin == cuts[piece]) filtered.clear(piece);
        filtered.splat(piece, begin, count, values + begin, lattice.n, block.rows);
    });
    filtered.blur();
    for_each_block(cuts, labels, [&](size_t, size_t begin, size_t count, Block& block) {
        std::fill_n(block.logits, labels * kCrfBlock, 0.0f);
        filtered.add(begin, count, 1, block.rows, block.logits);
        to_planes(block.logits, labels, lattice.n, begin, count, out);
    });
}

void crf_mean_field(const float* unary, size_t labels, size_t n, std::span<const CrfTerm> terms, int iterations,
                    float* out) {
    const std::vector<size_t> cuts = cut(n);
    std::vector<Filtered> filtered;
    filtered.reserve(terms.size());
    for (const CrfTerm& term : terms) filtered.emplace_back(term, labels, cuts);
    for (int round = 0; round <= iterations; ++round) {
        for (Filtered& f : filtered) {
            if (round > 0) f.blur();
        }
        for_each_block(cuts, labels, [&](size_t piece, size_t begin, size_t count, Block& block) {
            MASKMILL_DISPATCH(crf_negate, unary + begin, n, labels, count, block.logits);
            for (size_t t = 0; t < terms.size() && round > 0; ++t) {
                add_term(terms[t], filtered[t], labels, begin, count, block);
            }
            MASKMILL_DISPATCH(crf_softmax, block.logits, labels);
            if (round == iterations) return to_planes(block.logits, labels, n, begin, count, out);
            for (Filtered& f : filtered) {
                if (begin == cuts[piece]) f.clear(piece);
                f.splat(piece, begin, count, block.logits, kCrfBlock, block.rows);
            }
        });
    }
}

}  // namespace maskmill
