#include "kernels/coco_json.hpp"

#if !defined(_WIN32)
#include <unistd.h>
#endif

#include "bindings/arrays.hpp"
#include "bindings/register.hpp"
#include "support/parallel.hpp"

namespace maskmill {
namespace {

// Row columns of what a file has; the rest is left out.
template <class T>
void put(py::dict& out, const char* name, Buffer<T>&& column, py::ssize_t width = 1) {
    if (column.size() == 0) return;
    const auto n = static_cast<py::ssize_t>(column.size()) / width;
    out[name] = width == 1 ? to_numpy(std::move(column)) : to_numpy(std::move(column), {n, width});
}

py::dict to_dict(CocoRows&& rows) {
    py::dict out;
    out["n"] = rows.n;
    out["any"] = rows.any;
    out["odd"] = rows.odd;
    out["fields"] = to_numpy(std::move(rows.fields));
    out["begin"] = to_numpy(std::move(rows.begin));
    out["end"] = to_numpy(std::move(rows.end));
    put(out, "id", std::move(rows.id));
    put(out, "image_id", std::move(rows.image_id));
    put(out, "category_id", std::move(rows.category_id));
    put(out, "num_keypoints", std::move(rows.num_keypoints));
    put(out, "area", std::move(rows.area));
    put(out, "score", std::move(rows.score));
    put(out, "bbox", std::move(rows.bbox), 4);
    put(out, "iscrowd", std::move(rows.iscrowd));
    put(out, "segmentation_kind", std::move(rows.segmentation_kind));
    put(out, "segmentation_begin", std::move(rows.segmentation_begin));
    put(out, "segmentation_end", std::move(rows.segmentation_end));
    put(out, "segmentation_size", std::move(rows.segmentation_size), 2);
    put(out, "keypoints_begin", std::move(rows.keypoints_begin));
    put(out, "keypoints_end", std::move(rows.keypoints_end));
    return out;
}

py::dict to_dict(CocoImages&& images) {
    py::dict out;
    out["n"] = images.n;
    out["odd"] = images.odd;
    out["fields"] = to_numpy(std::move(images.fields));
    out["begin"] = to_numpy(std::move(images.begin));
    out["end"] = to_numpy(std::move(images.end));
    out["id"] = to_numpy(std::move(images.id));
    out["height"] = to_numpy(std::move(images.height));
    out["width"] = to_numpy(std::move(images.width));
    return out;
}

py::dict to_dict(CocoCategories&& categories) {
    py::dict out;
    out["n"] = categories.n;
    out["odd"] = categories.odd;
    out["fields"] = to_numpy(std::move(categories.fields));
    out["begin"] = to_numpy(std::move(categories.begin));
    out["end"] = to_numpy(std::move(categories.end));
    out["id"] = to_numpy(std::move(categories.id));
    return out;
}

// Any contiguous bytes: a bytes object would have to be copied into.
using Text = const Array<uint8_t>&;

const char* chars(Text text) { return reinterpret_cast<const char*>(text.data()); }

// On malformed text: (what, line, column, position), for Python to put the file's name in front.
py::object read(Text text) {
    const char* const data = chars(text);
    const auto n = static_cast<size_t>(text.size());
    CocoFile file;
    try {
        file = without_gil([&] { return coco_json_read(data, n); });
    } catch (const json::Error& error) {
        const json::Place place = json::place_of(data, error.position);
        return py::make_tuple(error.what(), place.line, place.column, error.position);
    }
    py::dict out;
    out["is_results"] = file.is_results;
    out["long_integers"] = file.long_integers;
    out["annotations"] = to_dict(std::move(file.rows));
    out["images"] = to_dict(std::move(file.images));
    out["categories"] = to_dict(std::move(file.categories));
    py::list sections;
    for (const auto& s : file.sections)
        sections.append(py::make_tuple(s.key.begin, s.key.end, s.value.begin, s.value.end));
    out["sections"] = sections;
    return out;
}

// Columns of a file of box or keypoint results, read through its descriptor; None if it is anything else.
py::object read_boxes([[maybe_unused]] int descriptor, [[maybe_unused]] size_t size) {
#if defined(_WIN32)
    return py::none();  // no reading at an offset: the file is read as a whole
#else
    const ByteSource source = [descriptor](size_t offset, char* to, size_t n) {
        while (n > 0) {
            const ssize_t got = pread(descriptor, to, n, static_cast<off_t>(offset));
            if (got <= 0) return false;
            offset += static_cast<size_t>(got);
            to += got;
            n -= static_cast<size_t>(got);
        }
        return true;
    };
    CocoBoxes boxes;
    if (!without_gil([&] { return coco_json_read_boxes(source, size, boxes); })) return py::none();
    py::dict out;
    out["n"] = boxes.n;
    py::list keys;
    for (const uint32_t key : boxes.keys) keys.append(key);
    out["keys"] = keys;
    out["image_id"] = to_numpy(std::move(boxes.image_id));
    out["category_id"] = to_numpy(std::move(boxes.category_id));
    put(out, "bbox", std::move(boxes.bbox), 4);
    put(out, "keypoints", std::move(boxes.keypoints), static_cast<py::ssize_t>(boxes.numbers));
    put(out, "keypoint_integers", std::move(boxes.keypoint_integers),
        static_cast<py::ssize_t>(CocoBoxes::bytes_of(boxes.numbers)));
    out["score"] = to_numpy(std::move(boxes.score));
    out["integers"] = to_numpy(std::move(boxes.integers));
    return out;
#endif
}

using Rows = const Array<int64_t>&;
using Positions = const Array<uint64_t>&;

// Every row must exist, and its slice lie within the text.
void check_slices(Rows rows, Positions begin, Positions end, size_t size) {
    require(begin.size() == end.size(), "begin and end must have one length");
    for (py::ssize_t i = 0; i < rows.size(); ++i) {
        const int64_t row = rows.data()[i];
        require(row >= 0 && row < begin.size(), "a row does not exist");
        require(begin.data()[row] <= end.data()[row] && end.data()[row] <= size, "a slice lies outside of the text");
    }
}

py::tuple masks(Text text, Rows rows, const Array<uint8_t>& kind, Positions begin, Positions end, Sizes sizes) {
    check_slices(rows, begin, end, static_cast<size_t>(text.size()));
    require(kind.size() == begin.size(), "kind must have the length of begin");
    check_sides(sizes, static_cast<size_t>(rows.size()));
    const Segmentations segmentations{chars(text), kind.data(), begin.data(), end.data()};
    return to_numpy(without_gil(
        [&] { return coco_json_masks(segmentations, rows.data(), static_cast<size_t>(rows.size()), sizes.data()); }));
}

Array<double> areas(Text text, Rows rows, const Array<uint8_t>& kind, Positions begin, Positions end) {
    check_slices(rows, begin, end, static_cast<size_t>(text.size()));
    require(kind.size() == begin.size(), "kind must have the length of begin");
    const Segmentations segmentations{chars(text), kind.data(), begin.data(), end.data()};
    Array<double> out(rows.size());
    double* p = out.mutable_data();
    without_gil([&] { coco_json_areas(segmentations, rows.data(), static_cast<size_t>(rows.size()), p); });
    return out;
}

Array<double> keypoints(Text text, Rows rows, Positions begin, Positions end, int64_t k) {
    check_slices(rows, begin, end, static_cast<size_t>(text.size()));
    require(k >= 0, "k must be 0 or more");
    Array<double> out({rows.size(), static_cast<py::ssize_t>(k), py::ssize_t{3}});
    double* p = out.mutable_data();
    without_gil([&] {
        coco_json_keypoints(chars(text), rows.data(), static_cast<size_t>(rows.size()), begin.data(), end.data(), k, p);
    });
    return out;
}

template <class T>
const T* column(const py::dict& columns, const char* name, py::ssize_t n, py::ssize_t width = 1) {
    if (!columns.contains(name)) return nullptr;
    const auto array = exact_array<T>(columns[name], name);
    if (array.size() != n * width) {
        throw py::value_error("column '" + std::string(name) + "' must have " + std::to_string(n * width) +
                              " elements, not " + std::to_string(array.size()));
    }
    return array.data();
}

py::bytes write(const py::dict& columns, py::ssize_t n) {
    CocoWriteRows rows;
    rows.n = static_cast<size_t>(n);
    rows.id = column<int64_t>(columns, "id", n);
    rows.image_id = column<int64_t>(columns, "image_id", n);
    rows.category_id = column<int64_t>(columns, "category_id", n);
    rows.area = column<double>(columns, "area", n);
    rows.score = column<double>(columns, "score", n);
    rows.bbox = column<double>(columns, "bbox", n, 4);
    rows.iscrowd = column<uint8_t>(columns, "iscrowd", n);
    Rles own;
    if (columns.contains("counts")) {
        own =
            rles(exact_array<uint32_t>(columns["counts"], "counts"),
                 exact_array<int64_t>(columns["offsets"], "offsets"), exact_array<int64_t>(columns["sizes"], "sizes"));
        require(own.n == rows.n, "there must be one mask per row");
        rows.masks = &own;
    } else if (columns.contains("points")) {
        const auto points = exact_array<double>(columns["points"], "points");
        const auto rings = exact_array<int64_t>(columns["rings"], "rings");
        const auto polygons = exact_array<int64_t>(columns["masks"], "masks");
        const size_t ring_count = checked_items(rings, points.size() / 2);
        require(checked_items(polygons, static_cast<py::ssize_t>(ring_count)) == rows.n,
                "there must be one polygon list per row");
        rows.points = points.data();
        rows.rings = rings.data();
        rows.polygons = polygons.data();
    }
    const std::vector<Buffer<char>> parts = without_gil([&] { return coco_json_write(rows); });
    std::vector<size_t> starts{0};
    for (const Buffer<char>& part : parts) starts.push_back(starts.back() + part.size());
    auto out =
        py::reinterpret_steal<py::bytes>(PyBytes_FromStringAndSize(nullptr, static_cast<py::ssize_t>(starts.back())));
    if (!out) throw py::error_already_set();
    char* const text = PyBytes_AS_STRING(out.ptr());
    without_gil([&] {
        parallel_run(parts.size(), [&](size_t p) {
            if (parts[p].size() > 0) std::memcpy(text + starts[p], parts[p].data(), parts[p].size());
        });
    });
    return out;
}

}  // namespace

void register_coco_json(py::module_& m) {
    m.def("coco_json_read", read, exact("text"));
    m.def("coco_json_read_boxes", read_boxes, py::arg("descriptor"), py::arg("size"));
    m.def("coco_json_masks", masks, exact("text"), exact("rows"), exact("kind"), exact("begin"), exact("end"),
          exact("sizes"));
    m.def("coco_json_areas", areas, exact("text"), exact("rows"), exact("kind"), exact("begin"), exact("end"));
    m.def("coco_json_keypoints", keypoints, exact("text"), exact("rows"), exact("begin"), exact("end"), py::arg("k"));
    m.def("coco_json_write", write, py::arg("columns"), py::arg("n"));
}

}  // namespace maskmill
