// Pairs and nearest exemplars: see kernels/hamming_device.inl for the join.
//
// Pairs are written as they are found, in any order, as one number each (8 bytes), then sorted: the order is the host's.
// There is room for a million or twice the codes; only where there are more, all is compared a second time.
#include "kernels/hamming_device.inl"
#include "support/cuda_sort.cuh"

namespace maskmill::cuda {
namespace {

using Number = unsigned long long;

struct PairList {
    Number* keys;  // i << shift | j
    Number* count;
    Number room, limit;
    int shift;
};

template <int W>
__global__ void __launch_bounds__(kJoinThreads) pairs_kernel(const uint64_t* codes, size_t n, const uint64_t* other,
                                                             size_t m, int radius, bool self, Cut cut, PairList list) {
    const size_t tile = blockIdx.x % cut.tiles, begin = blockIdx.x / cut.tiles * cut.slab;
    const size_t end = begin + cut.slab < m ? begin + cut.slab : m;
    if ((self && end <= tile * kRowTile) || *list.count > list.limit) return;
    Rows<W> rows;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
        const size_t i = row_of(tile, r);
        rows.within[r] = i < n ? radius : -1;
        load_row<W>(codes, i < n ? i : 0, rows.words[r]);
    }
    scan_columns<W>(rows, other, begin, end, [&](int r, size_t j, int) {
        const size_t i = row_of(tile, r);
        if (self && j <= i) return;
        const Number at = atomicAdd(list.count, Number{1});
        if (at < list.room) list.keys[at] = Number{i} << list.shift | j;
    });
}

DevicePairs all_pairs(const Codes& a, const Codes& b, int radius, bool self, int64_t limit, Queue& queue) {
    const Cut cut = cut_of(a.n, b.n);
    PairList list{nullptr, queue.take<Number>(1), 0, static_cast<Number>(limit), bits_of(b.n)};
    Number found = std::min<Number>(list.limit, std::max<Number>(1 << 20, 2 * (a.n + b.n)));
    do {
        list.room = found;
        list.keys = queue.take<Number>(list.room);
        fill_bytes(list.count, 0, sizeof(Number), queue);
        with_code_width(a.width, [&](auto w) {
            launch(pairs_kernel<w()>, dim3(cut.blocks()), dim3(kJoinThreads), 0, queue, a.words, a.n, b.words, b.n,
                   radius, self, cut, list);
        });
        found = read(list.count, queue);
        if (found > list.limit) {
            throw std::invalid_argument("more than " + std::to_string(limit) + " pairs are within " +
                                        std::to_string(radius) + " bits");
        }
    } while (found > list.room);
    sort_keys(queue, found, list.keys, bits_of(a.n) + list.shift);
    const Number* const keys = list.keys;
    const DevicePairs out{found, queue.take<int64_t>(found), queue.take<int64_t>(found), queue.take<int64_t>(found)};
    const Codes codes = a, other = b;
    const int shift = list.shift;
    for_each(queue, found, [=] __device__(size_t k) {
        const size_t i = keys[k] >> shift, j = keys[k] & ((Number{1} << shift) - 1);
        const size_t width = static_cast<size_t>(codes.width);
        out.i[k] = static_cast<int64_t>(i);
        out.j[k] = static_cast<int64_t>(j);
        out.distance[k] = code_distance(codes.words + i * width, other.words + j * width, codes.width);
    });
    return out;
}

// Distance above, index below: the least is the first of the nearest.
constexpr Number kNowhere = ~Number{0};

template <int W>
__global__ void __launch_bounds__(kJoinThreads) nearest_kernel(const uint64_t* codes, size_t n, const uint64_t* other,
                                                               size_t m, int radius, Cut cut, Number* best) {
    const size_t tile = blockIdx.x % cut.tiles, begin = blockIdx.x / cut.tiles * cut.slab;
    const size_t end = begin + cut.slab < m ? begin + cut.slab : m;
    Rows<W> rows;
    Number mine[kRows];
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
        const size_t i = row_of(tile, r);
        mine[r] = i < n ? best[i] : 0;
        // What other blocks have found by now spares some work, whatever it is.
        rows.within[r] = i >= n                                        ? -1
                         : mine[r] >> 32 < static_cast<Number>(radius) ? static_cast<int>(mine[r] >> 32)
                                                                       : radius;
        load_row<W>(codes, i < n ? i : 0, rows.words[r]);
    }
    scan_columns<W>(rows, other, begin, end, [&](int r, size_t j, int d) {
        const Number key = static_cast<Number>(d) << 32 | j;
        mine[r] = key < mine[r] ? key : mine[r];
        rows.within[r] = d - 1;
    });
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
        const size_t i = row_of(tile, r);
        if (i < n && mine[r] != kNowhere) atomicMin(best + i, mine[r]);
    }
}

}  // namespace

DevicePairs hamming_pairs(const Codes& codes, const Codes& other, int radius, int64_t limit, Queue& queue) {
    return all_pairs(codes, other, radius, false, limit, queue);
}

DevicePairs hamming_self_pairs(const Codes& codes, int radius, int64_t limit, Queue& queue) {
    return all_pairs(codes, codes, radius, true, limit, queue);
}

void hamming_nearest(const Codes& queries, const Codes& exemplars, int radius, int64_t* index, int64_t* distance,
                     Queue& queue) {
    Number* const best = queue.take<Number>(queries.n);
    fill_bytes(best, 0xff, queries.n * sizeof(Number), queue);
    const Cut cut = cut_of(queries.n, exemplars.n);
    with_code_width(queries.width, [&](auto w) {
        launch(nearest_kernel<w()>, dim3(cut.blocks()), dim3(kJoinThreads), 0, queue, queries.words, queries.n,
               exemplars.words, exemplars.n, radius, cut, best);
    });
    for_each(queue, queries.n, [=] __device__(size_t i) {
        index[i] = best[i] == kNowhere ? -1 : static_cast<int64_t>(best[i] & 0xffffffff);
        distance[i] = best[i] == kNowhere ? -1 : static_cast<int64_t>(best[i] >> 32);
    });
}

}  // namespace maskmill::cuda
