// Loops of rle_labels.cpp, once per instruction set.
#include "support/simd_ops.inl"

namespace maskmill::MASKMILL_SIMD {
namespace {

// Bit i: a[i] != b[i], for n <= 64 contiguous items of type T.
template <class T>
inline uint64_t differ_items(const uint8_t* a, const uint8_t* b, int n) {
    if (sizeof(T) == 1 && n == 64) return differ64(a, b);
    alignas(64) uint8_t flags[64] = {};
    T x[64], y[64];
    std::memcpy(x, a, sizeof(T) * static_cast<size_t>(n));
    std::memcpy(y, b, sizeof(T) * static_cast<size_t>(n));
    for (int i = 0; i < n; ++i) flags[i] = x[i] != y[i];
    return nonzero64(flags);
}

// Rows of `columns` <= 64 contiguous items: for every column c the rows, 0 included, where the item differs from
// the one above, at rows[c * height ..]; their number in found[c].
template <class T>
void find_changes(const uint8_t* base, int64_t step_row, int64_t height, int columns, uint32_t* rows, uint32_t* found) {
    for (int c = 0; c < columns; ++c) {
        rows[c * height] = 0;
        found[c] = 1;
    }
    for (int64_t y = 1; y < height; ++y) {
        const uint8_t* row = base + y * step_row;
        uint64_t bits = differ_items<T>(row, row - step_row, columns);
        while (bits != 0) {
            const int c = std::countr_zero(bits);
            rows[c * height + found[c]++] = static_cast<uint32_t>(y);
            bits &= bits - 1;
        }
    }
}

// The same for one column of contiguous items.
template <class T>
uint32_t find_column_changes(const uint8_t* column, int64_t height, uint32_t* rows) {
    uint32_t found = 0;
    rows[found++] = 0;
    for (int64_t y = 1; y < height; y += 64) {
        const int n = static_cast<int>(height - y < 64 ? height - y : 64);
        const uint8_t* p = column + y * static_cast<int64_t>(sizeof(T));
        uint64_t bits = differ_items<T>(p, p - sizeof(T), n);
        while (bits != 0) {
            rows[found++] = static_cast<uint32_t>(y + std::countr_zero(bits));
            bits &= bits - 1;
        }
    }
    return found;
}

}  // namespace
}  // namespace maskmill::MASKMILL_SIMD
