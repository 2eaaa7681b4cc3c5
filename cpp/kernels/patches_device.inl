// Bodies that the GPU runs for each 16 bytes or each element of kernels/patches.hpp, in functions that the host can run, too.
#pragma once

#include <cmath>

#include "kernels/patches.hpp"
#include "support/cuda.cuh"
#include "support/cuda_divide.cuh"

namespace maskmill::cuda {

// A copy on the device of what is on the host.
template <class T>
T* sent(const T* values, size_t n, Queue& queue) {
    T* const out = queue.take<T>(n);
    if (n > 0) copy_to_device(out, values, n * sizeof(T), queue);
    return out;
}

// Copies planes whose slices are nearer in memory than their columns; false: they are not, or cannot be loaded. `tiles` and
// `slices` are those of `planes`, on the device.
bool turn_planes(const PatchArray& volume, const PatchPlanes& planes, const int64_t* tiles, const int64_t* slices,
                 uint8_t* out, Queue& queue);

// Which element of 0 .. n - 1 stands for i; -1: none.
MASKMILL_HD int64_t patch_source(int64_t i, int64_t n, PatchPad pad) {
    if (i >= 0 && i < n) return i;
    if (pad == PatchPad::constant) return -1;
    if (pad == PatchPad::edge) return i < 0 ? 0 : n - 1;
    const int64_t period = 2 * n - 2 > 1 ? 2 * n - 2 : 1;
    const int64_t k = (i % period + period) % period;
    return k < period - k ? k : period - k;
}

template <class T>
MASKMILL_HD T load_as(const uint8_t* p) {
#ifdef __CUDA_ARCH__
    return *reinterpret_cast<const T*>(p);
#else
    T value;
    std::memcpy(&value, p, sizeof(T));
    return value;
#endif
}

struct alignas(16) Sixteen {
    uint64_t half[2];
};

MASKMILL_HD void store_sixteen(uint8_t* p, const Sixteen& bytes) {
#ifdef __CUDA_ARCH__
    *reinterpret_cast<Sixteen*>(p) = bytes;
#else
    std::memcpy(p, &bytes, 16);
#endif
}

// The array that patches are cut from, and what stands for the elements around it.
struct PatchOrigin {
    PatchArray array;
    const uint8_t *low, *high;  // its bytes lie within
    int64_t cell;               // bytes of an element with its channels
    Divisor cells;
    PatchPad pad;
    const uint8_t* fill;
    bool in_rows;  // the cells of a row lie one behind the other, without gaps

    // Byte `byte` of the cell at (z, y, x).
    MASKMILL_HD const uint8_t* find(int64_t z, int64_t y, int64_t x, int64_t byte) const {
        const int64_t from_z = patch_source(z, array.shape[0], pad), from_y = patch_source(y, array.shape[1], pad);
        const int64_t from_x = patch_source(x, array.shape[2], pad);
        if (from_z < 0 || from_y < 0 || from_x < 0) return fill + byte;
        const int64_t channel = array.shape[3] == 1 ? 0 : quotient(byte, array.itemsize);
        return array.data + from_z * array.strides[0] + from_y * array.strides[1] + from_x * array.strides[2] +
               channel * array.strides[3] + (byte - channel * array.itemsize);
    }
    // Where the box begins, if that is inside.
    MASKMILL_HD const uint8_t* data_at(const PatchBox& box) const {
        return array.data + box.low[0] * array.strides[0] + box.low[1] * array.strides[1] + box.low[2] * cell;
    }
    // Whether PatchWalk may read a box: it is inside, so far from the ends of the array that any 16 bytes that begin or
    // end in it are, too, and its rows and planes are counted by 32 bits.
    MASKMILL_HD bool is_within(const PatchBox& box) const {
        constexpr int64_t kMost = 1 << 30;
        if (!in_rows || box.size(2) * cell < 16 || box.size(2) * cell > kMost || box.size(1) > kMost) return false;
        for (int k = 0; k < 3; ++k) {
            if (box.low[k] < 0 || box.high[k] > array.shape[k]) return false;
        }
        const int64_t down = (box.size(1) - 1) * array.strides[1], deep = (box.size(0) - 1) * array.strides[0];
        const int64_t before = (down < 0 ? down : 0) + (deep < 0 ? deep : 0);
        const int64_t behind = (down > 0 ? down : 0) + (deep > 0 ? deep : 0) + box.size(2) * cell;
        const uint8_t* const begin = data_at(box);
        return begin + before - low >= 20 && high - (begin + behind) >= 20;
    }
    // Whether 16 bytes from p on can be loaded: whole words that hold one of them lie within the array.
    MASKMILL_HD bool holds(const uint8_t* p) const {
        const uintptr_t begin = reinterpret_cast<uintptr_t>(p) / 4 * 4;
        const uintptr_t end = (reinterpret_cast<uintptr_t>(p) + 19) / 4 * 4;
        return begin >= reinterpret_cast<uintptr_t>(low) && end <= reinterpret_cast<uintptr_t>(high);
    }
};

// 16 bytes from any address, as aligned words that have yet to be shifted: loads are begun, none is waited for.
struct LooseSixteen {
    uint32_t words[5];
    unsigned shift;

    MASKMILL_HD Sixteen shifted() const {
        uint32_t out[4];
        MASKMILL_UNROLL
        for (int k = 0; k < 4; ++k) {
            out[k] = static_cast<uint32_t>((uint64_t{words[k + 1]} << 32 | words[k]) >> shift);
        }
        return {{uint64_t{out[1]} << 32 | out[0], uint64_t{out[3]} << 32 | out[2]}};
    }
};
MASKMILL_HD LooseSixteen load_loose(const uint8_t* p) {
    const unsigned odd = static_cast<unsigned>(reinterpret_cast<uintptr_t>(p) % 16);
    LooseSixteen out{{}, 8 * (odd % 4)};
    if (odd == 0) {
        const Sixteen all = load_as<Sixteen>(p);
        MASKMILL_UNROLL
        for (int k = 0; k < 4; ++k) out.words[k] = static_cast<uint32_t>(all.half[k / 2] >> (32 * (k % 2)));
        return out;
    }
    const uint8_t* const word = p - odd % 4;
    MASKMILL_UNROLL
    for (int k = 0; k < 4; ++k) out.words[k] = load_as<uint32_t>(word + 4 * k);
    if (out.shift != 0) out.words[4] = load_as<uint32_t>(word + 16);
    return out;
}

// The first n bytes of a, the others of b.
MASKMILL_HD Sixteen joined(const Sixteen& a, const Sixteen& b, int n) {
    const uint64_t low = n >= 8 ? ~uint64_t{0} : (uint64_t{1} << (8 * n)) - 1;
    const uint64_t high = n <= 8 ? 0 : (uint64_t{1} << (8 * (n - 8))) - 1;
    return {{(a.half[0] & low) | (b.half[0] & ~low), (a.half[1] & high) | (b.half[1] & ~high)}};
}

// Walks through the elements of a patch.
struct PatchCursor {
    int64_t z, y, x, byte;

    MASKMILL_HD PatchCursor(const PatchOrigin& origin, const PatchBox& box, int64_t at) {
        const int64_t w = box.size(2), h = box.size(1), cell = origin.cells(at);
        const int64_t row = quotient(cell, w), plane = quotient(row, h);
        byte = at - cell * origin.cell;
        x = box.low[2] + cell - row * w;
        y = box.low[1] + row - plane * h;
        z = box.low[0] + plane;
    }
    MASKMILL_HD void advance(const PatchOrigin& origin, const PatchBox& box, int64_t bytes) {
        byte += bytes;
        if (byte < origin.cell) return;
        byte = 0;
        if (++x < box.high[2]) return;
        x = box.low[2];
        if (++y < box.high[1]) return;
        y = box.low[1];
        ++z;
    }
};

// Where row `row` of a patch begins in the array, if it lies inside.
MASKMILL_HD const uint8_t* patch_row(const PatchOrigin& origin, const PatchBox& box, int64_t row) {
    const int64_t plane = box.size(0) == 1 ? 0 : quotient(row, box.size(1));
    const int64_t z = box.low[0] + plane, y = box.low[1] + row - plane * box.size(1);
    if (z < 0 || z >= origin.array.shape[0] || y < 0 || y >= origin.array.shape[1]) return nullptr;
    return origin.array.data + z * origin.array.strides[0] + y * origin.array.strides[1] + box.low[2] * origin.cell;
}

// Bytes [at, at + 16) of a patch as bytes of the array, if that has them in one or two pieces.
MASKMILL_HD bool load_from_rows(const PatchOrigin& origin, const PatchBox& box, int64_t at, Sixteen& out) {
    const int64_t length = box.size(2) * origin.cell;
    if (!origin.in_rows || length < 16) return false;
    const int64_t row = quotient(at, length), skip = at - row * length, here = length - skip;
    const int64_t begin = box.low[2] * origin.cell, width = origin.array.shape[2] * origin.cell;
    const uint8_t* const first = patch_row(origin, box, row);
    if (first == nullptr || begin + skip < 0 || begin + skip + (here < 16 ? here : 16) > width) return false;
    if (!origin.holds(first + skip)) return false;
    out = load_loose(first + skip).shifted();
    if (here >= 16) return true;
    const uint8_t* const next = patch_row(origin, box, row + 1);
    if (next == nullptr || begin < 0 || begin + 16 - here > width || !origin.holds(next - here)) return false;
    out = joined(out, load_loose(next - here).shifted(), static_cast<int>(here));
    return true;
}

// The 16 bytes at `at` of a patch of `bytes`, which lies at `to`; at the ends of a patch, what is inside. Elements are
// taken in pieces of T.
template <class T>
MASKMILL_HD void copy_sixteen(const PatchOrigin& origin, const PatchBox& box, int64_t at, int64_t bytes, uint8_t* to) {
    constexpr int64_t kPiece = sizeof(T);
    if (at < 0 || at + 16 > bytes) {
        const int64_t begin = at < 0 ? 0 : at, end = at + 16 < bytes ? at + 16 : bytes;
        PatchCursor cursor(origin, box, begin);
        for (int64_t k = begin; k < end; k += kPiece, cursor.advance(origin, box, kPiece)) {
            const T piece = load_as<T>(origin.find(cursor.z, cursor.y, cursor.x, cursor.byte));
#ifdef __CUDA_ARCH__
            *reinterpret_cast<T*>(to + k) = piece;
#else
            std::memcpy(to + k, &piece, sizeof(T));
#endif
        }
        return;
    }
    Sixteen out{{0, 0}};
    if (!load_from_rows(origin, box, at, out)) {
        out = {{0, 0}};
        PatchCursor cursor(origin, box, at);
        MASKMILL_UNROLL
        for (int k = 0; k < 16; k += static_cast<int>(kPiece), cursor.advance(origin, box, kPiece)) {
            const T piece = load_as<T>(origin.find(cursor.z, cursor.y, cursor.x, cursor.byte));
            out.half[k / 8] |= static_cast<uint64_t>(piece) << (8 * (k % 8));
        }
    }
    store_sixteen(to + at, out);
}

// Walks through a patch that lies inside the array, in equal steps.
struct PatchWalk {
    const uint8_t* p;      // what is at the place in the patch
    int32_t skip, y;       // bytes of its row and rows of its plane before it
    int32_t length, rows;  // of a row and of a plane
    int32_t skip_step, y_step;
    int64_t row_stride, next_row, next_plane;  // the latter two from the end of a row, and from the row behind a plane

    MASKMILL_HD PatchWalk(const PatchOrigin& origin, const PatchBox& box, int64_t at, int32_t step) {
        const int64_t n = box.size(2) * origin.cell, h = box.size(1);
        row_stride = origin.array.strides[1];
        next_row = row_stride - n;
        next_plane = origin.array.strides[0] - h * row_stride;
        const int64_t row = quotient(at, n), plane = box.size(0) == 1 ? 0 : quotient(row, h);
        length = static_cast<int32_t>(n);
        rows = static_cast<int32_t>(h);
        skip = static_cast<int32_t>(at - row * n);
        y = static_cast<int32_t>(row - plane * h);
        p = origin.data_at(box) + plane * origin.array.strides[0] + y * row_stride + skip;
        y_step = step / length;
        skip_step = step - y_step * length;
    }
    MASKMILL_HD void advance() {
        p += y_step * row_stride + skip_step;
        skip += skip_step;
        y += y_step;
        if (skip >= length) {
            skip -= length;
            ++y;
            p += next_row;
        }
        while (y >= rows) {
            y -= rows;
            p += next_plane;
        }
    }
    // 16 bytes of the patch, from one row or two.
    struct Piece {
        LooseSixteen first, next;
        int32_t here;  // bytes of the first

        MASKMILL_HD Sixteen joined() const {
            const Sixteen bytes = first.shifted();
            return here >= 16 ? bytes : cuda::joined(bytes, next.shifted(), here);
        }
    };
    MASKMILL_HD Piece load() const {
        Piece out{load_loose(p), {}, length - skip};
        if (out.here < 16) out.next = load_loose(p + next_row + (y + 1 < rows ? 0 : next_plane));
        return out;
    }
};

// One element of what patches are blended to, as it is met by them in their order.
struct PatchMix {
    double value = 0, weights = 0;

    MASKMILL_HD void add(double v, double weight, PatchBlend blend) {
        const bool first = weights == 0;
        weights += weight;
        if (first || blend == PatchBlend::last) {
            value = v;
        } else if (blend == PatchBlend::max) {
            value = v > value || value != value ? v : value;
        } else {
            value = v == value ? value : value + (v - value) * (weight / weights);
        }
    }
    template <class T>
    MASKMILL_HD T as() const {
        if constexpr (std::is_floating_point_v<T>) {
            return static_cast<T>(value);
        } else {
            constexpr double kLow = std::numeric_limits<T>::lowest(), kHigh = std::numeric_limits<T>::max();
            const double whole = std::rint(value);
            return static_cast<T>(whole < kLow ? kLow : whole > kHigh ? kHigh : whole);
        }
    }
};

}  // namespace maskmill::cuda
