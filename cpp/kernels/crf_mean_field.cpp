#include <bit>
#include <cmath>
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

// Labels in rows of 16, the last of 2, 4, 8 or 16: a plane of rows each.
struct Chunk {
    size_t first, labels, width;
    size_t start(size_t m) const { return first * m; }  // all before it are full
};

std::vector<Chunk> chunks_of(size_t labels) {
    std::vector<Chunk> chunks;
    for (size_t first = 0; first < labels; first += kRow) {
        const size_t own = std::min(kRow, labels - first);
        chunks.push_back({first, own, std::bit_ceil(std::max<size_t>(own, 2))});
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
        case 2: MASKMILL_DISPATCH(function<2>, __VA_ARGS__); break; \
        case 4: MASKMILL_DISPATCH(function<4>, __VA_ARGS__); break; \
        case 8: MASKMILL_DISPATCH(function<8>, __VA_ARGS__); break; \
        default: MASKMILL_DISPATCH(function<16>, __VA_ARGS__);      \
    }

// Which points come to a thousand vertices. Vertices are numbered as points come to them: most often few.
class Spans {
  public:
    explicit Spans(const CrfLatticeView& lattice) : groups_((lattice.m + kGroup - 1) / kGroup) {
        const auto corners = static_cast<size_t>(lattice.d + 1);
        const size_t pieces = std::clamp<size_t>(lattice.n / 16384, 1, static_cast<size_t>(thread_count()));
        std::vector<std::vector<Span>> found(pieces);
        parallel_run(pieces, [&](size_t p) {
            found[p].resize(groups_);
            for (size_t i = lattice.n * p / pieces; i < lattice.n * (p + 1) / pieces; ++i) {
                for (size_t e = i * corners; e < (i + 1) * corners; ++e) {
                    Span& span = found[p][lattice.vertices[e] / kGroup];
                    span.begin = std::min(span.begin, i);
                    span.end = i + 1;
                }
            }
        });
        for (const std::vector<Span>& part : found) {
            spans_.resize(groups_);
            for (size_t g = 0; g < groups_; ++g) spans_[g].join(part[g]);
        }
    }

    struct Span {
        size_t begin = ~size_t{0}, end = 0;
        void join(const Span& other) {
            begin = std::min(begin, other.begin);
            end = std::max(end, other.end);
        }
    };
    static constexpr size_t kGroup = 1024;

    size_t groups() const { return groups_; }
    Span of(size_t first, size_t last) const {
        Span all;
        for (size_t g = first; g < last; ++g) all.join(spans_[g]);
        return all;
    }

  private:
    size_t groups_;
    std::vector<Span> spans_;
};

// Values at the vertices of one term's lattice, filtered there; rows of labels by chunks.
class Filtered {
  public:
    Filtered(const CrfTerm& term, size_t labels) : term_(term), labels_(labels), spans_(term.lattice) {
        resize_huge(values_, padded(labels) * (term.lattice.m + 1));
    }

    // planes (labels, n). `spare` holds m + 1 rows.
    void filter(const float* planes, float* spare) {
        const CrfLatticeView& lattice = term_.lattice;
        for (const Chunk& chunk : chunks_of(labels_)) {
            const size_t w = chunk.width;
            float* values = at(chunk);
            std::fill_n(values + lattice.m * w, w, 0.0f);
            std::fill_n(spare + lattice.m * w, w, 0.0f);
            const bool odd = lattice.d % 2 == 0;  // number of directions
            float* from = odd ? spare : values;
            float* to = odd ? values : spare;
            parallel_for(spans_.groups(), 4, [&](size_t begin, size_t end) { splat(planes, chunk, begin, end, from); });
            for (size_t j = 0; j <= static_cast<size_t>(lattice.d); ++j) {
                const uint32_t* neighbours = lattice.neighbours + j * lattice.m * 2;
                parallel_for(lattice.m, 2048, [&](size_t begin, size_t end) {
                    CRF_BY_WIDTH(w, crf_blur, neighbours, from, to, begin, end);
                });
                std::swap(from, to);
            }
        }
    }

    // planes (labels, kCrfBlock) += weight * what comes back to `count` points from `begin` on; rows: scratch.
    void add(size_t begin, size_t count, float weight, float* rows, float* planes) const {
        for (const Chunk& chunk : chunks_of(labels_)) {
            const float* values = at(chunk);
            CRF_BY_WIDTH(chunk.width, crf_slice, term_, values, labels_ <= 2, begin, count, rows);
            float* to = planes + chunk.first * kCrfBlock;
            CRF_BY_WIDTH(chunk.width, crf_add, rows, weight, chunk.labels, to);
        }
    }

  private:
    // Of groups of vertices: all points that come to them, block by block.
    void splat(const float* planes, const Chunk& chunk, size_t first, size_t last, float* values) const {
        const CrfLatticeView& lattice = term_.lattice;
        const size_t begin = first * Spans::kGroup, end = std::min(last * Spans::kGroup, lattice.m);
        std::fill_n(values + begin * chunk.width, (end - begin) * chunk.width, 0.0f);
        const Spans::Span span = spans_.of(first, last);
        alignas(64) float rows[kCrfBlock * kRow];
        for (size_t i = span.begin; i < span.end; i += kCrfBlock) {
            const size_t count = std::min<size_t>(kCrfBlock, span.end - i);
            const float* from = planes + chunk.first * lattice.n + i;
            const float* factor = term_.before == nullptr ? nullptr : term_.before + i;
            CRF_BY_WIDTH(chunk.width, crf_to_rows, from, lattice.n, chunk.labels, count, factor, rows);
            CRF_BY_WIDTH(chunk.width, crf_splat, lattice, rows, i, count, static_cast<uint32_t>(begin),
                         static_cast<uint32_t>(end), values);
        }
    }

    float* at(const Chunk& chunk) { return values_.data() + chunk.start(term_.lattice.m + 1); }
    const float* at(const Chunk& chunk) const { return values_.data() + chunk.start(term_.lattice.m + 1); }

    const CrfTerm& term_;
    size_t labels_;
    Spans spans_;
    Scratch<float> values_;
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

// body(begin, count, block) for blocks of points.
template <class Body>
void for_each_block(size_t n, size_t labels, Body&& body) {
    const size_t blocks = (n + kCrfBlock - 1) / kCrfBlock;
    parallel_for(blocks, 8, [&](size_t from, size_t to) {
        Block block(labels);
        for (size_t b = from; b < to; ++b) {
            const size_t begin = b * kCrfBlock;
            body(begin, std::min<size_t>(kCrfBlock, n - begin), block);
        }
    });
}

size_t greatest(std::span<const CrfTerm> terms) {
    size_t m = 0;
    for (const CrfTerm& term : terms) m = std::max(m, term.lattice.m);
    return m;
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
    Scratch<float> spare;
    resize_huge(spare, (lattice.m + 1) * std::min(kRow, padded(labels)));
    Filtered filtered(term, labels);
    filtered.filter(values, spare.data());
    for_each_block(lattice.n, labels, [&](size_t begin, size_t count, Block& block) {
        std::fill_n(block.logits, labels * kCrfBlock, 0.0f);
        filtered.add(begin, count, 1, block.rows, block.logits);
        to_planes(block.logits, labels, lattice.n, begin, count, out);
    });
}

void crf_mean_field(const float* unary, size_t labels, size_t n, std::span<const CrfTerm> terms, int iterations,
                    float* out) {
    Scratch<float> spare;
    resize_huge(spare, (greatest(terms) + 1) * std::min(kRow, padded(labels)));
    std::vector<Filtered> filtered;
    filtered.reserve(terms.size());
    for (const CrfTerm& term : terms) filtered.emplace_back(term, labels);
    for (int round = 0; round <= iterations; ++round) {
        if (round > 0) {
            for (Filtered& f : filtered) f.filter(out, spare.data());
        }
        for_each_block(n, labels, [&](size_t begin, size_t count, Block& block) {
            MASKMILL_DISPATCH(crf_negate, unary + begin, n, labels, count, block.logits);
            for (size_t t = 0; t < terms.size() && round > 0; ++t) {
                add_term(terms[t], filtered[t], labels, begin, count, block);
            }
            MASKMILL_DISPATCH(crf_softmax, block.logits, labels);
            to_planes(block.logits, labels, n, begin, count, out);
        });
    }
}

}  // namespace maskmill
