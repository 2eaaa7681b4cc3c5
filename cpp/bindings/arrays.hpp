// NumPy arrays <-> the kernels' views. Checks what a kernel takes for granted: dtype, order, offsets in range.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "support/common.hpp"

namespace maskmill {

namespace py = pybind11;

// A C-contiguous array of T. As an argument it is taken by a caster of our own, see below.
template <class T>
class Array : public py::array_t<T, py::array::c_style> {
  public:
    using Base = py::array_t<T, py::array::c_style>;
    using Base::Base;
};

// The array itself: never a converted copy, so that pointers into it stay good while the caller holds the object.
template <class T>
Array<T> exact_array(const py::handle& object, const char* name) {
    if (!py::isinstance<Array<T>>(object)) {
        throw py::type_error(std::string(name) + " must be a C-contiguous array of " +
                             py::cast<std::string>(py::str(py::dtype::of<T>())));
    }
    return py::reinterpret_borrow<Array<T>>(object);
}

// Hands the memory to NumPy: nothing is copied.
template <class T>
Array<T> to_numpy(Buffer<T>&& buffer, std::vector<py::ssize_t> shape = {}) {
    if (shape.empty()) shape.push_back(static_cast<py::ssize_t>(buffer.size()));
    if (buffer.data() == nullptr) return Array<T>(shape);
    T* data = buffer.release();
    const py::capsule owner(data, [](void* p) { std::free(p); });
    return Array<T>(shape, data, owner);
}

template <class T>
py::tuple to_numpy(Ragged<T>&& ragged) {
    return py::make_tuple(to_numpy(std::move(ragged.values)), to_numpy(std::move(ragged.offsets)));
}

// An argument whose dtype and order must be right already.
inline py::arg exact(const char* name) { return py::arg(name).noconvert(); }

// Runs a kernel without the GIL: it touches no Python object.
template <class Kernel>
auto without_gil(Kernel&& kernel) {
    const py::gil_scoped_release nogil;
    return kernel();
}

inline void require(bool condition, const char* message) {
    if (!condition) throw py::value_error(message);
}

// Offsets must start at 0 or later, never fall, and end within the values.
inline size_t checked_items(const Array<int64_t>& offsets, py::ssize_t values) {
    require(offsets.ndim() == 1 && offsets.size() >= 1, "offsets must be a vector of at least one element");
    const int64_t* p = offsets.data();
    bool good = p[0] >= 0 && p[offsets.size() - 1] <= values;
    for (py::ssize_t i = 0; i + 1 < offsets.size(); ++i) good &= p[i] <= p[i + 1];
    require(good, "offsets must rise from 0 or more to the number of values or less");
    return static_cast<size_t>(offsets.size() - 1);
}

// Image sides up to 2^31 - 1: products then fit in 64 bits.
inline void check_sides(const Array<int64_t>& sizes, size_t n) {
    require(sizes.ndim() == 2 && sizes.shape(1) == 2 && static_cast<size_t>(sizes.shape(0)) == n,
            "sizes must have shape (N, 2), N being the number of masks");
    const int64_t* p = sizes.data();
    for (size_t i = 0; i < 2 * n; ++i) {
        if (p[i] < 0 || p[i] > 0x7fffffff) {
            throw py::value_error("mask " + std::to_string(i / 2) + ": size " +
                                  size_text(p[i / 2 * 2], p[i / 2 * 2 + 1]) + " must be within 0 and 2147483647");
        }
    }
}

using Counts = const Array<uint32_t>&;
using Offsets = const Array<int64_t>&;
using Sizes = const Array<int64_t>&;

inline Rles rles(Counts counts, Offsets offsets, Sizes sizes) {
    Rles r;
    r.n = checked_items(offsets, counts.size());
    check_sides(sizes, r.n);
    r.counts = counts.data();
    r.offsets = offsets.data();
    r.sizes = sizes.data();
    return r;
}

// Where the size does not matter.
inline Rles rles(Counts counts, Offsets offsets) {
    Rles r;
    r.n = checked_items(offsets, counts.size());
    r.counts = counts.data();
    r.offsets = offsets.data();
    return r;
}

}  // namespace maskmill

namespace pybind11::detail {

template <class T>
struct handle_type_name<maskmill::Array<T>> : handle_type_name<array_t<T, array::c_style>> {};

// pybind11's own caster goes through PyArray_FromAny, which costs more than the kernel does for one small mask. This
// one never converts, whatever the argument allows; it copies only what is not aligned, as parts of a mapped file may be.
template <class T>
struct pyobject_caster<maskmill::Array<T>> {
    using type = maskmill::Array<T>;

    bool load(handle src, bool /*convert*/) {
        if (!is_plain(src.ptr()) && !type::check_(src)) return false;
        const bool aligned = check_flags(src.ptr(), npy_api::NPY_ARRAY_ALIGNED_);
        value = aligned ? reinterpret_borrow<type>(src)
                        : reinterpret_steal<type>(npy_api::get().PyArray_NewCopy_(src.ptr(), 0));
        return static_cast<bool>(value);
    }

    static handle cast(const handle& src, return_value_policy /*policy*/, handle /*parent*/) { return src.inc_ref(); }

    PYBIND11_TYPE_CASTER(type, handle_type_name<type>::name);

  private:
    // What nearly all arguments are; what is not may still be equivalent.
    static bool is_plain(const PyObject* object) {
        if (Py_TYPE(object) != npy_api::get().PyArray_Type_) return false;
        const auto* descr = array_descriptor_proxy(array_proxy(object)->descr);
        return descr->type_num == npy_format_descriptor<T>::value &&
               (descr->byteorder == '=' || descr->byteorder == '|') &&
               check_flags(object, npy_api::NPY_ARRAY_C_CONTIGUOUS_);
    }
};

}  // namespace pybind11::detail
