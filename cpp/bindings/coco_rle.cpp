#include "kernels/coco_rle.hpp"

#include "bindings/arrays.hpp"
#include "bindings/register.hpp"

namespace maskmill {
namespace {

// Sizes of any kind: these kernels do not turn them into addresses.
Rles loose_rles(Counts counts, Offsets offsets, Sizes sizes) {
    Rles r = rles(counts, offsets);
    require(sizes.ndim() == 2 && sizes.shape(1) == 2 && static_cast<size_t>(sizes.shape(0)) == r.n,
            "sizes must have shape (N, 2), N being the number of masks");
    r.sizes = sizes.data();
    return r;
}

py::tuple parse(const Array<uint8_t>& chars, Offsets offsets) {
    const size_t n = checked_items(offsets, chars.size());
    Runs out;
    out.offsets.push(0);
    for (size_t i = 0; i < n; ++i) {
        const int64_t begin = offsets.data()[i], end = offsets.data()[i + 1];
        coco_rle_parse(reinterpret_cast<const char*>(chars.data()) + begin, static_cast<size_t>(end - begin),
                       out.values);
        out.offsets.push(static_cast<int64_t>(out.values.size()));
    }
    return to_numpy(std::move(out));
}

bool decode(Counts counts, Offsets offsets, Array<uint8_t> out) {
    const Rles masks = rles(counts, offsets);
    uint8_t* p = out.mutable_data();
    const auto room = static_cast<uint64_t>(out.size());
    return without_gil([&] { return coco_rle_decode(masks, p, room); });
}

Array<uint32_t> area(Counts counts, Offsets offsets) {
    const Rles masks = rles(counts, offsets);
    Array<uint32_t> out(static_cast<py::ssize_t>(masks.n));
    for (size_t i = 0; i < masks.n; ++i) out.mutable_data()[i] = coco_rle_area(masks.runs(i));
    return out;
}

Array<double> bbox(Counts counts, Offsets offsets, Sizes sizes) {
    const Rles masks = loose_rles(counts, offsets, sizes);
    Array<double> out({static_cast<py::ssize_t>(masks.n), py::ssize_t{4}});
    for (size_t i = 0; i < masks.n; ++i) {
        coco_rle_bbox(masks.runs(i), masks.height(i), masks.width(i), i, out.mutable_data() + 4 * i);
    }
    return out;
}

py::tuple merge(Counts counts, Offsets offsets, Sizes sizes, bool intersect) {
    CocoMerged merged = coco_rle_merge(loose_rles(counts, offsets, sizes), intersect);
    return py::make_tuple(to_numpy(std::move(merged.runs)), merged.height, merged.width);
}

py::array_t<double> fortran(size_t m, size_t n) {
    const auto item = static_cast<py::ssize_t>(sizeof(double));
    return py::array_t<double>({static_cast<py::ssize_t>(m), static_cast<py::ssize_t>(n)},
                               {item, item * static_cast<py::ssize_t>(m)});
}

py::array_t<double> iou(Counts a_counts, Offsets a_offsets, Sizes a_sizes, Counts b_counts, Offsets b_offsets,
                        Sizes b_sizes, const Array<uint8_t>& iscrowd) {
    const Rles a = loose_rles(a_counts, a_offsets, a_sizes), b = loose_rles(b_counts, b_offsets, b_sizes);
    require(iscrowd.size() == static_cast<py::ssize_t>(b.n), "iscrowd must have one element per mask of b");
    py::array_t<double> out = fortran(a.n, b.n);
    double* p = out.mutable_data();
    without_gil([&] { coco_rle_iou(a, b, iscrowd.data(), p); });
    return out;
}

py::array_t<double> box_iou(const Array<double>& a, const Array<double>& b, const Array<uint8_t>& iscrowd) {
    require(a.ndim() == 2 && a.shape(1) == 4 && b.ndim() == 2 && b.shape(1) == 4, "boxes must have shape (N, 4)");
    require(iscrowd.size() == b.shape(0), "iscrowd must have one element per box of b");
    const auto m = static_cast<size_t>(a.shape(0)), n = static_cast<size_t>(b.shape(0));
    py::array_t<double> out = fortran(m, n);
    double* p = out.mutable_data();
    without_gil([&] { coco_rle_box_iou(a.data(), m, b.data(), n, iscrowd.data(), p); });
    return out;
}

}  // namespace

void register_coco_rle(py::module_& m) {
    m.def("coco_rle_parse", parse, exact("chars"), exact("offsets"));
    m.def("coco_rle_decode", decode, exact("counts"), exact("offsets"), exact("out"));
    m.def("coco_rle_area", area, exact("counts"), exact("offsets"));
    m.def("coco_rle_bbox", bbox, exact("counts"), exact("offsets"), exact("sizes"));
    m.def("coco_rle_merge", merge, exact("counts"), exact("offsets"), exact("sizes"), py::arg("intersect"));
    m.def("coco_rle_iou", iou, exact("a_counts"), exact("a_offsets"), exact("a_sizes"), exact("b_counts"),
          exact("b_offsets"), exact("b_sizes"), exact("iscrowd"));
    m.def("coco_rle_box_iou", box_iou, exact("a"), exact("b"), exact("iscrowd"));
}

}  // namespace maskmill
