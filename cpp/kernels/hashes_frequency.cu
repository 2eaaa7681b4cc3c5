// phash, phash_simple and whash on a GPU: a thread for each line of a DCT, in memory where neighbouring threads have
// neighbouring numbers; one for each pair of numbers of a wavelet level.
//
// Cost      phash of 64 bits: 40 lines of 32 doubles, read and written six times, 120 KB an image, of which the L2 keeps
//           what the chunks of images (hashes.cu) let it. The median's rank is counted: n numbers, each compared with n.
#include "kernels/hashes_device.inl"

namespace maskmill::cuda {
namespace {

// Every step-th double: lines of many threads lie interleaved.
struct ApartLine {
    double* data;
    int64_t step;
    MASKMILL_HD double& operator[](int64_t i) const { return data[i * step]; }
};

// Columns of grids (n, side, side): number k of column x of image i is at values[k * n * side + i * side + x].
void transform_columns(const DctPlan& plan, const uint8_t* grids, int64_t n, double* values, double* more,
                       Queue& queue) {
    const int64_t side = plan.length, all = n * side;
    const DctPlan dct_plan = plan;
    for_each(queue, static_cast<size_t>(all), [=] __device__(size_t k) {
        const int64_t line = static_cast<int64_t>(k), i = line / side, x = line - i * side;
        const ApartLine to{values + line, all}, other{more + line, all};
        for (int64_t y = 0; y < side; ++y) to[y] = grids[(i * side + y) * side + x];
        dct(dct_plan, to, other);
    });
}

// The first `size` rows of what the columns gave, or (values null) of the grids, to the first frequencies of each:
// blocks (n, size, size).
void transform_rows(const DctPlan& plan, const uint8_t* grids, const double* values, int64_t n, int64_t size,
                    int64_t skip, double* memory, double* blocks, Queue& queue) {
    const int64_t side = plan.length, all = n * size;
    for_each(queue, static_cast<size_t>(all * side), [=] __device__(size_t k) {
        const int64_t e = static_cast<int64_t>(k), x = e / all, line = e - x * all, i = line / size,
                      y = line - i * size;
        memory[e] = values == nullptr ? grids[(i * side + y) * side + x] : values[(y * n + i) * side + x];
    });
    const DctPlan dct_plan = plan;
    for_each(queue, static_cast<size_t>(all), [=] __device__(size_t line) {
        dct(dct_plan, ApartLine{memory + line, all}, ApartLine{memory + side * all + line, all});
    });
    for_each(queue, static_cast<size_t>(all * size), [=] __device__(size_t k) {
        const int64_t e = static_cast<int64_t>(k), line = e / size, x = e - line * size;
        blocks[e] = memory[(x + skip) * all + line];
    });
}

constexpr double kHalf = 0.7071067811865476;

// One level of the wavelet on the leading s x s blocks of images (n, side, side), in PyWavelets' order of operations:
// columns from p to q, rows back; the low half goes first.
void haar_forward(double* p, double* q, int64_t n, int64_t side, int64_t s, Queue& queue) {
    const int64_t half = s / 2, each = half * s;
    for_each(queue, static_cast<size_t>(n * each), [=] __device__(size_t k) {
        const int64_t e = static_cast<int64_t>(k), i = e / each, y = e % each / s, x = e % s;
        const double* const from = p + i * side * side;
        double* const to = q + i * side * side;
        const double a = from[2 * y * side + x], b = from[(2 * y + 1) * side + x];
        to[y * side + x] = kHalf * b + kHalf * a;
        to[(half + y) * side + x] = -kHalf * b + kHalf * a;
    });
    for_each(queue, static_cast<size_t>(n * each), [=] __device__(size_t k) {
        const int64_t e = static_cast<int64_t>(k), i = e / each, y = e % each / half, x = e % half;
        const double* const from = q + (i * side + y) * side;
        double* const to = p + (i * side + y) * side;
        const double a = from[2 * x], b = from[2 * x + 1];
        to[x] = kHalf * b + kHalf * a;
        to[half + x] = -kHalf * b + kHalf * a;
    });
}

// The inverse: rows first, then columns.
void haar_backward(double* p, double* q, int64_t n, int64_t side, int64_t s, Queue& queue) {
    const int64_t half = s / 2, each = half * s;
    for_each(queue, static_cast<size_t>(n * each), [=] __device__(size_t k) {
        const int64_t e = static_cast<int64_t>(k), i = e / each, y = e % each / half, x = e % half;
        const double* const from = p + (i * side + y) * side;
        double* const to = q + (i * side + y) * side;
        const double a = from[x], d = from[half + x];
        to[2 * x] = kHalf * a + kHalf * d;
        to[2 * x + 1] = kHalf * a + -kHalf * d;
    });
    for_each(queue, static_cast<size_t>(n * each), [=] __device__(size_t k) {
        const int64_t e = static_cast<int64_t>(k), i = e / each, y = e % each / s, x = e % s;
        const double* const from = q + i * side * side;
        double* const to = p + i * side * side;
        const double a = from[y * side + x], d = from[(half + y) * side + x];
        to[2 * y * side + x] = kHalf * a + kHalf * d;
        to[(2 * y + 1) * side + x] = kHalf * a + -kHalf * d;
    });
}

// The low frequencies (n, size, size) of grids, to `blocks`, which may be q.
void wavelets(const HashRule& rule, const uint8_t* grids, int64_t n, int64_t side, double* p, double* q, Queue& queue) {
    for_each(queue, static_cast<size_t>(n * side * side), [=] __device__(size_t k) { p[k] = grids[k] / 255.0; });
    if (rule.profile != HashProfile::imagededup) {
        // The mean is taken out by way of the whole transform and back.
        for (int64_t s = side; s > 1; s /= 2) haar_forward(p, q, n, side, s, queue);
        for_each(queue, static_cast<size_t>(n),
                 [=] __device__(size_t i) { p[static_cast<int64_t>(i) * side * side] *= 0; });
        for (int64_t s = 2; s <= side; s *= 2) haar_backward(p, q, n, side, s, queue);
    }
    const int64_t size = rule.size;
    for (int64_t s = side; s > size; s /= 2) haar_forward(p, q, n, side, s, queue);
    for_each(queue, static_cast<size_t>(n * size * size), [=] __device__(size_t k) {
        const int64_t e = static_cast<int64_t>(k), line = e / size, i = line / size;
        q[e] = p[(i * side + line - i * size) * side + e - line * size];
    });
}

// The one or two numbers in the middle of each image's (n, bits), without the first `skip`, to middle (n, 2).
void medians(const double* blocks, int64_t n, int64_t bits, int64_t skip, double* middle, Queue& queue) {
    const int64_t count = bits - skip, low = (count - 1) / 2, high = count / 2;
    for_each(queue, static_cast<size_t>(n * count), [=] __device__(size_t k) {
        const int64_t i = static_cast<int64_t>(k) / count;
        const double* const block = blocks + i * bits + skip;
        const double value = block[static_cast<int64_t>(k) - i * count];
        int64_t less = 0, not_more = 0;
        for (int64_t j = 0; j < count; ++j) {
            less += block[j] < value;
            not_more += block[j] <= value;
        }
        if (less <= low && low < not_more) middle[2 * i] = value;
        if (less <= high && high < not_more) middle[2 * i + 1] = value;
    });
}

}  // namespace

HashFrequency::HashFrequency(const HashRule& rule, int64_t side, Queue& queue) : rule_(rule), side_(side) {
    if (rule.kind == HashKind::whash) return;
    const Dct tables(side);
    plan_ = tables.plan();
    plan_.cosines = sent(tables.cosines.data(), tables.cosines.size(), queue);
    if (plan_.circle != nullptr) plan_.circle = sent(tables.circle.data(), tables.circle.size(), queue);
    plan_.twiddles = sent(tables.twiddles.data(), tables.twiddles.size(), queue);
}

void HashFrequency::operator()(const uint8_t* grids, int64_t n, double* memory, uint8_t* bits, Queue& queue) const {
    const int64_t count = rule_.bits(), size = rule_.size;
    double *const first = memory, *const second = memory + n * side_ * side_,
                  *const middle = second + n * side_ * side_;
    const bool simple = rule_.kind == HashKind::phash_simple, dedup = rule_.profile == HashProfile::imagededup;
    double* blocks = second;
    if (rule_.kind == HashKind::whash) {
        wavelets(rule_, grids, n, side_, first, second, queue);
    } else {
        if (!simple) transform_columns(plan_, grids, n, first, second, queue);
        // The rows' memory is half of what the columns needed besides.
        blocks = second + 2 * n * size * side_;
        transform_rows(plan_, grids, simple ? nullptr : first, n, size, simple ? 1 : 0, second, blocks, queue);
    }
    if (rule_.profile == HashProfile::opencv) {
        for_each(queue, static_cast<size_t>(n), [=] __device__(size_t i) {
            middle[2 * i] = middle[2 * i + 1] = opencv_limit(blocks + static_cast<int64_t>(i) * count, size);
        });
    } else if (simple) {
        for_each(queue, static_cast<size_t>(n), [=] __device__(size_t i) {
            middle[2 * i] = middle[2 * i + 1] =
                pairwise_sum(blocks + static_cast<int64_t>(i) * count, count) / static_cast<double>(count);
        });
    } else {
        medians(blocks, n, count, dedup && rule_.kind == HashKind::phash ? 1 : 0, middle, queue);
    }
    for_each(queue, static_cast<size_t>(n * count), [=] __device__(size_t k) {
        const int64_t i = static_cast<int64_t>(k) / count;
        const double limit = (middle[2 * i] + middle[2 * i + 1]) / 2;
        bits[k] = blocks[k] > limit || (dedup && blocks[k] == limit);
    });
}

}  // namespace maskmill::cuda
