// COCO's evaluation: grouping, box IoU, OKS, greedy matching, accumulation.
//
// Layout      Detections (dt) and ground truth (gt) are columns. A cell is what is compared with each other: one image
//             and one category (or all). Cells are sorted by category, then image; cell c owns
//             gt_order[gt_cells[c] .. gt_cells[c + 1]) and dt_order[dt_cells[c] .. dt_cells[c + 1]), rows of the
//             columns: ground truth in file order, detections by falling score. "dt position" is a place in dt_order.
//             ious holds one row-major (dt, gt) matrix per cell from iou_cells[c] on.
// Invariants  Same bits as pycocotools 2.0.11: stable sorts (NaN last), min(threshold, 1 - 1e-10), later of equal IoUs
//             wins, np.spacing(1), numpy's pairwise sums. Threads change nothing.
// Reference   pycocotools 2.0.11, cocoeval.py (Lin, Dollar), as behaviour.
// Cost        O(detections + IoUs): 500,000 boxes take about 0.05 s on one core, IoU included.
#pragma once

#include "support/common.hpp"
#include "support/cuda_queue.hpp"

namespace maskmill {

struct Cells {
    Buffer<int64_t> category, image;  // positions in the lists given
    Buffer<int64_t> gt_cells, gt_order, dt_cells, dt_order;
    Buffer<double> dt_score;  // in the order of dt_order
};

struct GroupInput {
    const int64_t* gt_image;
    const int64_t* gt_category;
    size_t gt_count;
    const int64_t* dt_image;
    const int64_t* dt_category;
    const double* dt_score;
    size_t dt_count;
    const int64_t* image_ids;  // each once
    size_t image_count;
    const int64_t* category_ids;  // each once
    size_t category_count;
};
// Rows of images and categories that are not listed are left out. Without categories, a cell is an image, and its rows
// are in the order of category_ids first. At most max_det detections a cell.
Cells matching_group(const GroupInput& input, bool use_categories, int64_t max_det);

// Whether every value is among the ids.
bool matching_all_known(const int64_t* values, size_t n, const int64_t* ids, size_t id_count);

struct CellView {
    const int64_t* gt_cells;
    const int64_t* gt_order;
    const int64_t* dt_cells;
    const int64_t* dt_order;
    size_t n;
};

// iou_cells (n + 1): where each cell's matrix begins; returns their total size.
int64_t matching_iou_cells(const CellView& cells, int64_t* iou_cells);

// Boxes (x, y, width, height).
void matching_box_iou(const CellView& cells, const double* gt_boxes, const double* dt_boxes, const uint8_t* iscrowd,
                      const int64_t* iou_cells, double* ious);

struct OksInput {
    const double* gt_points;  // (gt, k, 3): x, y, visibility
    const double* gt_boxes;
    const double* gt_area;
    const double* dt_points;  // (dt, k, 3)
    const double* variances;  // (k,): (2 sigma)^2
    int64_t k;
};
// Exponents of the object keypoint similarity: for each cell, detection and ground truth k values, of which only those
// of visible points (or all, if none is) count. The caller takes exp(-e) with the function whose bits it wants.
void matching_oks_exponents(const CellView& cells, const OksInput& input, const int64_t* iou_cells, double* exponents);
// Their means: pairwise sum over the visible points, divided by their number.
void matching_oks_means(const CellView& cells, const OksInput& input, const int64_t* iou_cells,
                        const double* exponentials, double* ious);

struct MatchInput {
    CellView cells;
    const double* ious;  // null: those of the boxes, computed cell by cell and not kept
    const int64_t* iou_cells;
    const double *gt_boxes, *dt_boxes;
    const double* gt_area;
    const uint8_t* gt_ignore;
    const uint8_t* gt_crowd;
    const uint8_t* gt_named;  // 0 where the id is 0, which pycocotools takes for "not matched"
    const double* dt_area;
    const uint8_t* dt_named;  // 0 where the id is 0 or less, which leaves the ground truth free
    const double* thresholds;
    int64_t threshold_count;    // at most 16
    const double* area_ranges;  // (area_count, 2)
    int64_t area_count;
};
struct Matches {
    uint16_t* matched;  // (area_count, dt positions): bit t: matched at threshold t
    uint16_t* ignored;  // the same: bit t: does not count at threshold t
    int64_t* counted;   // (area_count, cells): ground truth that is not ignored
    // Optional (null to leave out): the partner's place within the cell, or -1.
    int32_t* dt_partner;  // (area_count, threshold_count, dt positions)
    int32_t* gt_partner;  // (area_count, threshold_count, gt positions)
};
void matching_match(const MatchInput& input, const Matches& out);

struct AccumulateInput {
    const int64_t* category;  // of each cell
    const int64_t* dt_cells;
    size_t cell_count;
    const double* score;  // (dt positions,)
    const uint16_t* matched;
    const uint16_t* ignored;
    const int64_t* counted;
    int64_t category_count, area_count, threshold_count;
    const double* recalls;
    int64_t recall_count;
    const int64_t* max_dets;
    int64_t max_det_count;
};
// precision and scores (T, R, K, A, M), recall (T, K, A, M); -1 where there is nothing to evaluate.
void matching_accumulate(const AccumulateInput& input, double* precision, double* recall, double* scores);

// The twin on a GPU: all pointers are the device's.
namespace cuda {

struct BoxTables {
    const double *gt_boxes, *dt_boxes;
    const uint8_t* iscrowd;
    int64_t gt_rows, dt_rows;
    int64_t gt_places, dt_places;  // elements of gt_order and dt_order
};
struct DeviceIous {
    double* ious;
    int64_t* starts;  // iou_cells
    size_t total;
};
// Waits for the stream once, to learn of faults and how many IoUs there are.
DeviceIous matching_box_iou(const CellView& cells, const BoxTables& boxes, Queue& queue);

}  // namespace cuda

}  // namespace maskmill
