#include "bindings/cuda_arrays.hpp"
#include "bindings/cuda_register.hpp"
#include "bindings/feature_plans.hpp"

namespace maskmill::cuda {
namespace {

// Pixels of the output lie `step` elements apart, the columns of one side by side.
int64_t pixel_step(const View& out, int64_t columns) {
    const size_t last = out.shape.size() - 1;
    require(out.shape[last] == columns, "out must have a column for each of the maps");
    if (out.size() == 0) return columns;
    // The stride of an axis with one element says nothing.
    int64_t step = columns * out.itemsize;
    for (size_t axis = 0; axis < last; ++axis) {
        if (out.shape[axis] > 1) step = out.strides[axis];
    }
    bool good = !out.read_only && (columns == 1 || out.strides[last] == out.itemsize) && step % out.itemsize == 0;
    good &= step >= columns * out.itemsize;
    if (last == 2 && out.shape[0] > 1 && out.shape[1] > 1) good &= out.strides[0] == out.shape[1] * step;
    require(good, "out must be writeable, its pixels in C order and the columns of one side by side");
    return step / out.itemsize;
}

void bank(const py::object& image, const Array<double>& weights, Offsets starts, Table parity, Table first,
          Table second, Table maps, const Array<double>& rows, const Array<double>& columns, int border, bool precise,
          const py::object& at, const py::object& out) {
    const View from = exact_view<float>(image, "image"), view = view_of(out, "out");
    require(from.shape.size() == 3, "image must have shape (bands, H, W)");
    const FeatureImage pixels{reinterpret_cast<const float*>(from.data), from.shape[0], from.shape[1], from.shape[2]};
    const FeaturePlan plan =
        plan_of(pixels, weights, starts, parity, first, second, maps, rows, columns, border, precise);
    FeatureOutput to;
    const int64_t n = features_columns(plan);
    if (at.is_none()) {
        require(view.shape.size() == 3 && view.shape[0] == pixels.height && view.shape[1] == pixels.width,
                "out must have shape (H, W, columns)");
    } else {
        request(at, to);
        require(view.shape.size() == 2 && static_cast<size_t>(view.shape[0]) == to.n_at,
                "out must have shape (K, columns)");
    }
    to.step = pixel_step(view, n);
    if (view.kind == 'f' && view.itemsize == 4) {
        to.floats = reinterpret_cast<float*>(view.data);
    } else if (view.kind == 'f' && view.itemsize == 8) {
        to.doubles = reinterpret_cast<double*>(view.data);
    } else {
        throw py::type_error("out must be an array of float32 or float64");
    }
    if (view.size() == 0) return;
    Arrays arrays;
    launched_or_captured(arrays, [&](Queue& queue) { features_bank(pixels, plan, to, queue); });
}

}  // namespace

void register_features(py::module_& m) {
    m.def("features_bank", bank, py::arg("image"), py::arg("weights").noconvert(), py::arg("starts").noconvert(),
          py::arg("parity").noconvert(), py::arg("first").noconvert(), py::arg("second").noconvert(),
          py::arg("maps").noconvert(), py::arg("rows").noconvert(), py::arg("columns").noconvert(), py::arg("border"),
          py::arg("precise"), py::arg("at"), py::arg("out"));
}

}  // namespace maskmill::cuda
