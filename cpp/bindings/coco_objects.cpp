#include "bindings/coco_objects.hpp"

#include "kernels/coco_rle.hpp"
#include "kernels/rle.hpp"

namespace maskmill::objects {
namespace {

// Interned once; they live as long as the process.
PyObject* key_size() {
    static PyObject* const key = PyUnicode_InternFromString("size");
    return key;
}

PyObject* key_counts() {
    static PyObject* const key = PyUnicode_InternFromString("counts");
    return key;
}

}  // namespace

bool read_rle(PyObject* object, RleList& out) {
    if (!PyDict_CheckExact(object)) return false;
    const Ref counts = dict_get(object, key_counts()), size = dict_get(object, key_size());
    if (!counts || !size) return false;
    const char* chars;
    Py_ssize_t length;
    if (PyBytes_CheckExact(counts.get())) {
        chars = PyBytes_AS_STRING(counts.get());
        length = PyBytes_GET_SIZE(counts.get());
    } else if (PyUnicode_CheckExact(counts.get()) && PyUnicode_IS_COMPACT_ASCII(counts.get())) {
        chars = static_cast<const char*>(PyUnicode_DATA(counts.get()));
        length = PyUnicode_GET_LENGTH(counts.get());
    } else {
        return false;
    }
    int64_t h, w;
    if (PyList_CheckExact(size.get())) {
        const Ref first = list_get(size.get(), 0), second = list_get(size.get(), 1);
        if (!small_int(first.get(), h) || !small_int(second.get(), w)) return false;
    } else if (PyTuple_CheckExact(size.get()) && PyTuple_GET_SIZE(size.get()) >= 2) {
        if (!small_int(PyTuple_GET_ITEM(size.get(), 0), h) || !small_int(PyTuple_GET_ITEM(size.get(), 1), w)) {
            return false;
        }
    } else {
        return false;
    }
    if (out.offsets.size() == 0) out.offsets.push(0);
    coco_rle_parse(chars, static_cast<size_t>(length), out.counts);
    out.offsets.push(static_cast<int64_t>(out.counts.size()));
    out.sizes.push(h);
    out.sizes.push(w);
    return true;
}

bool read_rles(PyObject* list, RleList& out) {
    if (!PyList_CheckExact(list)) return false;
    const Py_ssize_t n = PyList_GET_SIZE(list);
    out.offsets.reserve(static_cast<size_t>(n) + 1);
    out.sizes.reserve(2 * static_cast<size_t>(n));
    for (Py_ssize_t i = 0; i < n; ++i) {
        const Ref item = list_get(list, i);
        if (!item || !read_rle(item.get(), out)) return false;
    }
    return true;
}

PyObject* make_rle(int64_t height, int64_t width, std::span<const uint32_t> runs) {
    thread_local Buffer<char> text;
    text.recycle();
    rle_append_string(runs, text);
    Ref counts(PyBytes_FromStringAndSize(text.data(), static_cast<Py_ssize_t>(text.size())));
    Ref size(PyList_New(2)), h(PyLong_FromLongLong(height)), w(PyLong_FromLongLong(width));
    Ref out(PyDict_New());
    if (!counts || !size || !h || !w || !out) return nullptr;
    PyList_SET_ITEM(size.get(), 0, h.release());
    PyList_SET_ITEM(size.get(), 1, w.release());
    if (PyDict_SetItem(out.get(), key_size(), size.get()) < 0) return nullptr;
    if (PyDict_SetItem(out.get(), key_counts(), counts.get()) < 0) return nullptr;
    return out.release();
}

}  // namespace maskmill::objects
