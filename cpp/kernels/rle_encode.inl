// Loops of rle_encode.cpp, once per instruction set.
#include "support/simd_ops.inl"

namespace maskmill::MASKMILL_SIMD {
namespace {

inline uint64_t low_bits(int n) { return n >= 64 ? ~uint64_t{0} : (uint64_t{1} << n) - 1; }

// Bytes to ask for ahead of time: the hardware loses the thread whenever tiles are turned (encode: 2.9 -> 2.0 ms).
constexpr int kPrefetch = 8192;

// Bit i: item i != 0, for 64 contiguous items.
template <class T>
inline uint64_t load_64(const uint8_t* p) {
    if constexpr (sizeof(T) == 1) return nonzero64(p);
    T items[64];
    uint8_t flags[64];
    std::memcpy(items, p, sizeof(items));
    for (int i = 0; i < 64; ++i) flags[i] = items[i] != 0;
    return nonzero64(flags);
}

// The same for n < 64 items, or items `step` bytes apart.
template <class T>
uint64_t load_some(const uint8_t* p, int64_t step, int n) {
    uint8_t flags[64] = {};
    for (int i = 0; i < n; ++i) {
        T item;
        std::memcpy(&item, p + i * step, sizeof(T));
        flags[i] = item != 0;
    }
    return nonzero64(flags);
}

// Down each column, carrying the run across column borders. `before`: the pixel in front of the first.
template <class T>
void scan_columns(const uint8_t* image, int64_t height, int64_t columns, int64_t step_y, int64_t step_x,
                  uint64_t before, RunScanner& scan) {
    if (step_x == step_y * height) {  // one long column
        height *= columns;
        columns = 1;
    }
    uint64_t position = 0;
    for (int64_t x = 0; x < columns; ++x, position += static_cast<uint64_t>(height)) {
        const uint8_t* column = image + x * step_x;
        for (int64_t y = 0; y < height; y += 64) {
            const int n = static_cast<int>(height - y < 64 ? height - y : 64);
            prefetch(column + y * step_y + kPrefetch);
            const uint64_t pixels = n == 64 && step_y == sizeof(T) ? load_64<T>(column + y * step_y)
                                                                   : load_some<T>(column + y * step_y, step_y, n);
            scan.changes((pixels ^ (pixels << 1 | before)) & low_bits(n), position + static_cast<uint64_t>(y));
            before = pixels >> (n - 1) & 1;
        }
    }
}

// Bytes in one contiguous image: a run ends where a byte differs from the one before (0 before the first).
inline void scan_changes(const uint8_t* p, int64_t pixels, RunScanner& scan) {
    if (pixels == 0) return;
    int64_t i = 0;
    uint8_t head[65] = {};  // p[-1] does not exist: the first word is read from a copy
    const int first = static_cast<int>(pixels < 64 ? pixels : 64);
    std::memcpy(head + 1, p, static_cast<size_t>(first));
    scan.changes(differ64(head + 1, head) & low_bits(first), 0);
    for (i = 64; i + 64 <= pixels; i += 64) {
        prefetch(p + i + kPrefetch);
        scan.changes(differ64(p + i, p + i - 1), static_cast<uint64_t>(i));
    }
    if (i < pixels) {
        const int n = static_cast<int>(pixels - i);
        uint8_t now[64] = {}, before[64] = {};
        std::memcpy(now, p + i, static_cast<size_t>(n));
        std::memcpy(before, p + i - 1, static_cast<size_t>(n));
        scan.changes(differ64(now, before) & low_bits(n), static_cast<uint64_t>(i));
    }
}

// Bit r % 64 of plane[(r / 64) * columns + c]: item (r, c) != 0, items of a row being contiguous. Bands of 64 rows
// are read row by row, as memory likes it, into tiles of 64 x 64 bits, which are then turned. `tiles` has room for
// one band.
template <class T>
void turn_rows(const uint8_t* base, int64_t step_row, int64_t rows, int64_t columns, uint64_t* tiles, uint64_t* plane) {
    for (int64_t r0 = 0; r0 < rows; r0 += 64, plane += columns) {
        const int n = static_cast<int>(rows - r0 < 64 ? rows - r0 : 64);
        for (int r = 0; r < n; ++r) {
            const uint8_t* row = base + (r0 + r) * step_row;
            uint64_t* word = tiles + r;
            int64_t c = 0;
            for (; c + 64 <= columns; c += 64, word += 64) {
                const uint8_t* p = row + c * sizeof(T);
                prefetch(p + kPrefetch);
                *word = load_64<T>(p);
            }
            if (c < columns) *word = load_some<T>(row + c * sizeof(T), sizeof(T), static_cast<int>(columns - c));
        }
        uint64_t* tile = tiles;
        for (int64_t c = 0; c < columns; c += 64, tile += 64) {
            for (int r = n; r < 64; ++r) tile[r] = 0;
            uint64_t any = 0;
            for (int r = 0; r < 64; ++r) any |= tile[r];
            if (any != 0) transpose64(tile);  // most tiles of most masks are empty
            copy_words(plane + c, tile, columns - c < 64 ? columns - c : 64);
        }
    }
}

// The last pixel of every column of a plane.
inline void bottom_row(const uint64_t* plane, int64_t rows, int64_t columns, uint64_t* bottom) {
    const uint64_t* const lowest = plane + (rows - 1) / 64 * columns;
    for (int64_t c = 0; c < columns; ++c) bottom[c] = lowest[c] >> ((rows - 1) % 64) & 1;
}

// Turns pixels (a plane of turn_rows) into changes: a bit is set where a pixel differs from the one before it, which
// is the one above, or ahead[c] in the first row. Bit w % 64 of some[(w / 64) * columns + c] tells whether word w of
// column c has any change.
inline void find_changes(uint64_t* plane, int64_t rows, int64_t columns, const uint64_t* ahead, uint64_t* some) {
    const int64_t words = (rows + 63) / 64;
    std::memset(some, 0, static_cast<size_t>((words + 63) / 64 * columns) * sizeof(uint64_t));
    for (int64_t w = words - 1; w >= 0; --w) {
        uint64_t* const word = plane + w * columns;
        uint64_t* const flags = some + w / 64 * columns;
        const uint64_t valid = low_bits(static_cast<int>(rows - w * 64 < 64 ? rows - w * 64 : 64));
        const uint64_t flag = uint64_t{1} << (w % 64);
        const uint64_t* const above = w > 0 ? word - columns : ahead;
        const int shift = w > 0 ? 63 : 0;
        for (int64_t c = 0; c < columns; ++c) {
            word[c] = (word[c] ^ (word[c] << 1 | above[c] >> shift)) & valid;
            flags[c] |= word[c] != 0 ? flag : 0;
        }
    }
}

// The changes of column c of a plane, `position` being that of its first pixel.
inline void scan_changes_of(const uint64_t* plane, const uint64_t* some, int64_t rows, int64_t columns, int64_t c,
                            uint64_t position, RunScanner& scan) {
    const int64_t groups = (rows + 4095) / 4096;
    for (int64_t g = 0; g < groups; ++g) {
        for (uint64_t set = some[g * columns + c]; set != 0; set &= set - 1) {
            const int64_t w = g * 64 + std::countr_zero(set);
            scan.changes(plane[w * columns + c], position + static_cast<uint64_t>(w) * 64);
        }
    }
}

inline void scan_plane(const uint64_t* plane, const uint64_t* some, int64_t rows, int64_t columns, uint64_t position,
                       RunScanner& scan) {
    for (int64_t c = 0; c < columns; ++c, position += static_cast<uint64_t>(rows)) {
        scan_changes_of(plane, some, rows, columns, c, position, scan);
    }
}

}  // namespace
}  // namespace maskmill::MASKMILL_SIMD
