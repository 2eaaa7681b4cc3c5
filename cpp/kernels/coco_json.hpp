// COCO files <-> columns: ground truth (an object with images, annotations, categories) and results (an array).
//
// Layout      One column per known field; a row lacks a field where its bit in `fields` is 0, and the column holds 0
//             there. Segmentations stay text: where a row's lies, and of what kind it is; `coco_json_masks` makes masks
//             of them without another copy. Unknown keys are checked and skipped: `begin`, `end` say where each row
//             is, for who wants its dict.
// Invariants  Strict JSON in UTF-8 (RFC 8259), nesting up to 512: anything else throws json::Error with the position. A
//             known field of another kind than expected ("odd") is no error: its bit is set in `odd`, the row lacks it.
// Reference   https://cocodataset.org/#format-data, #format-results.
// Cost        One pass, about 0.5 GB/s a core. A long array of annotations is read by several threads: each starts at
//             what looks like the start of an element, and counts only if the thread before it arrives exactly there.
#pragma once

#include <vector>

#include "support/common.hpp"
#include "support/json.hpp"

namespace maskmill {

// Bits of `fields` and `odd`.
enum CocoField : uint32_t {
    kId = 1u << 0,
    kImageId = 1u << 1,
    kCategoryId = 1u << 2,
    kArea = 1u << 3,
    kBbox = 1u << 4,
    kScore = 1u << 5,
    kIscrowd = 1u << 6,
    kSegmentation = 1u << 7,
    kKeypoints = 1u << 8,
    kNumKeypoints = 1u << 9,
    kCaption = 1u << 10,
    kHeight = 1u << 11,
    kWidth = 1u << 12,
    kFileName = 1u << 13,
    kName = 1u << 14,
    kIgnore = 1u << 15,
};

enum class SegmentationKind : uint8_t {
    none = 0,
    polygons = 1,    // [[x, y, ...], ...]: numbers only
    rle = 2,         // {"size": [h, w], "counts": "..."}: begin, end is the inside of the string
    counts = 3,      // {"size": [h, w], "counts": [n, ...]}: begin, end is the list
    rle_escaped = 4  // as rle, with escapes in the string
};

// Annotations or results.
struct CocoRows {
    size_t n = 0;
    uint32_t any = 0, odd = 0;  // over all rows
    Buffer<uint32_t> fields;
    Buffer<uint64_t> begin, end;
    Buffer<int64_t> id, image_id, category_id, num_keypoints;
    Buffer<double> area, score;
    Buffer<double> bbox;  // (n, 4)
    Buffer<uint8_t> iscrowd;
    Buffer<uint8_t> segmentation_kind;
    Buffer<uint64_t> segmentation_begin, segmentation_end;
    Buffer<int64_t> segmentation_size;  // (n, 2), for the kinds with a size
    Buffer<uint64_t> keypoints_begin, keypoints_end;
};

struct CocoImages {
    size_t n = 0;
    uint32_t odd = 0;
    Buffer<uint32_t> fields;
    Buffer<uint64_t> begin, end;
    Buffer<int64_t> id, height, width;
};

struct CocoCategories {
    size_t n = 0;
    uint32_t odd = 0;
    Buffer<uint32_t> fields;
    Buffer<uint64_t> begin, end;
    Buffer<int64_t> id;
};

struct CocoFile {
    bool is_results = false;
    CocoRows rows;
    CocoImages images;
    CocoCategories categories;
    struct Section {  // of the outermost object, in the order of the file
        json::Slice key, value;
    };
    std::vector<Section> sections;
};

// columns: whether to keep begin and end of rows (results can do without).
CocoFile coco_json_read(const char* text, size_t n);

// Masks of rows[0 .. count), polygons filled by COCO's rule in images of sizes (count, 2). Throws std::invalid_argument
// naming the row for polygons that pycocotools would refuse (first ring of 4 numbers or fewer), for bad coordinates, and
// for malformed strings.
Runs coco_json_masks(const char* text, const int64_t* rows, size_t count, const uint8_t* kind, const uint64_t* begin,
                     const uint64_t* end, const int64_t* sizes);

// Keypoints of rows as (count, k, 3) doubles; throws if a row has another number of them.
void coco_json_keypoints(const char* text, const int64_t* rows, size_t count, const uint64_t* begin,
                         const uint64_t* end, int64_t k, double* out);

// Columns to write; null pointers are left out.
struct CocoWriteRows {
    size_t n = 0;
    const int64_t *id = nullptr, *image_id = nullptr, *category_id = nullptr;
    const double *area = nullptr, *score = nullptr, *bbox = nullptr;
    const uint8_t* iscrowd = nullptr;
    // Either masks (as strings) or polygons.
    const Rles* masks = nullptr;
    const double* points = nullptr;
    const int64_t *rings = nullptr, *polygons = nullptr;
};
// A JSON array of objects, numbers as Python's json writes them.
Buffer<char> coco_json_write(const CocoWriteRows& rows);

}  // namespace maskmill
