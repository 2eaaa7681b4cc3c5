#include "bindings/cuda_arrays.hpp"
#include "bindings/cuda_register.hpp"
#include "kernels/polygons.hpp"

namespace maskmill::cuda {
namespace {

const int64_t* offsets_of(const View& view, size_t& n) {
    require(view.shape.size() == 1 && view.shape[0] >= 1, "offsets must be a vector of at least one element");
    n = static_cast<size_t>(view.shape[0] - 1);
    return reinterpret_cast<const int64_t*>(view.data);
}

py::tuple rasterize(const py::object& points, const py::object& rings, const py::object& masks, HostSizes sizes,
                    int rule) {
    const View at = exact_view<double>(points, "points");
    require(at.shape.size() == 2 && at.shape[1] == 2, "points must have shape (K, 2)");
    DevicePolygons p{};
    p.points = reinterpret_cast<const double*>(at.data);
    p.point_count = static_cast<size_t>(at.shape[0]);
    p.rings = offsets_of(exact_view<int64_t>(rings, "rings"), p.ring_count);
    p.masks = offsets_of(exact_view<int64_t>(masks, "masks"), p.n);
    const int64_t* const host_sizes = checked_sizes(sizes, p.n);
    for (size_t i = 0; i < p.n; ++i) {
        p.most_pixels = std::max(
            p.most_pixels, static_cast<uint64_t>(host_sizes[2 * i]) * static_cast<uint64_t>(host_sizes[2 * i + 1]));
    }
    if (rule < 0 || rule > 5) throw py::value_error("rule must be 0 to 5, not " + std::to_string(rule));
    require(rule <= 2, "rule " + std::to_string(rule) + " has no twin on the GPU");
    Arrays arrays;
    const Runs runs = launched(arrays, [&](Queue& queue) {
        int64_t* const device_sizes = queue.take<int64_t>(2 * p.n);
        copy_sizes(device_sizes, host_sizes, p.n, queue);
        p.sizes = device_sizes;
        return polygons_rasterize(p, static_cast<FillRule>(rule), queue);
    });
    return arrays.arrays(runs, p.n);
}

}  // namespace

void register_polygons(py::module_& m) {
    m.def("polygons_rasterize", rasterize, py::arg("points"), py::arg("rings"), py::arg("masks"),
          py::arg("sizes").noconvert(), py::arg("rule"));
}

}  // namespace maskmill::cuda
