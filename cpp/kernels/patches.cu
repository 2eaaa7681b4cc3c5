// Extract and planes. A plane's patch is a box of the volume with its axes turned: both are one gather.
//
// Floor     One read and one write: 2 bytes of traffic a byte copied. Wanted are 60 % of the bandwidth of a plain copy
//           (4.3 TB/s on an H200: 1 GB in 0.47 ms) on 1 GB or more.
// Design    A thread makes up to eight pieces of 16 bytes of one patch, aligned in the output; the 32 lanes of a warp make
//           neighbouring ones, so that 512 bytes are written at once. A piece is read with one load where it is aligned in
//           the array, too, else by five of 4 bytes that neighbouring lanes share in L1; where a row of the patch ends
//           in it, both rows are read. From piece to piece there are additions only, about 40 instructions, and 25 for a
//           piece's share of what is done once: 67 M pieces a GB are 0.15 ms of instruction issue (132 SMs, 4 a clock,
//           1.7 GHz), which memory hides. What is padded, strided or at the ends of the array or of a patch goes
//           element by element.
//           Planes whose neighbours in memory are slices (axis 2 in C order) are turned, see patches_turn.cu. Images in
//           Fortran order go element by element, and lean on the L2.
// Measured by ptxas for sm_90: the walk takes 56 to 60 registers (half of the warps that an SM can hold, 16 KB in flight
//           where 13 KB hide the latency of memory), the rest up to 79; nothing of the walk is spilled.
#include "kernels/patches_device.inl"

namespace maskmill::cuda {
namespace {

constexpr int64_t kPieces = 8;  // of 16 bytes, by a thread

struct BoxList {
    PatchBoxes boxes;
    const int64_t* starts;  // cells before each

    MASKMILL_HD PatchBox box(size_t i) const { return box_at(boxes, i); }
    MASKMILL_HD int64_t start(size_t i) const { return starts[i]; }
};

// Tiles times slices, of an array whose first axis is the slices'.
struct TileList {
    const int64_t *tiles, *slices;
    Divisor n_slices;
    int64_t cells;

    MASKMILL_HD PatchBox box(size_t i) const {
        const int64_t t = n_slices(static_cast<int64_t>(i)),
                      s = slices[static_cast<int64_t>(i) - t * static_cast<int64_t>(n_slices.by)];
        const int64_t* const p = tiles + 4 * t;
        return {{s, p[0], p[2]}, {s + 1, p[1], p[3]}};
    }
    MASKMILL_HD int64_t start(size_t i) const { return static_cast<int64_t>(i) * cells; }
};

// Who makes which pieces: `lanes` neighbouring threads make `each` times as many neighbouring pieces of one patch.
template <class Boxes>
struct Shares {
    PatchOrigin origin;
    Boxes boxes;
    uint8_t* out;
    int64_t each;
    Divisor lanes, groups;  // groups of a patch

    // A patch of at most `most` bytes touches one piece more than it fills where it begins among others.
    Shares(const PatchOrigin& from, const Boxes& list, int64_t most, uint8_t* to) : origin(from), boxes(list), out(to) {
        const int64_t pieces = (most + 15) / 16 + (most % 16 != 0 || reinterpret_cast<uintptr_t>(to) % 16 != 0);
        const int64_t beside = pieces >= 32 ? 32 : static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(pieces)));
        each = std::min(kPieces, (pieces + beside - 1) / beside);
        lanes = Divisor(beside);
        groups = Divisor((pieces + beside * each - 1) / (beside * each));
    }
    size_t threads(size_t n) const { return n * static_cast<size_t>(groups.by * lanes.by); }
    MASKMILL_HD int64_t step() const { return 16 * static_cast<int64_t>(lanes.by); }

    struct Share {
        PatchBox box;
        uint8_t* to;
        int64_t bytes;    // of the patch
        int64_t at, end;  // pieces begin at `at`, at + step() ... before `end`; the first may lie before the patch
    };
    MASKMILL_HD Share share(size_t k) const {
        const int64_t group = lanes(static_cast<int64_t>(k)), i = groups(group);
        const int64_t lane = static_cast<int64_t>(k) - group * static_cast<int64_t>(lanes.by);
        Share out_share{boxes.box(static_cast<size_t>(i)), out + boxes.start(static_cast<size_t>(i)) * origin.cell, 0,
                        0, 0};
        out_share.bytes = out_share.box.elements() * origin.cell;
        const int64_t first = (group - i * static_cast<int64_t>(groups.by)) * each * step() + lane * 16;
        out_share.at = first - static_cast<int64_t>(reinterpret_cast<uintptr_t>(out_share.to) % 16);
        const int64_t end =
            out_share.at + each * step() < out_share.bytes ? out_share.at + each * step() : out_share.bytes;
        out_share.end = out_share.bytes == 0 ? out_share.at : end;  // a patch of nothing has no piece at all
        return out_share;
    }
};

// Whole pieces of patches that lie inside.
template <class Boxes>
void gather_inside(const Shares<Boxes>& all, size_t n, Queue& queue) {
    const Shares<Boxes> shares = all;
    for_each(queue, shares.threads(n), [=] __device__(size_t k) {
        auto share = shares.share(k);
        if (share.at >= share.end || !shares.origin.is_within(share.box)) return;
        PatchWalk walk(shares.origin, share.box, share.at, shares.step());
        for (; share.at < share.end; share.at += shares.step(), walk.advance()) {
            if (share.at >= 0 && share.at + 16 <= share.bytes) store_sixteen(share.to + share.at, walk.load());
        }
    });
}

// What gather_inside leaves.
template <class T, class Boxes>
void gather_rest(const Shares<Boxes>& all, size_t n, Queue& queue) {
    const Shares<Boxes> shares = all;
    for_each(queue, shares.threads(n), [=] __device__(size_t k) {
        auto share = shares.share(k);
        if (share.at >= share.end) return;
        const bool within = shares.origin.is_within(share.box);
        if (within && share.at >= 0 && share.end + 16 <= share.bytes) return;
        for (; share.at < share.end; share.at += shares.step()) {
            if (within && share.at >= 0 && share.at + 16 <= share.bytes) continue;
            copy_sixteen<T>(shares.origin, share.box, share.at, share.bytes, share.to);
        }
    });
}

// In as large pieces as all addresses allow.
template <class Boxes>
void gather_any(const PatchOrigin& origin, const Boxes& boxes, size_t n, int64_t most, uint8_t* out, Queue& queue) {
    if (n == 0 || most == 0) return;
    uint64_t all = reinterpret_cast<uintptr_t>(origin.array.data) | reinterpret_cast<uintptr_t>(out) |
                   static_cast<uint64_t>(origin.array.itemsize);
    for (const int64_t step : origin.array.strides) all |= static_cast<uint64_t>(step);
    const Shares<Boxes> shares(origin, boxes, most, out);
    if (origin.in_rows) gather_inside(shares, n, queue);
    switch (all & -all & 7) {
        case 1: return gather_rest<uint8_t>(shares, n, queue);
        case 2: return gather_rest<uint16_t>(shares, n, queue);
        case 4: return gather_rest<uint32_t>(shares, n, queue);
        default: return gather_rest<uint64_t>(shares, n, queue);
    }
}

PatchOrigin origin_of(const PatchArray& array, PatchPad pad, const uint8_t* fill) {
    PatchOrigin out{array, array.data, array.data, array.itemsize * array.shape[3], Divisor(), pad, fill, false};
    out.cells = Divisor(std::max<int64_t>(out.cell, 1));
    bool empty = false;
    for (int axis = 0; axis < 4; ++axis) {
        empty |= array.shape[axis] == 0;
        const int64_t reach = (array.shape[axis] - 1) * array.strides[axis];
        (reach < 0 ? out.low : out.high) += reach;
    }
    out.high = empty ? out.low : out.high + array.itemsize;
    out.in_rows = !empty && array.strides[2] == out.cell && (array.shape[3] == 1 || array.strides[3] == array.itemsize);
    return out;
}

}  // namespace

void patches_extract(const PatchArray& array, const PatchBoxes& boxes, PatchPad pad, const uint8_t* fill, uint8_t* out,
                     Queue& queue) {
    const PatchOrigin plain = origin_of(array, pad, nullptr);
    int64_t most = 0;
    for (size_t i = 0; i < boxes.n; ++i) {
        const int64_t elements = box_at(boxes, i).elements();
        most = std::max(most, elements);
        if (plain.low == plain.high && array.shape[0] * array.shape[1] * array.shape[2] == 0 &&
            pad != PatchPad::constant && elements > 0) {
            throw std::invalid_argument("box " + std::to_string(i) +
                                        ": there is nothing to pad with in an empty array");
        }
    }
    if (most * plain.cell == 0) return;
    uint8_t* const with = queue.take<uint8_t>(static_cast<size_t>(plain.cell));
    copy_to_device(with, fill, static_cast<size_t>(plain.cell), queue);
    int64_t* const starts = queue.take<int64_t>(boxes.n + 1);
    const PatchBoxes there{sent(boxes.values, boxes.n * static_cast<size_t>(2 * boxes.axes), queue), boxes.n,
                           boxes.axes};
    scan(queue, boxes.n, starts, [=] __device__(size_t i) { return box_at(there, i).elements(); });
    gather_any(origin_of(array, pad, with), BoxList{there, starts}, boxes.n, most * plain.cell, out, queue);
}

void patches_planes(const PatchArray& volume, const PatchPlanes& planes, uint8_t* out, Queue& queue) {
    if (planes.n_tiles == 0 || planes.n_slices == 0) return;
    const int64_t h = planes.tiles[1] - planes.tiles[0], w = planes.tiles[3] - planes.tiles[2];
    if (h * w == 0) return;
    const int64_t* const tiles = sent(planes.tiles, 4 * planes.n_tiles, queue);
    const int64_t* const slices = sent(planes.slices, planes.n_slices, queue);
    const PlaneAxes axes = plane_axes(volume, planes.axis);
    if (turn_planes(volume, planes, tiles, slices, out, queue)) return;
    const PatchArray across{volume.data,
                            volume.itemsize,
                            {axes.slices, axes.rows, axes.columns, 1},
                            {axes.slice_step, axes.row_step, axes.column_step, 0}};
    const TileList list{tiles, slices, Divisor(static_cast<int64_t>(planes.n_slices)), h * w};
    gather_any(origin_of(across, PatchPad::constant, volume.data), list, planes.n_tiles * planes.n_slices,
               h * w * volume.itemsize, out, queue);
}

}  // namespace maskmill::cuda
