// ImageHash's colorhash on a GPU.
//
// Floor     One read of the pixels; a pixel's class takes about 120 instructions, ten of them in double, of which a
//           processor of an H200 starts 64 lanes a clock: 1,000 instructions for eight pixels, 0.2 T pixels/s.
// Design    A block counts 16,384 pixels of an image, a thread 64 of them, in bytes of two words; warps add up theirs, and
//           one lane adds them to the image's counters: 120 atomic additions a block.
#include "kernels/hashes_color_parts.inl"
#include "kernels/hashes_device.inl"

namespace maskmill::cuda {
namespace {

using Count = unsigned long long;

constexpr int kColorThreads = 256, kPixelsEach = 64;
constexpr int64_t kPixels = int64_t{kColorThreads} * kPixelsEach;  // of a block

// counts: (images, 15).
__global__ void __launch_bounds__(kColorThreads) count_kernel(HashSource images, int64_t parts, Count* counts) {
    const int64_t i = blockIdx.x / parts, begin = (blockIdx.x - i * parts) * kPixels;
    const HashItem item = images.at(i);
    uint64_t low = 0, high = 0;  // of classes 0 .. 7 and 8 .. 14, a byte each
    for (int k = 0; k < kPixelsEach; ++k) {
        const int64_t e = begin + k * kColorThreads + threadIdx.x;
        if (e >= images.height * images.width) break;
        const int64_t y = e / images.width;
        const uint8_t* const p = item.data + y * item.row + (e - y * images.width) * item.column;
        const int found = images.channels == 1 ? (p[0] < 32 ? kColorBlack : kColorGray)
                                               : color_class(p[0], p[item.channel], p[2 * item.channel]);
        const uint64_t one = uint64_t{1} << (found % 8 * 8);
        low += found < 8 ? one : 0;
        high += found < 8 ? 0 : one;
    }
    constexpr uint64_t kEven = 0x00ff00ff00ff00ff;  // bytes with room for the sum of a warp
    const uint64_t sums[4] = {warp_sum(low & kEven), warp_sum(low >> 8 & kEven), warp_sum(high & kEven),
                              warp_sum(high >> 8 & kEven)};
    if (threadIdx.x % 32 != 0) return;
    MASKMILL_UNROLL
    for (int c = 0; c < kColorClasses; ++c) {
        const Count n = sums[c / 8 * 2 + c % 2] >> (c % 8 / 2 * 16) & 0xffff;
        if (n > 0) atomicAdd(counts + i * kColorClasses + c, n);
    }
}

// Images of one size.
void hash_colors(const HashSource& images, int64_t n, int bits, uint64_t* codes, Queue& queue) {
    const HashSource from = images;
    const int64_t pixels = images.height * images.width, parts = (pixels + kPixels - 1) / kPixels;
    Count* const counts = queue.take<Count>(static_cast<size_t>(n * kColorClasses));
    fill_bytes(counts, 0, static_cast<size_t>(n * kColorClasses) * sizeof(Count), queue);
    launch(count_kernel, dim3(blocks_for(static_cast<size_t>(n * parts), 1)), dim3(kColorThreads), 0, queue, from,
           parts, counts);
    const int64_t words = (kColorParts * bits + 63) / 64;
    for_each(queue, static_cast<size_t>(n * words), [=] __device__(size_t e) {
        const int64_t i = static_cast<int64_t>(e) / words, w = static_cast<int64_t>(e) - i * words;
        uint64_t word = 0;
        for (int64_t at = 64 * w; at < 64 * w + 64 && at < kColorParts * bits; ++at) {
            const int64_t k = at / bits;
            const int64_t part = color_part(counts + i * kColorClasses, pixels, bits, static_cast<int>(k));
            const bool digit = color_digit(part, bits, static_cast<int>(at - k * bits));
            word |= static_cast<uint64_t>(digit) << (63 - at % 64);
        }
        codes[from.at(i).place * words + w] = word;
    });
}

}  // namespace

void hashes_colorhash(const Pixels& first, ptrdiff_t step, size_t n, int bits, uint64_t* codes, Queue& queue) {
    if (n > 0) hash_colors(source_of(first, step), static_cast<int64_t>(n), bits, codes, queue);
}

void hashes_colorhash(std::span<const Pixels> images, int bits, uint64_t* codes, Queue& queue) {
    each_size(images, queue, [&](const HashSource& source, int64_t n) { hash_colors(source, n, bits, codes, queue); });
}

}  // namespace maskmill::cuda
