#include "kernels/outlines.hpp"

#include "bindings/arrays.hpp"
#include "bindings/register.hpp"

namespace maskmill {
namespace {

py::tuple trace(Counts counts, Offsets offsets, Sizes sizes, int connectivity, bool bridge) {
    const Rles masks = rles(counts, offsets, sizes);
    Outlines out = without_gil([&] { return outlines_trace(masks, connectivity, bridge); });
    const auto k = static_cast<py::ssize_t>(out.points.size() / 2);
    return py::make_tuple(to_numpy(std::move(out.points), {k, 2}), to_numpy(std::move(out.rings)),
                          to_numpy(std::move(out.masks)), to_numpy(std::move(out.parent)));
}

}  // namespace

void register_outlines(py::module_& m) {
    m.def("outlines_trace", trace, exact("counts"), exact("offsets"), exact("sizes"), py::arg("connectivity"),
          py::arg("bridge"));
}

}  // namespace maskmill
