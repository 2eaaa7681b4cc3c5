// A row of pixels of three interleaved channels to a row of each; included by kernels/*.inl, see support/simd.hpp.

namespace maskmill::MASKMILL_SIMD {
namespace {

// Channel c of pixel x is p[x * 3 + c].
inline void split_rgb(const uint8_t* p, int64_t n, uint8_t* red, uint8_t* green, uint8_t* blue) {
    for (int64_t x = 0; x < n; ++x) {
        red[x] = p[3 * x];
        green[x] = p[3 * x + 1];
        blue[x] = p[3 * x + 2];
    }
}

// Of any strides, in bytes.
inline void split_channels(const uint8_t* p, ptrdiff_t column, ptrdiff_t channel, int64_t n, uint8_t* red,
                           uint8_t* green, uint8_t* blue) {
    if (column == 3 && channel == 1) {
        split_rgb(p, n, red, green, blue);
        return;
    }
    for (int64_t x = 0; x < n; ++x, p += column) {
        red[x] = p[0];
        green[x] = p[channel];
        blue[x] = p[2 * channel];
    }
}

}  // namespace
}  // namespace maskmill::MASKMILL_SIMD
