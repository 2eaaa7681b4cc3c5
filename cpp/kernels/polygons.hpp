// Polygons: rasterising by named rules, simplification.
//
// Layout      points (K, 2) float64, x first; ring r is points[rings[r] .. rings[r + 1]), closed by itself; mask i is
//             rings masks[i] .. masks[i + 1]. Masks out: as in kernels/rle.hpp.
// Invariants  Coordinates are finite and at most 4e8 in size; else std::invalid_argument names the mask and the point.
//             No a * b + c is fused (the CUDA twin and the Numba twin give the same bits).
// Reference   Rule coco: pycocotools' frPoly (spec: COCO API, maskApi.c): points are rounded to fifths of a pixel, edges
//             drawn point by point, and a column of pixels changes where the drawn outline crosses its middle fifth.
//             Here only these crossings are computed, from the same expressions, so that every bit is the same while
//             a polygon costs its width, not its length in fifths of a pixel.
//             Rules even_odd, non_zero: pixel (y, x) is sampled at (x + 0.5, y + 0.5); a sample on an edge (up to
//             rounding) belongs to what lies below or to the right of it.
//             Rule skimage: the point test of skimage.draw.polygon2mask (scikit-image 0.26, after O'Rourke): pixel (y, x) is
//             the point (x, y); two rays, so that edges count as inside. Every row's crossings come from its expression.
//             Rule labelme: Pillow 13's filled polygon (spec: libImaging/Draw.c): corners cut off to integers, edges in
//             single precision, both ends of a row inside; each ring by itself, then their union.
//             Rule coverage: pixels of which at least half is inside by even-odd, up to 1e-9, by the areas of trapezoids:
//             exact where edges cross, too. Room for two numbers per row; points of one column times edges in it.
// Cost        O(crossings); a polygon of 100 pixels across: about 1 us.
#pragma once

#include <memory>

#include "support/common.hpp"
#include "support/cuda_queue.hpp"

namespace maskmill {

enum class FillRule { coco = 0, even_odd = 1, non_zero = 2, skimage = 3, labelme = 4, coverage = 5 };

struct Polygons {
    const double* points;
    const int64_t* rings;
    const int64_t* masks;
    const int64_t* sizes;  // (n, 2): height, width
    size_t n;
};

// Rule coco: every ring by itself, then their union; a ring of fewer than 3 points is drawn all the same.
Runs polygons_rasterize(const Polygons& polygons, FillRule rule);

// A rule that has a file of its own, for one mask after the other; its memory is used again.
struct MaskFiller {
    virtual ~MaskFiller() = default;
    // Appends the runs of mask i.
    virtual void fill(const Polygons& polygons, size_t i, Buffer<uint32_t>& out) = 0;
};
std::unique_ptr<MaskFiller> make_row_filler(FillRule rule);  // skimage, labelme
std::unique_ptr<MaskFiller> make_coverage_filler();

// Point k of a ring of a mask, which is `point`, is not one that the kernels take.
[[noreturn]] void fail_point(size_t mask, const double* point, int64_t k);

// Rule coco for callers that go ring by ring; its memory is used again from mask to mask.
class CocoFiller {
  public:
    CocoFiller();
    ~CocoFiller();
    void start(int64_t height, int64_t width);
    // Returns the first point that is not finite or too large, or -1.
    int64_t add_ring(const double* points, size_t n);
    // Appends the runs of the union of all rings.
    void finish(Buffer<uint32_t>& out);

  private:
    struct Room;
    std::unique_ptr<Room> room_;
};

// Ellipses of centre x, y, radii along and across a direction, its cosine and sine: (n, 6). Pixels whose centres are in
// them or on them; a radius of 0 gives nothing. Cost: O(columns).
Runs polygons_ellipses(const double* ellipses, const int64_t* sizes, size_t n);

// out[i] of mask i: 1 where edges cross, touch inside of an edge, or lie on each other; else 2 where rings are not nested
// as their directions say (outer rings clockwise as seen, in nothing or in a hole; holes the other way, in one outer
// ring); else 0. Rings may touch at corners. Sides are told in double precision: exact for integers up to 2^25.
// Cost: edges times edges beside them; outlines of noise of 1,000 x 1,000 pixels take about a second.
void polygons_tangles(const Polygons& polygons, uint8_t* out);

enum class SimplifyMethod { douglas_peucker = 0, area = 1 };

struct Rings {
    Buffer<double> points;
    Buffer<int64_t> offsets;
};
// `tolerances` are of each ring. Rings with fewer points, never fewer than 3 (rings of up to 3 stay as they are).
// douglas_peucker: the ring is cut at its first point and the one farthest from it; both halves keep the point farthest
// from their chord while that is more than `tolerance`.
// area: the point whose triangle with its neighbours is smallest is dropped, again and again, while the triangles
// dropped sum to `tolerance` at most (which bounds the symmetric difference).
Rings polygons_simplify(const double* points, const int64_t* rings, const double* tolerances, size_t n,
                        SimplifyMethod method);

// The twin on a GPU: all pointers are the device's.
namespace cuda {

struct DevicePolygons : Polygons {
    size_t ring_count, point_count;  // also of what no mask has
    uint64_t most_pixels;            // of one mask
};

// Rules coco, even_odd and non_zero. Waits for the stream twice: to learn of faults and how many crossings there are, and
// how many runs. Some 90 bytes of memory for each crossing.
Runs polygons_rasterize(const DevicePolygons& polygons, FillRule rule, Queue& queue);

}  // namespace cuda

}  // namespace maskmill
