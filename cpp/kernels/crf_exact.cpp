#include <cmath>
#include <vector>

#include "kernels/crf.hpp"
#include "support/parallel.hpp"

namespace maskmill {
namespace {

// Columns x for which x + shift is in the image, too.
struct Columns {
    size_t begin, end;
};
Columns columns_of(size_t width, int64_t shift) {
    const auto w = static_cast<int64_t>(width);
    const int64_t begin = std::clamp<int64_t>(-shift, 0, w), end = std::clamp<int64_t>(w - shift, begin, w);
    return {static_cast<size_t>(begin), static_cast<size_t>(end)};
}

std::vector<double> gaussian(double sigma, size_t radius) {
    std::vector<double> weights(radius + 1);
    for (size_t k = 0; k <= radius; ++k) {
        const double x = static_cast<double>(k) / sigma;
        weights[k] = std::exp(-0.5 * (x * x));
    }
    return weights;
}

size_t distance(int64_t step) { return static_cast<size_t>(step < 0 ? -step : step); }

// body(dy, row) for the rows of the window around y that are in the image.
template <class Body>
void for_each_row(const CrfWindow& window, size_t y, Body&& body) {
    const auto h = static_cast<int64_t>(window.height), r = static_cast<int64_t>(window.radius);
    const auto at = static_cast<int64_t>(y);
    for (int64_t row = std::max<int64_t>(0, at - r); row < std::min(h, at + r + 1); ++row) {
        body(distance(row - at), static_cast<size_t>(row));
    }
}

void blur_plane(const CrfWindow& window, const std::vector<double>& weights, const double* values, double* between,
                double* out) {
    const size_t h = window.height, w = window.width;
    const auto r = static_cast<int64_t>(window.radius);
    parallel_for(h, 16, [&](size_t begin, size_t end) {
        for (size_t y = begin; y < end; ++y) {
            double* to = between + y * w;
            std::fill_n(to, w, 0.0);
            for (int64_t dx = -r; dx <= r; ++dx) {
                const Columns columns = columns_of(w, dx);
                const double weight = weights[distance(dx)];
                const double* from = values + y * w;
                for (size_t x = columns.begin; x < columns.end; ++x)
                    to[x] += weight * from[static_cast<int64_t>(x) + dx];
            }
        }
    });
    parallel_for(h, 16, [&](size_t begin, size_t end) {
        for (size_t y = begin; y < end; ++y) {
            double* to = out + y * w;
            std::fill_n(to, w, 0.0);
            for_each_row(window, y, [&](size_t dy, size_t row) {
                const double* from = between + row * w;
                for (size_t x = 0; x < w; ++x) to[x] += weights[dy] * from[x];
            });
        }
    });
}

// exp(-|guide(y, x) - guide(row, x + dx)|^2 / 2) times `weight`, for all columns where both are.
void compare(const CrfWindow& window, size_t y, size_t row, int64_t dx, Columns columns, double weight, double* out) {
    const size_t c = window.channels;
    for (size_t x = columns.begin; x < columns.end; ++x) {
        const float* a = window.guide + (y * window.width + x) * c;
        const float* b = window.guide + (row * window.width + static_cast<size_t>(static_cast<int64_t>(x) + dx)) * c;
        double sum = 0;
        for (size_t k = 0; k < c; ++k) {
            const double difference = static_cast<double>(a[k]) - static_cast<double>(b[k]);
            sum += difference * difference;
        }
        out[x] = weight * std::exp(-0.5 * sum);
    }
}

}  // namespace

void crf_windows(const CrfWindow& window, const double* values, size_t labels, double* out) {
    const size_t h = window.height, w = window.width;
    const auto r = static_cast<int64_t>(window.radius);
    const std::vector<double> weights = gaussian(window.sigma, window.radius);
    if (window.channels == 0) {
        Buffer<double> between(h * w);
        for (size_t l = 0; l < labels; ++l) {
            blur_plane(window, weights, values + l * h * w, between.data(), out + l * h * w);
        }
        return;
    }
    parallel_for(h, 1, [&](size_t begin, size_t end) {
        std::vector<double> alike(w);
        for (size_t y = begin; y < end; ++y) {
            for (size_t l = 0; l < labels; ++l) std::fill_n(out + (l * h + y) * w, w, 0.0);
            for_each_row(window, y, [&](size_t dy, size_t row) {
                for (int64_t dx = -r; dx <= r; ++dx) {
                    const Columns columns = columns_of(w, dx);
                    compare(window, y, row, dx, columns, weights[dy] * weights[distance(dx)], alike.data());
                    for (size_t l = 0; l < labels; ++l) {
                        const double* from = values + (l * h + row) * w;
                        double* to = out + (l * h + y) * w;
                        for (size_t x = columns.begin; x < columns.end; ++x) {
                            to[x] += alike[x] * from[static_cast<int64_t>(x) + dx];
                        }
                    }
                }
            });
        }
    });
}

void crf_pairs(const float* features, size_t n, int d, const double* values, size_t labels, double* out) {
    const auto size = static_cast<size_t>(d);
    parallel_for(n, 16, [&](size_t begin, size_t end) {
        std::vector<double> sum(labels);
        for (size_t i = begin; i < end; ++i) {
            std::fill(sum.begin(), sum.end(), 0.0);
            for (size_t j = 0; j < n; ++j) {
                double square = 0;
                for (size_t k = 0; k < size; ++k) {
                    const double step =
                        static_cast<double>(features[i * size + k]) - static_cast<double>(features[j * size + k]);
                    square += step * step;
                }
                const double weight = std::exp(-0.5 * square);
                for (size_t l = 0; l < labels; ++l) sum[l] += weight * values[l * n + j];
            }
            for (size_t l = 0; l < labels; ++l) out[l * n + i] = sum[l];
        }
    });
}

}  // namespace maskmill
