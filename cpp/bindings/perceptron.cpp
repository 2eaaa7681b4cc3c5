#include "kernels/perceptron.hpp"

#include "bindings/arrays.hpp"
#include "bindings/register.hpp"

namespace maskmill {
namespace {

constexpr int64_t kMostUnits = 1 << 16;

std::span<const int64_t> checked_units(const Array<int64_t>& units) {
    require(units.ndim() == 1 && units.size() >= 2, "units must be inputs, any hidden layers, and outputs");
    const std::span<const int64_t> out(units.data(), static_cast<size_t>(units.size()));
    for (const int64_t n : out) require(n >= 1 && n <= kMostUnits, "units must be 1 to 65536 in each layer");
    return out;
}

template <class T>
void check_table(const Array<T>& table, int64_t columns, const char* message) {
    require(table.ndim() == 2 && table.shape(1) == columns, message);
}

void check_parameters(const Array<double>& values, std::span<const int64_t> units) {
    require(values.ndim() == 1 && static_cast<size_t>(values.size()) == perceptron_size(units),
            "parameters and moments must be flat, of the size that units have");
}

void epoch(const Array<int64_t>& units, const Array<double>& rows, const Array<double>& targets,
           const Array<int64_t>& order, int64_t batch, double alpha, double rate, int64_t steps,
           Array<double>& parameters, Array<double>& first, Array<double>& second) {
    const auto shape = checked_units(units);
    check_table(rows, shape.front(), "rows must have a column for each input");
    check_table(targets, shape.back(), "targets must have a column for each output");
    require(targets.shape(0) == rows.shape(0), "targets must have as many rows as rows");
    for (const auto* values : {&parameters, &first, &second}) check_parameters(*values, shape);
    require(batch >= 1 && batch <= 1 << 20, "batch must be 1 to 1048576");
    require(order.ndim() == 1, "order must be a vector");
    const std::span<const int64_t> indices(order.data(), static_cast<size_t>(order.size()));
    for (const int64_t i : indices) require(i >= 0 && i < rows.shape(0), "order must be indices of rows");
    const PerceptronTraining how{static_cast<size_t>(batch), alpha, rate, steps};
    double *p = parameters.mutable_data(), *m = first.mutable_data(), *v = second.mutable_data();
    without_gil([&] { perceptron_epoch(shape, rows.data(), targets.data(), indices, how, p, m, v); });
}

template <class T>
Array<double> scores(const Array<int64_t>& units, const Array<T>& rows, const Array<double>& mean,
                     const Array<double>& scale, const Array<double>& parameters) {
    const auto shape = checked_units(units);
    check_table(rows, shape.front(), "rows must have a column for each input");
    for (const auto* values : {&mean, &scale}) {
        require(values->ndim() == 1 && values->size() == shape.front(),
                "mean and scale must have a value for each input");
    }
    check_parameters(parameters, shape);
    Array<double> out({rows.shape(0), static_cast<py::ssize_t>(shape.back())});
    double* to = out.mutable_data();
    const auto n = static_cast<size_t>(rows.shape(0));
    without_gil([&] { perceptron_scores(shape, rows.data(), n, mean.data(), scale.data(), parameters.data(), to); });
    return out;
}

}  // namespace

void register_perceptron(py::module_& m) {
    m.def("perceptron_epoch", epoch, exact("units"), exact("rows"), exact("targets"), exact("order"), py::arg("batch"),
          py::arg("alpha"), py::arg("rate"), py::arg("steps"), exact("parameters"), exact("first"), exact("second"));
    m.def("perceptron_scores", scores<float>, exact("units"), exact("rows"), exact("mean"), exact("scale"),
          exact("parameters"));
    m.def("perceptron_scores", scores<double>, exact("units"), exact("rows"), exact("mean"), exact("scale"),
          exact("parameters"));
}

}  // namespace maskmill
