#include "bindings/cuda_arrays.hpp"
#include "bindings/cuda_register.hpp"
#include "kernels/patches.hpp"

namespace maskmill::cuda {
namespace {

// Boxes and the like are on the host, as shapes are.
template <class T>
using Host = const py::array_t<T, py::array::c_style>&;

PatchArray array_of(const View& view, int axes) {
    const auto channels = static_cast<int>(view.shape.size()) - axes;
    require(channels == 0 || channels == 1, "array must have the axes of the boxes, and channels behind them or not");
    PatchArray out;
    out.data = view.data;
    out.itemsize = view.itemsize;
    for (int k = 0; k < axes; ++k) {
        out.shape[3 - axes + k] = view.shape[static_cast<size_t>(k)];
        out.strides[3 - axes + k] = view.strides[static_cast<size_t>(k)];
    }
    if (channels == 1) {
        out.shape[3] = view.shape.back();
        out.strides[3] = view.strides.back();
    }
    return out;
}

PatchBoxes boxes_of(Host<int64_t> boxes) {
    require(boxes.ndim() == 2 && (boxes.shape(1) == 4 || boxes.shape(1) == 6),
            "boxes must have shape (N, 4) or (N, 6)");
    return {boxes.data(), static_cast<size_t>(boxes.shape(0)), static_cast<int>(boxes.shape(1) / 2)};
}

// Whether an array of this size has as many elements as the product of all factors, which may leave 64 bits.
bool is_product(int64_t size, std::initializer_list<int64_t> factors) {
    if (std::find(factors.begin(), factors.end(), 0) != factors.end()) return size == 0;
    int64_t product = 1;
    for (const int64_t n : factors) {
        if (product > size / n) return false;
        product *= n;
    }
    return product == size;
}

void check_output(const View& out, const View& array, std::initializer_list<int64_t> elements) {
    require(!out.read_only, "out must be writeable");
    if (out.kind != array.kind || out.itemsize != array.itemsize) {
        throw py::type_error("out must have the dtype of what is copied");
    }
    require(out.is_contiguous(), "out must be C-contiguous");
    require(is_product(out.size(), elements), "out must have as many elements as the patches");
}

void extract(const py::object& array, Host<int64_t> boxes, const py::object& out, int pad, const py::array& fill) {
    const PatchBoxes where = boxes_of(boxes);
    const View from = view_of(array, "array"), to = view_of(out, "out");
    const PatchArray source = array_of(from, where.axes);
    require(pad >= 0 && pad <= 2, "pad must be 0, 1 or 2");
    check_output(to, from, {patches_size(where), source.shape[3]});
    require(fill.nbytes() == source.itemsize * source.shape[3] && (fill.flags() & py::array::c_style) != 0,
            "fill must be one element with its channels");
    const auto* with = static_cast<const uint8_t*>(fill.data());
    Arrays arrays;
    launched_or_captured(arrays, [&](Queue& queue) {
        patches_extract(source, where, static_cast<PatchPad>(pad), with, to.data, queue);
    });
}

PatchPlanes planes_of(const PatchArray& volume, int axis, Host<int64_t> tiles, Host<int64_t> slices) {
    require(axis >= 0 && axis <= 2, "axis must be 0, 1 or 2");
    require(tiles.ndim() == 2 && tiles.shape(1) == 4, "tiles must have shape (T, 4)");
    require(slices.ndim() == 1, "slices must be a vector");
    const PatchPlanes planes{axis, tiles.data(), static_cast<size_t>(tiles.shape(0)), slices.data(),
                             static_cast<size_t>(slices.shape(0))};
    patches_check(volume, planes);
    return planes;
}

void planes(const py::object& volume, int axis, Host<int64_t> tiles, Host<int64_t> slices, const py::object& out) {
    const View from = view_of(volume, "volume"), to = view_of(out, "out");
    require(from.shape.size() == 3, "volume must have shape (D, H, W)");
    const PatchArray source = array_of(from, 3);
    const PatchPlanes where = planes_of(source, axis, tiles, slices);
    const int64_t* t = where.tiles;
    const int64_t h = where.n_tiles == 0 ? 0 : t[1] - t[0], w = where.n_tiles == 0 ? 0 : t[3] - t[2];
    check_output(to, from, {h, w, tiles.shape(0), slices.shape(0)});
    Arrays arrays;
    launched_or_captured(arrays, [&](Queue& queue) { patches_planes(source, where, to.data, queue); });
}

PatchType type_of(const View& view) {
    const int size = view.itemsize;
    if (view.kind == 'u' && size == 1) return PatchType::u8;
    if (view.kind == 'u' && size == 2) return PatchType::u16;
    if (view.kind == 'u' && size == 4) return PatchType::u32;
    if (view.kind == 'i' && size == 1) return PatchType::i8;
    if (view.kind == 'i' && size == 2) return PatchType::i16;
    if (view.kind == 'i' && size == 4) return PatchType::i32;
    if (view.kind == 'f' && size == 4) return PatchType::f32;
    if (view.kind == 'f' && size == 8) return PatchType::f64;
    throw py::type_error("values must be integers of at most 32 bits, float32 or float64, in native byte order, not " +
                         view.dtype_name());
}

py::object stats(const py::object& volume, int axis, Host<int64_t> tiles, Host<int64_t> slices, double padding) {
    const View from = view_of(volume, "volume");
    require(from.shape.size() == 3, "volume must have shape (D, H, W)");
    const PatchArray source = array_of(from, 3);
    const PatchType type = type_of(from);
    const PatchPlanes where = planes_of(source, axis, tiles, slices);
    const size_t n = where.n_tiles * where.n_slices;
    Arrays arrays;
    const double* found = launched_or_captured(arrays, [&](Queue& queue) {
        double* const out = queue.take<double>(6 * n);
        patches_stats(source, type, where, padding, out, queue);
        return out;
    });
    return arrays.array(found, {6, static_cast<int64_t>(n)});
}

void stitch(const py::object& patches, Host<int64_t> boxes, Host<double> windows, Host<int64_t> starts, int blend,
            const py::object& out) {
    const PatchBoxes where = boxes_of(boxes);
    const View from = view_of(patches, "patches"), to = view_of(out, "out");
    const PatchType type = type_of(from);
    const PatchArray target = array_of(to, where.axes);
    const int64_t elements = patches_size(where);
    require(blend >= 0 && blend <= 2, "blend must be 0, 1 or 2");
    require(from.is_contiguous(), "patches must be C-contiguous");
    require(is_product(from.size(), {elements, target.shape[3]}), "patches must have as many elements as the boxes");
    require(starts.ndim() == 2 && starts.shape(0) == boxes.shape(0) && starts.shape(1) == where.axes,
            "starts must have one element for each axis of each box");
    for (py::ssize_t k = 0; k < starts.size(); ++k) {
        const int64_t length = boxes.data()[2 * k + 1] - boxes.data()[2 * k];
        require(starts.data()[k] >= 0 && starts.data()[k] <= windows.size() - length,
                "windows must be as long as the boxes");
    }
    check_output(to, from, {to.size()});
    const PatchWindows weights{windows.data(), starts.data()};
    const auto n_weights = static_cast<size_t>(windows.size());
    Arrays arrays;
    launched_or_captured(arrays, [&](Queue& queue) {
        patches_stitch(from.data, type, where, weights, n_weights, static_cast<PatchBlend>(blend), target.shape,
                       to.data, queue);
    });
}

}  // namespace

void register_patches(py::module_& m) {
    m.def("patches_extract", extract, py::arg("array"), py::arg("boxes").noconvert(), py::arg("out"), py::arg("pad"),
          py::arg("fill"));
    m.def("patches_planes", planes, py::arg("volume"), py::arg("axis"), py::arg("tiles").noconvert(),
          py::arg("slices").noconvert(), py::arg("out"));
    m.def("patches_stats", stats, py::arg("volume"), py::arg("axis"), py::arg("tiles").noconvert(),
          py::arg("slices").noconvert(), py::arg("padding"));
    m.def("patches_stitch", stitch, py::arg("patches"), py::arg("boxes").noconvert(), py::arg("windows").noconvert(),
          py::arg("starts").noconvert(), py::arg("blend"), py::arg("out"));
}

}  // namespace maskmill::cuda
