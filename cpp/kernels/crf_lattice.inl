// What crf.cpp does to features at every level of instructions: where points lie in the lattice. See support/simd.hpp.

namespace maskmill::MASKMILL_SIMD {
namespace {

// Elevates `kCrfLanes` points onto the plane of the lattice and finds their simplex. features (d, lanes); out: the nearest
// point whose colour is 0, `nearest` (d + 1, lanes), what is left of each coordinate in `rest`, its place from the greatest
// down in `rank`. A sum of roundings beyond +-d is left in `astray`: then float32 is too coarse for the features.
void crf_place(const float* features, int d, const float* scale, float* rest, int32_t* nearest, int32_t* rank,
               int32_t* astray) {
    constexpr int kLanes = kCrfLanes;
    float elevated[64 * kLanes];
    float sum[kLanes] = {};
    for (int j = d; j > 0; --j) {
        const float* f = features + (j - 1) * kLanes;
        const auto times = static_cast<float>(j);
        for (int k = 0; k < kLanes; ++k) {
            const float c = f[k] * scale[j - 1];
            elevated[j * kLanes + k] = sum[k] - times * c;
            sum[k] += c;
        }
    }
    for (int k = 0; k < kLanes; ++k) elevated[k] = sum[k];

    const float down = 1.0f / static_cast<float>(d + 1), up = static_cast<float>(d + 1);
    constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to integers, half to even
    int32_t total[kLanes] = {};
    for (int i = 0; i <= d; ++i) {
        for (int k = 0; k < kLanes; ++k) {
            const float v = (down * elevated[i * kLanes + k] + kRound) - kRound;
            nearest[i * kLanes + k] = static_cast<int32_t>(v * up);
            rest[i * kLanes + k] = elevated[i * kLanes + k] - v * up;
            total[k] += static_cast<int32_t>(v);
            rank[i * kLanes + k] = 0;
        }
    }
    for (int i = 0; i < d; ++i) {
        for (int j = i + 1; j <= d; ++j) {
            for (int k = 0; k < kLanes; ++k) {
                const int32_t less = rest[i * kLanes + k] < rest[j * kLanes + k] ? 1 : 0;
                rank[i * kLanes + k] += less;
                rank[j * kLanes + k] += 1 - less;
            }
        }
    }
    // Back onto the plane where the roundings do not cancel.
    for (int i = 0; i <= d; ++i) {
        for (int k = 0; k < kLanes; ++k) {
            const int32_t r = rank[i * kLanes + k] + total[k];
            const int32_t shift = r < 0 ? d + 1 : r > d ? -(d + 1) : 0;
            rank[i * kLanes + k] = r + shift;
            nearest[i * kLanes + k] += shift;
            rest[i * kLanes + k] = (elevated[i * kLanes + k] - static_cast<float>(nearest[i * kLanes + k])) * down;
        }
    }
    for (int k = 0; k < kLanes; ++k) astray[k] = total[k] < -d || total[k] > d ? 1 : 0;
}

}  // namespace
}  // namespace maskmill::MASKMILL_SIMD
