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

#include <functional>
#include <vector>

#include "kernels/overlap.hpp"
#include "kernels/polygons.hpp"
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
    kScoreIsInteger = 1u << 16,
    kNotObjects = 1u << 17,  // in `odd` only: the section is no array of objects; others are left out of the columns
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
    bool long_integers = false;  // of more than 18 digits, anywhere
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

// Results of boxes, keypoints or both, read piece by piece: what detectors write, and nothing else. All that the file
// says is in the columns, so its text need not be kept (nor ever be in memory as a whole, which would cost as much as
// reading it).
struct CocoBoxes {
    size_t n = 0;
    Buffer<int64_t> image_id, category_id;
    Buffer<double> bbox;  // (n, 4), or empty
    Buffer<double> score;
    // Bits 0 to 3: this number of the box is written as an integer; 4: the score is.
    Buffer<uint8_t> integers;
    size_t numbers = 0;                 // of keypoints in every row: 3 for each point, or 0 without keypoints
    Buffer<double> keypoints;           // (n, numbers)
    Buffer<uint8_t> keypoint_integers;  // (n, bytes_of(numbers)): bit i: number i is written as an integer
    // The keys in the order of every row: kImageId, kCategoryId, kScore, and kBbox, kKeypoints or both.
    std::vector<uint32_t> keys;

    static size_t bytes_of(size_t numbers) { return (numbers + 7) / 8; }
};
// Copies n bytes from `offset` of the file on; false on failure. Called from several threads.
using ByteSource = std::function<bool(size_t offset, char* to, size_t n)>;
// False if the file is anything but an array of objects with exactly these keys, in one order, with plain numbers, and
// as many in all keypoints; or malformed: coco_json_read then says what it is.
bool coco_json_read_boxes(const ByteSource& source, size_t size, CocoBoxes& out);

// Where the segmentations of a file's rows are.
struct Segmentations {
    const char* text;
    const uint8_t* kind;
    const uint64_t* begin;
    const uint64_t* end;
};

// Makes masks of rows, one by one. Polygons are filled by COCO's rule; they must be as pycocotools takes them (first
// ring of more than 4 numbers), and finite. Throws std::invalid_argument naming the row otherwise.
class SegmentationReader {
  public:
    explicit SegmentationReader(const Segmentations& segmentations) : s_(segmentations) {}
    // Appends the runs of a row; height and width are those of the image for polygons.
    void append(int64_t row, int64_t height, int64_t width, Buffer<uint32_t>& out);

  private:
    void fill_polygons(json::Slice slice, int64_t row, int64_t height, int64_t width, Buffer<uint32_t>& out);

    const Segmentations& s_;
    CocoFiller filler_;
    Buffer<double> ring_;
};

// Masks of rows[0 .. count), in images of sizes (count, 2).
Runs coco_json_masks(const Segmentations& segmentations, const int64_t* rows, size_t count, const int64_t* sizes);

// Foreground pixels, modulo 2^32 as pycocotools has them, of rows that hold RLEs.
void coco_json_areas(const Segmentations& segmentations, const int64_t* rows, size_t count, double* areas);

// The masks of rows for overlap_iou_cells; sizes (n, 2) by row. What is not canonical and complete throws.
MaskSource coco_json_mask_source(const Segmentations& segmentations, const int64_t* sizes);

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
std::vector<Buffer<char>> coco_json_write(const CocoWriteRows& rows);

}  // namespace maskmill
