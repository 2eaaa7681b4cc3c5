// Fully connected conditional random fields: a Gaussian filter among all points of a feature space, by the permutohedral
// lattice or exactly, and mean field inference with it.
//
// Layout      features (n, d), a point a row, in standard deviations of the kernel k(i, j) = exp(-|f_i - f_j|^2 / 2), the
//             point itself included. Values, unary (energies, -ln p) and probabilities are planes: (labels, n).
//             A lattice has m vertices in the order in which the points come to them. `vertices` and `weights` (n, d + 1)
//             say for each point where it goes and with which share. `neighbours` (d + 1, m, 2): along each direction, m
//             where there is none.
// Invariants  Sums are float32 in the order of the points, so that results are the same bits for any number of threads;
//             they are those of pydensecrf built for x86-64 without AVX, which takes labels four at a time. Of its
//             three habits that can be seen all are kept: up to two labels are sliced in another order of products; the
//             exponential of labels beyond the last full four is libm's; where n is no multiple of four, the point 0
//             is in the lattice, with nothing to give. Its keys of 16 bits are not kept.
// Reference   Kraehenbuehl & Koltun, Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials (2011);
//             Adams, Baek & Davis, Fast High-Dimensional Filtering Using the Permutohedral Lattice (2010); pydensecrf.
// Cost        Lattice: n (d + 1) look-ups. Round: n (d + 1) rows of labels written and read, m rows d + 1 times; 16 labels are
//             a cache line. Memory: 8 (n + m) (d + 1) bytes a lattice; to infer 8 labels m for each.
#pragma once

#include "support/common.hpp"

namespace maskmill {

struct CrfLattice {
    size_t vertex_count = 0;
    Buffer<uint32_t> vertices;
    Buffer<float> weights;
    Buffer<uint32_t> neighbours;
};
// d from 1 to 63. Refuses what is not finite or too far out for float32.
CrfLattice crf_lattice(const float* features, size_t n, int d);

// A lattice that somebody else holds.
struct CrfLatticeView {
    size_t n = 0, m = 0;
    int d = 0;
    const uint32_t* vertices = nullptr;
    const float* weights = nullptr;
    const uint32_t* neighbours = nullptr;
};

struct CrfTerm {
    CrfLatticeView lattice;
    const float* before = nullptr;         // (n): values are multiplied by it before the filter; may be null
    const float* after = nullptr;          // the same, behind it
    float weight = 0;                      // Potts: energy -weight where labels agree
    const float* compatibility = nullptr;  // (labels, labels), instead of the weight: energy of a pair of labels
};

// out = sum over j of k(i, j) values_j.
void crf_filter(const CrfLatticeView& lattice, const float* values, size_t labels, float* out);

// `iterations` rounds of Q = softmax(-unary - sum of the terms' energies under Q), all points at once, from
// softmax(-unary) on.
void crf_mean_field(const float* unary, size_t labels, size_t n, std::span<const CrfTerm> terms, int iterations,
                    float* out);

// The exact sum over a window of an image: |dy|, |dx| <= radius, k = exp(-(dy^2 + dx^2) / (2 sigma^2) - |difference of
// guide|^2 / 2). values (labels, h, w); guide (h, w, channels), in standard deviations, no channels: a plain Gaussian, by
// rows and columns. out (labels, h, w).
struct CrfWindow {
    const float* guide = nullptr;
    size_t height = 0, width = 0, channels = 0;
    double sigma = 1;
    size_t radius = 0;
};
void crf_windows(const CrfWindow& window, const double* values, size_t labels, double* out);

// The exact sum over all points: n^2 exponentials, for tests and small sets.
void crf_pairs(const float* features, size_t n, int d, const double* values, size_t labels, double* out);

}  // namespace maskmill
