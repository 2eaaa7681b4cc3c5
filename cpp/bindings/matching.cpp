#include "kernels/matching.hpp"

#include <optional>

#include "bindings/arrays.hpp"
#include "bindings/register.hpp"
#include "kernels/coco_json.hpp"
#include "kernels/overlap.hpp"
#include "support/runs.hpp"

namespace maskmill {
namespace {

using Int64s = const Array<int64_t>&;
using Doubles = const Array<double>&;
using Flags = const Array<uint8_t>&;

void require_length(py::ssize_t found, py::ssize_t wanted, const char* name) {
    if (found != wanted) {
        throw py::value_error(std::string(name) + " must have " + std::to_string(wanted) + " elements, not " +
                              std::to_string(found));
    }
}

// Rows in gt_order and dt_order must exist in columns of these lengths.
CellView cells_of(Int64s gt_cells, Int64s gt_order, Int64s dt_cells, Int64s dt_order, py::ssize_t gt_rows,
                  py::ssize_t dt_rows) {
    CellView cells;
    cells.n = checked_items(gt_cells, gt_order.size());
    require(checked_items(dt_cells, dt_order.size()) == cells.n, "gt_cells and dt_cells must have one length");
    const auto within = [](Int64s order, py::ssize_t rows) {
        const int64_t* p = order.data();
        for (py::ssize_t i = 0; i < order.size(); ++i) {
            if (p[i] < 0 || p[i] >= rows) return false;
        }
        return true;
    };
    require(within(gt_order, gt_rows) && within(dt_order, dt_rows), "an order names a row that does not exist");
    cells.gt_cells = gt_cells.data();
    cells.gt_order = gt_order.data();
    cells.dt_cells = dt_cells.data();
    cells.dt_order = dt_order.data();
    return cells;
}

py::tuple group(Int64s gt_image, Int64s gt_category, Int64s dt_image, Int64s dt_category, Doubles dt_score,
                Int64s image_ids, Int64s category_ids, bool use_categories, int64_t max_det) {
    require_length(gt_category.size(), gt_image.size(), "gt_category");
    require_length(dt_category.size(), dt_image.size(), "dt_category");
    require_length(dt_score.size(), dt_image.size(), "dt_score");
    const GroupInput in{gt_image.data(),
                        gt_category.data(),
                        static_cast<size_t>(gt_image.size()),
                        dt_image.data(),
                        dt_category.data(),
                        dt_score.data(),
                        static_cast<size_t>(dt_image.size()),
                        image_ids.data(),
                        static_cast<size_t>(image_ids.size()),
                        category_ids.data(),
                        static_cast<size_t>(category_ids.size())};
    Cells out = without_gil([&] { return matching_group(in, use_categories, max_det); });
    return py::make_tuple(to_numpy(std::move(out.category)), to_numpy(std::move(out.image)),
                          to_numpy(std::move(out.gt_cells)), to_numpy(std::move(out.gt_order)),
                          to_numpy(std::move(out.dt_cells)), to_numpy(std::move(out.dt_order)),
                          to_numpy(std::move(out.dt_score)));
}

bool all_known(Int64s values, Int64s ids) {
    return without_gil([&] {
        return matching_all_known(values.data(), static_cast<size_t>(values.size()), ids.data(),
                                  static_cast<size_t>(ids.size()));
    });
}

struct Matrices {
    Array<int64_t> cells;
    Array<double> ious;
};

Matrices matrices_of(const CellView& cells) {
    Matrices m{Array<int64_t>(static_cast<py::ssize_t>(cells.n) + 1), {}};
    m.ious = Array<double>(static_cast<py::ssize_t>(matching_iou_cells(cells, m.cells.mutable_data())));
    return m;
}

py::ssize_t rows_of(Doubles array, py::ssize_t columns, const char* name) {
    if (array.ndim() != 2 || array.shape(1) != columns) {
        throw py::value_error(std::string(name) + " must have shape (N, " + std::to_string(columns) + ")");
    }
    return array.shape(0);
}

py::tuple box_iou(Int64s gt_cells, Int64s gt_order, Int64s dt_cells, Int64s dt_order, Doubles gt_boxes,
                  Doubles dt_boxes, Flags iscrowd) {
    const py::ssize_t gts = rows_of(gt_boxes, 4, "gt_boxes"), dts = rows_of(dt_boxes, 4, "dt_boxes");
    require_length(iscrowd.size(), gts, "iscrowd");
    const CellView cells = cells_of(gt_cells, gt_order, dt_cells, dt_order, gts, dts);
    Matrices m = matrices_of(cells);
    double* ious = m.ious.mutable_data();
    const int64_t* at = m.cells.data();
    without_gil([&] { matching_box_iou(cells, gt_boxes.data(), dt_boxes.data(), iscrowd.data(), at, ious); });
    return py::make_tuple(m.ious, m.cells);
}

// Masks that are there already.
MaskSource source_of(const Rles& masks) {
    class Reader : public MaskReader {
      public:
        explicit Reader(const Rles& m) : masks_(m) {}
        void read(int64_t index, Buffer<uint32_t>& runs, int64_t& height, int64_t& width) override {
            const auto i = static_cast<size_t>(index);
            check_sum(i, masks_.runs(i), masks_.pixels(i));
            runs.append(masks_.runs(i).data(), masks_.run_count(i));
            height = masks_.height(i);
            width = masks_.width(i);
        }

      private:
        const Rles& masks_;
    };
    return [&masks] { return std::make_unique<Reader>(masks); };
}

py::tuple mask_iou(Int64s gt_cells, Int64s gt_order, Int64s dt_cells, Int64s dt_order, Counts gt_counts,
                   Offsets gt_offsets, Sizes gt_sizes, Counts dt_counts, Offsets dt_offsets, Sizes dt_sizes,
                   Flags iscrowd) {
    const Rles gt = rles(gt_counts, gt_offsets, gt_sizes), dt = rles(dt_counts, dt_offsets, dt_sizes);
    require_length(iscrowd.size(), static_cast<py::ssize_t>(gt.n), "iscrowd");
    const CellView cells = cells_of(gt_cells, gt_order, dt_cells, dt_order, static_cast<py::ssize_t>(gt.n),
                                    static_cast<py::ssize_t>(dt.n));
    Matrices m = matrices_of(cells);
    const CellPairs pairs{cells.dt_order, cells.dt_cells, cells.gt_order, cells.gt_cells, m.cells.data(), cells.n};
    double* ious = m.ious.mutable_data();
    without_gil([&] { overlap_iou_cells(source_of(dt), source_of(gt), iscrowd.data(), pairs, ious); });
    return py::make_tuple(m.ious, m.cells);
}

// Where the segmentations of a file are: (text, kind, begin, end), and the sizes of the masks they make.
struct Texts {
    Segmentations segmentations;
    const int64_t* sizes;
    py::ssize_t rows;
};

Texts texts_of(const py::tuple& parts) {
    require(parts.size() == 5, "segmentations must be (text, kind, begin, end, sizes)");
    const auto text = exact_array<uint8_t>(parts[0], "text"), kind = exact_array<uint8_t>(parts[1], "kind");
    const auto begin = exact_array<uint64_t>(parts[2], "begin"), end = exact_array<uint64_t>(parts[3], "end");
    const auto sizes = exact_array<int64_t>(parts[4], "sizes");
    const py::ssize_t n = kind.size();
    require(begin.size() == n && end.size() == n, "kind, begin and end must have one length");
    check_sides(sizes, static_cast<size_t>(n));
    for (py::ssize_t i = 0; i < n; ++i) {
        require(begin.data()[i] <= end.data()[i] && end.data()[i] <= static_cast<uint64_t>(text.size()),
                "a segmentation lies outside of the text");
    }
    return {{reinterpret_cast<const char*>(text.data()), kind.data(), begin.data(), end.data()}, sizes.data(), n};
}

// The same from the text of two files: no mask is kept.
py::tuple text_iou(Int64s gt_cells, Int64s gt_order, Int64s dt_cells, Int64s dt_order, const py::tuple& gt_parts,
                   const py::tuple& dt_parts, Flags iscrowd) {
    const Texts gt = texts_of(gt_parts), dt = texts_of(dt_parts);
    require_length(iscrowd.size(), gt.rows, "iscrowd");
    const CellView cells = cells_of(gt_cells, gt_order, dt_cells, dt_order, gt.rows, dt.rows);
    Matrices m = matrices_of(cells);
    const CellPairs pairs{cells.dt_order, cells.dt_cells, cells.gt_order, cells.gt_cells, m.cells.data(), cells.n};
    double* ious = m.ious.mutable_data();
    without_gil([&] {
        overlap_iou_cells(coco_json_mask_source(dt.segmentations, dt.sizes),
                          coco_json_mask_source(gt.segmentations, gt.sizes), iscrowd.data(), pairs, ious);
    });
    return py::make_tuple(m.ious, m.cells);
}

struct Oks {
    CellView cells;
    OksInput input;
};

Oks oks_of(Int64s gt_cells, Int64s gt_order, Int64s dt_cells, Int64s dt_order, Doubles gt_points, Doubles gt_boxes,
           Doubles gt_area, Doubles dt_points, Doubles variances) {
    const auto k = static_cast<int64_t>(variances.size());
    const py::ssize_t gts = rows_of(gt_boxes, 4, "gt_boxes");
    require(gt_points.ndim() == 3 && gt_points.shape(0) == gts && gt_points.shape(1) == k && gt_points.shape(2) == 3,
            "gt_points must have shape (N, K, 3), N being that of gt_boxes and K that of variances");
    require(dt_points.ndim() == 3 && dt_points.shape(1) == k && dt_points.shape(2) == 3,
            "dt_points must have shape (N, K, 3), K being that of variances");
    require_length(gt_area.size(), gts, "gt_area");
    return {cells_of(gt_cells, gt_order, dt_cells, dt_order, gts, dt_points.shape(0)),
            {gt_points.data(), gt_boxes.data(), gt_area.data(), dt_points.data(), variances.data(), k}};
}

py::tuple oks_exponents(Int64s gt_cells, Int64s gt_order, Int64s dt_cells, Int64s dt_order, Doubles gt_points,
                        Doubles gt_boxes, Doubles gt_area, Doubles dt_points, Doubles variances) {
    const Oks oks = oks_of(gt_cells, gt_order, dt_cells, dt_order, gt_points, gt_boxes, gt_area, dt_points, variances);
    Array<int64_t> at(static_cast<py::ssize_t>(oks.cells.n) + 1);
    const int64_t total = matching_iou_cells(oks.cells, at.mutable_data());
    Array<double> out({static_cast<py::ssize_t>(total), variances.size()});
    double* e = out.mutable_data();
    const int64_t* p = at.data();
    without_gil([&] { matching_oks_exponents(oks.cells, oks.input, p, e); });
    return py::make_tuple(out, at);
}

Array<double> oks_means(Int64s gt_cells, Int64s gt_order, Int64s dt_cells, Int64s dt_order, Doubles gt_points,
                        Doubles gt_boxes, Doubles gt_area, Doubles dt_points, Doubles variances, Int64s iou_cells,
                        Doubles exponentials) {
    const Oks oks = oks_of(gt_cells, gt_order, dt_cells, dt_order, gt_points, gt_boxes, gt_area, dt_points, variances);
    require_length(iou_cells.size(), static_cast<py::ssize_t>(oks.cells.n) + 1, "iou_cells");
    const int64_t total = oks.cells.n == 0 ? 0 : iou_cells.data()[oks.cells.n];
    require(rows_of(exponentials, variances.size(), "exponentials") == total, "exponentials do not fit iou_cells");
    Array<double> out(static_cast<py::ssize_t>(total));
    double* ious = out.mutable_data();
    without_gil([&] { matching_oks_means(oks.cells, oks.input, iou_cells.data(), exponentials.data(), ious); });
    return out;
}

py::tuple match(Int64s gt_cells, Int64s gt_order, Int64s dt_cells, Int64s dt_order,
                const std::optional<Array<double>>& ious, const std::optional<Array<int64_t>>& iou_cells,
                const std::optional<Array<double>>& gt_boxes, const std::optional<Array<double>>& dt_boxes,
                Doubles gt_area, Flags gt_ignore, Flags gt_crowd, Flags gt_named, Doubles dt_area, Flags dt_named,
                Doubles thresholds, Doubles area_ranges, bool partners) {
    const py::ssize_t gts = gt_area.size(), dts = dt_area.size();
    require_length(gt_ignore.size(), gts, "gt_ignore");
    require_length(gt_crowd.size(), gts, "gt_crowd");
    require_length(gt_named.size(), gts, "gt_named");
    require_length(dt_named.size(), dts, "dt_named");
    MatchInput in;
    in.cells = cells_of(gt_cells, gt_order, dt_cells, dt_order, gts, dts);
    in.ious = in.gt_boxes = in.dt_boxes = nullptr;
    in.iou_cells = nullptr;
    if (ious && iou_cells) {
        require_length(iou_cells->size(), static_cast<py::ssize_t>(in.cells.n) + 1, "iou_cells");
        Array<int64_t> expected(iou_cells->size());
        const int64_t total = matching_iou_cells(in.cells, expected.mutable_data());
        require_length(ious->size(), static_cast<py::ssize_t>(total), "ious");
        require(std::equal(iou_cells->data(), iou_cells->data() + iou_cells->size(), expected.data()),
                "iou_cells do not fit the cells");
        in.ious = ious->data();
        in.iou_cells = iou_cells->data();
    } else {
        require(gt_boxes && dt_boxes, "there must be ious and iou_cells, or gt_boxes and dt_boxes");
        require_length(rows_of(*gt_boxes, 4, "gt_boxes"), gts, "gt_boxes");
        require_length(rows_of(*dt_boxes, 4, "dt_boxes"), dts, "dt_boxes");
        in.gt_boxes = gt_boxes->data();
        in.dt_boxes = dt_boxes->data();
    }
    const auto areas = static_cast<int64_t>(rows_of(area_ranges, 2, "area_ranges"));
    const auto thrs = static_cast<int64_t>(thresholds.size());
    in.gt_area = gt_area.data();
    in.gt_ignore = gt_ignore.data();
    in.gt_crowd = gt_crowd.data();
    in.gt_named = gt_named.data();
    in.dt_area = dt_area.data();
    in.dt_named = dt_named.data();
    in.thresholds = thresholds.data();
    in.threshold_count = thrs;
    in.area_ranges = area_ranges.data();
    in.area_count = areas;
    const auto dt_total = static_cast<py::ssize_t>(in.cells.dt_cells[in.cells.n]);
    const auto gt_total = static_cast<py::ssize_t>(in.cells.gt_cells[in.cells.n]);
    Array<uint16_t> matched({static_cast<py::ssize_t>(areas), dt_total}),
        ignored({static_cast<py::ssize_t>(areas), dt_total});
    Array<int64_t> counted({static_cast<py::ssize_t>(areas), static_cast<py::ssize_t>(in.cells.n)});
    Array<int32_t> dt_partner(
        {static_cast<py::ssize_t>(partners ? areas : 0), static_cast<py::ssize_t>(thrs), dt_total});
    Array<int32_t> gt_partner(
        {static_cast<py::ssize_t>(partners ? areas : 0), static_cast<py::ssize_t>(thrs), gt_total});
    const Matches out{matched.mutable_data(), ignored.mutable_data(), counted.mutable_data(),
                      partners ? dt_partner.mutable_data() : nullptr, partners ? gt_partner.mutable_data() : nullptr};
    without_gil([&] { matching_match(in, out); });
    return py::make_tuple(matched, ignored, counted, dt_partner, gt_partner);
}

py::tuple accumulate(Int64s category, Int64s dt_cells, Doubles score, const Array<uint16_t>& matched,
                     const Array<uint16_t>& ignored, Int64s counted, int64_t category_count, int64_t threshold_count,
                     Doubles recalls, Int64s max_dets) {
    const size_t n = checked_items(dt_cells, score.size());
    require_length(category.size(), static_cast<py::ssize_t>(n), "category");
    const int64_t total = dt_cells.data()[n];
    require(counted.ndim() == 2 && counted.shape(1) == static_cast<py::ssize_t>(n),
            "counted must have shape (A, cells)");
    const int64_t areas = counted.shape(0);
    require(matched.ndim() == 2 && matched.shape(0) == areas && matched.shape(1) == total && ignored.ndim() == 2 &&
                ignored.shape(0) == areas && ignored.shape(1) == total,
            "matched and ignored must have shape (A, detections)");
    require(threshold_count >= 0 && threshold_count <= 16, "threshold_count must be 0 to 16");
    for (size_t c = 0; c < n; ++c) {
        const int64_t k = category.data()[c];
        require(k >= 0 && k < category_count && (c == 0 || k >= category.data()[c - 1]),
                "category must rise below category_count");
    }
    const AccumulateInput in{category.data(),
                             dt_cells.data(),
                             n,
                             score.data(),
                             matched.data(),
                             ignored.data(),
                             counted.data(),
                             category_count,
                             areas,
                             threshold_count,
                             recalls.data(),
                             static_cast<int64_t>(recalls.size()),
                             max_dets.data(),
                             static_cast<int64_t>(max_dets.size())};
    const py::ssize_t t = threshold_count, r = recalls.size(), k = category_count, a = areas, m = max_dets.size();
    Array<double> precision({t, r, k, a, m}), recall({t, k, a, m}), scores({t, r, k, a, m});
    double *p = precision.mutable_data(), *q = recall.mutable_data(), *s = scores.mutable_data();
    without_gil([&] { matching_accumulate(in, p, q, s); });
    return py::make_tuple(precision, recall, scores);
}

}  // namespace

void register_matching(py::module_& m) {
    m.def("matching_group", group, exact("gt_image"), exact("gt_category"), exact("dt_image"), exact("dt_category"),
          exact("dt_score"), exact("image_ids"), exact("category_ids"), py::arg("use_categories"), py::arg("max_det"));
    m.def("matching_all_known", all_known, exact("values"), exact("ids"));
    m.def("matching_box_iou", box_iou, exact("gt_cells"), exact("gt_order"), exact("dt_cells"), exact("dt_order"),
          exact("gt_boxes"), exact("dt_boxes"), exact("iscrowd"));
    m.def("matching_mask_iou", mask_iou, exact("gt_cells"), exact("gt_order"), exact("dt_cells"), exact("dt_order"),
          exact("gt_counts"), exact("gt_offsets"), exact("gt_sizes"), exact("dt_counts"), exact("dt_offsets"),
          exact("dt_sizes"), exact("iscrowd"));
    m.def("matching_text_iou", text_iou, exact("gt_cells"), exact("gt_order"), exact("dt_cells"), exact("dt_order"),
          py::arg("gt"), py::arg("dt"), exact("iscrowd"));
    m.def("matching_oks_exponents", oks_exponents, exact("gt_cells"), exact("gt_order"), exact("dt_cells"),
          exact("dt_order"), exact("gt_points"), exact("gt_boxes"), exact("gt_area"), exact("dt_points"),
          exact("variances"));
    m.def("matching_oks_means", oks_means, exact("gt_cells"), exact("gt_order"), exact("dt_cells"), exact("dt_order"),
          exact("gt_points"), exact("gt_boxes"), exact("gt_area"), exact("dt_points"), exact("variances"),
          exact("iou_cells"), exact("exponentials"));
    m.def("matching_match", match, exact("gt_cells"), exact("gt_order"), exact("dt_cells"), exact("dt_order"),
          exact("ious"), exact("iou_cells"), exact("gt_boxes"), exact("dt_boxes"), exact("gt_area"), exact("gt_ignore"),
          exact("gt_crowd"), exact("gt_named"), exact("dt_area"), exact("dt_named"), exact("thresholds"),
          exact("area_ranges"), py::arg("partners") = false);
    m.def("matching_accumulate", accumulate, exact("category"), exact("dt_cells"), exact("score"), exact("matched"),
          exact("ignored"), exact("counted"), py::arg("category_count"), py::arg("threshold_count"), exact("recalls"),
          exact("max_dets"));
}

}  // namespace maskmill
