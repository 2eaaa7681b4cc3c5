// Planes whose neighbours in memory are slices (axis 2 in C order): tiles of 64 slices by 64 or 128 columns of a row are
// turned in shared memory, so that both sides see runs of neighbours.
//
// Floor     One read and one write, as for all patches: 0.47 ms a GB at 4.3 TB/s; 60 % of that are 0.78 ms.
// Design    Where elements are smaller than 4 bytes and slices follow each other, all words are: a thread reads 4 columns
//           of 4 slices (of bytes; 2 of 2 for 16 bits) in 4 loads, turns them by 8 byte permutations, and writes rows of
//           4 columns, 128 bytes a warp. 32 bytes a thread are under way before the first is used. With what is done once
//           a thread it is about 180 instructions for 32 bytes: 0.2 ms of instruction issue a GB (132 SMs, 4 a clock,
//           1.7 GHz). Other slices, or places that no word begins at, are read element by element and still written as
//           words where widths allow it: 16 loads under way, twice the instructions.
#include "kernels/patches_device.inl"

namespace maskmill::cuda {
namespace {

constexpr int kDeep = 64;  // slices of a tile
#ifdef MASKMILL_CUDA_EMULATED
constexpr int kTurnThreads = 64;  // a fiber costs more than what it does here
#else
constexpr int kTurnThreads = 256;
#endif

template <class T>
constexpr int kColumns = sizeof(T) == 1 ? 128 : 64;  // of a tile
template <class T>
constexpr int kPacked = sizeof(T) < 4 ? 4 / sizeof(T) : 1;  // elements of a word

// A job is a tile of a row of a patch: tiles beside each other are neighbouring jobs, then those of other slices, then
// rows, then patches.
struct TurnJobs {
    PlaneAxes axes;
    const uint8_t* data;
    const int64_t *tiles, *slices;
    int64_t n_slices, h, w;
    Divisor across, along, rows;
    uint8_t* out;

    struct Job {
        int64_t column, slice, row, tile;
    };
    MASKMILL_HD Job job(int64_t k) const {
        const int64_t a = across(k), b = along(a), c = rows(b);
        return {k - a * static_cast<int64_t>(across.by), a - b * static_cast<int64_t>(along.by),
                b - c * static_cast<int64_t>(rows.by), c};
    }
};

// P words of V slices, of a column each, become V words of P columns; with V = 1, P elements one word.
template <class T, int P, int V, class Word>
__device__ __forceinline__ void turn_words(const Word* read, Word* words) {
    if constexpr (V == 4) {
        const uint32_t ab = __byte_perm(read[0], read[1], 0x5140), cd = __byte_perm(read[2], read[3], 0x5140);
        const uint32_t ab_behind = __byte_perm(read[0], read[1], 0x7362),
                       cd_behind = __byte_perm(read[2], read[3], 0x7362);
        words[0] = __byte_perm(ab, cd, 0x5410);
        words[1] = __byte_perm(ab, cd, 0x7632);
        words[2] = __byte_perm(ab_behind, cd_behind, 0x5410);
        words[3] = __byte_perm(ab_behind, cd_behind, 0x7632);
    } else if constexpr (V == 2) {
        words[0] = __byte_perm(read[0], read[1], 0x5410);
        words[1] = __byte_perm(read[0], read[1], 0x7632);
    } else {
        words[0] = read[0];
#pragma unroll
        for (int q = 1; q < P; ++q) {
            words[0] = static_cast<Word>(words[0] | read[q] << (8 * static_cast<int>(sizeof(T)) * q));
        }
    }
}

template <class T, int P, int V>
__global__ void __launch_bounds__(kTurnThreads) turn_kernel(TurnJobs jobs) {
    using Word = std::conditional_t<P == 1, T, uint32_t>;
    constexpr int kWords = kColumns<T> / P, kLanes = kDeep / V;
    constexpr int kBeside = kTurnThreads / kLanes;                 // words that are read side by side
    constexpr int kBatch = V == 4 ? 2 : 4;                         // of a thread, before one is used
    constexpr int kGap = sizeof(Word) < 4 ? 4 / sizeof(Word) : 1;  // so that a column lies in all banks
    static_assert(kWords % (kBeside * kBatch) == 0 && kTurnThreads % kLanes == 0);
    __shared__ Word turned[kDeep][kWords + kGap];
    const TurnJobs::Job job = jobs.job(blockIdx.x);
    const int64_t c0 = job.column * kColumns<T>, s0 = job.slice * kDeep;
    const int words = (jobs.w - c0 < kColumns<T> ? static_cast<int>(jobs.w - c0) : kColumns<T>) / P;
    const int deep = jobs.n_slices - s0 < kDeep ? static_cast<int>(jobs.n_slices - s0) : kDeep;
    const int s = static_cast<int>(threadIdx.x) % kLanes * V, first = static_cast<int>(threadIdx.x) / kLanes;
    if (s < deep) {
        const int64_t* const tile = jobs.tiles + 4 * job.tile;
        const int64_t word_step = P * jobs.axes.column_step;
        const uint8_t* const row = jobs.data + (tile[0] + job.row) * jobs.axes.row_step +
                                   (tile[2] + c0) * jobs.axes.column_step + jobs.slices[s0 + s] * jobs.axes.slice_step;
#pragma unroll 1
        for (int at = first; at < words; at += kBeside * kBatch) {
            Word read[kBatch][P], held[V];
#pragma unroll
            for (int k = 0; k < kBatch; ++k) {
                // Behind the last word: the last word once more, so that all loads can be begun at once.
                const int c = at + k * kBeside < words ? at + k * kBeside : words - 1;
                const uint8_t* p = row + c * word_step;
#pragma unroll
                for (int q = 0; q < P; ++q, p += jobs.axes.column_step) {
                    read[k][q] = load_as<std::conditional_t<V == 1, T, Word>>(p);
                }
            }
#pragma unroll
            for (int k = 0; k < kBatch; ++k) {
                turn_words<T, P, V>(read[k], held);
#pragma unroll
                for (int v = 0; v < V; ++v) turned[s + v][at + k * kBeside] = held[v];
            }
        }
    }
    __syncthreads();
    constexpr int kWriters = kTurnThreads < kWords ? kTurnThreads : kWords, kAbove = kTurnThreads / kWriters;
    const int64_t plane = jobs.h * (jobs.w / P);
    const int line = static_cast<int>(threadIdx.x) / kWriters, column = static_cast<int>(threadIdx.x) % kWriters;
    Word* to = reinterpret_cast<Word*>(jobs.out) + (job.tile * jobs.n_slices + s0 + line) * plane +
               (job.row * jobs.w + c0) / P;
    for (int k = line; k < deep; k += kAbove, to += kAbove * plane) {
#pragma unroll
        for (int c = column; c < kWords; c += kWriters) {
            if (c < words) to[c] = turned[k][c];
        }
    }
}

template <class T, int P, int V>
bool turn_by(TurnJobs jobs, size_t n_tiles, Queue& queue) {
    const int64_t across = (jobs.w + kColumns<T> - 1) / kColumns<T>, along = (jobs.n_slices + kDeep - 1) / kDeep;
    jobs.across = Divisor(across);
    jobs.along = Divisor(along);
    jobs.rows = Divisor(jobs.h);
    launch(turn_kernel<T, P, V>, dim3(blocks_for(static_cast<size_t>(across * along * jobs.h) * n_tiles, 1)),
           dim3(kTurnThreads), 0, queue, jobs);
    return true;
}

// Whether the slices follow each other in memory, in whole words that begin where words do.
bool are_words(const PatchArray& volume, const PlaneAxes& axes, const PatchPlanes& planes) {
    const int64_t packed = 4 / volume.itemsize;
    if (axes.slice_step != volume.itemsize || planes.slices[0] % packed != 0) return false;
    if (planes.n_slices % static_cast<size_t>(packed) != 0) return false;
    for (size_t s = 1; s < planes.n_slices; ++s) {
        if (planes.slices[s] != planes.slices[s - 1] + 1) return false;
    }
    return (reinterpret_cast<uintptr_t>(volume.data) | static_cast<uintptr_t>(axes.row_step) |
            static_cast<uintptr_t>(axes.column_step)) %
               4 ==
           0;
}

template <class T>
bool turn(const PatchArray& volume, const PatchPlanes& planes, const TurnJobs& jobs, Queue& queue) {
    if constexpr (kPacked<T> > 1) {
        if (jobs.w % kPacked<T> == 0 && reinterpret_cast<uintptr_t>(jobs.out) % 4 == 0) {
            if (are_words(volume, jobs.axes, planes)) {
                return turn_by<T, kPacked<T>, kPacked<T>>(jobs, planes.n_tiles, queue);
            }
            return turn_by<T, kPacked<T>, 1>(jobs, planes.n_tiles, queue);
        }
    }
    return turn_by<T, 1, 1>(jobs, planes.n_tiles, queue);
}

}  // namespace

bool turn_planes(const PatchArray& volume, const PatchPlanes& planes, const int64_t* tiles, const int64_t* slices,
                 uint8_t* out, Queue& queue) {
    constexpr size_t kPays = 8;  // slices: a tile reads whole sectors of memory from 8 elements of 4 bytes on
    const PlaneAxes axes = plane_axes(volume, planes.axis);
    uint64_t all = reinterpret_cast<uintptr_t>(volume.data) | reinterpret_cast<uintptr_t>(out);
    for (const int64_t step : volume.strides) all |= static_cast<uint64_t>(step);
    if (planes.n_slices < kPays || std::abs(axes.slice_step) >= std::abs(axes.column_step) ||
        all % static_cast<uint64_t>(volume.itemsize) != 0) {
        return false;
    }
    const TurnJobs jobs{axes,
                        volume.data,
                        tiles,
                        slices,
                        static_cast<int64_t>(planes.n_slices),
                        planes.tiles[1] - planes.tiles[0],
                        planes.tiles[3] - planes.tiles[2],
                        {},
                        {},
                        {},
                        out};
    switch (volume.itemsize) {
        case 1: return turn<uint8_t>(volume, planes, jobs, queue);
        case 2: return turn<uint16_t>(volume, planes, jobs, queue);
        case 4: return turn<uint32_t>(volume, planes, jobs, queue);
        case 8: return turn<uint64_t>(volume, planes, jobs, queue);
        default: return false;
    }
}

}  // namespace maskmill::cuda
