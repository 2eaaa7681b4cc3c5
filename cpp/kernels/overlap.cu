// A warp compares the box of a mask of a with those of 32 of b. Pairs whose boxes meet wait in shared memory until a warp of
// the block is free: all of its lanes work on one pair. Of its two masks the one with fewer runs is walked, a run a lane,
// within the columns that both have; how much of a run the other mask covers are two binary searches in sums of its
// foreground. So no lane waits for a longer one, nothing is written but the results, and pairs that do not meet cost a
// comparison. Pairs of more than 1,024 runs are walked by the whole block; where there are few pairs, a block takes those
// of one warp only, so that a hundred masks against twenty are work for a hundred multiprocessors.
//
// Floor: 8 bytes a pair are written; a pair that meets costs about r log2(R) loads from the caches, r and R being runs.
// Suppression goes down the rows 32 at a time: who of them stays is known by all threads from 32 words in shared memory,
// then each ORs a column of the rows that stay, whose loads do not wait for each other: 3 us for 32 masks, not for each.
// On sm_90: 46 to 48 registers, no spills, 2.6 KB of shared memory: 40 warps a multiprocessor.
#include "kernels/overlap.hpp"
#include "kernels/overlap_device.inl"
#include "support/cuda_divide.cuh"

#include <algorithm>

namespace maskmill::cuda {
namespace {

#ifdef MASKMILL_CUDA_EMULATED
constexpr unsigned kPairThreads = 64;  // a fiber costs more than what it does here
constexpr int64_t kManyRuns = 8;       // so that small masks are large ones, too
constexpr size_t kEnoughBlocks = 8;
#else
constexpr unsigned kPairThreads = kThreads;
constexpr int64_t kManyRuns = 1024;
constexpr size_t kEnoughBlocks = 1024;
#endif

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

// Of the pixels in common of mask i of a and mask j of b, the share of one of `lanes` threads.
__device__ __forceinline__ uint64_t common_pixels(const Shapes& a, size_t i, const Shapes& b, size_t j, int64_t height,
                                                  unsigned lane, unsigned lanes) {
    const double *const p = a.boxes + 4 * i, *const q = b.boxes + 4 * j;
    const double x0 = p[0] > q[0] ? p[0] : q[0];
    const double x1 = p[0] + p[2] < q[0] + q[2] ? p[0] + p[2] : q[0] + q[2];
    const auto walk = [&](const Shapes& walked, size_t k, const Shapes& other, size_t l) {
        const RunRange runs = runs_in_columns(walked, k, x0, x1, height);
        return common_of_runs(walked, k, runs.first + 2 * int64_t{lane}, runs.last, 2 * int64_t{lanes}, other, l);
    };
    return a.runs(i) <= b.runs(j) ? walk(a, i, b, j) : walk(b, j, a, i);
}

// Pairs of one block of threads: tiles of a mask of a and 32 of b, one a warp.
struct PairTiles {
    size_t n, across;  // of all blocks; of a mask of a
    unsigned each;     // of a block

    struct Pair {
        size_t i, j;
    };
    // Of the warp `slot / 32` of this block, lane `slot % 32`; j may be beyond the masks of b.
    __device__ __forceinline__ Pair pair(unsigned slot) const {
        const auto tile = static_cast<int64_t>(size_t{blockIdx.x} * each + slot / 32);
        const int64_t i = quotient(tile, static_cast<int64_t>(across));
        const int64_t first = (tile - i * static_cast<int64_t>(across)) * 32;
        return {static_cast<size_t>(i), static_cast<size_t>(first) + slot % 32};
    }
    __device__ __forceinline__ bool has(unsigned slot) const {
        return slot / 32 < each && size_t{blockIdx.x} * each + slot / 32 < n;
    }
};

// visit(i, j, pixels in common) by the lane of j, which may be b.n or more, where there is nothing.
template <class Visit>
__global__ void __launch_bounds__(kPairThreads, kThreads * 4 / kPairThreads)
    pairs_kernel(Shapes a, Shapes b, const int64_t* sizes, const FaultWord* fault, PairTiles tiles, Visit visit) {
    __shared__ unsigned long long common[kPairThreads];
    __shared__ uint16_t waiting[kPairThreads];  // slots: those of few runs from the front, those of many from the back
    __shared__ unsigned few, many, taken;
    if (*fault != ~FaultWord{0}) return;
    const unsigned slot = threadIdx.x;
    const PairTiles::Pair own = tiles.pair(slot);
    common[slot] = 0;
    if (slot == 0) few = many = taken = 0;
    __syncthreads();
    if (tiles.has(slot) && own.j < b.n && visit.wants(own.i, own.j) &&
        boxes_meet(a.boxes + 4 * own.i, b.boxes + 4 * own.j)) {
        const int64_t in_a = a.runs(own.i), in_b = b.runs(own.j);
        const unsigned at =
            (in_a < in_b ? in_a : in_b) > kManyRuns ? kPairThreads - 1 - atomicAdd(&many, 1u) : atomicAdd(&few, 1u);
        waiting[at] = static_cast<uint16_t>(slot);
    }
    __syncthreads();
    const auto work_on = [&](unsigned which, unsigned lane, unsigned lanes) {
        const PairTiles::Pair pair = tiles.pair(which);
        const uint64_t found = warp_sum(common_pixels(a, pair.i, b, pair.j, sizes[0], lane, lanes));
        if (slot % 32 == 0) atomicAdd(common + which, static_cast<unsigned long long>(found));
    };
    for (unsigned k = 0; k < many; ++k) work_on(waiting[kPairThreads - 1 - k], slot, kPairThreads);
    for (;;) {
        const unsigned next = __shfl_sync(~0u, slot % 32 == 0 ? atomicAdd(&taken, 1u) : 0, 0);
        if (next >= few) break;
        work_on(waiting[next], slot % 32, 32);
    }
    __syncthreads();
    if (tiles.has(slot)) visit(own.i, own.j, common[slot]);
}

template <class Visit>
void visit_pairs(const Shapes& a, const Shapes& b, const int64_t* sizes, Visit visit, const Faults& faults,
                 Queue& queue) {
    const size_t across = (b.n + 31) / 32, n = a.n * across;
    const size_t each = std::clamp<size_t>(n / kEnoughBlocks, 1, kPairThreads / 32);
    const PairTiles tiles{n, across, static_cast<unsigned>(each)};
    launch(pairs_kernel<Visit>, dim3(blocks_for(n, each)), dim3(kPairThreads), 0, queue, a, b, sizes,
           static_cast<const FaultWord*>(faults.word()), tiles, visit);
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

// One block goes down the rows, 32 at a time. `removed` are masks that go whatever is found, `gone` all that do.
__global__ void __launch_bounds__(1024) sweep_kernel(const uint32_t* rows, size_t n, size_t words, uint32_t* removed,
                                                     uint32_t* gone, const FaultWord* fault) {
    __shared__ uint32_t near[32];  // which of 32 masks each of them removes
    if (*fault != ~FaultWord{0}) return;
    for (size_t word = 0; word < words; ++word) {
        const size_t first = word * 32;
        __syncthreads();
        if (threadIdx.x < 32)
            near[threadIdx.x] = first + threadIdx.x < n ? rows[(first + threadIdx.x) * words + word] : 0;
        __syncthreads();
        uint32_t go = removed[word];
#pragma unroll
        for (unsigned k = 0; k < 32; ++k) go |= (go >> k & 1) != 0 ? 0 : near[k];
        if (threadIdx.x == 0) gone[word] = go;
        const uint32_t stay = ~go & (n - first < 32 ? (1u << (n - first)) - 1 : ~0u);
        for (size_t w = word + 1 + threadIdx.x; w < words; w += blockDim.x) {
            uint32_t all = removed[w];
#pragma unroll
            for (unsigned k = 0; k < 32; ++k) all |= (stay >> k & 1) != 0 ? rows[(first + k) * words + w] : 0;
            removed[w] = all;
        }
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
    uint32_t *const removed = queue.take<uint32_t>(words), *const gone = queue.take<uint32_t>(words);
    visit_pairs(masks, masks, side.masks.sizes, WriteRemovals{masks, threshold, rows, words}, faults, queue);
    // Below 0, even those that meet nobody go.
    for_each(queue, words, [=] __device__(size_t w) { removed[w] = !(threshold < 0) ? 0 : w == 0 ? ~1u : ~0u; });
    const unsigned threads = words < 1024 ? static_cast<unsigned>((words + 31) / 32 * 32) : 1024;
    launch(sweep_kernel, dim3(n > 0 ? 1 : 0), dim3(threads), 0, queue, static_cast<const uint32_t*>(rows), n, words,
           removed, gone, static_cast<const FaultWord*>(faults.word()));
    for_each(queue, n, [=] __device__(size_t i) { keep[i] = (gone[i / 32] >> (i % 32) & 1) == 0; });
    const Fault fault = faults.lowest(queue);
    if (fault.kind == 0) return;
    retell(fault, [&] {
        const HostMasks copy(side.masks, side.total, queue);
        Buffer<uint8_t> kept(n);
        maskmill::overlap_nms(copy.rles(), threshold, kept.data());
    });
}

}  // namespace maskmill::cuda
