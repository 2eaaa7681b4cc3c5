#include "kernels/overlap.hpp"

#include "bindings/arrays.hpp"
#include "bindings/register.hpp"

namespace maskmill {
namespace {

template <class T>
Array<T> matrix(const Rles& a, const Rles& b) {
    return Array<T>({static_cast<py::ssize_t>(a.n), static_cast<py::ssize_t>(b.n)});
}

Array<double> iou(Counts a_counts, Offsets a_offsets, Sizes a_sizes, Counts b_counts, Offsets b_offsets, Sizes b_sizes,
                  const Array<uint8_t>& iscrowd) {
    const Rles a = rles(a_counts, a_offsets, a_sizes), b = rles(b_counts, b_offsets, b_sizes);
    require(iscrowd.size() == static_cast<py::ssize_t>(b.n), "iscrowd must have one element per mask of b");
    Array<double> out = matrix<double>(a, b);
    double* p = out.mutable_data();
    without_gil([&] { overlap_iou(a, b, iscrowd.data(), SizeMismatch::fail, p, static_cast<int64_t>(b.n), 1); });
    return out;
}

Array<uint64_t> intersection(Counts a_counts, Offsets a_offsets, Sizes a_sizes, Counts b_counts, Offsets b_offsets,
                             Sizes b_sizes) {
    const Rles a = rles(a_counts, a_offsets, a_sizes), b = rles(b_counts, b_offsets, b_sizes);
    Array<uint64_t> out = matrix<uint64_t>(a, b);
    uint64_t* p = out.mutable_data();
    without_gil([&] { overlap_intersection(a, b, p); });
    return out;
}

Array<bool> nms(Counts counts, Offsets offsets, Sizes sizes, double threshold) {
    const Rles masks = rles(counts, offsets, sizes);
    Array<bool> out(static_cast<py::ssize_t>(masks.n));
    auto* keep = reinterpret_cast<uint8_t*>(out.mutable_data());
    without_gil([&] { overlap_nms(masks, threshold, keep); });
    return out;
}

}  // namespace

void register_overlap(py::module_& m) {
    m.def("overlap_iou", iou, exact("a_counts"), exact("a_offsets"), exact("a_sizes"), exact("b_counts"),
          exact("b_offsets"), exact("b_sizes"), exact("iscrowd"));
    m.def("overlap_intersection", intersection, exact("a_counts"), exact("a_offsets"), exact("a_sizes"),
          exact("b_counts"), exact("b_offsets"), exact("b_sizes"));
    m.def("overlap_nms", nms, exact("counts"), exact("offsets"), exact("sizes"), py::arg("threshold"));
}

}  // namespace maskmill
