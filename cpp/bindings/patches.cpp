#include "kernels/patches.hpp"

#include "bindings/arrays.hpp"
#include "bindings/register.hpp"

namespace maskmill {
namespace {

using Boxes = const Array<int64_t>&;

// Python's own references must not be copied as bytes.
void check_plain(const py::array& array, const char* name) {
    if (py::cast<bool>(array.dtype().attr("hasobject"))) {
        throw py::type_error(std::string(name) + " must not hold Python objects");
    }
}

PatchArray array_of(const py::array& array, int axes) {
    check_plain(array, "array");
    const auto channels = array.ndim() - axes;
    require(channels == 0 || channels == 1, "array must have the axes of the boxes, and channels behind them or not");
    PatchArray out;
    out.data = static_cast<const uint8_t*>(array.data());
    out.itemsize = array.itemsize();
    for (int k = 0; k < axes; ++k) {
        out.shape[3 - axes + k] = array.shape(k);
        out.strides[3 - axes + k] = array.strides(k);
    }
    if (channels == 1) {
        out.shape[3] = array.shape(axes);
        out.strides[3] = array.strides(axes);
    }
    return out;
}

PatchBoxes boxes_of(Boxes boxes) {
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

uint8_t* output_of(py::array& out, const py::array& array, std::initializer_list<int64_t> elements) {
    check_plain(out, "out");
    require(out.writeable(), "out must be writeable");
    if (!py::cast<bool>(out.dtype().attr("__eq__")(array.dtype())))
        throw py::type_error("out must have the dtype of what is copied");
    require((out.flags() & py::array::c_style) != 0, "out must be C-contiguous");
    require(is_product(out.size(), elements), "out must have as many elements as the patches");
    return static_cast<uint8_t*>(out.mutable_data());
}

void extract(const py::array& array, Boxes boxes, py::array out, int pad, const py::array& fill) {
    const PatchBoxes where = boxes_of(boxes);
    const PatchArray source = array_of(array, where.axes);
    require(pad >= 0 && pad <= 2, "pad must be 0, 1 or 2");
    const int64_t elements = patches_size(where);
    uint8_t* to = output_of(out, array, {elements, source.shape[3]});
    require(fill.nbytes() == source.itemsize * source.shape[3] && (fill.flags() & py::array::c_style) != 0,
            "fill must be one element with its channels");
    check_plain(fill, "fill");
    const auto* with = static_cast<const uint8_t*>(fill.data());
    without_gil([&] { patches_extract(source, where, static_cast<PatchPad>(pad), with, to); });
}

PatchPlanes planes_of(const PatchArray& volume, int axis, const Array<int64_t>& tiles, const Array<int64_t>& slices) {
    require(axis >= 0 && axis <= 2, "axis must be 0, 1 or 2");
    require(tiles.ndim() == 2 && tiles.shape(1) == 4, "tiles must have shape (T, 4)");
    require(slices.ndim() == 1, "slices must be a vector");
    const PatchPlanes planes{axis, tiles.data(), static_cast<size_t>(tiles.shape(0)), slices.data(),
                             static_cast<size_t>(slices.shape(0))};
    patches_check(volume, planes);
    return planes;
}

PatchArray volume_of(const py::array& volume) {
    require(volume.ndim() == 3, "volume must have shape (D, H, W)");
    return array_of(volume, 3);
}

void planes(const py::array& volume, int axis, const Array<int64_t>& tiles, const Array<int64_t>& slices,
            py::array out) {
    const PatchArray source = volume_of(volume);
    const PatchPlanes where = planes_of(source, axis, tiles, slices);
    const int64_t* t = where.tiles;
    const int64_t h = where.n_tiles == 0 ? 0 : t[1] - t[0], w = where.n_tiles == 0 ? 0 : t[3] - t[2];
    uint8_t* to = output_of(out, volume, {h, w, tiles.shape(0), slices.shape(0)});
    without_gil([&] { patches_planes(source, where, to); });
}

PatchType type_of(const py::array& array) {
    const auto dtype = array.dtype();
    const auto itemsize = dtype.itemsize();
    const bool swapped = itemsize > 1 && !py::cast<bool>(dtype.attr("isnative"));
    if (!swapped) {
        switch (dtype.kind()) {
            case 'u':
                if (itemsize == 1) return PatchType::u8;
                if (itemsize == 2) return PatchType::u16;
                if (itemsize == 4) return PatchType::u32;
                break;
            case 'i':
                if (itemsize == 1) return PatchType::i8;
                if (itemsize == 2) return PatchType::i16;
                if (itemsize == 4) return PatchType::i32;
                break;
            case 'f':
                if (itemsize == 4) return PatchType::f32;
                if (itemsize == 8) return PatchType::f64;
                break;
            default: break;
        }
    }
    throw py::type_error("values must be integers of at most 32 bits, float32 or float64, in native byte order, not " +
                         py::cast<std::string>(py::str(dtype)));
}

Array<double> stats(const py::array& volume, int axis, const Array<int64_t>& tiles, const Array<int64_t>& slices,
                    double padding) {
    const PatchArray source = volume_of(volume);
    const PatchType type = type_of(volume);
    const PatchPlanes where = planes_of(source, axis, tiles, slices);
    Array<double> out({py::ssize_t{6}, static_cast<py::ssize_t>(where.n_tiles * where.n_slices)});
    double* to = out.mutable_data();
    without_gil([&] { patches_stats(source, type, where, padding, to); });
    return out;
}

void stitch(const py::array& patches, Boxes boxes, const Array<double>& windows, const Array<int64_t>& starts,
            int blend, py::array out) {
    const PatchBoxes where = boxes_of(boxes);
    const PatchType type = type_of(patches);
    const PatchArray target = array_of(out, where.axes);
    const int64_t elements = patches_size(where);
    require(blend >= 0 && blend <= 2, "blend must be 0, 1 or 2");
    require((patches.flags() & py::array::c_style) != 0, "patches must be C-contiguous");
    require(is_product(patches.size(), {elements, target.shape[3]}), "patches must have as many elements as the boxes");
    require(starts.ndim() == 2 && starts.shape(0) == boxes.shape(0) && starts.shape(1) == where.axes,
            "starts must have one element for each axis of each box");
    for (py::ssize_t k = 0; k < starts.size(); ++k) {
        const int64_t length = boxes.data()[2 * k + 1] - boxes.data()[2 * k];
        require(starts.data()[k] >= 0 && starts.data()[k] <= windows.size() - length,
                "windows must be as long as the boxes");
    }
    uint8_t* to = output_of(out, patches, {out.size()});
    const PatchWindows weights{windows.data(), starts.data()};
    const auto* from = static_cast<const uint8_t*>(patches.data());
    without_gil([&] { patches_stitch(from, type, where, weights, static_cast<PatchBlend>(blend), target.shape, to); });
}

}  // namespace

void register_patches(py::module_& m) {
    m.def("patches_extract", extract, exact("array"), exact("boxes"), exact("out"), py::arg("pad"), exact("fill"));
    m.def("patches_planes", planes, exact("volume"), py::arg("axis"), exact("tiles"), exact("slices"), exact("out"));
    m.def("patches_stats", stats, exact("volume"), py::arg("axis"), exact("tiles"), exact("slices"),
          py::arg("padding"));
    m.def("patches_stitch", stitch, exact("patches"), exact("boxes"), exact("windows"), exact("starts"),
          py::arg("blend"), exact("out"));
}

}  // namespace maskmill
