#include "kernels/rle.hpp"

#include <bit>

#include "bindings/arrays.hpp"
#include "bindings/register.hpp"

namespace maskmill {
namespace {

bool is_integer(const py::array& array) {
    const char kind = array.dtype().kind();
    return kind == 'b' || kind == 'u' || kind == 'i';
}

// Stack is ImageStack or OutputStack: (N, H, W), or (H, W) as one image.
template <class Stack, class Data>
Stack stack_of(const py::array& array, Data* data) {
    require(array.ndim() == 2 || array.ndim() == 3, "array must have shape (N, H, W) or (H, W)");
    if (!is_integer(array)) {
        throw py::type_error("array must be bool or integer, not " + py::cast<std::string>(py::str(array.dtype())));
    }
    if (array.dtype().byteorder() == '>' ||
        (std::endian::native == std::endian::big && array.dtype().byteorder() == '<')) {
        throw py::type_error("array must be in native byte order");
    }
    const auto d = array.ndim() - 2;
    Stack s;
    s.data = data;
    s.itemsize = static_cast<int>(array.itemsize());
    s.n = d == 1 ? array.shape(0) : 1;
    s.step_n = d == 1 ? array.strides(0) : 0;
    s.height = array.shape(d);
    s.step_y = array.strides(d);
    s.width = array.shape(d + 1);
    s.step_x = array.strides(d + 1);
    require(s.height <= 0x7fffffff && s.width <= 0x7fffffff, "image sides must be at most 2147483647");
    return s;
}

ImageStack images_of(const py::array& array) {
    return stack_of<ImageStack>(array, static_cast<const uint8_t*>(array.data()));
}

OutputStack output_of(py::array& array) {
    require(array.writeable(), "out must be writeable");
    return stack_of<OutputStack>(array, static_cast<uint8_t*>(array.mutable_data()));
}

py::tuple encode(const py::array& images) {
    const ImageStack stack = images_of(images);
    return to_numpy(without_gil([&] { return rle_encode(stack); }));
}

void decode(Counts counts, Offsets offsets, Sizes sizes, py::array out, uint8_t value) {
    const Rles masks = rles(counts, offsets, sizes);
    const OutputStack stack = output_of(out);
    require(stack.itemsize == 1, "out must have one byte per pixel");
    require(stack.n == static_cast<int64_t>(masks.n), "out must have one image per mask");
    without_gil([&] { rle_decode(masks, stack, value); });
}

py::tuple from_labels(const py::array& labels) {
    const ImageStack stack = images_of(labels);
    require(stack.n == 1, "labels must be one image");
    const bool is_signed = labels.dtype().kind() == 'i';
    LabelMasks out = without_gil([&] { return rle_from_labels(stack, is_signed); });
    return py::make_tuple(to_numpy(std::move(out.runs.values)), to_numpy(std::move(out.runs.offsets)),
                          to_numpy(std::move(out.values)));
}

void to_labels(Counts counts, Offsets offsets, Sizes sizes, const Array<int64_t>& values, py::array out) {
    const Rles masks = rles(counts, offsets, sizes);
    const OutputStack stack = output_of(out);
    require(stack.n == 1, "out must be one image");
    require(values.size() == static_cast<py::ssize_t>(masks.n), "values must have one element per mask");
    without_gil([&] { rle_to_labels(masks, values.data(), stack); });
}

py::tuple to_string(Counts counts, Offsets offsets) {
    const Rles masks = rles(counts, offsets);
    Ragged<char> text = without_gil([&] { return rle_to_string(masks); });
    const size_t n = text.values.size();
    Buffer<uint8_t> bytes;  // the same memory, as NumPy's uint8
    bytes.append(reinterpret_cast<const uint8_t*>(text.values.data()), n);
    return py::make_tuple(to_numpy(std::move(bytes)), to_numpy(std::move(text.offsets)));
}

py::tuple from_string(const Array<uint8_t>& chars, const Array<int64_t>& offsets) {
    const size_t n = checked_items(offsets, chars.size());
    return to_numpy(
        without_gil([&] { return rle_from_string(reinterpret_cast<const char*>(chars.data()), offsets.data(), n); }));
}

Array<uint64_t> area(Counts counts, Offsets offsets) {
    const Rles masks = rles(counts, offsets);
    Array<uint64_t> out(static_cast<py::ssize_t>(masks.n));
    uint64_t* areas = out.mutable_data();
    without_gil([&] { rle_area(masks, areas); });
    return out;
}

Array<double> bbox(Counts counts, Offsets offsets, Sizes sizes) {
    const Rles masks = rles(counts, offsets, sizes);
    Array<double> out({static_cast<py::ssize_t>(masks.n), py::ssize_t{4}});
    double* boxes = out.mutable_data();
    without_gil([&] { rle_bbox(masks, boxes); });
    return out;
}

void check(Counts counts, Offsets offsets, Sizes sizes) {
    const Rles masks = rles(counts, offsets, sizes);
    without_gil([&] { rle_check(masks); });
}

py::tuple normalize(Counts counts, Offsets offsets, Sizes sizes) {
    const Rles masks = rles(counts, offsets, sizes);
    return to_numpy(without_gil([&] { return rle_normalize(masks); }));
}

}  // namespace

void register_rle(py::module_& m) {
    m.def("rle_encode", encode, py::arg("images"));
    m.def("rle_decode", decode, exact("counts"), exact("offsets"), exact("sizes"), exact("out"), py::arg("value") = 1);
    m.def("rle_from_labels", from_labels, py::arg("labels"));
    m.def("rle_to_labels", to_labels, exact("counts"), exact("offsets"), exact("sizes"), exact("values"), exact("out"));
    m.def("rle_to_string", to_string, exact("counts"), exact("offsets"));
    m.def("rle_from_string", from_string, exact("chars"), exact("offsets"));
    m.def("rle_area", area, exact("counts"), exact("offsets"));
    m.def("rle_bbox", bbox, exact("counts"), exact("offsets"), exact("sizes"));
    m.def("rle_check", check, exact("counts"), exact("offsets"), exact("sizes"));
    m.def("rle_normalize", normalize, exact("counts"), exact("offsets"), exact("sizes"));
}

}  // namespace maskmill
