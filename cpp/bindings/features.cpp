#include "kernels/features.hpp"

#include "bindings/feature_plans.hpp"
#include "bindings/register.hpp"

namespace maskmill {
namespace {

// Pixels of the output lie `step` elements apart, the columns of one side by side.
int64_t pixel_step(const py::array& out, py::ssize_t columns) {
    const py::ssize_t item = out.itemsize(), last = out.ndim() - 1;
    require(out.shape(last) == columns, "out must have a column for each of the maps");
    if (out.size() == 0) return columns;
    // The stride of an axis with one element says nothing.
    py::ssize_t step = columns * item;
    for (py::ssize_t axis = 0; axis < last; ++axis) {
        if (out.shape(axis) > 1) step = out.strides(axis);
    }
    bool good = out.writeable() && (columns == 1 || out.strides(last) == item) && step % item == 0;
    good &= step >= columns * item;
    if (last == 2 && out.shape(0) > 1 && out.shape(1) > 1) good &= out.strides(0) == out.shape(1) * step;
    require(good, "out must be writeable, its pixels in C order and the columns of one side by side");
    return step / item;
}

void bank(const Array<float>& image, const Array<double>& weights, Offsets starts, Table parity, Table first,
          Table second, Table maps, const Array<double>& rows, const Array<double>& columns, int border, bool precise,
          const py::object& at, const py::array& out) {
    require(image.ndim() == 3, "image must have shape (bands, H, W)");
    const FeatureImage pixels{image.data(), image.shape(0), image.shape(1), image.shape(2)};
    const FeaturePlan plan =
        plan_of(pixels, weights, starts, parity, first, second, maps, rows, columns, border, precise);

    FeatureOutput to;
    const int64_t n = features_columns(plan);
    if (at.is_none()) {
        require(out.ndim() == 3 && out.shape(0) == pixels.height && out.shape(1) == pixels.width,
                "out must have shape (H, W, columns)");
    } else {
        request(at, to);
        require(out.ndim() == 2 && static_cast<size_t>(out.shape(0)) == to.n_at, "out must have shape (K, columns)");
    }
    to.step = pixel_step(out, n);
    if (py::isinstance<py::array_t<float>>(out)) {
        to.floats = static_cast<float*>(const_cast<void*>(out.data()));
    } else if (py::isinstance<py::array_t<double>>(out)) {
        to.doubles = static_cast<double*>(const_cast<void*>(out.data()));
    } else {
        throw py::type_error("out must be an array of float32 or float64");
    }
    if (out.size() == 0) return;
    without_gil([&] { features_bank(pixels, plan, to); });
}

}  // namespace

void register_features(py::module_& m) {
    m.def("features_bank", bank, exact("image"), exact("weights"), exact("starts"), exact("parity"), exact("first"),
          exact("second"), exact("maps"), exact("rows"), exact("columns"), py::arg("border"), py::arg("precise"),
          py::arg("at"), exact("out"));
}

}  // namespace maskmill
