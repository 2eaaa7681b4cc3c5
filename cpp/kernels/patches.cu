// Extract and planes. A plane's patch is a box of the volume with its axes turned: both are one gather.
//
// Floor     One read and one write: 2 bytes of traffic a byte copied. Wanted are 60 % of the bandwidth of a plain copy
//           (4.3 TB/s on an H200: 1 GB in 0.47 ms) on 1 GB or more.
// Design    A thread makes up to 16 pieces of 16 bytes of one patch, aligned in the output; the 32 lanes of a warp make
//           neighbouring ones, so that 512 bytes are written at once. A piece is read with one load where it is aligned in
//           the array, too, else by five of 4 bytes that neighbouring lanes share in L1; where a row of the patch ends
//           in it, both rows are read. Loads of two pieces are under way before the first is written. From piece to piece
//           there are additions of 32 bits only: 60 to 85 instructions, and 25 for a piece's share of what is done once.
//           67 M pieces a GB are 0.2 to 0.25 ms of instruction issue (132 SMs, 4 a clock, 1.7 GHz), which memory hides.
//           What is padded, strided or at the ends of the array or of a patch goes element by element, in a launch of
//           a quarter of the threads, most of which only find that all is done.
//           Planes whose neighbours in memory are slices (axis 2 in C order) are turned, see patches_turn.cu. Images in
//           Fortran order go element by element, and lean on the L2.
// Measured by ptxas for sm_90: the walk takes 58 registers (half of the warps that an SM can hold, 32 KB in flight where
//           13 KB hide the latency of memory), the rest up to 79; nothing of the walk is spilled.
#include "kernels/patches_device.inl"

namespace maskmill::cuda {
namespace {

// Pieces of 16 bytes by a thread, at most: of those that are walked through, and of the rest, where most threads have
// nothing to do. Fewer where there would not be enough threads for a GPU.
constexpr int64_t kPieces = 16, kRestPieces = 64;
#ifdef MASKMILL_CUDA_EMULATED
constexpr int64_t kEnough = 16;  // so that small patches have threads with many pieces, too
#else
constexpr int64_t kEnough = 1 << 19;
#endif

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
    int32_t each, step;     // bytes from piece to piece of a thread
    Divisor lanes, groups;  // groups of a patch

    // n patches of at most `most` bytes, which touch one piece more than they fill where they begin among others.
    Shares(const PatchOrigin& from, const Boxes& list, size_t n, int64_t most, int64_t most_each, uint8_t* to)
        : origin(from), boxes(list), out(to) {
        const int64_t pieces = (most + 15) / 16 + (most % 16 != 0 || reinterpret_cast<uintptr_t>(to) % 16 != 0);
        const int64_t beside = pieces >= 32 ? 32 : static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(pieces)));
        const int64_t spare = static_cast<int64_t>(n) * pieces / kEnough;
        each = static_cast<int32_t>(std::clamp<int64_t>(spare, 1, std::min(most_each, (pieces + beside - 1) / beside)));
        step = static_cast<int32_t>(16 * beside);
        lanes = Divisor(beside);
        groups = Divisor((pieces + beside * each - 1) / (beside * each));
    }
    size_t threads(size_t n) const { return n * static_cast<size_t>(groups.by * lanes.by); }

    struct Share {
        PatchBox box;
        uint8_t* to;
        int64_t bytes;    // of the patch
        int64_t at, end;  // pieces begin at `at`, at + step ... before `end`; the first may lie before the patch
    };
    MASKMILL_HD Share share(size_t k) const {
        const int64_t group = lanes(static_cast<int64_t>(k)), i = groups(group);
        const int64_t lane = static_cast<int64_t>(k) - group * static_cast<int64_t>(lanes.by);
        Share out_share{boxes.box(static_cast<size_t>(i)), out + boxes.start(static_cast<size_t>(i)) * origin.cell, 0,
                        0, 0};
        out_share.bytes = out_share.box.elements() * origin.cell;
        const int64_t all = int64_t{each} * step;
        const int64_t first = (group - i * static_cast<int64_t>(groups.by)) * all + lane * 16;
        out_share.at = first - static_cast<int64_t>(reinterpret_cast<uintptr_t>(out_share.to) % 16);
        const int64_t end = out_share.at + all < out_share.bytes ? out_share.at + all : out_share.bytes;
        out_share.end = out_share.bytes == 0 ? out_share.at : end;  // a patch of nothing has no piece at all
        return out_share;
    }
};

// Whole pieces of patches that lie inside. Two are read before one is written.
template <class Boxes>
void gather_inside(const Shares<Boxes>& all, size_t n, Queue& queue) {
    const Shares<Boxes> shares = all;
    for_each(queue, shares.threads(n), [=] __device__(size_t k) {
        auto share = shares.share(k);
        if (share.at < 0) share.at += shares.step;
        // The last piece may be a part of one.
        const int64_t end = share.end < share.bytes - 15 ? share.end : share.bytes - 15;
        if (share.at >= end || !shares.origin.is_within(share.box)) return;
        const int32_t step = shares.step;
        int32_t left = static_cast<int32_t>(end - share.at);  // to the end of the last piece's beginning
        PatchWalk walk(shares.origin, share.box, share.at, step);
        uint8_t* to = share.to + share.at;
        for (; left > step; left -= 2 * step, to += 2 * step) {
            const PatchWalk::Piece first = walk.load();
            walk.advance();
            const PatchWalk::Piece second = walk.load();
            walk.advance();
            store_sixteen(to, first.joined());
            store_sixteen(to + step, second.joined());
        }
        if (left > 0) store_sixteen(to, walk.load().joined());
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
        for (; share.at < share.end; share.at += shares.step) {
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
    if (origin.in_rows) gather_inside(Shares<Boxes>(origin, boxes, n, most, kPieces, out), n, queue);
    const Shares<Boxes> rest(origin, boxes, n, most, kRestPieces, out);
    switch (all & -all & 7) {
        case 1: return gather_rest<uint8_t>(rest, n, queue);
        case 2: return gather_rest<uint16_t>(rest, n, queue);
        case 4: return gather_rest<uint32_t>(rest, n, queue);
        default: return gather_rest<uint64_t>(rest, n, queue);
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
