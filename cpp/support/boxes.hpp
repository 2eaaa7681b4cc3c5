// Boxes (x, y, width, height) as pycocotools compares them.
#pragma once

namespace maskmill {

// As C's fmin and fmax: a NaN is ignored if the other is a number.
inline double c_min(double a, double b) { return a < b || b != b ? a : b; }
inline double c_max(double a, double b) { return a > b || b != b ? a : b; }
// As numpy's max: a NaN stays.
inline double numpy_max(double a, double b) { return a >= b || a != a ? a : b; }

// Intersection over union, or over the area of dt where gt is a crowd. Without branches: which boxes meet is hard to
// guess. A NaN difference is not <= 0 and goes on.
inline double coco_box_iou(const double* dt, const double* gt, bool crowd) {
    const double w = c_min(dt[2] + dt[0], gt[2] + gt[0]) - c_max(dt[0], gt[0]);
    const double h = c_min(dt[3] + dt[1], gt[3] + gt[1]) - c_max(dt[1], gt[1]);
    const double common = w * h, dt_area = dt[2] * dt[3];
    const double either = dt_area + gt[2] * gt[3] - common;
    const double iou = common / (crowd ? dt_area : either);
    return w <= 0 || h <= 0 ? 0 : iou;
}

}  // namespace maskmill
