#include "kernels/patches.hpp"

#include <algorithm>
#include <cstdlib>

#include "support/parallel.hpp"
#include "support/strided.hpp"

namespace maskmill {
namespace {

// Worth waking a thread for.
constexpr int64_t kGrainBytes = 1 << 20;
// More than caches hold: written past them.
constexpr int64_t kPastCache = 1 << 24;
constexpr int64_t kFarthest = 0x7fffffff;

void check_box(const PatchBoxes& boxes, size_t i) {
    const int64_t* p = boxes.values + i * static_cast<size_t>(2 * boxes.axes);
    for (int k = 0; k < boxes.axes; ++k, p += 2) {
        const bool near = p[0] >= -kFarthest && p[1] <= kFarthest;
        if (near && p[0] <= p[1]) continue;
        throw std::invalid_argument("box " + std::to_string(i) +
                                    ": must be a range within -2147483647 and 2147483647, not " + std::to_string(p[0]) +
                                    " to " + std::to_string(p[1]));
    }
}

// Which element of 0 .. n - 1 stands for i; -1: none.
int64_t source_of(int64_t i, int64_t n, PatchPad pad) {
    if (i >= 0 && i < n) return i;
    if (pad == PatchPad::constant) return -1;
    if (pad == PatchPad::edge) return i < 0 ? 0 : n - 1;
    const int64_t period = std::max<int64_t>(2 * n - 2, 1);
    const int64_t k = (i % period + period) % period;
    return std::min(k, period - k);
}

class Extractor {
  public:
    Extractor(const PatchArray& array, PatchPad pad, const uint8_t* fill, bool past_cache)
        : array_(array), pad_(pad), fill_(fill), cell_(array.itemsize * array.shape[3]), past_cache_(past_cache) {}

    void copy(const PatchBox& box, uint8_t* out) const {
        if (box.elements() * cell_ == 0) return;
        const int64_t plane = box.size(1) * box.size(2) * cell_;
        for (int64_t z = box.low[0]; z < box.high[0]; ++z, out += plane) {
            const int64_t from = source_of(z, array_.shape[0], pad_);
            if (from < 0) {
                put_fill(out, box.size(1) * box.size(2));
            } else {
                copy_plane(array_.data + from * array_.strides[0], box, out);
            }
        }
    }

  private:
    void put_fill(uint8_t* out, int64_t n) const {
        for (int64_t k = 0; k < n; ++k, out += cell_) std::memcpy(out, fill_, static_cast<size_t>(cell_));
    }

    void copy_plane(const uint8_t* plane, const PatchBox& box, uint8_t* out) const {
        const int64_t w = box.size(2), row = w * cell_;
        const int64_t y0 = std::clamp<int64_t>(box.low[1], 0, array_.shape[1]);
        const int64_t y1 = std::clamp<int64_t>(box.high[1], y0, array_.shape[1]);
        const int64_t x0 = std::clamp<int64_t>(box.low[2], 0, array_.shape[2]);
        const int64_t x1 = std::clamp<int64_t>(box.high[2], x0, array_.shape[2]);
        if (y1 > y0 && x1 > x0) {
            const CellPlane inside{plane + y0 * array_.strides[1] + x0 * array_.strides[2],
                                   array_.strides[1],
                                   array_.strides[2],
                                   array_.strides[3],
                                   array_.itemsize,
                                   array_.shape[3]};
            copy_cells(inside, y1 - y0, x1 - x0, out + (y0 - box.low[1]) * row + (x0 - box.low[2]) * cell_, row,
                       past_cache_);
        }
        if (y1 - y0 == box.size(1) && x1 - x0 == w) return;
        for (int64_t y = box.low[1]; y < box.high[1]; ++y, out += row) {
            if (y >= y0 && y < y1 && x1 > x0) {
                pad_cells(plane, y, box.low[2], x0, out);
                pad_cells(plane, y, x1, box.high[2], out + (x1 - box.low[2]) * cell_);
            } else {
                pad_cells(plane, y, box.low[2], box.high[2], out);
            }
        }
    }

    void pad_cells(const uint8_t* plane, int64_t y, int64_t x, int64_t end, uint8_t* out) const {
        if (x >= end) return;
        const int64_t row = source_of(y, array_.shape[1], pad_);
        for (; x < end; ++x, out += cell_) {
            const int64_t column = source_of(x, array_.shape[2], pad_);
            if (row < 0 || column < 0) {
                put_fill(out, 1);
                continue;
            }
            const uint8_t* from = plane + row * array_.strides[1] + column * array_.strides[2];
            for (int64_t c = 0; c < array_.shape[3]; ++c) {
                std::memcpy(out + c * array_.itemsize, from + c * array_.strides[3],
                            static_cast<size_t>(array_.itemsize));
            }
        }
    }

    const PatchArray& array_;
    PatchPad pad_;
    const uint8_t* fill_;
    int64_t cell_;
    bool past_cache_;
};

}  // namespace

int64_t patches_size(const PatchBoxes& boxes) {
    int64_t total = 0;
    for (size_t i = 0; i < boxes.n; ++i) {
        check_box(boxes, i);
        const PatchBox box = box_at(boxes, i);
        int64_t elements = 1;
        for (int axis = 0; axis < 3; ++axis) {
            if (box.size(axis) != 0 && elements > (int64_t{1} << 48) / box.size(axis)) {
                throw std::invalid_argument("box " + std::to_string(i) + ": has more than 2^48 elements");
            }
            elements *= box.size(axis);
        }
        total += elements;
        if (total > int64_t{1} << 48) throw std::invalid_argument("patches have more than 2^48 elements");
    }
    return total;
}

void patches_extract(const PatchArray& array, const PatchBoxes& boxes, PatchPad pad, const uint8_t* fill,
                     uint8_t* out) {
    const int64_t cell = array.itemsize * array.shape[3];
    Buffer<int64_t> starts(boxes.n + 1);
    starts[0] = 0;
    const bool empty = array.shape[0] * array.shape[1] * array.shape[2] == 0;
    for (size_t i = 0; i < boxes.n; ++i) {
        const int64_t elements = box_at(boxes, i).elements();
        starts[i + 1] = starts[i] + elements * cell;
        if (empty && pad != PatchPad::constant && elements > 0) {
            throw std::invalid_argument("box " + std::to_string(i) +
                                        ": there is nothing to pad with in an empty array");
        }
    }
    const Extractor extractor(array, pad, fill, starts[boxes.n] >= kPastCache);
    const int64_t each = starts[boxes.n] / static_cast<int64_t>(std::max<size_t>(boxes.n, 1));
    parallel_for(boxes.n, static_cast<size_t>(kGrainBytes / (each + 1) + 1), [&](size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) extractor.copy(box_at(boxes, i), out + starts[i]);
        copied_past_cache();
    });
}

void patches_check(const PatchArray& volume, const PatchPlanes& planes) {
    const PlaneAxes axes = plane_axes(volume, planes.axis);
    for (size_t t = 0; t < planes.n_tiles; ++t) {
        const int64_t* p = planes.tiles + 4 * t;
        if (p[0] < 0 || p[0] > p[1] || p[1] > axes.rows || p[2] < 0 || p[2] > p[3] || p[3] > axes.columns) {
            throw std::invalid_argument("tile " + std::to_string(t) + ": must be ranges within the plane of " +
                                        size_text(axes.rows, axes.columns) + ", not " + std::to_string(p[0]) + " to " +
                                        std::to_string(p[1]) + " and " + std::to_string(p[2]) + " to " +
                                        std::to_string(p[3]));
        }
        const int64_t* first = planes.tiles;
        if (p[1] - p[0] != first[1] - first[0] || p[3] - p[2] != first[3] - first[2]) {
            throw std::invalid_argument("tile " + std::to_string(t) + ": must have the size of the first, " +
                                        size_text(first[1] - first[0], first[3] - first[2]) + ", not " +
                                        size_text(p[1] - p[0], p[3] - p[2]));
        }
    }
    for (size_t s = 0; s < planes.n_slices; ++s) {
        if (planes.slices[s] < 0 || planes.slices[s] >= axes.slices) {
            throw std::invalid_argument("slice " + std::to_string(s) + ": must be within 0 and " +
                                        std::to_string(axes.slices - 1) + ", not " + std::to_string(planes.slices[s]));
        }
    }
}

Buffer<SliceGroup> patches_groups(const PatchPlanes& planes, size_t most, int64_t width) {
    Buffer<SliceGroup> groups;
    for (size_t s = 0; s < planes.n_slices;) {
        SliceGroup group{s, s + 1, planes.slices[s], planes.slices[s] + 1};
        for (; group.end < planes.n_slices && group.end - s < most; ++group.end) {
            const int64_t slice = planes.slices[group.end];
            const int64_t low = std::min(group.low, slice), high = std::max(group.high, slice + 1);
            if (high - low > width) break;
            group.low = low;
            group.high = high;
        }
        groups.push(group);
        s = group.end;
    }
    return groups;
}

namespace {

// Slices walked together where a row of each is copied in turn: their rows share pages, and lines at the seams.
constexpr size_t kTogether = 16;
constexpr int64_t kLine = 64;
// Rows are written to a slice in bands of about that, so that few cache lines are written in two parts.
constexpr int64_t kBandBytes = 1 << 10;

// One tile of a group of slices; `from` is the tile's corner in slice 0, `to` its patch of slice 0 of the list.
struct TileCopy {
    const PlaneAxes& axes;
    const int64_t* slices;
    int64_t item, h, w;
    bool past_cache;

    int64_t row() const { return w * item; }
    int64_t band() const { return std::min(h, kBandBytes / row() + 1); }
    uint8_t* patch(uint8_t* to, size_t s) const { return to + static_cast<int64_t>(s) * h * row(); }

    void one_by_one(const SliceGroup& group, const uint8_t* from, uint8_t* to) const {
        for (size_t s = group.begin; s < group.end; ++s) {
            const CellPlane plane{from + slices[s] * axes.slice_step, axes.row_step, axes.column_step, 0, item, 1};
            copy_cells(plane, h, w, patch(to, s), row(), past_cache);
        }
    }

    void row_by_row(const SliceGroup& group, const uint8_t* from, uint8_t* to) const {
        for (int64_t r = 0; r < h; ++r) {
            for (size_t s = group.begin; s < group.end; ++s) {
                copy_bytes(from + r * axes.row_step + slices[s] * axes.slice_step, row(), patch(to, s) + r * row(),
                           false);
            }
        }
    }

    // A band of all slices goes to scratch memory first: patches lie at like distances, and would fight for a few places
    // of the cache if all were written to at once.
    void across(const SliceGroup& group, const uint8_t* from, uint8_t* to, Scratch<uint8_t>& scratch) const {
        const int64_t step = band() * row() / kLine * kLine + 2 * kLine;
        scratch.resize(static_cast<size_t>((group.high - group.low) * step));
        for (int64_t r0 = 0; r0 < h; r0 += band()) {
            const int64_t r1 = std::min(r0 + band(), h);
            for (int64_t r = r0; r < r1; ++r) {
                transpose_cells(from + r * axes.row_step + group.low * item, axes.column_step, w,
                                group.high - group.low, item, scratch.data() + (r - r0) * row(), step, axes.row_step);
            }
            for (size_t s = group.begin; s < group.end; ++s) {
                copy_bytes(scratch.data() + (slices[s] - group.low) * step, (r1 - r0) * row(),
                           patch(to, s) + r0 * row(), past_cache);
            }
        }
    }
};

}  // namespace

void patches_planes(const PatchArray& volume, const PatchPlanes& planes, uint8_t* out) {
    if (planes.n_tiles == 0 || planes.n_slices == 0) return;
    const PlaneAxes axes = plane_axes(volume, planes.axis);
    const int64_t h = planes.tiles[1] - planes.tiles[0], w = planes.tiles[3] - planes.tiles[2];
    const int64_t patch = h * w * volume.itemsize;
    if (patch == 0) return;
    const bool past_cache = patch * static_cast<int64_t>(planes.n_tiles * planes.n_slices) >= kPastCache;
    const TileCopy tile{axes, planes.slices, volume.itemsize, h, w, past_cache};
    const bool across = axes.slice_step == volume.itemsize && axes.column_step != volume.itemsize;
    const bool together = axes.column_step == volume.itemsize && std::abs(axes.slice_step) < std::abs(axes.row_step);
    const auto groups = across ? patches_groups(planes, planes.n_slices, std::max<int64_t>(kLine / volume.itemsize, 1))
                        : together ? patches_groups(planes, kTogether, axes.slices)
                                   : patches_groups(planes, 1, 1);
    const auto each = patch * static_cast<int64_t>(planes.n_slices / groups.size());
    const auto grain = static_cast<size_t>(kGrainBytes / (each + 1) + 1);
    parallel_for(planes.n_tiles * groups.size(), grain, [&](size_t begin, size_t end) {
        Scratch<uint8_t> scratch;
        for (size_t job = begin; job < end; ++job) {
            const size_t t = job / groups.size();
            const SliceGroup& group = groups[job % groups.size()];
            const uint8_t* from =
                volume.data + planes.tiles[4 * t] * axes.row_step + planes.tiles[4 * t + 2] * axes.column_step;
            uint8_t* to = out + static_cast<int64_t>(t * planes.n_slices) * patch;
            if (across) {
                tile.across(group, from, to, scratch);
            } else if (together) {
                tile.row_by_row(group, from, to);
            } else {
                tile.one_by_one(group, from, to);
            }
        }
        copied_past_cache();
    });
}

}  // namespace maskmill
