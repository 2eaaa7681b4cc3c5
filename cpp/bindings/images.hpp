// NumPy images to the views that kernels take, and words to the constants that they stand for.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "bindings/arrays.hpp"
#include "support/resample.hpp"

namespace maskmill {

template <class T, size_t N>
T named(const std::string& name, const char* what, const std::pair<const char*, T> (&known)[N]) {
    for (const auto& [text, value] : known) {
        if (name == text) return value;
    }
    throw py::value_error(std::string("unknown ") + what + ": " + name);
}

inline Regime regime_of(const std::string& name) {
    return named<Regime>(
        name, "resize regime",
        {{"pillow<=12.1", Regime::pillow_12_1}, {"pillow12.2", Regime::pillow_12_2}, {"pillow13", Regime::pillow_13}});
}

// One image (H, W) or (H, W, C), from dimension `first` on.
inline Pixels pixels(const py::array& image, py::ssize_t first) {
    Pixels p;
    p.data = static_cast<const uint8_t*>(image.data());
    p.height = image.shape(first);
    p.width = image.shape(first + 1);
    p.row = image.strides(first);
    p.column = image.strides(first + 1);
    if (image.ndim() == first + 3) {
        p.channels = static_cast<int>(image.shape(first + 2));
        p.channel = image.strides(first + 2);
    }
    require(p.height > 0 && p.width > 0, "images must have pixels");
    require(p.channels == 1 || p.channels == 3 || p.channels == 4, "images must have 3 or 4 channels");
    return p;
}

// An array (N, H, W[, C]) or a sequence of arrays (H, W[, C]), uint8.
inline std::vector<Pixels> views(const py::object& images) {
    const auto bytes = [](const py::handle& object, py::ssize_t ndim) {
        if (!py::isinstance<py::array_t<uint8_t>>(object)) throw py::type_error("images must be arrays of uint8");
        auto array = py::reinterpret_borrow<py::array>(object);
        require(array.ndim() == ndim || array.ndim() == ndim + 1, "images must have shape (H, W) or (H, W, C)");
        return array;
    };
    std::vector<Pixels> out;
    if (py::isinstance<py::array>(images)) {
        const py::array array = bytes(images, 3);
        if (array.shape(0) == 0) return out;
        Pixels p = pixels(array, 1);
        out.reserve(static_cast<size_t>(array.shape(0)));
        for (py::ssize_t i = 0; i < array.shape(0); ++i, p.data += array.strides(0)) out.push_back(p);
        return out;
    }
    // Other sequences might make their items anew each time, and nothing would keep those that are looked at.
    if (!PyList_Check(images.ptr()) && !PyTuple_Check(images.ptr())) {
        throw py::type_error("images must be an array or a list of arrays");
    }
    const auto list = py::reinterpret_borrow<py::sequence>(images);
    out.reserve(list.size());
    for (const py::handle image : list) out.push_back(pixels(bytes(image, 2), 0));
    return out;
}

}  // namespace maskmill
