#include "kernels/perceptron.hpp"

#include <cmath>
#include <vector>

#include "support/parallel.hpp"

namespace maskmill {
namespace {

constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEpsilon = 1e-8;

struct Operand {
    const double* data;
    size_t row, step;
};

}  // namespace
}  // namespace maskmill

#define MASKMILL_SIMD_FILE "kernels/perceptron.inl"
#include "support/simd_foreach.hpp"

namespace maskmill {
namespace {

void product(const Operand& a, const double* b, size_t b_row, double* c, size_t c_row, size_t m, size_t depth,
             size_t n) {
    MASKMILL_DISPATCH(product, a, b, b_row, c, c_row, m, depth, n);
}

// Where layers lie, and how wide they are inside: with a column of 1 behind what goes into a layer, a multiple of 8.
struct Plan {
    explicit Plan(std::span<const int64_t> given) {
        for (const int64_t n : given) {
            units.push_back(static_cast<size_t>(n));
            width.push_back((units.back() + 1 + 7) / 8 * 8);
        }
        for (size_t i = 0; i + 1 < units.size(); ++i) {
            begin.push_back(size);
            size += width[i] * width[i + 1];
        }
    }
    size_t layers() const { return units.size() - 1; }

    // Flat parameters to padded ones, and back.
    void pad(const double* flat, double* padded) const {
        std::fill(padded, padded + size, 0.0);
        each_row([&](size_t at, size_t n) { std::memcpy(padded + at, flat, n * sizeof(double)), flat += n; });
    }
    void unpad(const double* padded, double* flat) const {
        each_row([&](size_t at, size_t n) { std::memcpy(flat, padded + at, n * sizeof(double)), flat += n; });
    }

    // Each layer but the first, transposed.
    void turn(const double* padded, double* turned) const {
        for (size_t i = 1; i < layers(); ++i) {
            const size_t in = width[i], out = width[i + 1];
            for (size_t k = 0; k < in; ++k) {
                for (size_t j = 0; j < out; ++j) turned[begin[i] + j * in + k] = padded[begin[i] + k * out + j];
            }
        }
    }

    std::vector<size_t> units, width, begin;
    size_t size = 0;

  private:
    template <class Body>
    void each_row(Body&& body) const {
        for (size_t i = 0; i < layers(); ++i) {
            for (size_t k = 0; k <= units[i]; ++k) body(begin[i] + k * width[i + 1], units[i + 1]);
        }
    }
};

// What flows through the layers for up to kPerceptronPiece rows.
struct Flow {
    explicit Flow(const Plan& plan) {
        for (const size_t width : plan.width) {
            active.emplace_back(kPerceptronPiece * width, 0.0);
            delta.emplace_back(kPerceptronPiece * width, 0.0);
        }
    }

    // From active[0], whose column of 1 is there, to active.back(), which is not activated.
    void forward(const Plan& plan, const double* parameters, size_t rows) {
        for (size_t i = 0; i < plan.layers(); ++i) {
            const size_t in = plan.width[i], out = plan.width[i + 1];
            double* to = active[i + 1].data();
            product({active[i].data(), in, 1}, parameters + plan.begin[i], out, to, out, rows, plan.units[i] + 1, out);
            if (i + 1 == plan.layers()) break;
            for (size_t k = 0; k < rows * out; ++k) to[k] = to[k] > 0 ? to[k] : 0;
            for (size_t r = 0; r < rows; ++r) to[r * out + plan.units[i + 1]] = 1;
        }
    }

    // The error of the activated outputs.
    void compare(const Plan& plan, const double* targets, std::span<const int64_t> order) {
        const size_t n = plan.units.back(), width = plan.width.back();
        for (size_t r = 0; r < order.size(); ++r) {
            const double* z = active.back().data() + r * width;
            double* error = delta.back().data() + r * width;
            if (n == 1) {
                error[0] = 1 / (1 + std::exp(-z[0]));
            } else {
                const double most = *std::max_element(z, z + n);
                double total = 0;
                for (size_t j = 0; j < n; ++j) total += error[j] = std::exp(z[j] - most);
                for (size_t j = 0; j < n; ++j) error[j] /= total;
            }
            const double* wanted = targets + static_cast<size_t>(order[r]) * n;
            for (size_t j = 0; j < n; ++j) error[j] -= wanted[j];
        }
    }

    // The gradient, summed over the rows; `turned` has the weights, transposed.
    void backward(const Plan& plan, const double* turned, size_t rows, double* gradient) {
        for (size_t i = plan.layers(); i-- > 0;) {
            const size_t in = plan.width[i], out = plan.width[i + 1];
            product({active[i].data(), 1, in}, delta[i + 1].data(), out, gradient + plan.begin[i], out, in, rows, out);
            if (i == 0) break;
            double* to = delta[i].data();
            product({delta[i + 1].data(), out, 1}, turned + plan.begin[i], in, to, in, rows, plan.units[i + 1], in);
            for (size_t k = 0; k < rows * in; ++k) to[k] = active[i][k] > 0 ? to[k] : 0;
            for (size_t r = 0; r < rows; ++r) to[r * in + plan.units[i]] = 0;
        }
    }

    std::vector<std::vector<double>> active, delta;
};

}  // namespace

size_t perceptron_size(std::span<const int64_t> units) {
    size_t size = 0;
    for (size_t i = 0; i + 1 < units.size(); ++i) size += static_cast<size_t>((units[i] + 1) * units[i + 1]);
    return size;
}

void perceptron_epoch(std::span<const int64_t> units, const double* rows, const double* targets,
                      std::span<const int64_t> order, const PerceptronTraining& how, double* parameters, double* first,
                      double* second) {
    const Plan plan(units);
    std::vector<double> weights(plan.size), turned(plan.size), moment(plan.size), square(plan.size);
    plan.pad(parameters, weights.data());
    plan.pad(first, moment.data());
    plan.pad(second, square.data());
    const size_t most = std::min(how.batch, order.size());
    std::vector<Flow> flows((most + kPerceptronPiece - 1) / kPerceptronPiece, Flow(plan));
    std::vector<std::vector<double>> gradients(flows.size(), std::vector<double>(plan.size));
    int64_t steps = how.steps;
    for (size_t begin = 0; begin < order.size(); begin += how.batch) {
        const auto batch = order.subspan(begin, std::min(how.batch, order.size() - begin));
        plan.turn(weights.data(), turned.data());
        const size_t pieces = (batch.size() + kPerceptronPiece - 1) / kPerceptronPiece;
        parallel_run(pieces, [&](size_t p) {
            Flow& flow = flows[p];
            const size_t from = p * kPerceptronPiece;
            const auto mine = batch.subspan(from, std::min(kPerceptronPiece, batch.size() - from));
            for (size_t r = 0; r < mine.size(); ++r) {
                double* to = flow.active[0].data() + r * plan.width[0];
                std::memcpy(to, rows + static_cast<size_t>(mine[r]) * plan.units[0], plan.units[0] * sizeof(double));
                to[plan.units[0]] = 1;
            }
            flow.forward(plan, weights.data(), mine.size());
            flow.compare(plan, targets, mine);
            flow.backward(plan, turned.data(), mine.size(), gradients[p].data());
        });
        for (size_t p = 1; p < pieces; ++p) MASKMILL_DISPATCH(add, gradients[p].data(), plan.size, gradients[0].data());
        ++steps;
        const double t = static_cast<double>(steps);
        const double rate = how.rate * std::sqrt(1 - std::pow(kBeta2, t)) / (1 - std::pow(kBeta1, t));
        const auto update = [&](size_t at, size_t n, double decay) {
            MASKMILL_DISPATCH(step, gradients[0].data() + at, n, decay, static_cast<double>(batch.size()), rate,
                              weights.data() + at, moment.data() + at, square.data() + at);
        };
        for (size_t i = 0; i < plan.layers(); ++i) {
            const size_t out = plan.width[i + 1], biases = plan.units[i] * out;
            update(plan.begin[i], biases, how.alpha);
            update(plan.begin[i] + biases, out, 0);
        }
    }
    plan.unpad(weights.data(), parameters);
    plan.unpad(moment.data(), first);
    plan.unpad(square.data(), second);
}

template <class T>
void perceptron_scores(std::span<const int64_t> units, const T* rows, size_t n, const double* mean, const double* scale,
                       const double* parameters, double* out) {
    const Plan plan(units);
    std::vector<double> weights(plan.size);
    plan.pad(parameters, weights.data());
    const size_t inputs = plan.units[0], outputs = plan.units.back();
    parallel_for(n, 16 * kPerceptronPiece, [&](size_t begin, size_t end) {
        Flow flow(plan);
        for (; begin < end; begin += kPerceptronPiece) {
            const size_t m = std::min(kPerceptronPiece, end - begin);
            for (size_t r = 0; r < m; ++r) {
                double* to = flow.active[0].data() + r * plan.width[0];
                const T* from = rows + (begin + r) * inputs;
                for (size_t k = 0; k < inputs; ++k) to[k] = (static_cast<double>(from[k]) - mean[k]) / scale[k];
                to[inputs] = 1;
            }
            flow.forward(plan, weights.data(), m);
            for (size_t r = 0; r < m; ++r) {
                std::memcpy(out + (begin + r) * outputs, flow.active.back().data() + r * plan.width.back(),
                            outputs * sizeof(double));
            }
        }
    });
}

template void perceptron_scores(std::span<const int64_t>, const float*, size_t, const double*, const double*,
                                const double*, double*);
template void perceptron_scores(std::span<const int64_t>, const double*, size_t, const double*, const double*,
                                const double*, double*);

}  // namespace maskmill
