// A warp takes a mask of a and 32 of b: its lanes compare a box each, then all of them work on each pair whose boxes meet.
// Of the two masks the one with fewer runs is walked, a run a lane, within the columns that both have; how much of a run
// the other mask covers are two binary searches in sums of its foreground. So no lane waits for a longer one, nothing is
// written but the results, and pairs that do not meet cost a comparison.
//
// Floor: 8 bytes a pair are written; a pair that meets costs about r log2(R) loads from the caches, r and R being runs.
// On sm_90: 56 to 60 registers, no spills, no shared memory: 32 warps a multiprocessor.
#include "kernels/overlap.hpp"
#include "kernels/overlap_device.inl"

namespace maskmill::cuda {
namespace {

constexpr unsigned kWarpsPerBlock = kThreads / 32;

// Makes shapes, after checking the masks.
Shapes shapes_of(const Side& side, const Faults& faults, Queue& queue) {
    const Rles& masks = side.masks;
    check_offsets(masks, side.total, faults, queue);
    const uint64_t* const ends = ends_of(masks, side.total, queue);
    check_sums(masks, ends, faults, queue);
    double* const boxes = queue.take<double>(4 * masks.n);
    boxes_of(masks, ends, boxes, faults, queue);
    const size_t runs = static_cast<size_t>(side.total);
    uint64_t* const covered = queue.take<uint64_t>(runs + 1);
    const uint32_t* const counts = masks.counts;
    const Owners owners{masks.offsets, masks.n, faults.word()};
    scan(queue, runs, covered, [=] __device__(size_t j) -> uint64_t {
        const int64_t first = owners.first_of(j);
        return first >= 0 && (static_cast<int64_t>(j) - first) % 2 == 1 ? counts[j] : 0;
    });
    return {masks.n, masks.offsets, ends, covered, boxes};
}

// Notes masks of another size than the other side's first one.
void check_sizes(const Rles& masks, const Rles& others, const Faults& faults, Queue& queue) {
    if (others.n == 0) return;
    const int64_t *const sizes = masks.sizes, *const size = others.sizes;
    FaultWord* const word = faults.word();
    for_each(queue, masks.n, [=] __device__(size_t i) {
        if (sizes[2 * i] != size[0] || sizes[2 * i + 1] != size[1]) note_fault(word, kOther, i);
    });
}

// Pixels in common of mask i of a and mask j of b, to all lanes of a warp.
__device__ __forceinline__ uint64_t common_pixels(const Shapes& a, size_t i, const Shapes& b, size_t j,
                                                  int64_t height) {
    const double *const p = a.boxes + 4 * i, *const q = b.boxes + 4 * j;
    const double x0 = p[0] > q[0] ? p[0] : q[0];
    const double x1 = p[0] + p[2] < q[0] + q[2] ? p[0] + p[2] : q[0] + q[2];
    const int64_t lane = 2 * static_cast<int64_t>(threadIdx.x % 32);
    uint64_t common = 0;
    if (a.runs(i) <= b.runs(j)) {
        const RunRange runs = runs_in_columns(a, i, x0, x1, height);
        common = common_of_runs(a, i, runs.first + lane, runs.last, 64, b, j);
    } else {
        const RunRange runs = runs_in_columns(b, j, x0, x1, height);
        common = common_of_runs(b, j, runs.first + lane, runs.last, 64, a, i);
    }
    return warp_sum(common);
}

// visit(i, j, pixels in common) by the lane of j, which may be b.n or more, where there is nothing.
template <class Visit>
__global__ void __launch_bounds__(kThreads, 4)
    pairs_kernel(Shapes a, Shapes b, const int64_t* sizes, const FaultWord* fault, Visit visit) {
    const size_t tiles = (b.n + 31) / 32;
    const size_t tile = static_cast<size_t>(blockIdx.x) * kWarpsPerBlock + threadIdx.x / 32, i = tile / tiles;
    if (i >= a.n || *fault != ~FaultWord{0}) return;
    const size_t first = tile % tiles * 32, j = first + threadIdx.x % 32;
    const bool meet = j < b.n && visit.wants(i, j) && boxes_meet(a.boxes + 4 * i, b.boxes + 4 * j);
    uint64_t common = 0;
    for (unsigned left = __ballot_sync(~0u, meet); left != 0; left &= left - 1) {
        const auto other = static_cast<unsigned>(__ffs(static_cast<int>(left)) - 1);
        const uint64_t found = common_pixels(a, i, b, first + other, sizes[0]);
        if (threadIdx.x % 32 == other) common = found;
    }
    visit(i, j, common);
}

template <class Visit>
void visit_pairs(const Shapes& a, const Shapes& b, const int64_t* sizes, Visit visit, const Faults& faults,
                 Queue& queue) {
    launch(pairs_kernel<Visit>, dim3(blocks_for(a.n * ((b.n + 31) / 32), kWarpsPerBlock)), dim3(kThreads), 0, queue, a,
           b, sizes, static_cast<const FaultWord*>(faults.word()), visit);
}

__device__ __forceinline__ double iou_of(uint64_t a, uint64_t b, uint64_t common, bool crowd) {
    if (common == 0) return 0;
    return static_cast<double>(common) / static_cast<double>(crowd ? a : a + b - common);
}

struct WriteIou {
    Shapes a, b;
    const uint8_t* iscrowd;
    double* out;

    __device__ bool wants(size_t, size_t) const { return true; }
    __device__ void operator()(size_t i, size_t j, uint64_t common) const {
        if (j < b.n) out[i * b.n + j] = iou_of(a.area(i), b.area(j), common, iscrowd[j] != 0);
    }
};

struct WriteIntersection {
    size_t columns;
    uint64_t* out;

    __device__ bool wants(size_t, size_t) const { return true; }
    __device__ void operator()(size_t i, size_t j, uint64_t common) const {
        if (j < columns) out[i * columns + j] = common;
    }
};

// For non-maximum suppression: bit j of row i says that mask i, where it stays, removes the later mask j.
struct WriteRemovals {
    Shapes masks;
    double threshold;
    uint32_t* rows;
    size_t words;  // of a row

    __device__ bool wants(size_t i, size_t j) const { return j > i; }
    __device__ void operator()(size_t i, size_t j, uint64_t common) const {
        const bool known = j > i && j < masks.n;
        const bool removes = known && iou_of(masks.area(i), masks.area(j), common, false) > threshold;
        const unsigned bits = __ballot_sync(~0u, removes);
        if (threadIdx.x % 32 == 0) rows[i * words + j / 32] = bits;
    }
};

// One block goes down the rows: what depends on what came before is only this.
__global__ void __launch_bounds__(1024)
    sweep_kernel(const uint32_t* rows, size_t n, size_t words, uint32_t* removed, const FaultWord* fault) {
    if (*fault != ~FaultWord{0}) return;
    for (size_t i = 0; i < n; ++i) {
        __syncthreads();
        const bool stays = (removed[i / 32] >> (i % 32) & 1) == 0;
        __syncthreads();
        if (!stays) continue;
        for (size_t w = i / 32 + threadIdx.x; w < words; w += blockDim.x) removed[w] |= rows[i * words + w];
    }
}

template <class T, class Twin>
void retell_pairs(const Fault& fault, const Side& a, const Side& b, Queue& queue, Twin&& twin) {
    if (fault.kind == 0) return;
    retell(fault, [&] {
        const HostMasks left(a.masks, a.total, queue), right(b.masks, b.total, queue);
        Buffer<T> out(a.masks.n * b.masks.n);
        twin(left.rles(), right.rles(), out.data());
    });
}

}  // namespace

void overlap_iou(const Side& a, const Side& b, const uint8_t* iscrowd, double* out, Queue& queue) {
    const Faults faults(queue);
    const Shapes left = shapes_of(a, faults, queue), right = shapes_of(b, faults, queue);
    check_sizes(a.masks, b.masks, faults, queue);
    check_sizes(b.masks, a.masks, faults, queue);
    visit_pairs(left, right, a.masks.sizes, WriteIou{left, right, iscrowd, out}, faults, queue);
    retell_pairs<uint64_t>(faults.lowest(queue), a, b, queue,
                           [](const auto&... all) { maskmill::overlap_intersection(all...); });
}

void overlap_intersection(const Side& a, const Side& b, uint64_t* out, Queue& queue) {
    const Faults faults(queue);
    const Shapes left = shapes_of(a, faults, queue), right = shapes_of(b, faults, queue);
    check_sizes(a.masks, b.masks, faults, queue);
    check_sizes(b.masks, a.masks, faults, queue);
    visit_pairs(left, right, a.masks.sizes, WriteIntersection{b.masks.n, out}, faults, queue);
    retell_pairs<uint64_t>(faults.lowest(queue), a, b, queue,
                           [](const auto&... all) { maskmill::overlap_intersection(all...); });
}

void overlap_nms(const Side& side, double threshold, uint8_t* keep, Queue& queue) {
    const Faults faults(queue);
    const Shapes masks = shapes_of(side, faults, queue);
    check_sizes(side.masks, side.masks, faults, queue);
    const size_t n = masks.n, words = (n + 31) / 32;
    uint32_t* const rows = queue.take<uint32_t>(n * words);
    uint32_t* const removed = queue.take<uint32_t>(words);
    visit_pairs(masks, masks, side.masks.sizes, WriteRemovals{masks, threshold, rows, words}, faults, queue);
    // Below 0, even those that meet nobody go.
    for_each(queue, words, [=] __device__(size_t w) { removed[w] = !(threshold < 0) ? 0 : w == 0 ? ~1u : ~0u; });
    const unsigned threads = words < 1024 ? static_cast<unsigned>((words + 31) / 32 * 32) : 1024;
    launch(sweep_kernel, dim3(n > 0 ? 1 : 0), dim3(threads), 0, queue, static_cast<const uint32_t*>(rows), n, words,
           removed, static_cast<const FaultWord*>(faults.word()));
    for_each(queue, n, [=] __device__(size_t i) { keep[i] = (removed[i / 32] >> (i % 32) & 1) == 0; });
    const Fault fault = faults.lowest(queue);
    if (fault.kind == 0) return;
    retell(fault, [&] {
        const HostMasks copy(side.masks, side.total, queue);
        Buffer<uint8_t> kept(n);
        maskmill::overlap_nms(copy.rles(), threshold, kept.data());
    });
}

}  // namespace maskmill::cuda
