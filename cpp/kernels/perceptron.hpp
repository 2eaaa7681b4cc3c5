// Perceptrons with hidden layers of rectified units: an epoch of training by Adam, and scores of rows.
//
// Layout      units: inputs, hidden layers, outputs. Parameters are flat, layer after layer: (inputs + 1, outputs) row by
//             row, the last row being the biases. Rows (n, inputs), targets (n, outputs), all float64.
//             Inside, the sides of all matrices are multiples of eight, filled up with zeros, which stay zero.
// Invariants  Every element of a product is summed from the first term to the last, and gradients of a batch over pieces
//             of kPerceptronPiece rows, in order: the same bits for any number of threads and any instruction set.
// Reference   Adam: Kingma & Ba (2014), with beta 0.9 and 0.999, epsilon 1e-8, as scikit-learn's MLPClassifier: the loss
//             is the cross-entropy (logistic for one output, else softmax) plus alpha / 2 of the squared weights, per row.
// Cost        6 operations a weight and row to train, 2 to score. At 90 GFlop/s a thread with AVX-512, which is twice what
//             OpenBLAS reaches with matrices as small as those of a batch.
#pragma once

#include "support/common.hpp"

namespace maskmill {

constexpr size_t kPerceptronPiece = 56;

size_t perceptron_size(std::span<const int64_t> units);

struct PerceptronTraining {
    size_t batch = 200;
    double alpha = 0;
    double rate = 1e-3;
    int64_t steps = 0;  // taken before
};

// A step for each batch of rows, in the given order. parameters and Adam's moments (first, second) are updated.
void perceptron_epoch(std::span<const int64_t> units, const double* rows, const double* targets,
                      std::span<const int64_t> order, const PerceptronTraining& how, double* parameters, double* first,
                      double* second);

// What the last layer gives for (rows - mean) / scale, before its activation: (n, outputs).
template <class T>
void perceptron_scores(std::span<const int64_t> units, const T* rows, size_t n, const double* mean, const double* scale,
                       const double* parameters, double* out);

}  // namespace maskmill
