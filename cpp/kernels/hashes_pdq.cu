// PDQ on a GPU: a block for each image, from its bytes to its codes.
//
// Floor     One read of the pixels: at 4.3 TB/s 1.4 T pixels/s of colour, 86 M gray patches of 224 x 224 a second.
//           The four filters are running sums in the reference's order, two dependent additions a step, and all of
//           their means are divisions: of about 60 instructions a pixel, an H200 (132 processors of 128 lanes at 1.7
//           GHz) starts enough for 0.48 T pixels/s.
// Design    hashes_pdq_filters.inl: an image flows through its block in tiles of 32 x 32 pixels; each warp has one
//           task, and each task is a tile behind the one before. Four warps read (a tile ahead of its use, as bytes:
//           any strides), one filters across (a lane for each row), one down (a lane for each column), one across and
//           down again, for the samples alone. What is between them stays in shared memory; only the rows that
//           columns give away later, `window` of them, go through the L2 cache, by way of a warp of its own. Columns
//           of tiles are 33 or 65 floats apart: no bank is asked twice. Divisions are products with inverses and an
//           exact rest (pdq_quotient). Many images, one block each, are what fills a GPU; the biggest ones go first.
//           Gray images of sides up to 256 are filtered without a rounding, and only their samples are read
//           (gathered_kernel).
// Cost      nvcc 13, sm_90: 80 registers, 66 KB of shared memory, three blocks a processor; 40 bytes are spilled
//           before the loops, none in them. By its instructions (SASS) a pixel takes 28 for its three bytes and luma,
//           10 across, 10 down, 8 for the samples, and about 4 for what is kept: 60, so at 70 % of a processor's rate
//           0.33 T pixels/s, 1 TB/s of colours, 160,000 images of 1920 x 1080 a second. A block alone takes about 400
//           clocks for a tile, 0.5 ms for such an image. gathered_kernel: 32 registers, 26 KB, eight blocks a
//           processor. The 64 x 64 pixels take 25 instructions each, their gradients 20, the cosines 205,000 in all:
//           400,000 lanes' instructions an image, 35 M images/s at 70 %. Reckoned, never run on a GPU.
#include <algorithm>
#include <vector>

#include "kernels/hashes_pdq_filters.inl"

namespace maskmill::cuda {
namespace {

constexpr size_t kBlocks = 640;                // of a launch, at most: four for each processor of the GPUs there are
constexpr size_t kMemory = size_t{256} << 20;  // bytes for what they keep, but for the first
constexpr int kSharedWidth = 4096;             // of images whose rings fit into shared memory
// In shared memory: two tiles of long columns, sums of samples, rings.
constexpr int kNarrow = 2 * kLongFloats, kRings = kNarrow + 64 * kLongColumn;
constexpr size_t kShared = (kRings + 2 * 4 * kFloats) * sizeof(float);

// Which kernel takes an image.
enum class Way { gathered, filtered, filtered_wide };

// Without a filter, or with one that rounds nothing, or without a code.
MASKMILL_HD bool is_tiny(const PdqImage& image) { return image.height < kPdqLeastSide || image.width < kPdqLeastSide; }

Way way_of(const PdqImage& image, bool dihedral, size_t most_shared) {
    const bool exact = image.is_gray() && image.height <= kPdqExact && image.width <= kPdqExact;
    // The reference filters such an image only where it also turns it.
    const bool copied = image.height == kPdqSide && image.width == kPdqSide && !dihedral;
    if (exact || copied || is_tiny(image)) return Way::gathered;
    return image.width <= kSharedWidth && kShared <= most_shared ? Way::filtered : Way::filtered_wide;
}

__device__ __forceinline__ void clear(const PdqCodes& to, int64_t place) {
    const int halves = to.dihedral ? 64 : 8, t = static_cast<int>(threadIdx.x);
    if (t < halves) to.codes[place * halves + t] = 0;
    if (t == 0) to.quality[place] = 0;
}

// Pixel (i, k) of an image of 64 x 64, or of a gray one of sides up to 256: see downsample_exactly.
__device__ __forceinline__ float gathered_pixel(const PdqImage& image, PdqLuma luma, int i, int k) {
    if (!image.is_gray()) {
        const uint8_t* const p = image.data + i * image.row + k * image.column;
        return pdq_luma(luma, p[0], p[image.channel], p[2 * image.channel]);
    }
    const int h = image.height, w = image.width;
    const int down = static_cast<int>(pdq_window(h)) - 1, across = static_cast<int>(pdq_window(w)) - 1;
    const int y = static_cast<int>(pdq_sampled(i, h)), x = static_cast<int>(pdq_sampled(k, w));
    uint32_t sum = 0;
    MASKMILL_UNROLL
    for (int a = 0; a < 3; ++a) {
        const int row = y + a * down < h ? y + a * down : h - 1;
        MASKMILL_UNROLL
        for (int b = 0; b < 3; ++b) {
            const int column = x + b * across < w ? x + b * across : w - 1;
            sum += (a % 2 + 1U) * (b % 2 + 1U) * image.data[row * image.row + column * image.column];
        }
    }
    return static_cast<float>(sum) * 0.0625F;
}

__global__ void __launch_bounds__(kPdqThreads) gathered_kernel(PdqImages images, PdqCodes to) {
    MASKMILL_DYNAMIC_SHARED(PdqShared, shared);
    const PdqImage image = images.at(blockIdx.x);
    if (is_tiny(image)) return clear(to, image.place);
    for (int e = static_cast<int>(threadIdx.x); e < 64 * 64; e += kPdqThreads) {
        shared->pixels[e] = gathered_pixel(image, to.luma, e / 64, e % 64);
    }
    pdq_finish(*shared, to, image.place);
}

// All warps of a block together, each in a loop of its own.
__device__ __forceinline__ void turn_over() {
#ifdef __CUDA_ARCH__
    asm volatile("bar.sync 1, %0;" ::"n"(kPdqThreads) : "memory");
#else
    __syncthreads();
#endif
}

// body(tile) in the turns from `first` on, of tiles + 3; `more` turns than there are tiles.
template <class Body>
__device__ __forceinline__ void in_turns(int64_t tiles, int first, int more, Body&& body) {
    for (int64_t turn = 0; turn < tiles + 3; ++turn) {
        if (turn >= first && turn < first + tiles + more) body(turn - first);
        turn_over();
    }
}

// An image's tiles: five warps read, one filters across, one down, one across and down. Each is a tile behind the one
// before it.
template <bool kIsShared>
__device__ __forceinline__ void filter(const PdqImage& image, PdqLuma luma, float* shared, float* memory) {
    const PdqAxis down(image.height), across(image.width);
    const PdqScratch scratch(memory, down, across);
    const int t = static_cast<int>(threadIdx.x), lane = t % 32, warp = t / 32;
    float* const rings = kIsShared ? shared + kRings : scratch.rings;
    const int each = PdqRing::floats_for(across.window);
    for (int e = t; e < 2 * each; e += kPdqThreads) rings[e] = 0;
    __syncthreads();
    const PdqRing first{rings, PdqRing::capacity_for(across.window)}, second{rings + each, first.capacity};
    const int64_t tiles = static_cast<int64_t>(down.tiles) * across.tiles;
    const auto tile = [&](int64_t k) { return shared + k % 2 * kLongFloats; };
    const PdqKept kept{scratch.kept, scratch.width, down.window}, lower{scratch.lower, 64, down.window};
    if (warp == 0) {
        PdqAcross part{across, first};
        in_turns(tiles, 1, 0, [&](int64_t k) { part(lane, tile(k)); });
    } else if (warp == 1) {
        PdqDown part{down, across, scratch.sums, second};
        in_turns(tiles, 2, 0, [&](int64_t k) { part(lane, tile(k)); });
    } else if (warp == 2) {
        PdqSamples part{down, across, lower, second, shared + kNarrow, scratch.taken};
        in_turns(tiles, 3, 0, [&](int64_t) { part(lane); });
    } else if (warp == 3) {
        PdqMemory part{across, kept};
        in_turns(tiles, 1, 1, [&](int64_t k) {
            if (k > 0) part.keep(lane, tile(k - 1));
            if (k < tiles) part.bring(lane, tile(k));
        });
    } else {
        PdqReader part{image, luma, first, lane, warp - 4};
        part.ask();
        in_turns(tiles, 0, 0, [&](int64_t) {
            part.put();
            part.place.advance(across.tiles);
            part.ask();
        });
    }
    __syncthreads();
}

template <bool kIsShared>
__global__ void __launch_bounds__(kPdqThreads, 3)
    filtered_kernel(PdqImages images, unsigned n, PdqCodes to, float* memory, size_t each, unsigned* next) {
    MASKMILL_DYNAMIC_SHARED(float, shared);
    __shared__ unsigned item;
    auto& pixels = *reinterpret_cast<PdqShared*>(shared);
    for (;;) {
        if (threadIdx.x == 0) item = atomicAdd(next, 1U);
        __syncthreads();
        if (item >= n) return;
        float* const own = memory + blockIdx.x * each;
        filter<kIsShared>(images.at(item), to.luma, shared, own);
        // Asked for once more, rather than kept in registers.
        const PdqImage image = images.at(item);
        const PdqAxis down(image.height);
        const PdqScratch scratch(own, down, PdqAxis(image.width));
        for (int e = static_cast<int>(threadIdx.x); e < 64 * 64; e += kPdqThreads) {
            pixels.pixels[e] = down.mean(down.step_of_sample(e / 64, 0))(scratch.taken[e]);
        }
        pdq_finish(pixels, to, image.place);
        __syncthreads();
    }
}

template <bool kIsShared>
void run_filtered(const PdqImages& images, size_t n, size_t each, const PdqCodes& to, Queue& queue) {
    const size_t blocks = std::min({n, kBlocks, kMemory / (each * sizeof(float)) + 1});
    unsigned* const next = queue.take<unsigned>(1);
    fill_bytes(next, 0, sizeof(*next), queue);
    float* const memory = queue.take<float>(blocks * each);
    const size_t bytes = kIsShared ? kShared : std::max(kRings * sizeof(float), sizeof(PdqShared));
    allow_shared(filtered_kernel<kIsShared>, bytes);
    launch(filtered_kernel<kIsShared>, dim3(static_cast<unsigned>(blocks)), dim3(kPdqThreads), bytes, queue, images,
           static_cast<unsigned>(n), to, memory, each, next);
}

// Images of one way.
void run(const PdqImages& images, size_t n, Way way, size_t each, const PdqCodes& to, Queue& queue) {
    if (n == 0) return;
    if (way == Way::gathered) {
        return launch(gathered_kernel, dim3(blocks_for(n, 1)), dim3(kPdqThreads), sizeof(PdqShared), queue, images, to);
    }
    if (n > 0xffffffff - kBlocks) throw std::runtime_error("more images than a GPU takes at a time");
    if (way == Way::filtered) return run_filtered<true>(images, n, each, to, queue);
    run_filtered<false>(images, n, each, to, queue);
}

PdqImage image_of(const Pixels& image, size_t place) {
    if (image.height > 1 << 30 || image.width > 1 << 30) {
        throw std::runtime_error("PDQ on a GPU takes images of sides up to 1073741824");
    }
    return {image.data,
            image.row,
            image.column,
            image.channel,
            static_cast<int64_t>(place),
            static_cast<int32_t>(image.height),
            static_cast<int32_t>(image.width),
            image.channels};
}

size_t floats_of(const PdqImage& image, Way way) {
    return way == Way::gathered ? 0 : PdqScratch::floats_for(image.height, image.width, way == Way::filtered_wide);
}

PdqCodes codes_to(PdqLuma luma, bool dihedral, uint64_t* codes, uint8_t* quality, Queue& queue) {
    constexpr size_t n = 64 * 16;
    float* const cosines = queue.take<float>(n);
    copy_to_device(cosines, pdq_cosines().turned, n * sizeof(float), queue);
    return {cosines, reinterpret_cast<uint32_t*>(codes), quality, dihedral, luma};
}

}  // namespace

void hashes_pdq(const Pixels& first, ptrdiff_t step, size_t n, PdqLuma luma, bool dihedral, uint64_t* codes,
                uint8_t* quality, Queue& queue) {
    if (n == 0) return;
    PdqImages images;
    images.first = image_of(first, 0);
    images.step = step;
    const Way way = way_of(images.first, dihedral, most_shared());
    run(images, n, way, floats_of(images.first, way), codes_to(luma, dihedral, codes, quality, queue), queue);
}

void hashes_pdq(std::span<const Pixels> images, PdqLuma luma, bool dihedral, uint64_t* codes, uint8_t* quality,
                Queue& queue) {
    if (images.empty()) return;
    const PdqCodes to = codes_to(luma, dihedral, codes, quality, queue);
    const size_t most = most_shared();
    std::vector<PdqImage> ways[3];
    for (size_t i = 0; i < images.size(); ++i) {
        const PdqImage image = image_of(images[i], i);
        ways[static_cast<size_t>(way_of(image, dihedral, most))].push_back(image);
    }
    for (const Way way : {Way::gathered, Way::filtered, Way::filtered_wide}) {
        std::vector<PdqImage>& list = ways[static_cast<size_t>(way)];
        const auto pixels = [](const PdqImage& image) { return int64_t{image.height} * image.width; };
        // The biggest first, so that no block is late at the end.
        std::stable_sort(list.begin(), list.end(), [&](const auto& a, const auto& b) { return pixels(a) > pixels(b); });
        size_t each = 0;
        for (const PdqImage& image : list) each = std::max(each, floats_of(image, way));
        PdqImages some;
        PdqImage* const table = queue.take<PdqImage>(list.size());
        if (!list.empty()) copy_to_device(table, list.data(), list.size() * sizeof(PdqImage), queue);
        some.table = table;
        run(some, list.size(), way, each, to, queue);
    }
}

}  // namespace maskmill::cuda
