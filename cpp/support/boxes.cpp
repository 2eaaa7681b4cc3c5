#include "support/boxes.hpp"

namespace maskmill {
namespace {

constexpr size_t kBoxLanes = 8;  // compared together, whatever the instruction set

}  // namespace
}  // namespace maskmill

#define MASKMILL_SIMD_FILE "support/boxes.inl"
#include "support/simd_foreach.hpp"

namespace maskmill {

void BoxColumns::resize(size_t n) {
    n_ = n;
    stride_ = (n + kBoxLanes - 1) / kBoxLanes * kBoxLanes;
    crowds_ = false;
    values_.resize(6 * stride_);
    for (size_t column = 0; column < 6; ++column) {
        for (size_t i = n; i < stride_; ++i) values_.data()[column * stride_ + i] = 0;
    }
}

void BoxColumns::iou_with_dt(const double* dt, double* out) const {
    if (crowds_) {
        MASKMILL_DISPATCH(compare_crowds, values_.data(), stride_, n_, dt, out);
    } else {
        MASKMILL_DISPATCH(compare, values_.data(), stride_, n_, dt, out);
    }
}

void BoxColumns::iou_with_gt(const double* gt, bool crowd, double* out) const {
    if (crowd) {
        MASKMILL_DISPATCH(compare_with_crowd, values_.data(), stride_, n_, gt, out);
    } else {
        MASKMILL_DISPATCH(compare, values_.data(), stride_, n_, gt, out);
    }
}

}  // namespace maskmill
