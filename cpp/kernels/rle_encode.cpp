#include <algorithm>
#include <bit>
#include <memory>
#include <vector>

#include "kernels/rle.hpp"
#include "support/parallel.hpp"
#include "support/runs.hpp"

#define MASKMILL_SIMD_FILE "kernels/rle_encode.inl"
#include "support/simd_foreach.hpp"

namespace maskmill {
namespace {

bool is_nonzero(const uint8_t* p, int itemsize) {
    return std::any_of(p, p + itemsize, [](uint8_t b) { return b != 0; });
}

bool columns_are_contiguous(const ImageStack& s) { return s.step_y == s.itemsize || s.height == 1; }

// Calls visit<T>() with the unsigned type of that many bytes.
template <class Visit>
void with_item(int itemsize, Visit&& visit) {
    switch (itemsize) {
        case 1: return visit(uint8_t{});
        case 2: return visit(uint16_t{});
        case 4: return visit(uint32_t{});
        default: return visit(uint64_t{});
    }
}

// Columns turned at a time: rows are then read a page at a time, and the bits of most images stay in cache.
constexpr int64_t kPlaneColumns = 4096;

// Room for turn_rows and find_changes.
struct Plane {
    void resize(int64_t rows, int64_t columns) {
        bits.resize(static_cast<size_t>((rows + 63) / 64 * columns));
        some.resize(static_cast<size_t>((rows + 4095) / 4096 * columns));
        tiles.resize(static_cast<size_t>((columns + 63) / 64 * 64));
        ahead.resize(static_cast<size_t>(columns + 1));
    }
    Scratch<uint64_t> bits, some, tiles, ahead;
};

// Columns [x0, x1) of image i, as runs from the first pixel of column x0.
void scan_piece(const ImageStack& s, int64_t i, int64_t x0, int64_t x1, RunScanner& scan, Plane& plane) {
    const uint8_t* image = s.data + i * s.step_n;
    const uint8_t* last = image + (x0 - 1) * s.step_x + (s.height - 1) * s.step_y;
    const uint64_t before = x0 > 0 && is_nonzero(last, s.itemsize);
    with_item(s.itemsize, [&](auto item) {
        using T = decltype(item);
        if (s.step_x != s.itemsize || columns_are_contiguous(s)) {
            MASKMILL_DISPATCH(scan_columns<T>, image + x0 * s.step_x, s.height, x1 - x0, s.step_y, s.step_x, before,
                              scan);
            return;
        }
        plane.resize(s.height, std::min(kPlaneColumns, x1 - x0));
        uint64_t* const bits = plane.bits.data();
        uint64_t* const some = plane.some.data();
        uint64_t* const ahead = plane.ahead.data();
        ahead[0] = before;
        for (int64_t x = x0; x < x1; x += kPlaneColumns) {
            const int64_t columns = std::min(kPlaneColumns, x1 - x);
            MASKMILL_DISPATCH(turn_rows<T>, image + x * s.itemsize, s.step_y, s.height, columns, plane.tiles.data(),
                              bits);
            MASKMILL_DISPATCH(bottom_row, bits, s.height, columns, ahead + 1);
            const uint64_t next = ahead[columns];
            MASKMILL_DISPATCH(find_changes, bits, s.height, columns, ahead, some);
            ahead[0] = next;
            MASKMILL_DISPATCH(scan_plane, bits, some, s.height, columns, static_cast<uint64_t>((x - x0) * s.height),
                              scan);
        }
    });
}

// Few big images: each in pieces of columns, joined afterwards.
Runs encode_pieces(const ImageStack& s, int64_t pieces) {
    struct Piece {
        Buffer<uint32_t> runs;
        uint64_t tail = 0;
    };
    const auto parts = std::make_unique<Piece[]>(static_cast<size_t>(s.n * pieces));
    parallel_run(static_cast<size_t>(s.n * pieces), [&](size_t task) {
        const int64_t i = static_cast<int64_t>(task) / pieces, p = static_cast<int64_t>(task) % pieces;
        const int64_t x0 = s.width * p / pieces, x1 = s.width * (p + 1) / pieces;
        RunScanner scan(parts[task].runs);
        Plane plane;
        scan_piece(s, i, x0, x1, scan, plane);
        parts[task].tail = scan.tail(static_cast<uint64_t>((x1 - x0) * s.height));
    });
    Runs out;
    out.offsets.push(0);
    for (int64_t i = 0; i < s.n; ++i) {
        uint64_t open = 0;  // length of the run that reaches into the next piece
        for (int64_t p = 0; p < pieces; ++p) {
            Piece& part = parts[static_cast<size_t>(i * pieces + p)];
            if (part.runs.size() > 0) {
                part.runs[0] = checked_run(part.runs[0] + open);
                out.values.append(part.runs.data(), part.runs.size());
                open = part.tail;
            } else {
                open += part.tail;
            }
        }
        out.values.push(checked_run(open));
        out.offsets.push(static_cast<int64_t>(out.values.size()));
    }
    return out;
}

// (H, W, N) in C order: the masks lie side by side in every pixel, so 64 of them are turned at once.
Runs encode_interleaved(const ImageStack& s) {
    const int64_t blocks = (s.n + 63) / 64;
    const auto parts = std::make_unique<Runs[]>(static_cast<size_t>(blocks));
    parallel_run(static_cast<size_t>(blocks), [&](size_t block) {
        const int64_t first = static_cast<int64_t>(block) * 64;
        const int count = static_cast<int>(std::min<int64_t>(64, s.n - first));
        Plane plane;
        plane.resize(s.height, count);
        auto runs = std::make_unique<Buffer<uint32_t>[]>(static_cast<size_t>(count));
        std::vector<RunScanner> scan;
        scan.reserve(static_cast<size_t>(count));
        for (int c = 0; c < count; ++c) scan.emplace_back(runs[static_cast<size_t>(c)]);
        uint64_t* const bits = plane.bits.data();
        uint64_t* const some = plane.some.data();
        // A column of the plane is one mask here: in front of it lies the same mask's column to the left.
        Buffer<uint64_t> bottom(static_cast<size_t>(count));
        uint64_t* ahead = plane.ahead.data();
        std::fill(plane.ahead.begin(), plane.ahead.end(), uint64_t{0});
        for (int64_t x = 0; x < s.width; ++x) {
            const uint8_t* base = s.data + x * s.step_x + first * s.step_n;
            with_item(s.itemsize, [&](auto item) {
                MASKMILL_DISPATCH(turn_rows<decltype(item)>, base, s.step_y, s.height, count, plane.tiles.data(), bits);
            });
            MASKMILL_DISPATCH(bottom_row, bits, s.height, count, bottom.data());
            MASKMILL_DISPATCH(find_changes, bits, s.height, count, ahead, some);
            for (int c = 0; c < count; ++c) {
                MASKMILL_DISPATCH(scan_changes_of, bits, some, s.height, count, c, static_cast<uint64_t>(x * s.height),
                                  scan[static_cast<size_t>(c)]);
            }
            std::copy(bottom.begin(), bottom.end(), ahead);
        }
        Runs& out = parts[block];
        for (int c = 0; c < count; ++c) {
            auto& own = runs[static_cast<size_t>(c)];
            scan[static_cast<size_t>(c)].finish(static_cast<uint64_t>(s.height * s.width));
            out.values.append(own.data(), own.size());
            out.offsets.push(static_cast<int64_t>(own.size()));
        }
    });
    Runs out;
    out.offsets.push(0);
    for (int64_t b = 0; b < blocks; ++b) {
        Runs& part = parts[static_cast<size_t>(b)];
        out.values.append(part.values.data(), part.values.size());
        for (const int64_t length : part.offsets) out.offsets.push(out.offsets[out.offsets.size() - 1] + length);
    }
    return out;
}

// Pixels that are worth a thread of their own: about 20 us at memory speed.
constexpr int64_t kPiecePixels = 1 << 18;

}  // namespace

Runs rle_encode(const ImageStack& images) {
    const ImageStack& s = images;
    const int64_t pixels = s.height * s.width;
    const bool interleaved = s.n >= 8 && s.step_n == s.itemsize && s.step_x != s.itemsize && !columns_are_contiguous(s);
    if (interleaved && pixels > 0) return encode_interleaved(s);
    if (pixels > 0 && s.n < thread_count() && pixels >= 2 * kPiecePixels) {
        return encode_pieces(s, std::min<int64_t>({s.width, pixels / kPiecePixels, int64_t{4} * thread_count()}));
    }
    const size_t grain = static_cast<size_t>(kPiecePixels / std::max<int64_t>(pixels, 1) + 1);
    return parallel_pieces<uint32_t>(static_cast<size_t>(s.n), grain, [&](size_t begin, size_t end, auto& piece) {
        Plane plane;
        for (size_t i = begin; i < end; ++i) {
            RunScanner scan(piece.values);
            if (pixels > 0) scan_piece(s, static_cast<int64_t>(i), 0, s.width, scan, plane);
            scan.finish(static_cast<uint64_t>(pixels));
            piece.close();
        }
    });
}

Runs rle_encode_changes(const uint8_t* data, int64_t n, int64_t height, int64_t width) {
    const int64_t pixels = height * width;
    const size_t grain = static_cast<size_t>(kPiecePixels / std::max<int64_t>(pixels, 1) + 1);
    return parallel_ragged<uint32_t>(static_cast<size_t>(n), grain, [&](size_t i, Buffer<uint32_t>& out) {
        RunScanner scan(out);
        MASKMILL_DISPATCH(scan_changes, data + static_cast<int64_t>(i) * pixels, pixels, scan);
        scan.finish(static_cast<uint64_t>(pixels));
    });
}

}  // namespace maskmill
