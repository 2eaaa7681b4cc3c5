#include "kernels/matching.hpp"

#include "bindings/cuda_arrays.hpp"
#include "bindings/cuda_register.hpp"

namespace maskmill::cuda {
namespace {

struct Vector {
    const int64_t* data;
    int64_t n;
};

Vector vector_of(const py::object& array, const char* name) {
    const View view = exact_view<int64_t>(array, name);
    require(view.shape.size() == 1, std::string(name) + " must be a vector");
    return {reinterpret_cast<const int64_t*>(view.data), view.shape[0]};
}

const double* boxes_of(const py::object& array, const char* name, int64_t& rows) {
    const View view = exact_view<double>(array, name);
    require(view.shape.size() == 2 && view.shape[1] == 4, std::string(name) + " must have shape (N, 4)");
    rows = view.shape[0];
    return reinterpret_cast<const double*>(view.data);
}

py::tuple box_iou(const py::object& gt_cells, const py::object& gt_order, const py::object& dt_cells,
                  const py::object& dt_order, const py::object& gt_boxes, const py::object& dt_boxes,
                  const py::object& iscrowd) {
    BoxTables boxes{};
    boxes.gt_boxes = boxes_of(gt_boxes, "gt_boxes", boxes.gt_rows);
    boxes.dt_boxes = boxes_of(dt_boxes, "dt_boxes", boxes.dt_rows);
    const View crowd = exact_view<uint8_t>(iscrowd, "iscrowd");
    require(crowd.size() == boxes.gt_rows,
            "iscrowd must have " + std::to_string(boxes.gt_rows) + " elements, not " + std::to_string(crowd.size()));
    boxes.iscrowd = crowd.data;
    const Vector gt_ends = vector_of(gt_cells, "gt_cells"), dt_ends = vector_of(dt_cells, "dt_cells");
    const Vector gt = vector_of(gt_order, "gt_order"), dt = vector_of(dt_order, "dt_order");
    require(gt_ends.n >= 1 && dt_ends.n >= 1, "offsets must be a vector of at least one element");
    require(gt_ends.n == dt_ends.n, "gt_cells and dt_cells must have one length");
    boxes.gt_places = gt.n;
    boxes.dt_places = dt.n;
    const CellView cells{gt_ends.data, gt.data, dt_ends.data, dt.data, static_cast<size_t>(gt_ends.n - 1)};
    Arrays arrays;
    const DeviceIous found = launched(arrays, [&](Queue& queue) { return matching_box_iou(cells, boxes, queue); });
    return py::make_tuple(arrays.array(found.ious, {static_cast<int64_t>(found.total)}),
                          arrays.array(found.starts, {gt_ends.n}));
}

}  // namespace

void register_matching(py::module_& m) {
    m.def("matching_box_iou", box_iou, py::arg("gt_cells"), py::arg("gt_order"), py::arg("dt_cells"),
          py::arg("dt_order"), py::arg("gt_boxes"), py::arg("dt_boxes"), py::arg("iscrowd"));
}

}  // namespace maskmill::cuda
