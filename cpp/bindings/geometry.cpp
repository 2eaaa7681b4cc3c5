#include "kernels/geometry.hpp"

#include "bindings/arrays.hpp"
#include "bindings/register.hpp"

namespace maskmill {
namespace {

py::tuple window(Counts counts, Offsets offsets, Sizes sizes, const Array<int64_t>& boxes, bool fill) {
    const Rles masks = rles(counts, offsets, sizes);
    require(boxes.ndim() == 2 && boxes.shape(1) == 4 && static_cast<size_t>(boxes.shape(0)) == masks.n,
            "boxes must have shape (N, 4), N being the number of masks");
    return to_numpy(without_gil([&] { return geometry_window(masks, boxes.data(), fill); }));
}

py::tuple flip(Counts counts, Offsets offsets, Sizes sizes, bool horizontal, bool vertical) {
    const Rles masks = rles(counts, offsets, sizes);
    return to_numpy(without_gil([&] { return geometry_flip(masks, horizontal, vertical); }));
}

py::tuple transpose(Counts counts, Offsets offsets, Sizes sizes) {
    const Rles masks = rles(counts, offsets, sizes);
    return to_numpy(without_gil([&] { return geometry_transpose(masks); }));
}

}  // namespace

void register_geometry(py::module_& m) {
    m.def("geometry_window", window, exact("counts"), exact("offsets"), exact("sizes"), exact("boxes"),
          py::arg("fill") = false);
    m.def("geometry_flip", flip, exact("counts"), exact("offsets"), exact("sizes"), py::arg("horizontal"),
          py::arg("vertical"));
    m.def("geometry_transpose", transpose, exact("counts"), exact("offsets"), exact("sizes"));
}

}  // namespace maskmill
