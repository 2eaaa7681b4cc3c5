// Segmentations, from their text to runs.
#include <algorithm>

#include "kernels/coco_json.hpp"
#include "kernels/coco_rle.hpp"
#include "kernels/polygons.hpp"
#include "support/parallel.hpp"

namespace maskmill {
namespace {

using json::Cursor;
using json::Slice;

[[noreturn]] void fail_row(int64_t row, const std::string& what) {
    throw std::invalid_argument("annotation " + std::to_string(row) + ": " + what);
}

// Every ring by COCO's rule, and their union.
void fill_polygons(Cursor& c, int64_t row, int64_t h, int64_t w, CocoFiller& filler, Buffer<double>& ring,
                   Buffer<uint32_t>& out) {
    filler.start(h, w);
    size_t rings = 0;
    c.array([&] {
        ring.clear();
        c.array([&] { ring.push(c.number().value); });
        if (rings++ == 0 && ring.size() <= 4) {
            fail_row(row, "its first polygon has " + std::to_string(ring.size()) + " numbers, not 6 or more");
        }
        const int64_t bad = filler.add_ring(ring.data(), ring.size() / 2);
        if (bad >= 0) fail_row(row, "a polygon has a coordinate that is not finite and at most 4e8");
    });
    if (rings == 0) fail_row(row, "its segmentation is an empty list");
    filler.finish(out);
}

}  // namespace

Runs coco_json_masks(const char* text, const int64_t* rows, size_t count, const uint8_t* kind, const uint64_t* begin,
                     const uint64_t* end, const int64_t* sizes) {
    return parallel_pieces<uint32_t>(count, 256, [&](size_t first, size_t last, auto& piece) {
        CocoFiller filler;
        Buffer<double> ring;
        for (size_t i = first; i < last; ++i) {
            const int64_t row = rows[i];
            const Slice slice{begin[row], end[row]};
            switch (static_cast<SegmentationKind>(kind[row])) {
                case SegmentationKind::polygons: {
                    Cursor c(text, slice.end, slice.begin);
                    fill_polygons(c, row, sizes[2 * i], sizes[2 * i + 1], filler, ring, piece.values);
                    break;
                }
                case SegmentationKind::rle:
                    coco_rle_parse(text + slice.begin, slice.end - slice.begin, piece.values);
                    break;
                case SegmentationKind::rle_escaped: {
                    const std::string decoded = Cursor(text, slice.end).decode(slice);
                    coco_rle_parse(decoded.data(), decoded.size(), piece.values);
                    break;
                }
                case SegmentationKind::counts: {
                    Cursor c(text, slice.end, slice.begin);
                    c.array([&] { piece.values.push(static_cast<uint32_t>(c.number().integer)); });
                    break;
                }
                default: fail_row(row, "it has no segmentation");
            }
            piece.close();
        }
    });
}

void coco_json_keypoints(const char* text, const int64_t* rows, size_t count, const uint64_t* begin,
                         const uint64_t* end, int64_t k, double* out) {
    const auto n = static_cast<size_t>(3 * k);
    parallel_for(count, 256, [&](size_t first, size_t last) {
        for (size_t i = first; i < last; ++i) {
            const int64_t row = rows[i];
            Cursor c(text, end[row], begin[row]);
            size_t found = 0;
            c.array([&] {
                const char next = c.peek();
                if (next != '-' && (next < '0' || next > '9')) fail_row(row, "keypoints must be numbers");
                const double value = c.number().value;
                if (found < n) out[i * n + found] = value;
                ++found;
            });
            if (found != n) {
                fail_row(row, std::to_string(found) + " numbers in keypoints, not " + std::to_string(n));
            }
        }
    });
}

}  // namespace maskmill
