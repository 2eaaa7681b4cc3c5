// Hashes of images of one size at a time, in chunks whose memory is bounded: gray, small, bits, codes. The work is in the
// first pass of the resizing: hashes_device.inl tells of it.
#include <map>
#include <numeric>
#include <vector>

#include "kernels/hashes_device.inl"

namespace maskmill::cuda {
namespace {

constexpr size_t kMemory = size_t{256} << 20;  // bytes for what is between the steps of a chunk

// The grids (n, side, side) of profile opencv.
void make_opencv_grids(const HashSource& images, int64_t n, int64_t side, const LinearTap* taps, uint8_t* out,
                       Queue& queue) {
    const HashSource from = images;
    for_each(queue, static_cast<size_t>(n * side * side), [=] __device__(size_t k) {
        const int64_t e = static_cast<int64_t>(k), line = e / side, i = line / side;
        const LinearTap row = taps[line - i * side], column = taps[side + e - line * side];
        const HashItem item = from.at(i);
        uint32_t value[3];
        for (int c = 0; c < (from.channels == 1 ? 1 : 3); ++c) {
            const uint8_t* const p = item.data + c * item.channel;
            value[c] = linear_pixel(p + row.first * item.row, p + row.second * item.row, item.column, row, column);
        }
        out[k] = from.channels == 1 ? static_cast<uint8_t>(value[0]) : opencv_gray(value);
    });
}

// dhash, dhash_v and ahash of grids (n, height, width) to bits (n, size * size), a byte each.
void compare_pixels(const HashRule& rule, const uint8_t* grids, int64_t n, uint8_t* bits, Queue& queue) {
    const int64_t size = rule.size, count = rule.bits();
    if (rule.kind == HashKind::ahash) {
        const HashProfile profile = rule.profile;
        for_each(queue, static_cast<size_t>(n), [=] __device__(size_t i) {
            const uint8_t* const grid = grids + static_cast<int64_t>(i) * count;
            int64_t sum = 0;
            for (int64_t k = 0; k < count; ++k) sum += grid[k];
            const int64_t least = ahash_limit(profile, count, sum);
            for (int64_t k = 0; k < count; ++k) bits[static_cast<int64_t>(i) * count + k] = grid[k] * count >= least;
        });
        return;
    }
    const bool down = rule.kind == HashKind::dhash_v;
    const int64_t width = down ? size : size + 1, pixels = size * (size + 1), next = down ? size : 1;
    for_each(queue, static_cast<size_t>(n * count), [=] __device__(size_t k) {
        const int64_t i = static_cast<int64_t>(k) / count, b = static_cast<int64_t>(k) - i * count, y = b / size;
        const uint8_t* const p = grids + i * pixels + y * width + b - y * size;
        bits[k] = p[next] > p[0];
    });
}

void pack_bits(const HashSource& images, const uint8_t* bits, int64_t n, const HashRule& rule, uint64_t* codes,
               Queue& queue) {
    const HashSource from = images;
    const auto words = static_cast<int64_t>(rule.words());
    const int64_t count = rule.bits();
    for_each(queue, static_cast<size_t>(n * words), [=] __device__(size_t k) {
        const int64_t i = static_cast<int64_t>(k) / words, w = static_cast<int64_t>(k) - i * words;
        const int64_t left = count - 64 * w < 64 ? count - 64 * w : 64;
        uint64_t code = 0;
        for (int64_t b = 0; b < left; ++b) code |= static_cast<uint64_t>(bits[i * count + 64 * w + b]) << (63 - b);
        codes[from.at(i).place * words + w] = code;
    });
}

// Hashes images of one size.
class Group {
  public:
    Group(const HashRule& rule, const HashSource& images, Queue& queue);
    void run(int64_t n, uint64_t* codes, Queue& queue);

  private:
    void make_grids(const HashSource& images, int64_t n, Queue& queue);

    HashRule rule_;
    HashSource images_;
    bool gray_first_, gray_last_, crops_ = false;
    ImageSize grid_;
    std::optional<HashResize> crop_, resize_;
    std::optional<HashFrequency> frequency_;
    const LinearTap* taps_ = nullptr;
    size_t between_bytes_ = 0;
    uint8_t *gray_ = nullptr, *cropped_ = nullptr, *between_ = nullptr, *colours_ = nullptr, *grids_ = nullptr,
            *bits_ = nullptr;
    double* memory_ = nullptr;
};

Group::Group(const HashRule& rule, const HashSource& images, Queue& queue) : rule_(rule), images_(images) {
    ImageSize from{images.height, images.width};
    const bool opencv = rule.profile == HashProfile::opencv, dedup = rule.profile == HashProfile::imagededup;
    gray_first_ = images.channels > 1 && !opencv && !dedup;
    gray_last_ = images.channels > 1 && dedup;
    if (rule.profile == HashProfile::cem) {
        const ImageSize crop{rule.crop, rule.crop};
        crops_ = from != crop;
        if (crops_) {
            crop_.emplace(from.height, from.width, rule.crop, rule.crop, Filter::bilinear, rule.regime, queue);
            between_bytes_ = crop_->bytes_between();
        }
        from = crop;
    }
    grid_ = hashes_grid_size(rule, from);
    if (opencv) {
        std::vector<LinearTap> taps;
        for (int64_t o = 0; o < grid_.height; ++o) taps.push_back(hashes_opencv_tap(from.height, grid_.height, o));
        for (int64_t o = 0; o < grid_.width; ++o) taps.push_back(hashes_opencv_tap(from.width, grid_.width, o));
        taps_ = sent(taps.data(), taps.size(), queue);
    } else {
        resize_.emplace(from.height, from.width, grid_.height, grid_.width, Filter::lanczos, rule.regime, queue);
        between_bytes_ = std::max(between_bytes_, resize_->bytes_between());
    }
    const bool compares =
        rule.kind == HashKind::ahash || rule.kind == HashKind::dhash || rule.kind == HashKind::dhash_v;
    if (!compares) frequency_.emplace(rule, grid_.width, queue);
}

void Group::run(int64_t n, uint64_t* codes, Queue& queue) {
    const auto pixels = static_cast<size_t>(images_.height * images_.width);
    const auto grid = static_cast<size_t>(grid_.height * grid_.width), bits = static_cast<size_t>(rule_.bits());
    const auto crop = static_cast<size_t>(rule_.crop * rule_.crop);
    const size_t doubles = frequency_ ? frequency_->doubles() : 0;
    const size_t each = (gray_first_ ? pixels : 0) + (crops_ ? crop : 0) + between_bytes_ +
                        (gray_last_ ? 4 : 1) * grid + bits + doubles * sizeof(double);
    const auto chunk = std::min(static_cast<size_t>(n), kMemory / each + 1);
    if (gray_first_) gray_ = queue.take<uint8_t>(chunk * pixels);
    if (crops_) cropped_ = queue.take<uint8_t>(chunk * crop);
    if (gray_last_) colours_ = queue.take<uint8_t>(3 * chunk * grid);
    if (frequency_) memory_ = queue.take<double>(chunk * doubles);
    between_ = queue.take<uint8_t>(chunk * between_bytes_);
    grids_ = queue.take<uint8_t>(chunk * grid);
    bits_ = queue.take<uint8_t>(chunk * bits);
    for (int64_t begin = 0; begin < n; begin += static_cast<int64_t>(chunk)) {
        const int64_t some = std::min(n - begin, static_cast<int64_t>(chunk));
        const HashSource images = images_.from(begin);
        make_grids(images, some, queue);
        if (frequency_) {
            (*frequency_)(grids_, some, memory_, bits_, queue);
        } else {
            compare_pixels(rule_, grids_, some, bits_, queue);
        }
        pack_bits(images, bits_, some, rule_, codes, queue);
    }
}

void Group::make_grids(const HashSource& images, int64_t n, Queue& queue) {
    if (taps_ != nullptr) return make_opencv_grids(images, n, grid_.height, taps_, grids_, queue);
    if (gray_last_) {
        const int64_t grid = grid_.height * grid_.width;
        for (int c = 0; c < 3; ++c) (*resize_)(images.only(c), n, between_, colours_ + c * n * grid, queue);
        HashSource small = stack_of(colours_, grid_.height, grid_.width);
        small.first.channel = n * grid;
        return make_gray(small, n, grids_, queue);
    }
    HashSource from = images;
    if (gray_first_) {
        make_gray(from, n, gray_, queue);
        from = stack_of(gray_, images.height, images.width);
    }
    if (crops_) {
        (*crop_)(from, n, between_, cropped_, queue);
        from = stack_of(cropped_, rule_.crop, rule_.crop);
    }
    (*resize_)(from, n, between_, grids_, queue);
}

}  // namespace

void make_gray(const HashSource& images, int64_t n, uint8_t* out, Queue& queue) {
    const HashSource from = images;
    for_each(queue, static_cast<size_t>(n * images.height * images.width), [=] __device__(size_t k) {
        const int64_t e = static_cast<int64_t>(k), line = e / from.width, i = line / from.height;
        const HashItem item = from.at(i);
        const uint8_t* const p =
            item.data + (line - i * from.height) * item.row + (e - line * from.width) * item.column;
        out[k] = gray_of(p[0], p[item.channel], p[2 * item.channel]);
    });
}

void hashes_images(const Pixels& first, ptrdiff_t step, size_t n, const HashRule& rule, uint64_t* codes, Queue& queue) {
    if (n == 0) return;
    Group(rule, source_of(first, step), queue).run(static_cast<int64_t>(n), codes, queue);
}

void hashes_images(std::span<const Pixels> images, const HashRule& rule, uint64_t* codes, Queue& queue) {
    each_size(images, queue,
              [&](const HashSource& source, int64_t n) { Group(rule, source, queue).run(n, codes, queue); });
}

// Tiles of one size together. Where slices lie nearer in memory than columns, each byte of a sector belongs to another
// patch: they are hashed at about the same time, and found in the L2.
void hashes_planes(const Voxels& volume, int axis, std::span<const int64_t> tiles, std::span<const int64_t> slices,
                   const HashRule& rule, uint64_t* codes, Queue& queue) {
    const int rows = axis == 0 ? 1 : 0, columns = axis == 2 ? 1 : 2;
    std::map<ImageSize, std::vector<int64_t>> groups;  // tile by tile: its number, first row, first column
    for (size_t t = 0; t < tiles.size() / 4; ++t) {
        const int64_t* const tile = tiles.data() + 4 * t;
        auto& group = groups[{tile[1] - tile[0], tile[3] - tile[2]}];
        group.insert(group.end(), {static_cast<int64_t>(t), tile[0], tile[2]});
    }
    const auto n_slices = static_cast<int64_t>(slices.size());
    if (n_slices == 0) return;
    const int64_t* const where = sent(slices.data(), slices.size(), queue);
    for (const auto& [size, group] : groups) {
        const int64_t* const list = sent(group.data(), group.size(), queue);
        const auto n = static_cast<size_t>(n_slices) * (group.size() / 3);
        HashItem* const items = queue.take<HashItem>(n);
        const uint8_t* const data = volume.data;
        const int64_t slice_step = volume.strides[axis], row_step = volume.strides[rows],
                      column_step = volume.strides[columns];
        for_each(queue, n, [=] __device__(size_t k) {
            const int64_t t = static_cast<int64_t>(k) / n_slices, s = static_cast<int64_t>(k) - t * n_slices;
            const int64_t* const tile = list + 3 * t;
            const uint8_t* const p = data + where[s] * slice_step + tile[1] * row_step + tile[2] * column_step;
            items[k] = {p, row_step, column_step, 0, tile[0] * n_slices + s};
        });
        HashSource source;
        source.first = {nullptr, row_step, column_step, 0, 0};
        source.table = items;
        source.height = size.height;
        source.width = size.width;
        Group(rule, source, queue).run(static_cast<int64_t>(n), codes, queue);
    }
}

}  // namespace maskmill::cuda
