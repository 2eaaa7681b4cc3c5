// Boxes (x, y, width, height) as pycocotools compares them.
#pragma once

#include "support/common.hpp"

namespace maskmill {

// What is constexpr runs on a GPU, too.
// As C's fmin and fmax: a NaN is ignored if the other is a number.
constexpr double c_min(double a, double b) { return (a < b) | (b != b) ? a : b; }
constexpr double c_max(double a, double b) { return (a > b) | (b != b) ? a : b; }
// As numpy's max: a NaN stays.
inline double numpy_max(double a, double b) { return a >= b || a != a ? a : b; }

// Intersection over union, or over the area of dt where gt is a crowd.
constexpr double coco_box_iou(const double* dt, const double* gt, bool crowd) {
    // A NaN difference is not <= 0 and goes on.
    const double w = c_min(dt[2] + dt[0], gt[2] + gt[0]) - c_max(dt[0], gt[0]);
    if (w <= 0) return 0;
    const double h = c_min(dt[3] + dt[1], gt[3] + gt[1]) - c_max(dt[1], gt[1]);
    if (h <= 0) return 0;
    const double common = w * h, dt_area = dt[2] * dt[3];
    return common / (crowd ? dt_area : dt_area + gt[2] * gt[3] - common);
}

// The same for boxes without NaN, and without branches: which boxes meet is hard to guess.
inline double coco_box_iou_of_numbers(const double* dt, const double* gt, bool crowd) {
    const auto smaller = [](double a, double b) { return a < b ? a : b; };
    const auto larger = [](double a, double b) { return a > b ? a : b; };
    const double w = smaller(dt[2] + dt[0], gt[2] + gt[0]) - larger(dt[0], gt[0]);
    const double h = smaller(dt[3] + dt[1], gt[3] + gt[1]) - larger(dt[1], gt[1]);
    const double common = w * h, dt_area = dt[2] * dt[3];
    const double iou = common / (crowd ? dt_area : dt_area + gt[2] * gt[3] - common);
    return ((w <= 0) | (h <= 0)) ? 0 : iou;
}

// Many boxes, a column for each of what comparing them needs, for IoU with one box at a time.
class BoxColumns {
  public:
    void resize(size_t n);
    void set(size_t i, const double* box, bool crowd = false) {
        double* const p = values_.data() + i;
        p[0] = box[0];
        p[stride_] = box[1];
        p[2 * stride_] = box[2] + box[0];
        p[3 * stride_] = box[3] + box[1];
        p[4 * stride_] = box[2] * box[3];
        p[5 * stride_] = crowd ? 1 : 0;
        crowds_ |= crowd;
    }
    // The boxes are ground truths: IoU of dt and every box, regarding its crowd flag.
    void iou_with_dt(const double* dt, double* out) const;
    // The boxes are detections: IoU of every box and gt.
    void iou_with_gt(const double* gt, bool crowd, double* out) const;

  private:
    Scratch<double> values_;  // x0, y0, x1, y1, area, crowd or not
    size_t n_ = 0, stride_ = 0;
    bool crowds_ = false;
};

}  // namespace maskmill
