#include "bindings/arrays.hpp"
#include "bindings/cuda_arrays.hpp"
#include "bindings/cuda_register.hpp"
#include "kernels/setops.hpp"

namespace maskmill::cuda {
namespace {

py::tuple merge(const py::object& counts, const py::object& offsets, HostSizes sizes, Offsets groups, Sizes group_sizes,
                int op) {
    DeviceMasks masks(counts, offsets, sizes);
    const size_t n = checked_items(groups, static_cast<py::ssize_t>(masks.rles.n));
    check_sides(group_sizes, n);
    require(op >= 0 && op <= 3, "op must be 0 to 3, not " + std::to_string(op));
    Arrays arrays;
    const Runs runs = launched(arrays, [&](Queue& queue) {
        return setops_merge(masks.on_device(queue), masks.total, groups.data(), n, group_sizes.data(),
                            static_cast<GroupOp>(op), queue);
    });
    return arrays.arrays(runs, n);
}

py::tuple pairs(const py::object& a_counts, const py::object& a_offsets, HostSizes a_sizes, const py::object& b_counts,
                const py::object& b_offsets, HostSizes b_sizes, int op) {
    DeviceMasks a(a_counts, a_offsets, a_sizes), b(b_counts, b_offsets, b_sizes);
    require(op >= 0 && op <= 15, "op must be 0 to 15, not " + std::to_string(op));
    Arrays arrays;
    const Runs runs = launched(arrays, [&](Queue& queue) {
        return setops_pairs(a.on_device(queue), a.total, b.on_device(queue), b.total, static_cast<unsigned>(op), queue);
    });
    return arrays.arrays(runs, a.rles.n);
}

py::tuple complement(const py::object& counts, const py::object& offsets, HostSizes sizes) {
    DeviceMasks masks(counts, offsets, sizes);
    Arrays arrays;
    const Runs runs =
        launched(arrays, [&](Queue& queue) { return setops_complement(masks.on_device(queue), masks.total, queue); });
    return arrays.arrays(runs, masks.rles.n);
}

}  // namespace

void register_setops(py::module_& m) {
    m.def("setops_merge", merge, py::arg("counts"), py::arg("offsets"), py::arg("sizes").noconvert(), exact("groups"),
          exact("group_sizes"), py::arg("op"));
    m.def("setops_pairs", pairs, py::arg("a_counts"), py::arg("a_offsets"), py::arg("a_sizes").noconvert(),
          py::arg("b_counts"), py::arg("b_offsets"), py::arg("b_sizes").noconvert(), py::arg("op"));
    m.def("setops_complement", complement, py::arg("counts"), py::arg("offsets"), py::arg("sizes").noconvert());
}

}  // namespace maskmill::cuda
