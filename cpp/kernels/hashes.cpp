#include "kernels/hashes.hpp"

#include <bit>
#include <numeric>
#include <vector>

#include "support/parallel.hpp"

namespace maskmill {

ImageSize hashes_grid_size(const HashRule& rule, ImageSize image) {
    const int64_t n = rule.size;
    switch (rule.kind) {
        case HashKind::ahash: return {n, n};
        case HashKind::dhash: return {n, n + 1};
        case HashKind::dhash_v: return {n + 1, n};
        case HashKind::phash:
        case HashKind::phash_simple: return {4 * n, 4 * n};
        case HashKind::whash: break;
    }
    if (rule.profile == HashProfile::imagededup) return {32 * n, 32 * n};
    const auto side = static_cast<uint64_t>(std::min(image.height, image.width));
    const int64_t s = std::max(n, static_cast<int64_t>(std::bit_floor(side)));
    return {s, s};
}

Hasher::Hasher(const HashRule& rule, ImageSize image) : rule_(rule), image_(image) {
    ImageSize from = image;
    if (rule.profile == HashProfile::cem) {
        from = {rule.crop, rule.crop};
        if (image != from) {
            crop_.emplace(image.height, image.width, rule.crop, rule.crop, Filter::bilinear, rule.regime);
        }
    }
    grid_ = hashes_grid_size(rule, from);
    if (rule.profile != HashProfile::opencv) {
        resize_.emplace(from.height, from.width, grid_.height, grid_.width, Filter::lanczos, rule.regime);
    }
    if (rule.kind == HashKind::phash || rule.kind == HashKind::phash_simple) dct_.emplace(rule);
}

void Hasher::operator()(Pixels image, uint64_t* code, HashMemory& memory) const {
    const auto pixels = static_cast<size_t>(grid_.height * grid_.width);
    memory.grid.resize(pixels);
    if (rule_.profile == HashProfile::opencv) {
        hashes_opencv_grid(image, grid_.height, memory.grid.data());
        from_grid(memory.grid.data(), code, memory);
        return;
    }
    if (rule_.profile == HashProfile::imagededup && image.channels > 1) {
        memory.crop.resize(3 * pixels);
        for (int c = 0; c < 3; ++c) (*resize_)(image, memory.crop.data() + c * pixels, memory.resize, c);
        hashes_gray({memory.crop.data(), grid_.height, grid_.width, grid_.width, 1, static_cast<ptrdiff_t>(pixels), 3},
                    memory.grid.data());
        from_grid(memory.grid.data(), code, memory);
        return;
    }
    if (image.channels > 1) {
        memory.gray.resize(static_cast<size_t>(image.height * image.width));
        hashes_gray(image, memory.gray.data());
        image = {memory.gray.data(), image.height, image.width, image.width, 1};
    }
    if (crop_) {
        memory.crop.resize(static_cast<size_t>(rule_.crop * rule_.crop));
        (*crop_)(image, memory.crop.data(), memory.resize);
        image = {memory.crop.data(), rule_.crop, rule_.crop, rule_.crop, 1};
    }
    (*resize_)(image, memory.grid.data(), memory.resize);
    from_grid(memory.grid.data(), code, memory);
}

void Hasher::from_grid(const uint8_t* grid, uint64_t* code, HashMemory& memory) const {
    const int64_t n = rule_.size, bits = rule_.bits();
    memory.bits.resize(static_cast<size_t>(bits));
    uint8_t* bit = memory.bits.data();
    switch (rule_.kind) {
        case HashKind::ahash: {
            const int64_t sum = std::accumulate(grid, grid + bits, int64_t{0});
            const int64_t least = ahash_limit(rule_.profile, bits, sum);
            for (int64_t i = 0; i < bits; ++i) bit[i] = grid[i] * bits >= least;
            break;
        }
        case HashKind::dhash:
            for (int64_t r = 0; r < n; ++r, ++grid) {
                for (int64_t c = 0; c < n; ++c, ++grid) *bit++ = grid[1] > grid[0];
            }
            break;
        case HashKind::dhash_v:
            for (int64_t i = 0; i < bits; ++i) bit[i] = grid[i + n] > grid[i];
            break;
        case HashKind::phash:
        case HashKind::phash_simple: (*dct_)(grid, memory); break;
        case HashKind::whash: hashes_whash_bits(grid, grid_.width, rule_, memory); break;
    }
    bit = memory.bits.data();
    std::fill_n(code, rule_.words(), 0);
    for (int64_t i = 0; i < bits; ++i) code[i / 64] |= static_cast<uint64_t>(bit[i]) << (63 - i % 64);
}

void hashes_gray(const Pixels& image, uint8_t* out) {
    for (int64_t y = 0; y < image.height; ++y) {
        const uint8_t* p = image.data + y * image.row;
        for (int64_t x = 0; x < image.width; ++x, p += image.column) {
            const uint32_t r = p[0], g = p[image.channel], b = p[2 * image.channel];
            *out++ = static_cast<uint8_t>((19595 * r + 38470 * g + 7471 * b + 32768) >> 16);
        }
    }
}

// By size, so that weights are made once per size.
void hashes_images(std::span<const Pixels> images, const HashRule& rule, uint64_t* codes) {
    const size_t n = images.size();
    if (n == 0) return;
    std::vector<size_t> order(n);
    std::iota(order.begin(), order.end(), size_t{0});
    const auto size = [&](size_t i) { return ImageSize{images[i].height, images[i].width}; };
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return size(a) < size(b); });
    const Hasher first(rule, size(order[0]));
    const ImageSize middle = size(order[n / 2]);
    const auto grain = (int64_t{1} << 20) / (middle.height * middle.width + 1) + 1;
    parallel_for(n, static_cast<size_t>(grain), [&](size_t begin, size_t end) {
        HashMemory memory;
        std::optional<Hasher> own;
        for (size_t k = begin; k < end; ++k) {
            const size_t i = order[k];
            const Hasher* hasher = &first;
            if (first.image() != size(i)) {
                if (!own || own->image() != size(i)) own.emplace(rule, size(i));
                hasher = &*own;
            }
            (*hasher)(images[i], codes + i * rule.words(), memory);
        }
    });
}

}  // namespace maskmill
