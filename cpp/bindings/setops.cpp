#include "kernels/setops.hpp"

#include "bindings/arrays.hpp"
#include "bindings/register.hpp"

namespace maskmill {
namespace {

py::tuple merge(Counts counts, Offsets offsets, Sizes sizes, Offsets groups, Sizes group_sizes, int op) {
    const Rles masks = rles(counts, offsets, sizes);
    const size_t n = checked_items(groups, static_cast<py::ssize_t>(masks.n));
    check_sides(group_sizes, n);
    if (op < 0 || op > 3) throw py::value_error("op must be 0 to 3, not " + std::to_string(op));
    return to_numpy(without_gil(
        [&] { return setops_merge(masks, groups.data(), n, group_sizes.data(), static_cast<GroupOp>(op)); }));
}

py::tuple pairs(Counts a_counts, Offsets a_offsets, Sizes a_sizes, Counts b_counts, Offsets b_offsets, Sizes b_sizes,
                int op) {
    const Rles a = rles(a_counts, a_offsets, a_sizes), b = rles(b_counts, b_offsets, b_sizes);
    if (op < 0 || op > 15) throw py::value_error("op must be 0 to 15, not " + std::to_string(op));
    return to_numpy(without_gil([&] { return setops_pairs(a, b, static_cast<unsigned>(op)); }));
}

py::tuple complement(Counts counts, Offsets offsets, Sizes sizes) {
    const Rles masks = rles(counts, offsets, sizes);
    return to_numpy(without_gil([&] { return setops_complement(masks); }));
}

}  // namespace

void register_setops(py::module_& m) {
    m.def("setops_merge", merge, exact("counts"), exact("offsets"), exact("sizes"), exact("groups"),
          exact("group_sizes"), py::arg("op"));
    m.def("setops_pairs", pairs, exact("a_counts"), exact("a_offsets"), exact("a_sizes"), exact("b_counts"),
          exact("b_offsets"), exact("b_sizes"), py::arg("op"));
    m.def("setops_complement", complement, exact("counts"), exact("offsets"), exact("sizes"));
}

}  // namespace maskmill
