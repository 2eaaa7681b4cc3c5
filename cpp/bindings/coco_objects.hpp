// COCO's Python objects, read and made without going through pybind11's conversions.
//
// These are the innermost calls of everybody's evaluation loops: a mask of 32 x 32 pixels is encoded in 0.3 us, of which
// argument parsing by templates would take most. Only objects of exactly the expected types are read here; anything else
// is left to the Python code of maskmill.pycocotools, which raises what pycocotools raises.
#pragma once

#include <pybind11/pybind11.h>

#include "support/common.hpp"

namespace maskmill::objects {

// A strong reference.
class Ref {
  public:
    Ref() = default;
    explicit Ref(PyObject* owned) : p_(owned) {}
    Ref(Ref&& other) noexcept : p_(std::exchange(other.p_, nullptr)) {}
    Ref& operator=(Ref&& other) noexcept {
        std::swap(p_, other.p_);
        return *this;
    }
    Ref(const Ref&) = delete;
    Ref& operator=(const Ref&) = delete;
    ~Ref() { Py_XDECREF(p_); }
    PyObject* get() const { return p_; }
    PyObject* release() { return std::exchange(p_, nullptr); }
    explicit operator bool() const { return p_ != nullptr; }

  private:
    PyObject* p_ = nullptr;
};

inline Ref borrow(PyObject* p) {
    Py_XINCREF(p);
    return Ref(p);
}

// New references, so that another thread may change the container meanwhile. Null (without an exception) if missing.
inline Ref dict_get(PyObject* dict, PyObject* key) {
#if PY_VERSION_HEX >= 0x030D0000
    PyObject* value = nullptr;
    if (PyDict_GetItemRef(dict, key, &value) < 0) PyErr_Clear();
    return Ref(value);
#else
    return borrow(PyDict_GetItemWithError(dict, key));
#endif
}

inline Ref list_get(PyObject* list, Py_ssize_t i) {
#if PY_VERSION_HEX >= 0x030D0000
    PyObject* item = PyList_GetItemRef(list, i);
    if (item == nullptr) PyErr_Clear();
    return Ref(item);
#else
    return i < PyList_GET_SIZE(list) ? borrow(PyList_GET_ITEM(list, i)) : Ref();
#endif
}

// A Python int of 0 to 2^63 - 1; false otherwise (no exception set).
inline bool small_int(PyObject* object, int64_t& out) {
    if (object == nullptr || !PyLong_CheckExact(object)) return false;
    int overflow = 0;
    const long long value = PyLong_AsLongLongAndOverflow(object, &overflow);
    if (overflow != 0 || value < 0) return false;
    out = value;
    return true;
}

// Masks read from {"size": [h, w], "counts": bytes | str}.
struct RleList {
    Buffer<uint32_t> counts;
    Buffer<int64_t> offsets;
    Buffer<int64_t> sizes;

    void recycle() {
        counts.recycle();
        offsets.recycle();
        sizes.recycle();
    }
    size_t n() const { return offsets.size() == 0 ? 0 : offsets.size() - 1; }
    Rles view() const { return {counts.data(), offsets.data(), sizes.data(), n()}; }
};

// Appends one mask; false if the object is not exactly a dict with exactly such values.
bool read_rle(PyObject* object, RleList& out);
// A list of them.
bool read_rles(PyObject* list, RleList& out);

// {"size": [h, w], "counts": bytes}; null with an exception set on failure.
PyObject* make_rle(int64_t height, int64_t width, std::span<const uint32_t> runs);

}  // namespace maskmill::objects
