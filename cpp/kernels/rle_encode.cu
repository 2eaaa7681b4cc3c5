// Encoding on a GPU: find where pixels change, count, sum up, write runs.
//
// Floor       The pixels once.
// Words       A bit for each pixel says whether it differs from the one before it in the order of runs; 64 that follow
//             each other make a word, and a byte beside it counts them: most are 0, and their words are not read again.
// Two ways    Pixels are read as they lie: neighbouring threads read neighbouring bytes, 16 rows or 64 bytes each at once.
//             Rows (C order): a thread takes 64 rows of a column, or of four, and words lie [image][word][column]; its
//             neighbour those of the next column, or of the next image, if that lies closer ((H, W, N)). Columns
//             (Fortran order, also what rle_decode gives): a warp takes 2048 pixels that follow each other, across columns
//             and images, 16 bytes a lane; words lie in the order of runs.
// Segments    of 32 words of a column (or of the line of pixels). Only their sums are scanned; within one, a thread of the
//             last pass goes down (or sums up the bytes before it).
// Cost        Bytes moved for a byte of uint8 input, by rows: 1 + 1/64 (rows above words) read, 1/8 + 1/64 written, 1/64
//             read for sums, 1/64 and what is needed of 1/8 to write runs, less than 1/50 for segments of high images:
//             1.2 to 1.3. By columns 1.17 to 1.3. And 28 bytes a run. Wider items have eighths of that beside their own.
//             9 launches (8 by columns), one wait (two where a run may have 2^32 pixels).
// Registers   (sm_90) 40 by rows, 32 by columns of bytes, 44 at most; no shared memory but the scan's, no spills.
#include "kernels/rle.hpp"
#include "kernels/rle_device.inl"
#include "support/cuda_bits.cuh"
#include "support/cuda_runs.cuh"

namespace maskmill::cuda {
namespace {

constexpr int64_t kSegmentWords = kWarpLanes;
constexpr unsigned kWarpsPerBlock = kThreads / kWarpLanes;

template <class T>
MASKMILL_HD bool is_set(const ImageStack& s, int64_t image, int64_t y, int64_t x) {
    return *reinterpret_cast<const T*>(s.data + image * s.step_n + y * s.step_y + x * s.step_x) != 0;
}

// Pixel (0, 0) has background above it, the first pixels of other columns the last one of the column before.
template <class T>
MASKMILL_HD bool is_above_set(const ImageStack& s, int64_t image, int64_t y, int64_t x) {
    if (y > 0) return is_set<T>(s, image, y - 1, x);
    return x > 0 && is_set<T>(s, image, s.height - 1, x - 1);
}

// Writes where runs end that lead up to changes, the first bit being pixel `first`.
__device__ __forceinline__ int64_t write_ends(uint64_t changed, uint64_t first, int64_t run, uint64_t* ends) {
    for (; changed != 0; changed &= changed - 1) {
        ends[run++] = first + static_cast<uint64_t>(__ffsll(static_cast<long long>(changed)) - 1);
    }
    return run;
}

// Words that lie [image][word of the column][column].
struct RowWords {
    int64_t height, width, words, segments;  // the last two: of a column
    uint64_t* changes;
    uint8_t* counts;
    uint32_t* sums;         // of segments, in the order of runs: [image][column][segment of the column]
    size_t all;             // segments
    const int64_t* before;  // changes before each segment

    MASKMILL_HD size_t place(int64_t image, int64_t word, int64_t column) const {
        return static_cast<size_t>((image * words + word) * width + column);
    }
    MASKMILL_HD size_t segment(const Place& at) const {
        return static_cast<size_t>((at.image * width + at.column) * segments + at.word);
    }
    __device__ __forceinline__ void put(size_t i, uint64_t changed) const {
        changes[i] = changed;
        counts[i] = static_cast<uint8_t>(__popcll(changed));
    }
    // Neighbouring threads take the segments of neighbouring columns, eight words at once.
    MASKMILL_HD void sum_up(size_t i) const {
        const Place at = place_of(i, width, segments);
        const int64_t first = at.word * kSegmentWords, left = words - first;
        const uint8_t* const count = counts + place(at.image, first, at.column);
        uint32_t sum = 0;
        for (int64_t word = 0; word < kSegmentWords && word < left; word += 8) {
            MASKMILL_UNROLL
            for (int64_t w = word; w < word + 8; ++w) sum += w < left ? count[w * width] : 0u;
        }
        sums[segment(at)] = sum;
    }
    __device__ __forceinline__ void write_runs(size_t i, uint64_t* ends) const {
        const Place at = place_of(i, width, segments);
        const size_t k = segment(at);
        if (before[k] == before[k + 1]) return;
        const int64_t first = at.word * kSegmentWords, left = words - first;
        const size_t top = place(at.image, first, at.column);
        uint64_t pixel = static_cast<uint64_t>((at.image * width + at.column) * height + first * kWordRows);
        int64_t run = before[k] + at.image;
        for (int64_t word = 0; word < kSegmentWords && word < left; word += 8) {
            uint8_t few[8];
            MASKMILL_UNROLL
            for (int w = 0; w < 8; ++w) {
                few[w] = word + w < left ? counts[top + static_cast<size_t>((word + w) * width)] : uint8_t{0};
            }
            MASKMILL_UNROLL
            for (int w = 0; w < 8; ++w, pixel += kWordRows) {
                if (few[w] == 0) continue;
                run = write_ends(changes[top + static_cast<size_t>((word + w) * width)], pixel, run, ends);
            }
        }
    }
    __device__ __forceinline__ int64_t before_image(size_t image) const {
        return before[image * static_cast<size_t>(width * segments)];
    }
};

// 16 rows that are under way at once, and those of a word that are not there: 0.
constexpr int kRowsAtOnce = 16;

template <bool kWhole, class T>
__device__ __forceinline__ void load_rows(const uint8_t* pixel, int64_t step, int rows, T* items) {
#pragma unroll
    for (int r = 0; r < kRowsAtOnce; ++r, pixel += step) {
        items[r] = kWhole || r < rows ? *reinterpret_cast<const T*>(pixel) : T{0};
    }
}

// Rows of a column as bits.
template <bool kWhole, class T>
__device__ __forceinline__ uint64_t bits_of_column(const uint8_t* pixel, int64_t step, int rows) {
    uint64_t bits = 0;
#pragma unroll
    for (int first = 0; first < kWordRows; first += kRowsAtOnce, pixel += kRowsAtOnce * step) {
        if (!kWhole && first >= rows) break;
        T items[kRowsAtOnce];
        load_rows<kWhole>(pixel, step, rows - first, items);
        uint32_t some = 0;
#pragma unroll
        for (int r = 0; r < kRowsAtOnce; ++r) some |= uint32_t{items[r] != 0} << r;
        bits |= uint64_t{some} << first;
    }
    return bits;
}

// Any layout and item size, a thread a word.
template <class T>
void find_in_rows(const ImageStack& s, const RowWords& out, Queue& queue) {
    const Order order = order_of(s, out.words);
    for_each(queue, static_cast<size_t>(s.n * out.words * out.width), [=] __device__(size_t i) {
        const Place at = order.place(i);
        const int64_t y = at.word * kWordRows;
        const int rows = rows_of_word(s.height, at.word);
        const uint8_t* const pixel = s.data + at.image * s.step_n + y * s.step_y + at.column * s.step_x;
        const uint64_t bits = rows == kWordRows ? bits_of_column<true, T>(pixel, s.step_y, rows)
                                                : bits_of_column<false, T>(pixel, s.step_y, rows);
        const uint64_t changed = changes_of(bits, is_above_set<T>(s, at.image, y, at.column), rows);
        out.put(out.place(at.image, at.word, at.column), changed);
    });
}

struct alignas(16) TwoWords {
    uint64_t words[2];
};

// Rows of four columns of bytes.
template <bool kWhole>
__device__ __forceinline__ void bits_of_quad(const uint8_t* pixels, int64_t step, int rows, uint64_t* bits) {
#pragma unroll
    for (int first = 0; first < kWordRows; first += kRowsAtOnce, pixels += kRowsAtOnce * step) {
        if (!kWhole && first >= rows) break;
        uint32_t fours[kRowsAtOnce];
        load_rows<kWhole>(pixels, step, rows - first, fours);
#pragma unroll
        for (int eight = 0; eight < kRowsAtOnce; eight += 8) {
            uint32_t block = 0;  // byte c: eight rows of column c
#pragma unroll
            for (int r = 0; r < 8; ++r) block |= nonzero_bytes(fours[eight + r]) >> (7 - r);
#pragma unroll
            for (int c = 0; c < 4; ++c) bits[c] |= uint64_t{block >> (8 * c) & 0xff} << (first + eight);
        }
    }
}

// Rows of bytes that lie beside each other, in fours: a thread makes the words of four columns.
void find_in_quads(const ImageStack& s, const RowWords& out, Queue& queue) {
    const int64_t quads = s.width / 4;
    for_each(queue, static_cast<size_t>(s.n * out.words * quads), [=] __device__(size_t i) {
        const Place at = place_of(i, quads, out.words);
        const int64_t y = at.word * kWordRows, x = at.column * 4;
        const int rows = rows_of_word(s.height, at.word);
        const uint8_t* const pixels = s.data + at.image * s.step_n + y * s.step_y + x;
        uint64_t bits[4] = {0, 0, 0, 0};
        if (rows == kWordRows) {
            bits_of_quad<true>(pixels, s.step_y, rows, bits);
        } else {
            bits_of_quad<false>(pixels, s.step_y, rows, bits);
        }
        // Byte c: what is above the word of column c.
        const int64_t higher = y > 0 ? -1 : s.height - 1;
        uint32_t above = nonzero_bytes(*reinterpret_cast<const uint32_t*>(pixels + higher * s.step_y));
        if (y == 0) above = above << 8 | uint32_t{is_above_set<uint8_t>(s, at.image, 0, x)} << 7;
        const size_t place = out.place(at.image, at.word, x);
        uint32_t counts = 0;
#pragma unroll
        for (int c = 0; c < 4; ++c) {
            bits[c] = changes_of(bits[c], above >> (8 * c + 7) & 1, rows);
            counts |= static_cast<uint32_t>(__popcll(bits[c])) << (8 * c);
        }
        auto* const changes = reinterpret_cast<TwoWords*>(out.changes + place);
        changes[0] = {bits[0], bits[1]};
        changes[1] = {bits[2], bits[3]};
        *reinterpret_cast<uint32_t*>(out.counts + place) = counts;
    });
}

// Words of a line of pixels: of all columns of all images behind each other.
struct LineWords {
    uint64_t pixels;  // of an image
    int64_t skew;     // bits before the first pixel: where 16 bytes are read at once, they lie at multiples of 16
    size_t words;     // a multiple of kSegmentWords
    uint64_t* changes;
    uint8_t* counts;
    size_t all;             // segments
    const int64_t* before;  // changes before each segment

    // The first pixel of a word; negative, if that is before it.
    MASKMILL_HD int64_t first_of(size_t word) const { return static_cast<int64_t>(word) * kWordPixels - skew; }
    // Images begin after background: there, a change is what is set.
    template <class IsSet>
    __device__ __forceinline__ void put(size_t word, uint64_t changed, IsSet is_set) const {
        const int64_t first = first_of(word), step = static_cast<int64_t>(pixels);
        for (int64_t start = first <= 0 ? 0 : (first + step - 1) / step * step; start < first + kWordPixels;
             start += step) {
            const uint64_t bit = uint64_t{1} << (start - first);
            changed = is_set(start) ? changed | bit : changed & ~bit;
        }
        changes[word] = changed;
        counts[word] = static_cast<uint8_t>(__popcll(changed));
    }
    // Of a word of pixels and the one before it.
    __device__ __forceinline__ void put_pixels(size_t word, uint64_t bits, uint64_t above) const {
        const int64_t first = first_of(word);
        put(word, bits ^ (bits << 1 | above), [=](int64_t pixel) { return (bits >> (pixel - first) & 1) != 0; });
    }
    MASKMILL_HD Bytes16 counts_at(size_t word) const { return *reinterpret_cast<const Bytes16*>(counts + word); }
    MASKMILL_HD uint32_t sum(size_t segment) const {
        const size_t word = segment * kSegmentWords;
        return sum_of(counts_at(word)) + sum_of(counts_at(word + 16));
    }
    MASKMILL_HD int64_t before_word(size_t word) const {
        const size_t segment = word / kSegmentWords, half = word / 16 * 16;
        int64_t sum = before[segment];
        if (half % kSegmentWords != 0) sum += sum_of(counts_at(half - 16));
        Bytes16 rest = counts_at(half);
        MASKMILL_UNROLL
        for (int i = 0; i < 4; ++i) {
            const int kept = static_cast<int>(word - half) - 4 * i;  // bytes of the four
            if (kept < 4) rest.fours[i] &= kept <= 0 ? 0u : (1u << 8 * kept) - 1;
        }
        return sum + sum_of(rest);
    }
    __device__ __forceinline__ void write_runs(size_t word, uint64_t* ends) const {
        if (counts[word] == 0) return;
        const int64_t first = first_of(word);
        uint64_t image = first <= 0 ? 0 : static_cast<uint64_t>(first) / pixels;
        int64_t run = before_word(word) + static_cast<int64_t>(image);
        uint64_t left = changes[word];
        while (left != 0) {
            // Runs of later images come after one more: the last of this.
            const int64_t end = static_cast<int64_t>((image + 1) * pixels) - first;
            const uint64_t own = end < kWordPixels ? left & ((uint64_t{1} << end) - 1) : left;
            run = write_ends(own, static_cast<uint64_t>(first), run, ends) + 1;
            left ^= own;
            ++image;
        }
    }
    __device__ __forceinline__ int64_t before_image(size_t image) const {
        const size_t bit = image * static_cast<size_t>(pixels) + static_cast<size_t>(skew), word = bit / kWordPixels;
        if (word >= words) return before[all];
        const uint64_t earlier = changes[word] & ((uint64_t{1} << bit % kWordPixels) - 1);
        return before_word(word) + __popcll(earlier);
    }
};

// Whether a pixel of the line is set.
template <class T>
MASKMILL_HD bool is_pixel_set(const ImageStack& s, int64_t pixel) {
    const int64_t column = pixel / s.height;
    return is_set<T>(s, column / s.width, pixel % s.height, column % s.width);
}

// Bytes without gaps, from `data` (a multiple of 16) + skew to `end`: a warp 2048 at once.
__global__ void __launch_bounds__(kThreads) line_of_bytes_kernel(const uint8_t* data, int64_t end, LineWords out) {
    const size_t warp = static_cast<size_t>(blockIdx.x) * kWarpsPerBlock + threadIdx.x / kWarpLanes;
    if (warp >= out.all) return;
    const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
    const int64_t first = static_cast<int64_t>(warp) * kWarpPixels;
    uint64_t pieces = 0;
    if (first >= out.skew && first + kWarpPixels <= end) {
        Bytes16 bytes[4];
#pragma unroll
        for (int k = 0; k < 4; ++k) bytes[k] = *reinterpret_cast<const Bytes16*>(data + first + 512 * k + 16 * lane);
#pragma unroll
        for (int k = 0; k < 4; ++k) pieces |= uint64_t{bits_of_bytes(bytes[k])} << 16 * k;
    } else {
#pragma unroll 1
        for (int b = 0; b < kWordPixels; ++b) {
            const int64_t at = first + b / 16 * 512 + 16 * lane + b % 16;
            if (at >= out.skew && at < end) pieces |= uint64_t{data[at] != 0} << b;
        }
    }
    const uint64_t bits = exchanged(pieces, lane);
    // The lane of the word before: word_of_lane.
    uint32_t above = __shfl_sync(~0u, static_cast<uint32_t>(bits >> 63), lane >= 4 ? lane - 4 : lane + 27);
    if (lane == 0) above = first > out.skew && data[first - 1] != 0 ? 1 : 0;
    out.put_pixels(warp * kSegmentWords + static_cast<size_t>(word_of_lane(lane)), bits, above);
}

// Byte j: not 0 where byte j differs from the one before it; `last` is before the first.
MASKMILL_HD Bytes16 differences(const Bytes16& bytes, uint32_t last) {
    Bytes16 out;
    MASKMILL_UNROLL
    for (int i = 0; i < 4; ++i) {
        out.fours[i] = bytes.fours[i] ^ (bytes.fours[i] << 8 | last);
        last = bytes.fours[i] >> 24;
    }
    return out;
}

// As line_of_bytes_kernel, for runs that end where the byte changes.
__global__ void __launch_bounds__(kThreads) line_of_values_kernel(const uint8_t* data, int64_t end, LineWords out) {
    const size_t warp = static_cast<size_t>(blockIdx.x) * kWarpsPerBlock + threadIdx.x / kWarpLanes;
    if (warp >= out.all) return;
    const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
    const int64_t first = static_cast<int64_t>(warp) * kWarpPixels;
    uint64_t pieces = 0;
    if (first > out.skew && first + kWarpPixels <= end) {
#pragma unroll
        for (int k = 0; k < 4; ++k) {
            const uint8_t* const at = data + first + 512 * k + 16 * lane;
            const Bytes16 bytes = differences(*reinterpret_cast<const Bytes16*>(at), at[-1]);
            pieces |= uint64_t{bits_of_bytes(bytes)} << 16 * k;
        }
    } else {
#pragma unroll 1
        for (int b = 0; b < kWordPixels; ++b) {
            const int64_t at = first + b / 16 * 512 + 16 * lane + b % 16;
            if (at > out.skew && at < end) pieces |= uint64_t{data[at] != data[at - 1]} << b;
        }
    }
    const uint64_t changed = exchanged(pieces, lane);
    out.put(warp * kSegmentWords + static_cast<size_t>(word_of_lane(lane)), changed,
            [=](int64_t pixel) { return pixel + out.skew < end && data[pixel + out.skew] != 0; });
}

// Where the pixels of a line are, 32 further each time.
struct Walk {
    int64_t y, x;
    const uint8_t* pixel;

    MASKMILL_HD Walk(const ImageStack& s, int64_t at) {
        const int64_t column = at / s.height;
        y = at % s.height;
        x = column % s.width;
        pixel = s.data + column / s.width * s.step_n + y * s.step_y + x * s.step_x;
    }
    MASKMILL_HD void go_on(const ImageStack& s) {
        y += kWarpLanes;
        pixel += kWarpLanes * s.step_y;
        while (y >= s.height) {
            y -= s.height;
            pixel += s.step_x - s.height * s.step_y;
            if (++x < s.width) continue;
            x = 0;
            pixel += s.step_n - s.width * s.step_x;
        }
    }
};

// Any items, whose columns lie closer than their rows do: lanes of a warp read 32 pixels that follow each other, 64 times.
template <class T>
__global__ void __launch_bounds__(kThreads) line_of_items_kernel(ImageStack s, LineWords out) {
    const size_t warp = static_cast<size_t>(blockIdx.x) * kWarpsPerBlock + threadIdx.x / kWarpLanes;
    if (warp >= out.all) return;
    const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
    const int64_t first = static_cast<int64_t>(warp) * kWarpPixels, all = s.n * s.height * s.width;
    Walk at(s, first + lane);
    uint64_t bits = 0;  // the low half: pixels of even turns; the high half: of odd ones
    for (int turn = 0; turn < 64; turn += 8) {
        T items[8];
#pragma unroll
        for (int t = 0; t < 8; ++t) {
            items[t] = first + (turn + t) * kWarpLanes + lane < all ? *reinterpret_cast<const T*>(at.pixel) : T{0};
            at.go_on(s);
        }
#pragma unroll
        for (int t = 0; t < 8; ++t) bits |= uint64_t{items[t] != 0} << (t % 2 * 32 + (turn + t) / 2);
    }
    bits = transposed(bits, lane);
    uint32_t above = __shfl_up_sync(~0u, static_cast<uint32_t>(bits >> 63), 1);
    if (lane == 0) above = first > 0 && is_pixel_set<T>(s, first - 1) ? 1 : 0;
    out.put_pixels(warp * kSegmentWords + static_cast<size_t>(lane), bits, above);
}

// Images as one column, if it takes the same step from any pixel to the next; else as they are.
ImageStack as_column(const ImageStack& s) {
    const int64_t step = s.height > 1 ? s.step_y : s.width > 1 ? s.step_x : s.step_n;
    const bool even =
        (s.width == 1 || s.step_x == s.height * step) && (s.n == 1 || s.step_n == s.height * s.width * step);
    return even ? ImageStack{s.data, s.itemsize, 1, s.n * s.height * s.width, 1, 0, step, 0} : s;
}

template <class T>
void find_in_line(const ImageStack& s, const LineWords& out, Queue& queue) {
    launch(line_of_items_kernel<T>, dim3(blocks_for(out.all, kWarpsPerBlock)), dim3(kThreads), 0, queue, s, out);
}

// Runs end where pixels change, and with the image. Words are found, and their sums taken, before.
template <class Words>
Runs runs_of_words(Words words, size_t n, uint64_t pixels, size_t items, const Sums& sums, Queue& queue) {
    words.before = sums.before;
    const Sums::Found found = sums.found(queue);
    Runs out{nullptr, static_cast<size_t>(found.total) + n, queue.take<int64_t>(n + 1)};
    out.values = queue.take<uint32_t>(out.total);
    // Where runs end, counted from the first pixel of the first image: then no run has to know its image.
    uint64_t* const ends = queue.take<uint64_t>(out.total);
    int64_t* const offsets = out.offsets;
    // Image i has a run for each change, and one more.
    for_each(queue, n + 1, [=] __device__(size_t i) {
        offsets[i] = words.before_image(i) + static_cast<int64_t>(i);
        if (i > 0) ends[offsets[i] - 1] = i * pixels;
    });
    for_each(queue, items, [=] __device__(size_t i) { words.write_runs(i, ends); });
    uint32_t* const counts = out.values;
    FaultWord* const word = sums.faults.word();
    for_each(queue, out.total, [=] __device__(size_t j) {
        const uint64_t length = ends[j] - (j == 0 ? 0 : ends[j - 1]);
        counts[j] = static_cast<uint32_t>(length);
        if (length > 0xffffffffu) note_fault(word, kSum, j);
    });
    if (pixels > 0xffffffffu && sums.faults.lowest(queue).kind != 0) {
        throw std::invalid_argument("a run is longer than 2^32 - 1 pixels");
    }
    return out;
}

Runs encode_rows(const ImageStack& s, uint64_t pixels, Queue& queue) {
    const int64_t words = (s.height + kWordRows - 1) / kWordRows;
    RowWords out{s.height, s.width, words, (words + kSegmentWords - 1) / kSegmentWords};
    const size_t all = static_cast<size_t>(s.n * words * s.width);
    out.all = static_cast<size_t>(s.n * out.segments * s.width);
    out.changes = queue.take<uint64_t>(all + (out.all + 1) / 2 + (all + 7) / 8);
    out.sums = reinterpret_cast<uint32_t*>(out.changes + all);
    out.counts = reinterpret_cast<uint8_t*>(out.sums + (out.all + 1) / 2 * 2);
    const bool quads = s.itemsize == 1 && s.step_x == 1 && s.width % 4 == 0 && s.step_y % 4 == 0 && s.step_n % 4 == 0 &&
                       reinterpret_cast<uintptr_t>(s.data) % 4 == 0;
    switch (quads ? 0 : s.itemsize) {
        case 0: find_in_quads(s, out, queue); break;
        case 1: find_in_rows<uint8_t>(s, out, queue); break;
        case 2: find_in_rows<uint16_t>(s, out, queue); break;
        case 4: find_in_rows<uint32_t>(s, out, queue); break;
        default: find_in_rows<uint64_t>(s, out, queue);
    }
    for_each(queue, out.all, [=] __device__(size_t i) { out.sum_up(i); });
    const Sums sums(out.all, queue);
    scan(queue, out.all, sums.before, [=] __device__(size_t i) -> int64_t { return out.sums[i]; });
    return runs_of_words(out, static_cast<size_t>(s.n), pixels, out.all, sums, queue);
}

// Runs end where pixels become zero or not, or where bytes (without gaps) become others.
enum class Line { of_pixels, of_values };

Runs encode_line(const ImageStack& s, uint64_t pixels, Line kind, Queue& queue) {
    const ImageStack line = as_column(s);
    const bool bytes = line.width == 1 && line.n == 1 && line.step_y == 1 && line.itemsize == 1;
    LineWords out{pixels, bytes ? static_cast<int64_t>(reinterpret_cast<uintptr_t>(s.data) % 16) : 0};
    const int64_t end = out.skew + s.n * static_cast<int64_t>(pixels);
    out.all = static_cast<size_t>((end + kWarpPixels - 1) / kWarpPixels);
    out.words = out.all * kSegmentWords;
    out.changes = queue.take<uint64_t>(out.words + out.words / 8);
    out.counts = reinterpret_cast<uint8_t*>(out.changes + out.words);
    if (bytes) {
        launch(kind == Line::of_values ? line_of_values_kernel : line_of_bytes_kernel,
               dim3(blocks_for(out.all, kWarpsPerBlock)), dim3(kThreads), 0, queue, s.data - out.skew, end, out);
    } else {
        switch (s.itemsize) {
            case 1: find_in_line<uint8_t>(line, out, queue); break;
            case 2: find_in_line<uint16_t>(line, out, queue); break;
            case 4: find_in_line<uint32_t>(line, out, queue); break;
            default: find_in_line<uint64_t>(line, out, queue);
        }
    }
    const Sums sums(out.all, queue);
    scan(queue, out.all, sums.before, [=] __device__(size_t i) -> int64_t { return out.sum(i); });
    return runs_of_words(out, static_cast<size_t>(s.n), pixels, out.words, sums, queue);
}

}  // namespace

Runs rle_encode(const ImageStack& s, Queue& queue) {
    const uint64_t pixels = static_cast<uint64_t>(s.height) * static_cast<uint64_t>(s.width);
    const bool columns =
        s.height == 1 || s.width == 1 || (std::abs(s.step_y) < std::abs(s.step_x) && !order_of(s, 0).by_image);
    return pixels > 0 && columns ? encode_line(s, pixels, Line::of_pixels, queue) : encode_rows(s, pixels, queue);
}

Runs rle_encode_changes(const uint8_t* data, int64_t n, int64_t height, int64_t width, Queue& queue) {
    const ImageStack s{data, 1, n, height, width, height * width, 1, height};
    const uint64_t pixels = static_cast<uint64_t>(height) * static_cast<uint64_t>(width);
    return pixels > 0 ? encode_line(s, pixels, Line::of_values, queue) : encode_rows(s, pixels, queue);
}

}  // namespace maskmill::cuda
