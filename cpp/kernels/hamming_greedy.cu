// Exact greedy exemplars: what the sequential loop keeps, by blocks of items.
//
// What was kept before a block drops from it (the join of kernels/hamming_device.inl, the first exemplar wins). Then a
// matrix of bits tells who of the block is near to whom before it, and one thread block settles it in rounds: an item is
// kept when all that are near and before it are dropped, and dropped when one of them is kept. Each round settles the first
// open item at least, so that it ends; random codes take few rounds, a chain of 1,024 takes 1,024, at about a microsecond.
// How many are kept stays on the device: launches are for as many as there may be, and blocks without work return at once.
// The host waits once, at the end.
#include "kernels/hamming_device.inl"

namespace maskmill::cuda {
namespace {

using Word = unsigned long long;

constexpr size_t kItems = 1024;  // of a block
constexpr size_t kItemWords = kItems / 64;
constexpr unsigned kSettleThreads = 256;
constexpr int kPerThread = kItems / kSettleThreads;

// The exemplars so far; those of `codes` are called by their place among all kept.
struct Kept {
    int64_t* items;
    uint64_t* codes;
    Word* count;
};

// first[i]: the least exemplar within the radius of item i, unless it is known. Items with before[i] are out of the game.
template <int W>
__global__ void __launch_bounds__(kJoinThreads)
    first_kernel(const uint64_t* codes, size_t n, const uint64_t* exemplars, size_t most, const Word* count, int radius,
                 Cut cut, const uint32_t* before, uint32_t* first) {
    const size_t m = count == nullptr ? most : static_cast<size_t>(*count);
    const size_t tile = blockIdx.x % cut.tiles, begin = blockIdx.x / cut.tiles * cut.slab;
    if (begin >= m) return;
    const size_t end = begin + cut.slab < m ? begin + cut.slab : m;
    Rows<W> rows;
    uint32_t mine[kRows];
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
        const size_t i = row_of(tile, r);
        const bool looks = i < n && (before == nullptr || before[i] == kNobody) && first[i] > begin;
        rows.within[r] = looks ? radius : -1;
        mine[r] = kNobody;
        load_row<W>(codes, i < n ? i : 0, rows.words[r]);
    }
    scan_columns<W>(rows, exemplars, begin, end, [&](int r, size_t e, int) {
        mine[r] = static_cast<uint32_t>(e);
        rows.within[r] = -1;
    });
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
        if (mine[r] != kNobody) atomicMin(first + row_of(tile, r), mine[r]);
    }
}

void find_first(const uint64_t* codes, size_t n, int width, const uint64_t* exemplars, size_t most, const Word* count,
                int radius, const uint32_t* before, uint32_t* first, Queue& queue) {
    const Cut cut = cut_of(n, most);
    with_code_width(width, [&](auto w) {
        launch(first_kernel<w()>, dim3(cut.blocks()), dim3(kJoinThreads), 0, queue, codes, n, exemplars, most, count,
               radius, cut, before, first);
    });
}

// Bit j of word w of item i: whether item 64 w + j, which is before i, is near. Words lie [word][item].
template <int W>
void find_near(const uint64_t* codes, size_t n, int radius, Word* near, Queue& queue) {
    for_each(queue, (n + 63) / 64 * n, [=] __device__(size_t k) {
        const size_t i = k % n, word = k / n;
        uint64_t own[W];
        load_row<W>(codes, i, own);
        Word bits = 0;
        for (size_t j = 64 * word; j < 64 * word + 64 && j < i; ++j) {
            bits |= Word{code_distance<W>(own, codes + j * W) <= radius} << (j - 64 * word);
        }
        near[word * kItems + i] = bits;
    });
}

__device__ __forceinline__ uint32_t rank_of(const Word* kept, size_t i) {
    uint32_t rank = 0;
    for (size_t w = 0; w < i / 64; ++w) rank += static_cast<uint32_t>(__popcll(kept[w]));
    return rank + static_cast<uint32_t>(__popcll(kept[i / 64] & ((Word{1} << (i % 64)) - 1)));
}

// One thread block for items [begin, begin + n).
__global__ void __launch_bounds__(kSettleThreads)
    settle_kernel(const uint64_t* codes, size_t begin, size_t n, size_t width, const Word* near, const uint32_t* before,
                  uint32_t* first, Kept kept) {
    __shared__ Word keeps[kItemWords], open[kItemWords];
    const size_t step = blockDim.x;
    const uint32_t so_far = static_cast<uint32_t>(*kept.count);
    for (size_t w = threadIdx.x; w < kItemWords; w += step) keeps[w] = open[w] = 0;
    __syncthreads();
    for (size_t i = threadIdx.x; i < n; i += step) {
        const bool out = (before != nullptr && before[begin + i] != kNobody) || first[begin + i] != kNobody;
        if (!out) atomicOr(open + i / 64, Word{1} << (i % 64));
    }
    __syncthreads();
    for (bool any = true; any;) {
        Word newly_kept[kPerThread] = {}, newly_dropped[kPerThread] = {};
#pragma unroll
        for (int k = 0; k < kPerThread; ++k) {
            const size_t i = threadIdx.x + static_cast<size_t>(k) * step;
            const Word bit = Word{1} << (i % 64);
            if (i >= n || !(open[i / 64] & bit)) continue;
            bool dropped = false, waits = false;
            for (size_t w = 0; w <= i / 64 && !dropped; ++w) {
                const Word those = near[w * kItems + i];
                dropped = (those & keeps[w]) != 0;
                waits |= (those & open[w]) != 0;
            }
            newly_dropped[k] = dropped ? bit : 0;
            newly_kept[k] = dropped || waits ? 0 : bit;
        }
        __syncthreads();
#pragma unroll
        for (int k = 0; k < kPerThread; ++k) {
            const size_t i = threadIdx.x + static_cast<size_t>(k) * step;
            if (newly_kept[k]) atomicOr(keeps + i / 64, newly_kept[k]);
            if (newly_kept[k] | newly_dropped[k]) atomicAnd(open + i / 64, ~(newly_kept[k] | newly_dropped[k]));
        }
        __syncthreads();
        any = false;
        for (size_t w = 0; w < kItemWords; ++w) any |= open[w] != 0;
    }
    for (size_t i = threadIdx.x; i < n; i += step) {
        if ((before != nullptr && before[begin + i] != kNobody) || first[begin + i] != kNobody) continue;
        if (keeps[i / 64] >> (i % 64) & 1) {
            const size_t place = so_far + rank_of(keeps, i);
            kept.items[place] = static_cast<int64_t>(begin + i);
            for (size_t w = 0; w < width; ++w) kept.codes[place * width + w] = codes[i * width + w];
            first[begin + i] = static_cast<uint32_t>(place);
            continue;
        }
        for (size_t w = 0; w <= i / 64; ++w) {
            const Word those = near[w * kItems + i] & keeps[w];
            if (those == 0) continue;
            first[begin + i] =
                so_far + rank_of(keeps, 64 * w + static_cast<size_t>(__ffsll(static_cast<long long>(those))) - 1);
            break;
        }
    }
    if (threadIdx.x == 0) *kept.count = so_far + rank_of(keeps, kItems - 1) + (keeps[kItemWords - 1] >> 63);
}

uint32_t* nobody(size_t n, Queue& queue) {
    uint32_t* const out = queue.take<uint32_t>(n);
    fill_bytes(out, 0xff, n * sizeof(uint32_t), queue);
    return out;
}

}  // namespace

DeviceItems hamming_greedy(const Codes& codes, const Codes& exemplars, int radius, int64_t* leader, int64_t* distance,
                           Queue& queue) {
    const size_t width = static_cast<size_t>(codes.width);
    uint32_t* before = nullptr;
    if (exemplars.n > 0) {
        before = nobody(codes.n, queue);
        find_first(codes.words, codes.n, codes.width, exemplars.words, exemplars.n, nullptr, radius, nullptr, before,
                   queue);
    }
    uint32_t* const first = nobody(codes.n, queue);
    const Kept kept{queue.take<int64_t>(codes.n), queue.take<uint64_t>(codes.n * width), queue.take<Word>(1)};
    fill_bytes(kept.count, 0, sizeof(Word), queue);
    Word* const near = queue.take<Word>(kItems * kItemWords);
    for (size_t begin = 0; begin < codes.n; begin += kItems) {
        const size_t n = std::min(kItems, codes.n - begin);
        const uint64_t* const words = codes.words + begin * width;
        find_first(words, n, codes.width, kept.codes, begin, kept.count, radius,
                   before == nullptr ? nullptr : before + begin, first + begin, queue);
        with_code_width(codes.width, [&](auto w) { find_near<w()>(words, n, radius, near, queue); });
        const unsigned threads =
            n < kItems ? static_cast<unsigned>((n + kPerThread - 1) / kPerThread + 31) / 32 * 32 : kSettleThreads;
        launch(settle_kernel, dim3(1), dim3(threads), 0, queue, words, begin, n, width, near, before, first, kept);
    }
    const Codes items = codes, finished = exemplars;
    for_each(queue, codes.n, [=] __device__(size_t i) {
        const uint64_t* const own = items.words + i * width;
        if (before != nullptr && before[i] != kNobody) {
            leader[i] = -1 - static_cast<int64_t>(before[i]);
            distance[i] = code_distance(own, finished.words + before[i] * width, items.width);
        } else {
            leader[i] = kept.items[first[i]];
            distance[i] = code_distance(own, items.words + static_cast<size_t>(leader[i]) * width, items.width);
        }
    });
    return {static_cast<size_t>(read(kept.count, queue)), kept.items};
}

}  // namespace maskmill::cuda
