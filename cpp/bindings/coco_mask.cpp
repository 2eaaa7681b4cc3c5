// The fast calls behind maskmill.pycocotools.mask. Each takes Python objects and returns what pycocotools returns, or
// NotImplemented for arguments that are not exactly of the usual types.
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define NPY_TARGET_VERSION NPY_1_25_API_VERSION
#include <numpy/arrayobject.h>
#include <numpy/arrayscalars.h>

#include <new>

#include "bindings/coco_objects.hpp"
#include "bindings/register.hpp"
#include "kernels/coco_rle.hpp"
#include "kernels/overlap.hpp"
#include "kernels/polygons.hpp"
#include "kernels/rle.hpp"
#include "support/runs.hpp"

namespace maskmill {
namespace {

using objects::list_get;
using objects::make_rle;
using objects::read_rle;
using objects::read_rles;
using objects::Ref;
using objects::RleList;

PyObject* not_implemented() {
    Py_INCREF(Py_NotImplemented);
    return Py_NotImplemented;
}

// C++ exceptions end here: nothing may be thrown through CPython.
template <class Body>
PyObject* guarded(Body&& body) {
    try {
        return body();
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    } catch (const std::invalid_argument& error) {
        PyErr_SetString(PyExc_ValueError, error.what());
    } catch (const std::exception& error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
    }
    return nullptr;
}

// Releases the GIL for work that is worth it (taking it back may take microseconds when threads compete).
class MaybeWithoutGil {
  public:
    explicit MaybeWithoutGil(bool release) : state_(release ? PyEval_SaveThread() : nullptr) {}
    ~MaybeWithoutGil() {
        if (state_ != nullptr) PyEval_RestoreThread(state_);
    }
    MaybeWithoutGil(const MaybeWithoutGil&) = delete;
    MaybeWithoutGil& operator=(const MaybeWithoutGil&) = delete;

  private:
    PyThreadState* state_;
};

// What a call reads its arguments into. Kept from call to call, since three allocations cost as much as the work on a
// small mask. No object that the garbage collector tracks is made between filling and use (NumPy's arrays and bytes
// are not), so no finalizer can call back here meanwhile.
struct Inputs {
    RleList dt, gt;
    Buffer<double> dt_boxes, gt_boxes;
    Buffer<uint8_t> crowd;
    Buffer<uint32_t> runs;
    CocoFiller filler;
};

Inputs& fresh_inputs() {
    thread_local Inputs inputs;
    inputs.dt.recycle();
    inputs.gt.recycle();
    inputs.dt_boxes.recycle();
    inputs.gt_boxes.recycle();
    inputs.crowd.recycle();
    inputs.runs.recycle();
    return inputs;
}

PyArrayObject* as_array(PyObject* object) { return reinterpret_cast<PyArrayObject*>(object); }

// (h, w, n) Fortran-contiguous uint8 or bool, as pycocotools takes it; (h, w) gives one dict.
PyObject* coco_encode(PyObject*, PyObject* mask) {
    return guarded([&]() -> PyObject* {
        if (!PyArray_CheckExact(mask)) return not_implemented();
        PyArrayObject* const array = as_array(mask);
        const int ndim = PyArray_NDIM(array), type = PyArray_TYPE(array);
        if ((ndim != 2 && ndim != 3) || (type != NPY_UINT8 && type != NPY_BOOL) || !PyArray_IS_F_CONTIGUOUS(array)) {
            return not_implemented();
        }
        const npy_intp* const shape = PyArray_DIMS(array);
        const int64_t h = shape[0], w = shape[1], n = ndim == 3 ? shape[2] : 1;
        const auto* data = static_cast<const uint8_t*>(PyArray_DATA(array));
        Runs runs;
        {
            const MaybeWithoutGil nogil(h * w * n > 1 << 16);
            runs = rle_encode_changes(data, n, h, w);
        }
        const auto runs_of = [&](int64_t i) -> std::span<const uint32_t> {
            const int64_t* o = runs.offsets.data() + i;
            return {runs.values.data() + o[0], static_cast<size_t>(o[1] - o[0])};
        };
        if (ndim == 2) return make_rle(h, w, runs_of(0));
        Ref out(PyList_New(n));
        if (!out) return nullptr;
        for (int64_t i = 0; i < n; ++i) {
            PyObject* const item = make_rle(h, w, runs_of(i));
            if (item == nullptr) return nullptr;
            PyList_SET_ITEM(out.get(), i, item);
        }
        return out.release();
    });
}

bool is_complete(std::span<const uint32_t> runs, uint64_t pixels) { return sum_of(runs) == pixels; }

// A list gives (h, w, n), a dict the (h, w) view of one.
PyObject* coco_decode(PyObject*, PyObject* object) {
    return guarded([&]() -> PyObject* {
        RleList& rles = fresh_inputs().dt;
        const bool many = PyList_CheckExact(object);
        if (!(many ? read_rles(object, rles) : read_rle(object, rles)) || rles.n() == 0) return not_implemented();
        const Rles masks = rles.view();
        const int64_t h = masks.height(0), w = masks.width(0), n = static_cast<int64_t>(masks.n);
        constexpr int64_t most = std::numeric_limits<int64_t>::max();
        if ((h != 0 && w > most / h) || (h * w != 0 && n > most / (h * w))) return PyErr_NoMemory();
        npy_intp shape[3] = {h, w, n};
        Ref out(PyArray_EMPTY(3, shape, NPY_UINT8, 1));
        if (!out) return nullptr;
        auto* const data = static_cast<uint8_t*>(PyArray_DATA(as_array(out.get())));
        const auto pixels = static_cast<uint64_t>(h * w);
        bool alike = pixels > 0;
        for (size_t i = 0; i < masks.n && alike; ++i) {
            alike = masks.height(i) == h && masks.width(i) == w && is_complete(masks.runs(i), pixels);
        }
        bool fits = true;
        {
            const MaybeWithoutGil nogil(h * w * n > 1 << 16);
            if (alike) {
                rle_decode(masks, {data, 1, n, h, w, h * w, 1, h}, 1);
            } else {
                fits = coco_rle_decode(masks, data, pixels * static_cast<uint64_t>(n));
            }
        }
        if (!fits) {
            PyErr_SetString(PyExc_ValueError, "Invalid RLE mask representation");
            return nullptr;
        }
        if (many) return out.release();
        npy_intp flat[2] = {h, w}, strides[2] = {1, h};
        PyObject* const view = PyArray_New(&PyArray_Type, 2, flat, NPY_UINT8, strides, data, 1,
                                           NPY_ARRAY_F_CONTIGUOUS | NPY_ARRAY_WRITEABLE | NPY_ARRAY_ALIGNED, nullptr);
        if (view == nullptr || PyArray_SetBaseObject(as_array(view), out.release()) < 0) return nullptr;
        return view;
    });
}

PyObject* coco_area(PyObject*, PyObject* object) {
    return guarded([&]() -> PyObject* {
        RleList& rles = fresh_inputs().dt;
        if (!PyList_CheckExact(object)) {
            if (!read_rle(object, rles)) return not_implemented();
            PyObject* const scalar = PyArrayScalar_New(UInt32);
            if (scalar != nullptr) PyArrayScalar_ASSIGN(scalar, UInt32, coco_rle_area(rles.view().runs(0)));
            return scalar;
        }
        if (!read_rles(object, rles)) return not_implemented();
        npy_intp n = static_cast<npy_intp>(rles.n());
        Ref out(PyArray_EMPTY(1, &n, NPY_UINT32, 0));
        if (!out) return nullptr;
        auto* const areas = static_cast<uint32_t*>(PyArray_DATA(as_array(out.get())));
        for (size_t i = 0; i < rles.n(); ++i) areas[i] = coco_rle_area(rles.view().runs(i));
        return out.release();
    });
}

PyObject* coco_to_bbox(PyObject*, PyObject* object) {
    return guarded([&]() -> PyObject* {
        RleList& rles = fresh_inputs().dt;
        const bool many = PyList_CheckExact(object);
        if (!(many ? read_rles(object, rles) : read_rle(object, rles))) return not_implemented();
        npy_intp shape[2] = {static_cast<npy_intp>(rles.n()), 4};
        Ref out(PyArray_EMPTY(many ? 2 : 1, many ? shape : shape + 1, NPY_DOUBLE, 0));
        if (!out) return nullptr;
        auto* const boxes = static_cast<double*>(PyArray_DATA(as_array(out.get())));
        const Rles masks = rles.view();
        for (size_t i = 0; i < masks.n; ++i) {
            coco_rle_bbox(masks.runs(i), masks.height(i), masks.width(i), i, boxes + 4 * i);
        }
        return out.release();
    });
}

PyObject* coco_merge(PyObject*, PyObject* const* args, Py_ssize_t count) {
    return guarded([&]() -> PyObject* {
        RleList& rles = fresh_inputs().dt;
        if (count != 2 || !read_rles(args[0], rles)) return not_implemented();
        const CocoMerged merged = coco_rle_merge(rles.view(), args[1] == Py_True);
        return make_rle(merged.height, merged.width, {merged.runs.data(), merged.runs.size()});
    });
}

// The rows of a list of [x, y, width, height] of exact floats and ints, or of a C-contiguous (N, 4) float64 array.
bool read_boxes(PyObject* object, Buffer<double>& store, const double*& boxes, size_t& n) {
    if (PyArray_CheckExact(object)) {
        PyArrayObject* const array = as_array(object);
        if (PyArray_NDIM(array) != 2 || PyArray_DIM(array, 1) != 4 || PyArray_TYPE(array) != NPY_DOUBLE ||
            !PyArray_IS_C_CONTIGUOUS(array) || !PyArray_ISALIGNED(array) || PyArray_ISBYTESWAPPED(array)) {
            return false;
        }
        boxes = static_cast<const double*>(PyArray_DATA(array));
        n = static_cast<size_t>(PyArray_DIM(array, 0));
        return true;
    }
    if (!PyList_CheckExact(object)) return false;
    const Py_ssize_t rows = PyList_GET_SIZE(object);
    for (Py_ssize_t i = 0; i < rows; ++i) {
        const Ref row = list_get(object, i);
        if (!row || !PyList_CheckExact(row.get()) || PyList_GET_SIZE(row.get()) != 4) return false;
        for (Py_ssize_t k = 0; k < 4; ++k) {
            const Ref item = list_get(row.get(), k);
            if (!item) return false;
            if (PyFloat_CheckExact(item.get())) {
                store.push(PyFloat_AS_DOUBLE(item.get()));
            } else if (PyLong_CheckExact(item.get())) {
                int overflow = 0;
                const long long value = PyLong_AsLongLongAndOverflow(item.get(), &overflow);
                if (overflow != 0 || value > (1LL << 53) || value < -(1LL << 53)) return false;
                store.push(static_cast<double>(value));
            } else {
                return false;
            }
        }
    }
    boxes = store.data();
    n = static_cast<size_t>(rows);
    return true;
}

// A list of 0, 1, True or False, or a uint8 vector.
bool read_crowd(PyObject* object, Buffer<uint8_t>& out) {
    if (PyList_CheckExact(object)) {
        const Py_ssize_t n = PyList_GET_SIZE(object);
        for (Py_ssize_t i = 0; i < n; ++i) {
            const Ref item = list_get(object, i);
            int64_t value = 0;
            if (item && PyBool_Check(item.get())) {
                value = item.get() == Py_True;
            } else if (!item || !objects::small_int(item.get(), value) || value > 255) {
                return false;
            }
            out.push(static_cast<uint8_t>(value));
        }
        return true;
    }
    if (!PyArray_CheckExact(object)) return false;
    PyArrayObject* const array = as_array(object);
    if (PyArray_NDIM(array) != 1 || PyArray_TYPE(array) != NPY_UINT8 || !PyArray_IS_C_CONTIGUOUS(array)) return false;
    out.append(static_cast<const uint8_t*>(PyArray_DATA(array)), static_cast<size_t>(PyArray_DIM(array, 0)));
    return true;
}

bool all_canonical(const Rles& masks) {
    for (size_t i = 0; i < masks.n; ++i) {
        const auto runs = masks.runs(i);
        if (masks.height(i) > 0x7fffffff || masks.width(i) > 0x7fffffff || masks.pixels(i) > 0xffffffffu) return false;
        if (!is_complete(runs, masks.pixels(i))) return false;
        for (size_t j = 1; j < runs.size(); ++j) {
            if (runs[j] == 0) return false;
        }
    }
    return true;
}

void iou_of_masks(const Rles& a, const Rles& b, const uint8_t* crowd, double* out) {
    // Making ready for many comparisons pays when there are some.
    const size_t steps = a.total_runs() * b.n + b.total_runs() * a.n;
    if (a.n * b.n > 4 && steps > 4096 && all_canonical(a) && all_canonical(b)) {
        overlap_iou(a, b, crowd, SizeMismatch::minus_one, out, 1, static_cast<int64_t>(a.n));
    } else {
        coco_rle_iou(a, b, crowd, out);
    }
}

PyObject* coco_iou(PyObject*, PyObject* const* args, Py_ssize_t count) {
    return guarded([&]() -> PyObject* {
        if (count != 3) return not_implemented();
        PyObject *dt = args[0], *gt = args[1];
        Inputs& in = fresh_inputs();
        const double *dt_boxes = nullptr, *gt_boxes = nullptr;
        size_t m = 0, n = 0;
        if (!read_crowd(args[2], in.crowd)) return not_implemented();
        bool masks = false;
        if (PyList_CheckExact(dt) && PyList_GET_SIZE(dt) > 0) {
            const Ref first = list_get(dt, 0);
            masks = first && PyDict_CheckExact(first.get());
        }
        if (masks) {
            if (!read_rles(dt, in.dt) || !read_rles(gt, in.gt)) return not_implemented();
            m = in.dt.n();
            n = in.gt.n();
        } else if (!read_boxes(dt, in.dt_boxes, dt_boxes, m) || !read_boxes(gt, in.gt_boxes, gt_boxes, n)) {
            return not_implemented();
        }
        if (m == 0 || n == 0 || in.crowd.size() != n) return not_implemented();
        npy_intp shape[2] = {static_cast<npy_intp>(m), static_cast<npy_intp>(n)};
        Ref out(PyArray_EMPTY(2, shape, NPY_DOUBLE, 1));
        if (!out) return nullptr;
        auto* const cells = static_cast<double*>(PyArray_DATA(as_array(out.get())));
        const MaybeWithoutGil nogil(m * n > 1000);
        if (masks) {
            iou_of_masks(in.dt.view(), in.gt.view(), in.crowd.data(), cells);
        } else {
            coco_rle_box_iou(dt_boxes, m, gt_boxes, n, in.crowd.data(), cells);
        }
        return out.release();
    });
}

// One ring: a list of exact floats and ints.
bool read_ring(PyObject* object, Buffer<double>& out) {
    if (!PyList_CheckExact(object)) return false;
    const Py_ssize_t n = PyList_GET_SIZE(object);
    out.clear();
    double* const p = out.room(static_cast<size_t>(n));
    for (Py_ssize_t k = 0; k < n; ++k) {
        const Ref item = list_get(object, k);
        if (!item) return false;
        if (PyFloat_CheckExact(item.get())) {
            p[k] = PyFloat_AS_DOUBLE(item.get());
        } else if (PyLong_CheckExact(item.get())) {
            p[k] = PyLong_AsDouble(item.get());
            if (p[k] == -1.0 && PyErr_Occurred()) {
                PyErr_Clear();
                return false;
            }
        } else {
            return false;
        }
    }
    out.advance(static_cast<size_t>(n));
    return true;
}

// Rings as pycocotools' frPyObjects takes them for COCO polygons; everything else is left to Python.
PyObject* coco_from_polygons(PyObject*, PyObject* const* args, Py_ssize_t count) {
    return guarded([&]() -> PyObject* {
        int64_t h, w;
        if (count != 3 || !PyList_CheckExact(args[0]) || !objects::small_int(args[1], h) ||
            !objects::small_int(args[2], w) || w == 0 || h > 0x7fffffff || w > 0x7fffffff ||
            static_cast<uint64_t>(h) * static_cast<uint64_t>(w) > 0xffffffffu) {
            return not_implemented();
        }
        const Py_ssize_t n = PyList_GET_SIZE(args[0]);
        const Ref first = list_get(args[0], 0);
        if (!first || !PyList_CheckExact(first.get()) || PyList_GET_SIZE(first.get()) <= 4) return not_implemented();
        Ref out(PyList_New(n));
        if (!out) return nullptr;
        Inputs& in = fresh_inputs();
        Buffer<double>& ring = in.dt_boxes;
        Buffer<uint32_t>& runs = in.runs;
        CocoFiller& filler = in.filler;
        for (Py_ssize_t r = 0; r < n; ++r) {
            const Ref item = list_get(args[0], r);
            if (!item || !read_ring(item.get(), ring)) return not_implemented();
            runs.clear();
            filler.start(h, w);
            if (filler.add_ring(ring.data(), ring.size() / 2) >= 0) return not_implemented();
            filler.finish(runs);
            PyObject* const rle = make_rle(h, w, {runs.data(), runs.size()});
            if (rle == nullptr) return nullptr;
            PyList_SET_ITEM(out.get(), r, rle);
        }
        return out.release();
    });
}

// pybind11's def would wrap each in a dispatcher; these are CPython's own calling conventions.
template <class Function>
PyCFunction c_function(Function* f) {
    return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(f));
}

PyMethodDef methods[] = {
    {"coco_encode", coco_encode, METH_O, nullptr},
    {"coco_decode", coco_decode, METH_O, nullptr},
    {"coco_area", coco_area, METH_O, nullptr},
    {"coco_to_bbox", coco_to_bbox, METH_O, nullptr},
    {"coco_merge", c_function(coco_merge), METH_FASTCALL, nullptr},
    {"coco_iou", c_function(coco_iou), METH_FASTCALL, nullptr},
    {"coco_from_polygons", c_function(coco_from_polygons), METH_FASTCALL, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void register_coco_mask(pybind11::module_& m) {
    if (_import_array() < 0 || PyModule_AddFunctions(m.ptr(), methods) < 0) throw pybind11::error_already_set();
}

}  // namespace maskmill
