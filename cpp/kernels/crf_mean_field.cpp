#include <bit>
#include <cmath>
#include <vector>

#include "kernels/crf.hpp"
#include "support/parallel.hpp"

namespace maskmill {
namespace {

constexpr int kCrfBlock = 64;  // points that are sliced and normalised together
constexpr size_t kRow = 16;    // labels of a row: a cache line

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

// Labels in rows of 16, the last of 1, 2, 4, 8 or 16: a plane of n rows each.
struct Chunk {
    size_t first, labels, width;
    size_t start(size_t n) const { return first * n; }  // all before it are full
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
    return labels == 0 ? 0 : (labels - 1) / kRow * kRow + std::bit_ceil((labels - 1) % kRow + 1);
}

void splat(size_t width, const CrfTerm& term, const float* rows, float* values, size_t begin, size_t end) {
    switch (width) {
        case 1: return MASKMILL_DISPATCH(crf_splat<1>, term, rows, values, begin, end);
        case 2: return MASKMILL_DISPATCH(crf_splat<2>, term, rows, values, begin, end);
        case 4: return MASKMILL_DISPATCH(crf_splat<4>, term, rows, values, begin, end);
        case 8: return MASKMILL_DISPATCH(crf_splat<8>, term, rows, values, begin, end);
        default: return MASKMILL_DISPATCH(crf_splat<16>, term, rows, values, begin, end);
    }
}

void blur(size_t width, const uint32_t* neighbours, const float* from, float* to, size_t begin, size_t end) {
    switch (width) {
        case 1: return MASKMILL_DISPATCH(crf_blur<1>, neighbours, from, to, begin, end);
        case 2: return MASKMILL_DISPATCH(crf_blur<2>, neighbours, from, to, begin, end);
        case 4: return MASKMILL_DISPATCH(crf_blur<4>, neighbours, from, to, begin, end);
        case 8: return MASKMILL_DISPATCH(crf_blur<8>, neighbours, from, to, begin, end);
        default: return MASKMILL_DISPATCH(crf_blur<16>, neighbours, from, to, begin, end);
    }
}

#define CRF_SLICE(W, FEW) crf_slice<W, FEW>
void slice(size_t width, bool few, const CrfTerm& term, const float* values, size_t begin, size_t count, float* out) {
    switch (width) {
        case 1:
            return few ? MASKMILL_DISPATCH(CRF_SLICE(1, true), term, values, begin, count, out)
                       : MASKMILL_DISPATCH(CRF_SLICE(1, false), term, values, begin, count, out);
        case 2:
            return few ? MASKMILL_DISPATCH(CRF_SLICE(2, true), term, values, begin, count, out)
                       : MASKMILL_DISPATCH(CRF_SLICE(2, false), term, values, begin, count, out);
        case 4: return MASKMILL_DISPATCH(CRF_SLICE(4, false), term, values, begin, count, out);
        case 8: return MASKMILL_DISPATCH(CRF_SLICE(8, false), term, values, begin, count, out);
        default: return MASKMILL_DISPATCH(CRF_SLICE(16, false), term, values, begin, count, out);
    }
}
#undef CRF_SLICE

// Values at the vertices of one term's lattice, filtered there; rows of labels by chunks.
class Filtered {
  public:
    Filtered(const CrfTerm& term, size_t labels) : term_(term), labels_(labels) {
        values_.resize(padded(labels) * (term.lattice.m + 1));
    }

    // rows: (n, width) by chunks. `spare` holds m + 1 rows.
    void filter(const float* rows, Scratch<float>& spare) {
        const CrfLatticeView& lattice = term_.lattice;
        for (const Chunk& chunk : chunks_of(labels_)) {
            const size_t w = chunk.width;
            float* values = at(chunk);
            float* other = spare.data();
            std::fill_n(values + lattice.m * w, w, 0.0f);
            std::fill_n(other + lattice.m * w, w, 0.0f);
            const bool odd = lattice.d % 2 == 0;  // number of directions
            float* from = odd ? other : values;
            float* to = odd ? values : other;
            const float* plane = rows + chunk.start(lattice.n);
            parallel_for(lattice.m, 512, [&](size_t begin, size_t end) { splat(w, term_, plane, from, begin, end); });
            for (size_t j = 0; j <= static_cast<size_t>(lattice.d); ++j) {
                const uint32_t* neighbours = lattice.neighbours + j * lattice.m * 2;
                parallel_for(lattice.m, 2048,
                             [&](size_t begin, size_t end) { blur(w, neighbours, from, to, begin, end); });
                std::swap(from, to);
            }
        }
    }

    // out (padded labels, kCrfBlock).
    void slice(size_t begin, size_t count, float* out) const {
        for (const Chunk& chunk : chunks_of(labels_)) {
            maskmill::slice(chunk.width, labels_ <= 2, term_, at(chunk), begin, count, out + chunk.first * kCrfBlock);
        }
    }

    const CrfTerm& term() const { return term_; }

  private:
    float* at(const Chunk& chunk) { return values_.data() + chunk.start(term_.lattice.m + 1); }
    const float* at(const Chunk& chunk) const { return values_.data() + chunk.start(term_.lattice.m + 1); }

    const CrfTerm& term_;
    size_t labels_;
    Scratch<float> values_;
};

// Planes to rows: block (labels, kCrfBlock) to rows from `begin` on.
void to_rows(const float* block, size_t labels, size_t n, size_t begin, size_t count, float* rows) {
    for (const Chunk& chunk : chunks_of(labels)) {
        float* to = rows + chunk.start(n) + begin * chunk.width;
        for (size_t k = 0; k < count; ++k) {
            for (size_t l = 0; l < chunk.width; ++l) {
                to[k * chunk.width + l] = l < chunk.labels ? block[(chunk.first + l) * kCrfBlock + k] : 0.0f;
            }
        }
    }
}

void to_planes(const float* block, size_t labels, size_t n, size_t begin, size_t count, float* planes) {
    for (size_t l = 0; l < labels; ++l) std::copy_n(block + l * kCrfBlock, count, planes + l * n + begin);
}

// body(begin, count, scratch) for blocks of points.
template <class Body>
void for_each_block(size_t n, size_t scratch, Body&& body) {
    const size_t blocks = (n + kCrfBlock - 1) / kCrfBlock;
    parallel_for(blocks, 8, [&](size_t from, size_t to) {
        Scratch<float> memory;
        memory.resize(scratch);
        std::fill(memory.begin(), memory.end(), 0.0f);
        for (size_t b = from; b < to; ++b) {
            const size_t begin = b * kCrfBlock;
            body(begin, std::min<size_t>(kCrfBlock, n - begin), memory.data());
        }
    });
}

size_t greatest(std::span<const CrfTerm> terms) {
    size_t m = 0;
    for (const CrfTerm& term : terms) m = std::max(m, term.lattice.m);
    return m;
}

// Adds a term's negative energy. `filtered` (labels, kCrfBlock).
void add_term(const CrfTerm& term, const float* filtered, size_t labels, float* logits) {
    if (term.compatibility == nullptr) {
        for (size_t i = 0; i < labels * kCrfBlock; ++i) logits[i] += term.weight * filtered[i];
        return;
    }
    for (size_t l = 0; l < labels; ++l) {
        float* to = logits + l * kCrfBlock;
        for (size_t other = 0; other < labels; ++other) {
            const float energy = term.compatibility[l * labels + other];
            const float* from = filtered + other * kCrfBlock;
            for (size_t k = 0; k < kCrfBlock; ++k) to[k] -= energy * from[k];
        }
    }
}

}  // namespace

void crf_filter(const CrfLatticeView& lattice, const float* values, size_t labels, float* out) {
    const CrfTerm term{lattice};
    const size_t n = lattice.n, width = padded(labels);
    Scratch<float> rows, spare;
    rows.resize(n * width);
    spare.resize((lattice.m + 1) * kRow);
    for_each_block(n, width * kCrfBlock, [&](size_t begin, size_t count, float* block) {
        for (size_t l = 0; l < labels; ++l) std::copy_n(values + l * n + begin, count, block + l * kCrfBlock);
        to_rows(block, labels, n, begin, count, rows.data());
    });
    Filtered filtered(term, labels);
    filtered.filter(rows.data(), spare);
    for_each_block(n, width * kCrfBlock, [&](size_t begin, size_t count, float* block) {
        filtered.slice(begin, count, block);
        to_planes(block, labels, n, begin, count, out);
    });
}

void crf_mean_field(const float* unary, size_t labels, size_t n, std::span<const CrfTerm> terms, int iterations,
                    float* out) {
    const size_t width = padded(labels);
    Scratch<float> rows, spare;
    rows.resize(n * width);
    spare.resize((greatest(terms) + 1) * kRow);
    std::vector<Filtered> filtered;
    filtered.reserve(terms.size());
    for (const CrfTerm& term : terms) filtered.emplace_back(term, labels);
    for (int round = 0; round <= iterations; ++round) {
        if (round > 0) {
            for (Filtered& f : filtered) f.filter(rows.data(), spare);
        }
        for_each_block(n, 2 * width * kCrfBlock, [&](size_t begin, size_t count, float* logits) {
            for (size_t l = 0; l < labels; ++l) {
                for (size_t k = 0; k < count; ++k) logits[l * kCrfBlock + k] = -unary[l * n + begin + k];
            }
            float* block = logits + width * kCrfBlock;
            for (size_t t = 0; t < terms.size() && round > 0; ++t) {
                filtered[t].slice(begin, count, block);
                add_term(terms[t], block, labels, logits);
            }
            MASKMILL_DISPATCH(crf_softmax, logits, labels);
            if (round == iterations) {
                to_planes(logits, labels, n, begin, count, out);
            } else {
                to_rows(logits, labels, n, begin, count, rows.data());
            }
        });
    }
}

}  // namespace maskmill
