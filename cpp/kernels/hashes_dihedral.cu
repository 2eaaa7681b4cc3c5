// The dhashes of turned and mirrored images on a GPU: both small pictures by the resampling that hashes_device.inl tells
// of, which is nearly all of the work, so that they cost two dhashes; then a thread for each word of the codes.
#include "kernels/hashes_device.inl"
#include "kernels/hashes_dihedral.inl"

namespace maskmill::cuda {
namespace {

constexpr size_t kMemory = size_t{256} << 20;  // bytes for what is between the steps of a chunk

void pack_turns(const HashSource& images, const uint8_t* wide, const uint8_t* high, int64_t n, const HashRule& rule,
                uint64_t* codes, Queue& queue) {
    const HashSource from = images;
    const auto words = static_cast<int64_t>(rule.words());
    const int64_t size = rule.size, count = rule.bits(), pixels = size * (size + 1);
    for_each(queue, static_cast<size_t>(n * 8 * words), [=] __device__(size_t e) {
        const int64_t code = static_cast<int64_t>(e) / words, w = static_cast<int64_t>(e) - code * words;
        const int64_t i = code / 8;
        const DihedralPath path = dihedral_path(static_cast<int>(code % 8), size);
        const uint8_t* const first = (path.high ? high : wide) + i * pixels + path.first;
        const int64_t end = count < 64 * w + 64 ? count : 64 * w + 64;
        uint64_t word = 0;
        for (int64_t bit = 64 * w; bit < end; ++bit) {
            const int64_t row = bit / size;
            const uint8_t* const p = first + row * path.down + (bit - row * size) * path.right;
            word |= static_cast<uint64_t>(p[path.right] > p[0]) << (63 - bit % 64);
        }
        codes[(from.at(i).place * 8 + code % 8) * words + w] = word;
    });
}

// Images of one size.
void hash_turns(const HashRule& rule, const HashSource& images, int64_t n, uint64_t* codes, Queue& queue) {
    int64_t height = images.height, width = images.width;
    std::optional<HashResize> crop;
    if (rule.profile == HashProfile::cem) {
        crop.emplace(height, width, rule.crop, rule.crop, Filter::bilinear, rule.regime, queue);
        height = width = rule.crop;
    }
    const HashResize to_wide(height, width, rule.size, rule.size + 1, Filter::lanczos, rule.regime, queue);
    const HashResize to_high(height, width, rule.size + 1, rule.size, Filter::lanczos, rule.regime, queue);
    const bool has_colors = images.channels > 1;
    const size_t between_bytes =
        std::max({crop ? crop->bytes_between() : 0, to_wide.bytes_between(), to_high.bytes_between()});
    const auto pixels = static_cast<size_t>(images.height * images.width);
    const size_t gray_bytes = has_colors ? pixels : 0, crop_bytes = crop ? static_cast<size_t>(height * width) : 0;
    const auto grid = static_cast<size_t>(rule.size * (rule.size + 1));
    const size_t each = gray_bytes + crop_bytes + between_bytes + 2 * grid;
    const size_t chunk = std::min(static_cast<size_t>(n), kMemory / each + 1);
    uint8_t* const gray = queue.take<uint8_t>(chunk * gray_bytes);
    uint8_t* const cropped = queue.take<uint8_t>(chunk * crop_bytes);
    uint8_t* const between = queue.take<uint8_t>(chunk * between_bytes);
    uint8_t* const wide = queue.take<uint8_t>(chunk * grid);
    uint8_t* const high = queue.take<uint8_t>(chunk * grid);
    for (int64_t begin = 0; begin < n; begin += static_cast<int64_t>(chunk)) {
        const int64_t some = std::min(n - begin, static_cast<int64_t>(chunk));
        const HashSource some_images = images.from(begin);
        HashSource from = some_images;
        if (has_colors) {
            make_gray(from, some, gray, queue);
            from = stack_of(gray, images.height, images.width);
        }
        if (crop) {
            (*crop)(from, some, between, cropped, queue);
            from = stack_of(cropped, height, width);
        }
        to_wide(from, some, between, wide, queue);
        to_high(from, some, between, high, queue);
        pack_turns(some_images, wide, high, some, rule, codes, queue);
    }
}

}  // namespace

void hashes_dihedral(const Pixels& first, ptrdiff_t step, size_t n, const HashRule& rule, uint64_t* codes,
                     Queue& queue) {
    if (n == 0) return;
    hash_turns(rule, source_of(first, step), static_cast<int64_t>(n), codes, queue);
}

void hashes_dihedral(std::span<const Pixels> images, const HashRule& rule, uint64_t* codes, Queue& queue) {
    each_size(images, queue, [&](const HashSource& source, int64_t n) { hash_turns(rule, source, n, codes, queue); });
}

}  // namespace maskmill::cuda
