// The dhashes of an image under the eight turns and mirrorings of a square, from two small pictures.
#include <algorithm>
#include <optional>

#include "kernels/hashes.hpp"
#include "kernels/hashes_dihedral.inl"
#include "support/parallel.hpp"

namespace maskmill {
namespace {

// Both pictures of images of one size.
class Grids {
  public:
    Grids(const HashRule& rule, int64_t height, int64_t width) : rule_(rule), height_(height), width_(width) {
        int64_t h = height, w = width;
        if (rule.profile == HashProfile::cem) {
            h = w = rule.crop;
            crop_.emplace(height, width, h, w, Filter::bilinear, rule.regime);
        }
        wide_.emplace(h, w, rule.size, rule.size + 1, Filter::lanczos, rule.regime);
        high_.emplace(h, w, rule.size + 1, rule.size, Filter::lanczos, rule.regime);
    }

    bool is_for(const Pixels& image) const { return image.height == height_ && image.width == width_; }

    void operator()(Pixels image, HashMemory& memory, uint8_t* wide, uint8_t* high) const {
        if (image.channels > 1) {
            memory.gray.resize(static_cast<size_t>(height_ * width_));
            hashes_gray(image, memory.gray.data());
            image = {memory.gray.data(), height_, width_, static_cast<ptrdiff_t>(width_), 1};
        }
        if (crop_) {
            memory.crop.resize(static_cast<size_t>(rule_.crop * rule_.crop));
            (*crop_)(image, memory.crop.data(), memory.resize);
            image = {memory.crop.data(), rule_.crop, rule_.crop, static_cast<ptrdiff_t>(rule_.crop), 1};
        }
        (*wide_)(image, wide, memory.resize);
        (*high_)(image, high, memory.resize);
    }

  private:
    HashRule rule_;
    int64_t height_, width_;
    std::optional<Resize> crop_, wide_, high_;
};

// The dhash of the picture whose pixel (r, c), c <= size, is first[r * down + c * right].
void differences(const uint8_t* first, ptrdiff_t down, ptrdiff_t right, int64_t size, size_t words, uint64_t* code) {
    std::fill_n(code, words, uint64_t{0});
    for (int64_t r = 0, bit = 0; r < size; ++r) {
        const uint8_t* p = first + r * down;
        for (int64_t c = 0; c < size; ++c, p += right, ++bit) {
            code[bit / 64] |= static_cast<uint64_t>(p[right] > p[0]) << (63 - bit % 64);
        }
    }
}

}  // namespace

void hashes_dihedral(std::span<const Pixels> images, const HashRule& rule, uint64_t* codes) {
    const size_t words = rule.words();
    const int64_t n = rule.size;
    parallel_for(images.size(), 4, [&](size_t begin, size_t end) {
        HashMemory memory;
        std::optional<Grids> grids;
        Buffer<uint8_t> wide(static_cast<size_t>(n * (n + 1))), high(static_cast<size_t>(n * (n + 1)));
        for (size_t i = begin; i < end; ++i) {
            if (!grids || !grids->is_for(images[i])) grids.emplace(rule, images[i].height, images[i].width);
            (*grids)(images[i], memory, wide.data(), high.data());
            uint64_t* code = codes + i * 8 * words;
            for (int k = 0; k < 8; ++k, code += words) {
                const DihedralPath path = dihedral_path(k, n);
                const uint8_t* picture = path.high ? high.data() : wide.data();
                differences(picture + path.first, path.down, path.right, n, words, code);
            }
        }
    });
}

}  // namespace maskmill
