#include "kernels/morphology.hpp"

#include "bindings/arrays.hpp"
#include "bindings/register.hpp"

namespace maskmill {
namespace {

py::tuple components(Counts counts, Offsets offsets, Sizes sizes, int connectivity) {
    const Rles masks = rles(counts, offsets, sizes);
    Components out = without_gil([&] { return morphology_components(masks, connectivity); });
    return py::make_tuple(to_numpy(std::move(out.runs.values)), to_numpy(std::move(out.runs.offsets)),
                          to_numpy(std::move(out.parent)));
}

py::tuple fill_holes(Counts counts, Offsets offsets, Sizes sizes, int connectivity) {
    const Rles masks = rles(counts, offsets, sizes);
    return to_numpy(without_gil([&] { return morphology_fill_holes(masks, connectivity); }));
}

py::tuple remove_small(Counts counts, Offsets offsets, Sizes sizes, int64_t min_area, int connectivity) {
    const Rles masks = rles(counts, offsets, sizes);
    const auto least = static_cast<uint64_t>(min_area < 0 ? 0 : min_area);
    return to_numpy(without_gil([&] { return morphology_remove_small(masks, least, connectivity); }));
}

py::tuple dilate(Counts counts, Offsets offsets, Sizes sizes, double radius, bool disc) {
    const Rles masks = rles(counts, offsets, sizes);
    return to_numpy(without_gil([&] { return morphology_dilate(masks, radius, disc); }));
}

py::tuple erode(Counts counts, Offsets offsets, Sizes sizes, double radius, bool disc, bool border) {
    const Rles masks = rles(counts, offsets, sizes);
    return to_numpy(without_gil([&] { return morphology_erode(masks, radius, disc, border); }));
}

py::tuple boundary(Counts counts, Offsets offsets, Sizes sizes, const Array<int64_t>& radius) {
    const Rles masks = rles(counts, offsets, sizes);
    require(radius.size() == static_cast<py::ssize_t>(masks.n), "radius must have one element per mask");
    return to_numpy(without_gil([&] { return morphology_boundary(masks, radius.data()); }));
}

}  // namespace

void register_morphology(py::module_& m) {
    m.def("morphology_components", components, exact("counts"), exact("offsets"), exact("sizes"),
          py::arg("connectivity"));
    m.def("morphology_fill_holes", fill_holes, exact("counts"), exact("offsets"), exact("sizes"),
          py::arg("connectivity"));
    m.def("morphology_remove_small", remove_small, exact("counts"), exact("offsets"), exact("sizes"),
          py::arg("min_area"), py::arg("connectivity"));
    m.def("morphology_dilate", dilate, exact("counts"), exact("offsets"), exact("sizes"), py::arg("radius"),
          py::arg("disc"));
    m.def("morphology_erode", erode, exact("counts"), exact("offsets"), exact("sizes"), py::arg("radius"),
          py::arg("disc"), py::arg("border"));
    m.def("morphology_boundary", boundary, exact("counts"), exact("offsets"), exact("sizes"), exact("radius"));
}

}  // namespace maskmill
