#include "kernels/polygons.hpp"

#include "bindings/arrays.hpp"
#include "bindings/register.hpp"

namespace maskmill {
namespace {

py::ssize_t point_count(const Array<double>& points) {
    require(points.ndim() == 2 && points.shape(1) == 2, "points must have shape (K, 2)");
    return points.shape(0);
}

// Without sizes.
Polygons polygons(const Array<double>& points, Offsets rings, Offsets masks) {
    Polygons p{points.data(), rings.data(), masks.data(), nullptr, 0};
    const size_t ring_count = checked_items(rings, point_count(points));
    p.n = checked_items(masks, static_cast<py::ssize_t>(ring_count));
    return p;
}

py::tuple rasterize(const Array<double>& points, Offsets rings, Offsets masks, Sizes sizes, int rule) {
    Polygons p = polygons(points, rings, masks);
    check_sides(sizes, p.n);
    p.sizes = sizes.data();
    if (rule < 0 || rule > 5) throw py::value_error("rule must be 0 to 5, not " + std::to_string(rule));
    return to_numpy(without_gil([&] { return polygons_rasterize(p, static_cast<FillRule>(rule)); }));
}

py::tuple ellipses(const Array<double>& values, Sizes sizes) {
    require(values.ndim() == 2 && values.shape(1) == 6, "ellipses must have shape (N, 6)");
    const auto n = static_cast<size_t>(values.shape(0));
    check_sides(sizes, n);
    return to_numpy(without_gil([&] { return polygons_ellipses(values.data(), sizes.data(), n); }));
}

Array<uint8_t> tangles(const Array<double>& points, Offsets rings, Offsets masks) {
    const Polygons p = polygons(points, rings, masks);
    Array<uint8_t> out(static_cast<py::ssize_t>(p.n));
    uint8_t* data = out.mutable_data();
    without_gil([&] { polygons_tangles(p, data); });
    return out;
}

py::tuple simplify(const Array<double>& points, Offsets rings, const Array<double>& tolerances, int method) {
    const size_t n = checked_items(rings, point_count(points));
    require(tolerances.ndim() == 1 && static_cast<size_t>(tolerances.size()) == n,
            "tolerances must have shape (R,), R being the number of rings");
    if (method < 0 || method > 1) throw py::value_error("method must be 0 or 1, not " + std::to_string(method));
    Rings out = without_gil([&] {
        return polygons_simplify(points.data(), rings.data(), tolerances.data(), n,
                                 static_cast<SimplifyMethod>(method));
    });
    const auto k = static_cast<py::ssize_t>(out.points.size() / 2);
    return py::make_tuple(to_numpy(std::move(out.points), {k, 2}), to_numpy(std::move(out.offsets)));
}

}  // namespace

void register_polygons(py::module_& m) {
    m.def("polygons_rasterize", rasterize, exact("points"), exact("rings"), exact("masks"), exact("sizes"),
          py::arg("rule"));
    m.def("polygons_ellipses", ellipses, exact("ellipses"), exact("sizes"));
    m.def("polygons_simplify", simplify, exact("points"), exact("rings"), exact("tolerances"), py::arg("method"));
    m.def("polygons_tangles", tangles, exact("points"), exact("rings"), exact("masks"));
}

}  // namespace maskmill
