// Loops of boxes.cpp, once per instruction set.
namespace maskmill::MASKMILL_SIMD {
namespace {

// Who decides that the union is the area of the detection alone.
enum class Crowd { none, one, many };

// IoU of `one` box and each of `n` boxes in columns, which are padded to whole blocks.
template <Crowd crowd>
inline void compare_one(const double* columns, size_t stride, size_t n, const double* one, double* out) {
    const double *x0 = columns, *y0 = x0 + stride, *x1 = y0 + stride, *y1 = x1 + stride, *area = y1 + stride,
                 *is_crowd = area + stride;
    const double one_x0 = one[0], one_y0 = one[1], one_x1 = one[2] + one[0], one_y1 = one[3] + one[1];
    const double one_area = one[2] * one[3];
    for (size_t first = 0; first < n; first += kBoxLanes) {
        alignas(64) double iou[kBoxLanes];
        for (size_t k = 0; k < kBoxLanes; ++k) {
            const size_t i = first + k;
            const double left = c_max(x0[i], one_x0), right = c_min(x1[i], one_x1);
            const double top = c_max(y0[i], one_y0), bottom = c_min(y1[i], one_y1);
            const double w = right - left, h = bottom - top, common = w * h;
            const double either = area[i] + one_area - common;
            const double below = crowd == Crowd::none  ? either
                                 : crowd == Crowd::one ? area[i]
                                                       : (is_crowd[i] != 0 ? one_area : either);
            const double value = common / below;
            const double apart = w <= 0 ? 0 : value;
            iou[k] = h <= 0 ? 0 : apart;
        }
        if (n - first >= kBoxLanes) {
            std::memcpy(out + first, iou, sizeof(iou));
        } else {
            for (size_t k = 0; k < n - first; ++k) out[first + k] = iou[k];
        }
    }
}

inline void compare(const double* columns, size_t stride, size_t n, const double* one, double* out) {
    compare_one<Crowd::none>(columns, stride, n, one, out);
}
inline void compare_with_crowd(const double* columns, size_t stride, size_t n, const double* one, double* out) {
    compare_one<Crowd::one>(columns, stride, n, one, out);
}
inline void compare_crowds(const double* columns, size_t stride, size_t n, const double* one, double* out) {
    compare_one<Crowd::many>(columns, stride, n, one, out);
}

}  // namespace
}  // namespace maskmill::MASKMILL_SIMD
