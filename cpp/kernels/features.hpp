// Filter banks for classifying pixels: separable smoothing at several scales, and what is made of it pixel by pixel.
//
// Layout      The image is (bands, H, W) float32. A plan of three tables says what is computed:
//             first (Q, 3)  band, power (1, or 2 for its square), kernel down the columns
//             second (P, 2) a row of `first`, kernel along the rows. This gives the planes.
//             maps (M, 4)   operation, and up to three planes. This gives the columns of the output, in order.
//             A kernel is the half of a symmetric or antisymmetric one: weights at 0, 1 .. radius; kernel k is
//             weights[starts[k]] .. weights[starts[k + 1] - 1], of parity[k] = +1 or -1.
//             The output is (H, W, F) or, at requested pixels, (K, F); pixels are `step` elements apart.
// Invariants  All indices are in range, a kernel has a weight; else std::invalid_argument. Sums are in double, from the
//             farthest pair of pixels to the nearest; both passes are stored as float, or as double if `precise`. The
//             same bits for any number of threads, any instruction set, and at requested pixels or all.
// Reference   scipy.ndimage.correlate1d along axis 0, then axis 1, with the same order of summation and so the same bits;
//             numpy.gradient; scikit-image's sobel and hessian_matrix_eigvals.
// Cost        Per plane and pixel r0 + r1 pairs of kernel radius, each two additions and a multiplication in double, from
//             the first cache; 1.07 times that for the rows that neighbouring strips share. The output is written
//             once. Scratch memory per thread: 64 rows of all planes, at most 1028 columns wide, and of one in double.
#pragma once

#include "support/common.hpp"
#include "support/cuda_queue.hpp"

namespace maskmill {

enum class FeatureBorder { nearest = 0, reflect = 1, mirror = 2 };  // as scipy.ndimage calls them

namespace features {
enum Operation : int64_t {
    value,            // a
    sobel,            // gradient magnitude of a
    sobel_inner,      // the same, but 0 on the outermost pixels
    hessian,          // two columns: eigenvalues of a's second differences, the larger one first
    hessian_doubled,  // the same as older scikit-image rounds it, where squares of small numbers vanish
    magnitude,        // sqrt(a^2 + b^2)
    sum,              // a + b
    difference,       // a - b
    eigenvalues,      // two columns: of [[a, b], [b, c]], in double, the larger one first
    deviation,        // sqrt(max(b - a^2, 0))
    location,         // sqrt(rows[a][y]^2 + columns[a][x]^2)
    kOperations
};
constexpr int64_t kColumns[kOperations] = {1, 1, 1, 2, 2, 1, 1, 1, 2, 1, 1};
constexpr int64_t kPlanes[kOperations] = {1, 1, 1, 1, 1, 2, 2, 2, 3, 2, 0};
}  // namespace features

struct FeatureImage {
    const float* data = nullptr;
    int64_t bands = 0, height = 0, width = 0;
};

struct FeaturePlan {
    const double* weights = nullptr;
    const int64_t *starts = nullptr, *parity = nullptr;
    size_t n_kernels = 0;
    const int64_t* first = nullptr;
    size_t n_first = 0;
    const int64_t* second = nullptr;
    size_t n_second = 0;
    const int64_t* maps = nullptr;
    size_t n_maps = 0;
    const double *rows = nullptr, *columns = nullptr;  // (n_locations, H), (n_locations, W)
    size_t n_locations = 0;
    FeatureBorder border = FeatureBorder::nearest;
    bool precise = false;

    int64_t radius(int64_t kernel) const { return starts[kernel + 1] - starts[kernel] - 1; }
};

struct FeatureOutput {
    float* floats = nullptr;  // one of the two
    double* doubles = nullptr;
    int64_t step = 0;
    const int64_t* at = nullptr;  // (n_at, 2) rows and columns; nullptr: all pixels
    size_t n_at = 0;
};

// Columns that a plan's maps have together.
int64_t features_columns(const FeaturePlan& plan);

void features_bank(const FeatureImage& image, const FeaturePlan& plan, const FeatureOutput& out);

// Throws what is wrong with a plan or requested pixels.
void features_check(const FeatureImage& image, const FeaturePlan& plan, const FeatureOutput& out);

// The twin on a GPU: the image and the output are the device's; the plan and requested pixels, which say what to do, the
// host's. Does not wait for the stream.
namespace cuda {

void features_bank(const FeatureImage& image, const FeaturePlan& plan, const FeatureOutput& out, Queue& queue);

}  // namespace cuda

}  // namespace maskmill
