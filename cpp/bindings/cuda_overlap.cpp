#include "bindings/cuda_arrays.hpp"
#include "bindings/cuda_register.hpp"
#include "kernels/overlap.hpp"

namespace maskmill::cuda {
namespace {

std::vector<int64_t> shape_of(const DeviceMasks& a, const DeviceMasks& b) {
    return {static_cast<int64_t>(a.rles.n), static_cast<int64_t>(b.rles.n)};
}

Side side_of(DeviceMasks& masks, Queue& queue) { return {masks.on_device(queue), masks.total}; }

py::object iou(const py::object& a_counts, const py::object& a_offsets, HostSizes a_sizes, const py::object& b_counts,
               const py::object& b_offsets, HostSizes b_sizes, const py::object& iscrowd) {
    DeviceMasks a(a_counts, a_offsets, a_sizes), b(b_counts, b_offsets, b_sizes);
    const DeviceVector<uint8_t> crowds(iscrowd, "iscrowd");
    require(crowds.n == b.rles.n, "iscrowd must have one element per mask of b");
    Arrays arrays;
    const double* const found = launched(arrays, [&](Queue& queue) {
        double* const out = queue.take<double>(a.rles.n * b.rles.n);
        overlap_iou(side_of(a, queue), side_of(b, queue), crowds.on_device(queue), out, queue);
        return out;
    });
    return arrays.array(found, shape_of(a, b));
}

py::object intersection(const py::object& a_counts, const py::object& a_offsets, HostSizes a_sizes,
                        const py::object& b_counts, const py::object& b_offsets, HostSizes b_sizes) {
    DeviceMasks a(a_counts, a_offsets, a_sizes), b(b_counts, b_offsets, b_sizes);
    Arrays arrays;
    const uint64_t* const found = launched(arrays, [&](Queue& queue) {
        uint64_t* const out = queue.take<uint64_t>(a.rles.n * b.rles.n);
        overlap_intersection(side_of(a, queue), side_of(b, queue), out, queue);
        return out;
    });
    return arrays.array(found, shape_of(a, b));
}

py::object nms(const py::object& counts, const py::object& offsets, HostSizes sizes, double threshold) {
    DeviceMasks masks(counts, offsets, sizes);
    Arrays arrays;
    const uint8_t* const found = launched(arrays, [&](Queue& queue) {
        uint8_t* const keep = queue.take<uint8_t>(masks.rles.n);
        overlap_nms(side_of(masks, queue), threshold, keep, queue);
        return keep;
    });
    return arrays.array(reinterpret_cast<const bool*>(found), {static_cast<int64_t>(masks.rles.n)});
}

}  // namespace

void register_overlap(py::module_& m) {
    m.def("overlap_iou", iou, py::arg("a_counts"), py::arg("a_offsets"), py::arg("a_sizes").noconvert(),
          py::arg("b_counts"), py::arg("b_offsets"), py::arg("b_sizes").noconvert(), py::arg("iscrowd"));
    m.def("overlap_intersection", intersection, py::arg("a_counts"), py::arg("a_offsets"),
          py::arg("a_sizes").noconvert(), py::arg("b_counts"), py::arg("b_offsets"), py::arg("b_sizes").noconvert());
    m.def("overlap_nms", nms, py::arg("counts"), py::arg("offsets"), py::arg("sizes").noconvert(),
          py::arg("threshold"));
}

}  // namespace maskmill::cuda
