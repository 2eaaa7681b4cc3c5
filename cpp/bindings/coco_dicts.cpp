// Annotations as Python's dicts: making them from columns, and columns from them.
#include "bindings/arrays.hpp"
#include "bindings/coco_objects.hpp"
#include "bindings/register.hpp"
#include "kernels/coco_json.hpp"

namespace maskmill {
namespace {

using objects::borrow;
using objects::dict_get;
using objects::list_get;
using objects::Ref;
using objects::RleList;

Ref checked(PyObject* owned) {
    if (owned == nullptr) throw py::error_already_set();
    return Ref(owned);
}

Ref number(double value, bool is_integer) {
    return checked(is_integer ? PyLong_FromLongLong(static_cast<long long>(value)) : PyFloat_FromDouble(value));
}

void set(PyObject* dict, PyObject* key, PyObject* value) {
    if (PyDict_SetItem(dict, key, value) < 0) throw py::error_already_set();
}

// A list of numbers; bit i of the integers tells whether number i is one.
Ref numbers_list(const double* values, const uint8_t* integers, py::ssize_t n) {
    Ref out = checked(PyList_New(n));
    for (py::ssize_t i = 0; i < n; ++i) {
        const bool is_integer = (integers[i / 8] >> (i % 8) & 1) != 0;
        PyList_SET_ITEM(out.get(), i, number(values[i], is_integer).release());
    }
    return out;
}

// The dicts of a file of box or keypoint results; keys: their names in the file's order. integers as in CocoBoxes.
// What is not among the keys has columns of no elements.
py::list box_dicts(const py::tuple& keys, const Array<int64_t>& image_id, const Array<int64_t>& category_id,
                   const Array<double>& bbox, const Array<double>& score, const Array<uint8_t>& integers,
                   const Array<double>& keypoints, const Array<uint8_t>& keypoint_integers) {
    const py::ssize_t n = image_id.size();
    const py::ssize_t points = n == 0 ? 0 : keypoints.size() / n;
    const auto bytes = static_cast<py::ssize_t>(CocoBoxes::bytes_of(static_cast<size_t>(points)));
    require(category_id.size() == n && (bbox.size() == 4 * n || !keys.contains("bbox")) && score.size() == n &&
                integers.size() == n && keypoints.size() == points * n && keypoint_integers.size() == bytes * n,
            "columns must have one length");
    py::list out(n);
    for (py::ssize_t i = 0; i < n; ++i) {
        const uint8_t* const is_integer = integers.data() + i;
        Ref dict = checked(PyDict_New());
        for (const py::handle key : keys) {
            const auto name = py::cast<std::string_view>(key);
            if (name == "image_id") {
                set(dict.get(), key.ptr(), checked(PyLong_FromLongLong(image_id.data()[i])).get());
            } else if (name == "category_id") {
                set(dict.get(), key.ptr(), checked(PyLong_FromLongLong(category_id.data()[i])).get());
            } else if (name == "score") {
                set(dict.get(), key.ptr(), number(score.data()[i], (*is_integer & 16) != 0).get());
            } else if (name == "bbox") {
                set(dict.get(), key.ptr(), numbers_list(bbox.data() + 4 * i, is_integer, 4).get());
            } else {
                const uint8_t* const flags = keypoint_integers.data() + bytes * i;
                set(dict.get(), key.ptr(), numbers_list(keypoints.data() + points * i, flags, points).get());
            }
        }
        PyList_SET_ITEM(out.ptr(), i, dict.release());
    }
    return out;
}

Ref item(PyObject* container, PyObject* key) { return checked(PyObject_GetItem(container, key)); }

// What loadRes does to results that have boxes, in Python's own operations, so that ints stay ints and whatever else
// the user has there behaves as it would.
void prepare_boxes(const py::list& annotations) {
    const py::str bbox("bbox"), segmentation("segmentation"), area("area"), id("id"), iscrowd("iscrowd");
    const Ref index[4] = {checked(PyLong_FromLong(0)), checked(PyLong_FromLong(1)), checked(PyLong_FromLong(2)),
                          checked(PyLong_FromLong(3))};
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(annotations.ptr()); ++i) {
        const Ref annotation = list_get(annotations.ptr(), i);
        PyObject* const ann = annotation.get();
        const Ref box = item(ann, bbox.ptr());
        const Ref x1 = item(box.get(), index[0].get());
        const Ref x2 =
            checked(PyNumber_Add(item(box.get(), index[0].get()).get(), item(box.get(), index[2].get()).get()));
        const Ref y1 = item(box.get(), index[1].get());
        const Ref y2 =
            checked(PyNumber_Add(item(box.get(), index[1].get()).get(), item(box.get(), index[3].get()).get()));
        const int has = PySequence_Contains(ann, segmentation.ptr());
        if (has < 0) throw py::error_already_set();
        const auto assign = [&](const py::str& key, PyObject* value) {
            if (PyObject_SetItem(ann, key.ptr(), value) < 0) throw py::error_already_set();
        };
        if (has == 0) {
            PyObject* const corners[8] = {x1.get(), y1.get(), x1.get(), y2.get(),
                                          x2.get(), y2.get(), x2.get(), y1.get()};
            Ref ring = checked(PyList_New(8)), rings = checked(PyList_New(1));
            for (int k = 0; k < 8; ++k) PyList_SET_ITEM(ring.get(), k, borrow(corners[k]).release());
            PyList_SET_ITEM(rings.get(), 0, ring.release());
            assign(segmentation, rings.get());
        }
        assign(area,
               checked(PyNumber_Multiply(item(box.get(), index[2].get()).get(), item(box.get(), index[3].get()).get()))
                   .get());
        assign(id, checked(PyLong_FromSsize_t(i + 1)).get());
        assign(iscrowd, index[0].get());
    }
}

// A number as a double, if it is exact as one; false (and no exception) otherwise.
bool as_double(PyObject* object, double& out) {
    if (PyFloat_Check(object)) {
        out = PyFloat_AS_DOUBLE(object);
        return true;
    }
    if (PyUnicode_Check(object) || PyBytes_Check(object)) return false;
    out = PyFloat_AsDouble(object);
    if (out == -1.0 && PyErr_Occurred()) {
        PyErr_Clear();
        return false;
    }
    return out >= -9007199254740992.0 && out <= 9007199254740992.0;
}

// ann[key] of all as doubles, or None if one is missing or no plain number.
py::object numbers(const py::list& annotations, const py::str& key) {
    const Py_ssize_t n = PyList_GET_SIZE(annotations.ptr());
    Array<double> out(n);
    double* const p = out.mutable_data();
    for (Py_ssize_t i = 0; i < n; ++i) {
        const Ref annotation = list_get(annotations.ptr(), i);
        if (!annotation || !PyDict_Check(annotation.get())) return py::none();
        const Ref value = dict_get(annotation.get(), key.ptr());
        if (!value || !as_double(value.get(), p[i])) return py::none();
    }
    return out;
}

// ann["bbox"] of all as (n, 4), or None.
py::object boxes(const py::list& annotations) {
    const py::str key("bbox");
    const Py_ssize_t n = PyList_GET_SIZE(annotations.ptr());
    Array<double> out({n, Py_ssize_t{4}});
    double* const p = out.mutable_data();
    for (Py_ssize_t i = 0; i < n; ++i) {
        const Ref annotation = list_get(annotations.ptr(), i);
        if (!annotation || !PyDict_Check(annotation.get())) return py::none();
        const Ref box = dict_get(annotation.get(), key.ptr());
        if (!box) return py::none();
        // Exactly what pycocotools' iou takes for boxes: lists and arrays of four.
        if (PyList_CheckExact(box.get()) && PyList_GET_SIZE(box.get()) == 4) {
            for (int k = 0; k < 4; ++k) {
                const Ref value = list_get(box.get(), k);
                if (!value || !as_double(value.get(), p[4 * i + k])) return py::none();
            }
        } else if (py::isinstance<Array<double>>(py::handle(box.get()))) {
            const auto array = py::reinterpret_borrow<Array<double>>(py::handle(box.get()));
            if (array.ndim() != 1 || array.size() != 4) return py::none();
            std::copy_n(array.data(), 4, p + 4 * i);
        } else {
            return py::none();
        }
    }
    return out;
}

// ann["keypoints"] of all, being lists of ints and floats of one length, as (n, length), and (n, length) flags of those
// that are ints; or None.
py::object keypoints(const py::list& annotations) {
    const py::str key("keypoints");
    const Py_ssize_t n = PyList_GET_SIZE(annotations.ptr());
    const Ref first = n > 0 ? list_get(annotations.ptr(), 0) : Ref();
    const Ref shape = first && PyDict_Check(first.get()) ? dict_get(first.get(), key.ptr()) : Ref();
    if (!shape || !PyList_CheckExact(shape.get())) return py::none();
    const Py_ssize_t length = PyList_GET_SIZE(shape.get());
    Array<double> out({n, length});
    Array<uint8_t> integers({n, length});
    double* p = out.mutable_data();
    uint8_t* is_integer = integers.mutable_data();
    for (Py_ssize_t i = 0; i < n; ++i) {
        const Ref annotation = list_get(annotations.ptr(), i);
        if (!annotation || !PyDict_Check(annotation.get())) return py::none();
        const Ref list = dict_get(annotation.get(), key.ptr());
        if (!list || !PyList_CheckExact(list.get()) || PyList_GET_SIZE(list.get()) != length) return py::none();
        for (Py_ssize_t k = 0; k < length; ++k, ++p, ++is_integer) {
            const Ref value = list_get(list.get(), k);
            if (!value) return py::none();
            *is_integer = PyLong_CheckExact(value.get());
            if ((*is_integer == 0 && !PyFloat_Check(value.get())) || !as_double(value.get(), *p)) return py::none();
        }
    }
    return py::make_tuple(out, integers);
}

// ann["segmentation"] of all, being RLE dicts, as counts, offsets, sizes; or None.
py::object segmentations(const py::list& annotations) {
    const py::str key("segmentation");
    RleList rles;
    rles.offsets.push(0);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(annotations.ptr()); ++i) {
        const Ref annotation = list_get(annotations.ptr(), i);
        if (!annotation || !PyDict_Check(annotation.get())) return py::none();
        const Ref value = dict_get(annotation.get(), key.ptr());
        if (!value || !objects::read_rle(value.get(), rles)) return py::none();
    }
    const auto n = static_cast<py::ssize_t>(rles.n());
    return py::make_tuple(to_numpy(std::move(rles.counts)), to_numpy(std::move(rles.offsets)),
                          to_numpy(std::move(rles.sizes), {n, 2}));
}

}  // namespace

void register_coco_dicts(py::module_& m) {
    m.def("coco_box_dicts", box_dicts, py::arg("keys"), exact("image_id"), exact("category_id"), exact("bbox"),
          exact("score"), exact("integers"), exact("keypoints"), exact("keypoint_integers"));
    m.def("coco_prepare_boxes", prepare_boxes, py::arg("annotations"));
    m.def("coco_numbers", numbers, py::arg("annotations"), py::arg("key"));
    m.def("coco_boxes", boxes, py::arg("annotations"));
    m.def("coco_keypoints", keypoints, py::arg("annotations"));
    m.def("coco_segmentations", segmentations, py::arg("annotations"));
}

}  // namespace maskmill
