#include "bindings/arrays.hpp"
#include "bindings/cuda_arrays.hpp"
#include "bindings/cuda_register.hpp"
#include "kernels/rle.hpp"

namespace maskmill::cuda {
namespace {

// Stack is ImageStack or OutputStack: (N, H, W), or (H, W) as one image.
template <class Stack>
Stack stack_of(const View& view) {
    require(view.shape.size() == 2 || view.shape.size() == 3, "array must have shape (N, H, W) or (H, W)");
    if (view.kind != 'b' && view.kind != 'u' && view.kind != 'i') {
        throw py::type_error("array must be bool or integer, not " + view.dtype_name());
    }
    const size_t d = view.shape.size() - 2;
    Stack s;
    s.data = view.data;
    s.itemsize = view.itemsize;
    s.n = d == 1 ? view.shape[0] : 1;
    s.step_n = d == 1 ? view.strides[0] : 0;
    s.height = view.shape[d];
    s.step_y = view.strides[d];
    s.width = view.shape[d + 1];
    s.step_x = view.strides[d + 1];
    require(s.height <= 0x7fffffff && s.width <= 0x7fffffff, "image sides must be at most 2147483647");
    return s;
}

py::tuple encode(const py::object& images) {
    const auto stack = stack_of<ImageStack>(view_of(images, "images"));
    Arrays arrays;
    const Runs runs = launched(arrays, [&](Queue& queue) { return rle_encode(stack, queue); });
    return arrays.arrays(runs, static_cast<size_t>(stack.n));
}

// Images in Fortran order, without gaps, one byte per pixel: what pycocotools' encode takes.
py::tuple encode_changes(const py::object& images) {
    const auto s = stack_of<ImageStack>(view_of(images, "images"));
    const bool gapless = (s.height <= 1 || s.step_y == 1) && (s.width <= 1 || s.step_x == s.height) &&
                         (s.n <= 1 || s.step_n == s.height * s.width);
    require(s.itemsize == 1 && (gapless || s.n * s.height * s.width == 0),
            "images must be of one byte per pixel, in Fortran order without gaps");
    Arrays arrays;
    const Runs runs =
        launched(arrays, [&](Queue& queue) { return rle_encode_changes(s.data, s.n, s.height, s.width, queue); });
    return arrays.arrays(runs, static_cast<size_t>(s.n));
}

void decode(const py::object& counts, const py::object& offsets, HostSizes sizes, const py::object& out,
            uint8_t value) {
    DeviceMasks masks(counts, offsets, sizes);
    const View view = view_of(out, "out");
    require(!view.read_only, "out must be writeable");
    const auto stack = stack_of<OutputStack>(view);
    require(stack.itemsize == 1, "out must have one byte per pixel");
    require(stack.n == static_cast<int64_t>(masks.rles.n), "out must have one image per mask");
    for (size_t i = 0; i < masks.rles.n; ++i) {
        const int64_t height = masks.host_sizes[2 * i], width = masks.host_sizes[2 * i + 1];
        require(height == stack.height && width == stack.width,
                "mask " + std::to_string(i) + ": size " + size_text(height, width) + " differs from the output's " +
                    size_text(stack.height, stack.width));
    }
    Arrays arrays;
    launched(arrays, [&](Queue& queue) { rle_decode(masks.on_device(queue), masks.total, stack, value, queue); });
}

py::object area(const py::object& counts, const py::object& offsets) {
    const DeviceMasks masks(counts, offsets);
    Arrays arrays;
    const uint64_t* found = launched(arrays, [&](Queue& queue) {
        uint64_t* const areas = queue.take<uint64_t>(masks.rles.n);
        rle_area(masks.rles, masks.total, areas, queue);
        return areas;
    });
    return arrays.array(found, {static_cast<int64_t>(masks.rles.n)});
}

py::object bbox(const py::object& counts, const py::object& offsets, HostSizes sizes) {
    DeviceMasks masks(counts, offsets, sizes);
    Arrays arrays;
    const double* found = launched(arrays, [&](Queue& queue) {
        double* const boxes = queue.take<double>(4 * masks.rles.n);
        rle_bbox(masks.on_device(queue), masks.total, boxes, queue);
        return boxes;
    });
    return arrays.array(found, {static_cast<int64_t>(masks.rles.n), 4});
}

void check_masks(const py::object& counts, const py::object& offsets, HostSizes sizes) {
    DeviceMasks masks(counts, offsets, sizes);
    Arrays arrays;
    launched(arrays, [&](Queue& queue) { rle_check(masks.on_device(queue), masks.total, queue); });
}

py::tuple normalize(const py::object& counts, const py::object& offsets, HostSizes sizes) {
    DeviceMasks masks(counts, offsets, sizes);
    Arrays arrays;
    const Runs runs =
        launched(arrays, [&](Queue& queue) { return rle_normalize(masks.on_device(queue), masks.total, queue); });
    return arrays.arrays(runs, masks.rles.n);
}

py::tuple from_labels(const py::object& labels) {
    const View view = view_of(labels, "labels");
    const auto stack = stack_of<ImageStack>(view);
    require(stack.n == 1, "labels must be one image");
    Arrays arrays;
    const LabelMasks out =
        launched(arrays, [&](Queue& queue) { return rle_from_labels(stack, view.kind == 'i', queue); });
    const py::tuple runs = arrays.arrays(out.runs, out.n);
    return py::make_tuple(runs[0], runs[1], arrays.array(out.values, {static_cast<int64_t>(out.n)}));
}

// Values are on the host, as sizes are.
void to_labels(const py::object& counts, const py::object& offsets, HostSizes sizes, const Array<int64_t>& values,
               const py::object& out) {
    DeviceMasks masks(counts, offsets, sizes);
    const View view = view_of(out, "out");
    require(!view.read_only, "out must be writeable");
    const auto stack = stack_of<OutputStack>(view);
    require(stack.n == 1, "out must be one image");
    require(values.size() == static_cast<py::ssize_t>(masks.rles.n), "values must have one element per mask");
    Arrays arrays;
    launched(arrays,
             [&](Queue& queue) { rle_to_labels(masks.on_device(queue), masks.total, values.data(), stack, queue); });
}

// Strings are on the host.
py::tuple to_string(const py::object& counts, const py::object& offsets) {
    const DeviceMasks masks(counts, offsets);
    Arrays arrays;
    maskmill::Ragged<char> text =
        launched(arrays, [&](Queue& queue) { return rle_to_string(masks.rles, masks.total, queue); });
    Buffer<uint8_t> bytes;
    bytes.append(reinterpret_cast<const uint8_t*>(text.values.data()), text.values.size());
    return py::make_tuple(to_numpy(std::move(bytes)), to_numpy(std::move(text.offsets)));
}

py::tuple from_string(const Array<uint8_t>& chars, const Array<int64_t>& offsets) {
    const size_t n = checked_items(offsets, chars.size());
    Arrays arrays;
    const Runs runs = launched(arrays, [&](Queue& queue) {
        return rle_from_string(reinterpret_cast<const char*>(chars.data()), offsets.data(), n, queue);
    });
    return arrays.arrays(runs, n);
}

}  // namespace

void register_rle(py::module_& m) {
    m.def("rle_encode", encode, py::arg("images"));
    m.def("rle_encode_changes", encode_changes, py::arg("images"));
    m.def("rle_decode", decode, py::arg("counts"), py::arg("offsets"), py::arg("sizes").noconvert(), py::arg("out"),
          py::arg("value") = 1);
    m.def("rle_area", area, py::arg("counts"), py::arg("offsets"));
    m.def("rle_bbox", bbox, py::arg("counts"), py::arg("offsets"), py::arg("sizes").noconvert());
    m.def("rle_check", check_masks, py::arg("counts"), py::arg("offsets"), py::arg("sizes").noconvert());
    m.def("rle_normalize", normalize, py::arg("counts"), py::arg("offsets"), py::arg("sizes").noconvert());
    m.def("rle_from_labels", from_labels, py::arg("labels"));
    m.def("rle_to_labels", to_labels, py::arg("counts"), py::arg("offsets"), py::arg("sizes").noconvert(),
          exact("values"), py::arg("out"));
    m.def("rle_to_string", to_string, py::arg("counts"), py::arg("offsets"));
    m.def("rle_from_string", from_string, exact("chars"), exact("offsets"));
}

}  // namespace maskmill::cuda
