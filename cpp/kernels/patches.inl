// Loops of patches_stats.cpp, once per instruction set.
namespace maskmill::MASKMILL_SIMD {
namespace {

// Rows of one element per column, into what is known of every column. One pass: a count of the least value begins anew
// where a lesser one comes. The compiler makes vectors of this; counters are as wide as the elements for it.
template <int Rows, class T, class Count, class Sum>
inline void add_rows(const T* row, int64_t step, int64_t n, T padding, Columns<T, Count, Sum>& columns) {
    T* low = columns.low;
    T* high = columns.high;
    Count* at_low = columns.at_low;
    Count* at_high = columns.at_high;
    Count* padded = columns.padded;
    Sum* sum = columns.sum;
#if defined(__clang__)
#pragma clang loop vectorize(assume_safety)
#elif defined(__GNUC__)
#pragma GCC ivdep
#endif
    for (int64_t x = 0; x < n; ++x) {
        T l = low[x], h = high[x];
        Count ls = at_low[x], hs = at_high[x], ps = padded[x];
        Sum s = sum[x];
#if defined(__GNUC__)
#pragma GCC unroll 8
#endif
        for (int k = 0; k < Rows; ++k) {
            const T v = row[k * step + x];
            const T new_low = v < l ? v : l, new_high = v > h ? v : h;
            ls = static_cast<Count>((ls & -static_cast<Count>(new_low == l)) + static_cast<Count>(v == new_low));
            hs = static_cast<Count>((hs & -static_cast<Count>(new_high == h)) + static_cast<Count>(v == new_high));
            ps = static_cast<Count>(ps + static_cast<Count>(v == padding));
            s = static_cast<Sum>(s + v);
            l = new_low;
            h = new_high;
        }
        low[x] = l;
        high[x] = h;
        at_low[x] = ls;
        at_high[x] = hs;
        padded[x] = ps;
        sum[x] = s;
    }
}

template <class T, class Count, class Sum>
inline void add_any_rows(const T* row, int64_t step, int64_t rows, int64_t n, T padding,
                         Columns<T, Count, Sum>& columns) {
    constexpr int kRows = 8;
    for (; rows >= kRows; rows -= kRows, row += kRows * step) add_rows<kRows>(row, step, n, padding, columns);
    for (; rows > 0; --rows, row += step) add_rows<1>(row, step, n, padding, columns);
}

#define MASKMILL_ADD(T, Count, Sum)                                                                              \
    inline void add(const T* row, int64_t step, int64_t rows, int64_t n, T padding, Columns<T, Count, Sum>& c) { \
        add_any_rows(row, step, rows, n, padding, c);                                                            \
    }
MASKMILL_ADD(uint8_t, uint8_t, uint16_t)
MASKMILL_ADD(int8_t, uint8_t, int16_t)
MASKMILL_ADD(uint16_t, uint16_t, uint32_t)
MASKMILL_ADD(int16_t, uint16_t, int32_t)
MASKMILL_ADD(uint32_t, uint32_t, uint64_t)
MASKMILL_ADD(int32_t, uint32_t, int64_t)
#undef MASKMILL_ADD

}  // namespace
}  // namespace maskmill::MASKMILL_SIMD
