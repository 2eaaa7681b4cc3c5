#include "kernels/hamming.hpp"

#include <bit>

#include "support/parallel.hpp"

namespace maskmill {
namespace {

struct Neighbour {
    int64_t j;
    int64_t distance;
};

template <int W>
int distance_of(const uint64_t* a, const uint64_t* b) {
    int bits = 0;
    for (int w = 0; w < W; ++w) bits += std::popcount(a[w] ^ b[w]);
    return bits;
}

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

template <int W>
Ragged<Neighbour> neighbours(const Codes& a, const Codes& b, int radius, bool self, int64_t limit) {
    return parallel_ragged<Neighbour>(a.n, 16, [&](size_t i, Buffer<Neighbour>& out) {
        for (size_t j = self ? i + 1 : 0; j < b.n; ++j) {
            const int d = distance_of<W>(a.words + i * W, b.words + j * W);
            if (d <= radius) out.push({static_cast<int64_t>(j), d});
        }
        if (static_cast<int64_t>(out.size()) > limit) {
            throw std::invalid_argument("more than " + std::to_string(limit) + " pairs are within " +
                                        std::to_string(radius) + " bits");
        }
    });
}

HammingPairs all_pairs(const Codes& a, const Codes& b, int radius, bool self, int64_t limit) {
    const auto found = with_width(a.width, [&](auto w) { return neighbours<w()>(a, b, radius, self, limit); });
    const size_t n = found.values.size();
    if (static_cast<int64_t>(n) > limit) {
        throw std::invalid_argument("more than " + std::to_string(limit) + " pairs are within " +
                                    std::to_string(radius) + " bits");
    }
    HammingPairs out;
    out.i.resize(n);
    out.j.resize(n);
    out.distance.resize(n);
    for (size_t i = 0; i < a.n; ++i) {
        for (auto k = static_cast<size_t>(found.offsets[i]); k < static_cast<size_t>(found.offsets[i + 1]); ++k) {
            out.i[k] = static_cast<int64_t>(i);
            out.j[k] = found.values[k].j;
            out.distance[k] = found.values[k].distance;
        }
    }
    return out;
}

}  // namespace

HammingPairs hamming_pairs(const Codes& codes, const Codes& other, int radius, int64_t limit) {
    return all_pairs(codes, other, radius, false, limit);
}

HammingPairs hamming_self_pairs(const Codes& codes, int radius, int64_t limit) {
    return all_pairs(codes, codes, radius, true, limit);
}

void hamming_nearest(const Codes& queries, const Codes& exemplars, int radius, int64_t* index, int64_t* distance) {
    with_width(queries.width, [&](auto w) {
        parallel_for(queries.n, 16, [&](size_t begin, size_t end) {
            for (size_t i = begin; i < end; ++i) {
                int64_t best = -1;
                int nearest = radius + 1;
                for (size_t j = 0; j < exemplars.n; ++j) {
                    const int d = distance_of<w()>(queries.words + i * w(), exemplars.words + j * w());
                    if (d < nearest) nearest = d, best = static_cast<int64_t>(j);
                }
                index[i] = best;
                distance[i] = best < 0 ? -1 : nearest;
            }
        });
    });
}

Buffer<int64_t> hamming_greedy(const Codes& codes, const Codes& exemplars, int radius, int64_t* leader,
                               int64_t* distance) {
    Buffer<int64_t> kept;
    with_width(codes.width, [&](auto w) {
        const auto code = [&](size_t i) { return codes.words + i * w(); };
        for (size_t i = 0; i < codes.n; ++i) {
            int d = radius + 1;
            for (size_t e = 0; e < exemplars.n && d > radius; ++e) {
                d = distance_of<w()>(code(i), exemplars.words + e * w());
                leader[i] = -1 - static_cast<int64_t>(e);
            }
            for (size_t k = 0; k < kept.size() && d > radius; ++k) {
                leader[i] = kept[k];
                d = distance_of<w()>(code(i), code(static_cast<size_t>(kept[k])));
            }
            if (d > radius) {
                kept.push(static_cast<int64_t>(i));
                leader[i] = static_cast<int64_t>(i);
                d = 0;
            }
            distance[i] = d;
        }
    });
    return kept;
}

}  // namespace maskmill
