// Segmentations, from their text to runs.
#include <algorithm>

#include "kernels/coco_json.hpp"
#include "kernels/coco_rle.hpp"
#include "support/parallel.hpp"
#include "support/runs.hpp"

namespace maskmill {
namespace {

using json::Cursor;
using json::Slice;

[[noreturn]] void fail_row(int64_t row, const std::string& what) {
    throw std::invalid_argument("annotation " + std::to_string(row) + ": " + what);
}

}  // namespace

// Every ring by COCO's rule, and their union.
void SegmentationReader::fill_polygons(Slice slice, int64_t row, int64_t height, int64_t width, Buffer<uint32_t>& out) {
    Cursor c(s_.text, slice.end, slice.begin);
    filler_.start(height, width);
    size_t rings = 0;
    c.array([&] {
        ring_.clear();
        c.array([&] { ring_.push(c.number().value); });
        if (rings++ == 0 && ring_.size() <= 4) {
            fail_row(row, "its first polygon has " + std::to_string(ring_.size()) + " numbers, not 6 or more");
        }
        const int64_t bad = filler_.add_ring(ring_.data(), ring_.size() / 2);
        if (bad >= 0) fail_row(row, "a polygon has a coordinate that is not finite and at most 4e8");
    });
    if (rings == 0) fail_row(row, "its segmentation is an empty list");
    filler_.finish(out);
}

void SegmentationReader::append(int64_t row, int64_t height, int64_t width, Buffer<uint32_t>& out) {
    const Slice slice{s_.begin[row], s_.end[row]};
    switch (static_cast<SegmentationKind>(s_.kind[row])) {
        case SegmentationKind::polygons: return fill_polygons(slice, row, height, width, out);
        case SegmentationKind::rle: return coco_rle_parse(s_.text + slice.begin, slice.end - slice.begin, out);
        case SegmentationKind::rle_escaped: {
            const std::string decoded = Cursor(s_.text, slice.end).decode(slice);
            return coco_rle_parse(decoded.data(), decoded.size(), out);
        }
        case SegmentationKind::counts: {
            Cursor c(s_.text, slice.end, slice.begin);
            c.array([&] { out.push(static_cast<uint32_t>(c.number().integer)); });
            return;
        }
        default: fail_row(row, "it has no segmentation");
    }
}

Runs coco_json_masks(const Segmentations& segmentations, const int64_t* rows, size_t count, const int64_t* sizes) {
    return parallel_pieces<uint32_t>(count, 256, [&](size_t first, size_t last, auto& piece) {
        SegmentationReader reader(segmentations);
        for (size_t i = first; i < last; ++i) {
            reader.append(rows[i], sizes[2 * i], sizes[2 * i + 1], piece.values);
            piece.close();
        }
    });
}

void coco_json_areas(const Segmentations& segmentations, const int64_t* rows, size_t count, double* areas) {
    parallel_for(count, 256, [&](size_t first, size_t last) {
        SegmentationReader reader(segmentations);
        Buffer<uint32_t> runs;
        for (size_t i = first; i < last; ++i) {
            runs.clear();
            reader.append(rows[i], 0, 0, runs);
            areas[i] = coco_rle_area({runs.data(), runs.size()});
        }
    });
}

MaskSource coco_json_mask_source(const Segmentations& segmentations, const int64_t* sizes) {
    class Reader : public MaskReader {
      public:
        Reader(const Segmentations& s, const int64_t* sizes_by_row) : reader_(s), sizes_(sizes_by_row) {}
        void read(int64_t row, Buffer<uint32_t>& runs, int64_t& height, int64_t& width) override {
            const size_t first = runs.size();
            height = sizes_[2 * row];
            width = sizes_[2 * row + 1];
            reader_.append(row, height, width, runs);
            const auto pixels = static_cast<uint64_t>(height) * static_cast<uint64_t>(width);
            const std::span<const uint32_t> own{runs.data() + first, runs.size() - first};
            if (own.empty() || sum_of(own) != pixels || pixels > 0xffffffffu ||
                std::find(own.begin() + 1, own.end(), 0u) != own.end()) {
                fail_row(row, "its RLE is not complete, or has a zero run behind the first");
            }
        }

      private:
        SegmentationReader reader_;
        const int64_t* sizes_;
    };
    return [&segmentations, sizes] { return std::make_unique<Reader>(segmentations, sizes); };
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
