// Hashes of patches of a volume's slices, in the order that memory likes.
//
// Where slices lie side by side (axis 2 of a C-contiguous volume), up to 64 of them are hashed together: each byte of
// a cache line is then a pixel of another patch. Else all tiles between the same rows of a slice are walked together, 64
// rows at a time.
#include <map>
#include <numeric>
#include <vector>

#include "kernels/hashes.hpp"
#include "support/parallel.hpp"

namespace maskmill {
namespace {

// What is between the passes stays in the L2 cache, or at least in the L3: so many tiles, of so many pixels by then.
constexpr size_t kTilesAtOnce = 16;
constexpr int64_t kMost = 1 << 16;

// Tiles of one size between the same rows.
struct Band {
    const Hasher* hasher;
    int64_t row;
    std::vector<size_t> tiles;
};

// Slices that are hashed together: order[begin .. end).
struct Window {
    size_t begin, end;
};

struct Planes {
    const uint8_t* data;
    ptrdiff_t slice, row, column;
    std::span<const int64_t> tiles, slices;
    const HashRule& rule;
    uint64_t* codes;

    std::vector<size_t> order;  // of slices, rising
    std::map<ImageSize, Hasher> hashers;
    std::vector<Band> bands;
    std::vector<Window> windows;

    const uint8_t* at(size_t tile, int64_t s) const {
        return data + s * slice + tiles[4 * tile] * row + tiles[4 * tile + 2] * column;
    }
    uint64_t* code(size_t tile, size_t s) const { return codes + (tile * slices.size() + s) * rule.words(); }
    bool side_by_side() const { return slice == 1; }

    void plan();
    void hash(const Band& band, const Window& window, HashMemory& memory) const;
    void hash_patches(const Band& band, const Window& window, HashMemory& memory) const;
    void hash_slices(const Band& band, const Window& window, HashMemory& memory) const;
    void hash_band(const Band& band, size_t s, HashMemory& memory) const;
};

void Planes::plan() {
    std::map<std::pair<int64_t, ImageSize>, size_t> open;  // the band that takes the next tile of these rows
    for (size_t t = 0; t < tiles.size() / 4; ++t) {
        const int64_t* tile = tiles.data() + 4 * t;
        const ImageSize size{tile[1] - tile[0], tile[3] - tile[2]};
        const Hasher& hasher = hashers.try_emplace(size, rule, size).first->second;
        const auto [place, is_new] = open.try_emplace({tile[0], size}, bands.size());
        if (is_new || side_by_side() || bands[place->second].tiles.size() == kTilesAtOnce) {
            place->second = bands.size();
            bands.push_back({&hasher, tile[0], {}});
        }
        bands[place->second].tiles.push_back(t);
    }
    order.resize(slices.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return slices[a] < slices[b]; });
    for (size_t i = 0; i < order.size();) {
        size_t end = i + 1;
        if (side_by_side()) {
            const int64_t last = slices[order[i]] + static_cast<int64_t>(kLinesAtOnce);
            while (end < order.size() && slices[order[end]] < last) ++end;
        }
        windows.push_back({i, end});
        i = end;
    }
}

void Planes::hash(const Band& band, const Window& window, HashMemory& memory) const {
    const Resize* resize = band.hasher->direct();
    if (resize == nullptr || resize->is_vertical_first() ||
        band.hasher->image().height * band.hasher->grid().width > kMost) {
        hash_patches(band, window, memory);
    } else if (side_by_side()) {
        hash_slices(band, window, memory);
    } else {
        hash_band(band, order[window.begin], memory);
    }
}

void Planes::hash_patches(const Band& band, const Window& window, HashMemory& memory) const {
    const auto [height, width] = band.hasher->image();
    for (const size_t tile : band.tiles) {
        for (size_t i = window.begin; i < window.end; ++i) {
            const Pixels patch{at(tile, slices[order[i]]), height, width, row, column};
            (*band.hasher)(patch, code(tile, order[i]), memory);
        }
    }
}

// One tile; a line of the passes is a slice.
void Planes::hash_slices(const Band& band, const Window& window, HashMemory& memory) const {
    const Resize& resize = *band.hasher->direct();
    const auto [height, width] = band.hasher->image();
    const auto [new_height, new_width] = band.hasher->grid();
    const size_t tile = band.tiles[0];
    const int64_t first = slices[order[window.begin]];
    const int64_t lines = slices[order[window.end - 1]] - first + 1;
    auto& between = memory.resize.between;  // (height, new_width, lines)
    between.resize(static_cast<size_t>(height * new_width * lines));
    for (int64_t y = 0; y < height; ++y) {
        resize.horizontal()({at(tile, first) + y * row, 1, column, static_cast<size_t>(lines), row},
                            between.data() + y * new_width * lines, 1, lines, memory.resize.packed);
    }
    const int64_t pixels = new_height * new_width;
    memory.grid.resize(static_cast<size_t>(lines * pixels));
    for (int64_t x = 0; x < new_width; ++x) {
        resize.vertical()({between.data() + x * lines, 1, new_width * lines, static_cast<size_t>(lines)},
                          memory.grid.data() + x, pixels, new_width, memory.resize.packed);
    }
    for (size_t i = window.begin; i < window.end; ++i) {
        const int64_t line = slices[order[i]] - first;
        band.hasher->from_grid(memory.grid.data() + line * pixels, code(tile, order[i]), memory);
    }
}

// Tiles of one slice; a line of the first pass is a row of a tile.
void Planes::hash_band(const Band& band, size_t s, HashMemory& memory) const {
    const Resize& resize = *band.hasher->direct();
    const int64_t height = band.hasher->image().height, new_width = band.hasher->grid().width;
    const size_t count = band.tiles.size();
    const int64_t size = height * new_width;
    auto& between = memory.resize.between;  // (tiles, new_width, height)
    between.resize(count * static_cast<size_t>(size));
    const auto at_once = static_cast<int64_t>(kLinesAtOnce);
    for (int64_t y = 0; y < height; y += at_once) {
        for (size_t t = 0; t < count; ++t) {
            const uint8_t* p = at(band.tiles[t], slices[s]) + y * row;
            const bool last = t + 1 == count;
            const uint8_t* next = at(band.tiles[last ? 0 : t + 1], slices[s]) + (last ? y + at_once : y) * row;
            resize.horizontal()({p, row, column, static_cast<size_t>(std::min(at_once, height - y)), next - p},
                                between.data() + static_cast<int64_t>(t) * size + y, 1, height, memory.resize.packed);
        }
    }
    memory.grid.resize(static_cast<size_t>(band.hasher->grid().height * new_width));
    for (size_t t = 0; t < count; ++t) {
        resize.vertical()({between.data() + static_cast<int64_t>(t) * size, height, 1, static_cast<size_t>(new_width)},
                          memory.grid.data(), 1, new_width, memory.resize.packed);
        band.hasher->from_grid(memory.grid.data(), code(band.tiles[t], s), memory);
    }
}

}  // namespace

void hashes_planes(const Voxels& volume, int axis, std::span<const int64_t> tiles, std::span<const int64_t> slices,
                   const HashRule& rule, uint64_t* codes) {
    const int rows = axis == 0 ? 1 : 0, columns = axis == 2 ? 1 : 2;
    Planes planes{volume.data,
                  volume.strides[axis],
                  volume.strides[rows],
                  volume.strides[columns],
                  tiles,
                  slices,
                  rule,
                  codes,
                  {},
                  {},
                  {},
                  {}};
    planes.plan();
    const size_t pieces = planes.bands.size() * planes.windows.size();
    if (pieces == 0) return;
    const ImageSize size = planes.bands[0].hasher->image();
    const size_t pixels = static_cast<size_t>(size.height * size.width) * planes.bands[0].tiles.size() *
                          (planes.windows[0].end - planes.windows[0].begin);
    parallel_for(pieces, (size_t{1} << 20) / (pixels + 1) + 1, [&](size_t begin, size_t end) {
        HashMemory memory;
        for (size_t k = begin; k < end; ++k) {
            planes.hash(planes.bands[k / planes.windows.size()], planes.windows[k % planes.windows.size()], memory);
        }
    });
}

}  // namespace maskmill
