#include "kernels/hashes.hpp"

#include <bit>
#include <numeric>
#include <optional>
#include <vector>

#include "support/parallel.hpp"

namespace maskmill {
namespace {

struct Size {
    int64_t height, width;
    bool operator==(const Size&) const = default;
};

// The small picture whose pixels decide the bits.
Size grid_size(const HashRule& rule, Size image) {
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

// Hashes images of one size; may be used by many threads at once.
class Hasher {
  public:
    Hasher(const HashRule& rule, Size image) : rule_(rule), image_(image) {
        Size from = image;
        if (rule.profile == HashProfile::cem) {
            from = {rule.crop, rule.crop};
            if (image != from) crop_.emplace(image.height, image.width, rule.crop, rule.crop, Filter::bilinear, rule.regime);
        }
        grid_ = grid_size(rule, from);
        resize_.emplace(from.height, from.width, grid_.height, grid_.width, Filter::lanczos, rule.regime);
        if (rule.kind == HashKind::phash || rule.kind == HashKind::phash_simple) dct_.emplace(rule);
    }

    bool is_for(Size image) const { return image == image_; }

    void operator()(const Pixels& image, uint64_t* code, HashMemory& memory) const {
        reduce(image, memory);
        from_grid(code, memory);
    }

  private:
    void reduce(Pixels image, HashMemory& memory) const {
        const auto pixels = static_cast<size_t>(grid_.height * grid_.width);
        if (rule_.profile == HashProfile::imagededup && image.channels > 1) {
            memory.crop.resize(3 * pixels);
            for (int c = 0; c < 3; ++c) (*resize_)(image, memory.crop.data() + c * pixels, memory.resize, c);
            memory.grid.resize(pixels);
            hashes_gray({memory.crop.data(), grid_.height, grid_.width, grid_.width, 1,
                         static_cast<ptrdiff_t>(pixels), 3},
                        memory.grid.data());
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
        memory.grid.resize(pixels);
        (*resize_)(image, memory.grid.data(), memory.resize);
    }

    void from_grid(uint64_t* code, HashMemory& memory) const {
        const uint8_t* grid = memory.grid.data();
        const int64_t n = rule_.size, bits = rule_.bits();
        memory.bits.resize(static_cast<size_t>(bits));
        uint8_t* bit = memory.bits.data();
        switch (rule_.kind) {
            case HashKind::ahash: {
                const int64_t sum = std::accumulate(grid, grid + bits, int64_t{0});
                const int64_t least = rule_.profile == HashProfile::imagededup ? 0 : 1;
                for (int64_t i = 0; i < bits; ++i) bit[i] = grid[i] * bits >= sum + least;
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

    HashRule rule_;
    Size image_, grid_;
    std::optional<Resize> crop_, resize_;
    std::optional<DctBits> dct_;
};

// Images by size, so that weights are made once per size: `image(i)` views the i-th, for codes + i * words.
template <class View>
void hash_all(size_t n, const HashRule& rule, uint64_t* codes, const View& image) {
    std::vector<size_t> order(n);
    std::iota(order.begin(), order.end(), size_t{0});
    const auto size = [&](size_t i) { return Size{image(i).height, image(i).width}; };
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
        const Size p = size(a), q = size(b);
        return p.height != q.height ? p.height < q.height : p.width < q.width;
    });
    if (n == 0) return;
    const Hasher first(rule, size(order[0]));
    const auto pixels = static_cast<size_t>(size(order[n / 2]).height * size(order[n / 2]).width);
    parallel_for(n, (size_t{1} << 20) / (pixels + 1) + 1, [&](size_t begin, size_t end) {
        HashMemory memory;
        std::optional<Hasher> own;
        for (size_t k = begin; k < end; ++k) {
            const size_t i = order[k];
            const Hasher* hasher = &first;
            if (!first.is_for(size(i))) {
                if (!own || !own->is_for(size(i))) own.emplace(rule, size(i));
                hasher = &*own;
            }
            (*hasher)(image(i), codes + i * rule.words(), memory);
        }
    });
}

}  // namespace

void hashes_gray(const Pixels& image, uint8_t* out) {
    for (int64_t y = 0; y < image.height; ++y) {
        const uint8_t* p = image.data + y * image.row;
        for (int64_t x = 0; x < image.width; ++x, p += image.column) {
            const uint32_t r = p[0], g = p[image.channel], b = p[2 * image.channel];
            *out++ = static_cast<uint8_t>((19595 * r + 38470 * g + 7471 * b + 32768) >> 16);
        }
    }
}

void hashes_images(std::span<const Pixels> images, const HashRule& rule, uint64_t* codes) {
    hash_all(images.size(), rule, codes, [&](size_t i) -> const Pixels& { return images[i]; });
}

void hashes_planes(const Voxels& volume, int axis, std::span<const int64_t> tiles, std::span<const int64_t> slices,
                   const HashRule& rule, uint64_t* codes) {
    const int rows = axis == 0 ? 1 : 0, columns = axis == 2 ? 1 : 2;
    const ptrdiff_t row = volume.strides[rows], column = volume.strides[columns];
    hash_all(tiles.size() / 4 * slices.size(), rule, codes, [&](size_t i) {
        const int64_t* tile = tiles.data() + i / slices.size() * 4;
        const uint8_t* slice = volume.data + slices[i % slices.size()] * volume.strides[axis];
        return Pixels{slice + tile[0] * row + tile[2] * column, tile[1] - tile[0], tile[3] - tile[2], row, column};
    });
}

}  // namespace maskmill
