// ImageHash's crop-resistant hash: bright and dark regions of a small blurred picture; a dhash of the image within the
// box of each.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/hashes.hpp"
#include "support/parallel.hpp"

namespace maskmill {
namespace {

// One box pass of Pillow's Gaussian blur of radius 2: three pixels, and the two beside them in part. `in` has two more
// pixels at both ends; pixels are `step` apart.
void blur_pass(const uint8_t* in, ptrdiff_t step, int64_t n, uint8_t* out) {
    constexpr uint32_t whole = 4473924, part = 1677722, half = 1 << 23;
    for (int64_t i = 0; i < n; ++i) {
        const uint8_t* p = in + i;
        const uint32_t inner = p[-step] + p[0] + p[step], outer = p[-2 * step] + p[2 * step];
        out[i] = static_cast<uint8_t>((inner * whole + outer * part + half) >> 24);
    }
}

// 9 pixels to their median: sorted columns, then the median of their greatest least, median median and least greatest.
uint8_t median9(const uint8_t* above, const uint8_t* row, const uint8_t* below) {
    uint8_t least = 0, greatest = 255;
    uint8_t middles[3];
    for (int k = 0; k < 3; ++k) {
        const uint8_t a = above[k], b = row[k], c = below[k];
        const uint8_t low = std::min(a, b), high = std::max(a, b);
        least = std::max(least, std::min(low, c));
        greatest = std::min(greatest, std::max(high, c));
        middles[k] = std::max(low, std::min(high, c));
    }
    const auto middle = [](uint8_t a, uint8_t b, uint8_t c) {
        return std::max(std::min(a, b), std::min(std::max(a, b), c));
    };
    return middle(least, middle(middles[0], middles[1], middles[2]), greatest);
}

// A square picture with a border of two pixels, which repeat its outermost ones.
class Picture {
  public:
    explicit Picture(int64_t side) : side_(side), step_(side + 4), pixels_(static_cast<size_t>(step_ * step_)) {}

    uint8_t* row(int64_t y) { return pixels_.data() + (y + 2) * step_ + 2; }

    void blur() {
        std::vector<uint8_t> line(static_cast<size_t>(step_));
        for (int pass = 0; pass < 3; ++pass) {
            for (int64_t y = 0; y < side_; ++y) {
                widen(row(y));
                blur_pass(row(y), 1, side_, line.data());
                std::copy_n(line.data(), side_, row(y));
            }
        }
        std::vector<uint8_t> out(static_cast<size_t>(side_ * side_));
        for (int pass = 0; pass < 3; ++pass) {
            heighten();
            for (int64_t y = 0; y < side_; ++y) blur_pass(row(y), step_, side_, out.data() + y * side_);
            for (int64_t y = 0; y < side_; ++y) std::copy_n(out.data() + y * side_, side_, row(y));
        }
    }

    // Pixel by pixel: whether the median of it and its neighbours is above.
    void above(int64_t threshold, uint8_t* out) {
        for (int64_t y = 0; y < side_; ++y) widen(row(y));
        heighten();
        for (int64_t y = 0; y < side_; ++y) {
            const uint8_t* p = row(y) - 1;
            for (int64_t x = 0; x < side_; ++x) *out++ = median9(p + x - step_, p + x, p + x + step_) > threshold;
        }
    }

  private:
    void widen(uint8_t* p) {
        p[-2] = p[-1] = p[0];
        p[side_] = p[side_ + 1] = p[side_ - 1];
    }
    void heighten() {
        for (int k = 1; k <= 2; ++k) {
            std::copy_n(row(0) - 2, step_, row(-k) - 2);
            std::copy_n(row(side_ - 1) - 2, step_, row(side_ - 1 + k) - 2);
        }
    }

    int64_t side_, step_;
    std::vector<uint8_t> pixels_;
};

struct Segment {
    int64_t pixels = 0;
    int64_t y0 = 0, y1 = 0, x0 = 0, x1 = 0;
};

// The region of pixels of `value` around one, 4-connected; they are marked as done (2).
Segment take_region(std::vector<uint8_t>& picture, int64_t side, int64_t start, std::vector<int64_t>& stack) {
    const uint8_t value = picture[start];
    Segment s{0, start / side, start / side + 1, start % side, start % side + 1};
    const auto visit = [&](int64_t at) {
        if (picture[at] != value) return;
        picture[at] = 2;
        stack.push_back(at);
    };
    visit(start);
    while (!stack.empty()) {
        const int64_t at = stack.back(), y = at / side, x = at % side;
        stack.pop_back();
        ++s.pixels;
        s.y0 = std::min(s.y0, y);
        s.y1 = std::max(s.y1, y + 1);
        s.x0 = std::min(s.x0, x);
        s.x1 = std::max(s.x1, x + 1);
        if (y > 0) visit(at - side);
        if (y + 1 < side) visit(at + side);
        if (x > 0) visit(at - 1);
        if (x + 1 < side) visit(at + 1);
    }
    return s;
}

// Bright regions, then dark ones, each by their first pixels. As in the reference, the 4 * side places around the
// picture count as seen from the start, so that the search ends before the last dark pixels; and a region of one pixel
// is never counted.
std::vector<Segment> segments_of(std::vector<uint8_t>& picture, const SegmentRule& rule) {
    std::vector<Segment> out;
    std::vector<int64_t> stack;
    const int64_t side = rule.side;
    int64_t seen = 4 * side;
    for (const uint8_t value : {uint8_t{1}, uint8_t{0}}) {
        for (int64_t at = 0; at < side * side && (value == 1 || seen < side * side); ++at) {
            if (picture[at] != value) continue;
            const Segment s = take_region(picture, side, at, stack);
            if (s.pixels > 1) seen += s.pixels;
            if (s.pixels > rule.least) out.push_back(s);
        }
    }
    if (out.empty()) out.push_back({2, 0, side, 0, side});
    if (rule.limit > 0 && out.size() > static_cast<size_t>(rule.limit)) {
        std::stable_sort(out.begin(), out.end(),
                         [](const Segment& a, const Segment& b) { return a.pixels > b.pixels; });
        out.resize(static_cast<size_t>(rule.limit));
    }
    return out;
}

// In the image, rounded as Python does.
Pixels within(const Pixels& image, const Segment& s, int64_t side) {
    const auto scaled = [side](int64_t at, int64_t length) {
        const double scale = static_cast<double>(length) / static_cast<double>(side);
        return static_cast<int64_t>(std::nearbyint(static_cast<double>(at) * scale));
    };
    const int64_t y0 = scaled(s.y0, image.height), x0 = scaled(s.x0, image.width);
    Pixels out = image;
    out.data += y0 * image.row + x0 * image.column;
    out.height = scaled(s.y1, image.height) - y0;
    out.width = scaled(s.x1, image.width) - x0;
    return out;
}

}  // namespace

Ragged<uint64_t> hashes_crop_resistant(std::span<const Pixels> images, const SegmentRule& rule, int64_t hash_size,
                                       Regime regime) {
    HashRule dhash;
    dhash.regime = regime;
    dhash.size = hash_size;
    const auto pixels = static_cast<size_t>(rule.side * rule.side);
    return parallel_ragged<uint64_t>(images.size(), 1, [&](size_t i, Buffer<uint64_t>& codes) {
        Pixels gray = images[i];
        Buffer<uint8_t> memory;
        if (gray.channels > 1) {
            memory.resize(static_cast<size_t>(gray.height * gray.width));
            hashes_gray(gray, memory.data());
            gray = {memory.data(), gray.height, gray.width, gray.width, 1};
        }
        std::vector<uint8_t> small(pixels);
        Resize::Memory resizing;
        const Resize resize(gray.height, gray.width, rule.side, rule.side, Filter::lanczos, regime);
        resize(gray, small.data(), resizing);
        Picture picture(rule.side);
        for (int64_t y = 0; y < rule.side; ++y) std::copy_n(small.data() + y * rule.side, rule.side, picture.row(y));
        picture.blur();
        picture.above(rule.threshold, small.data());
        for (const Segment& s : segments_of(small, rule)) {
            const Pixels part = within(gray, s, rule.side);
            uint64_t* code = codes.room(dhash.words());
            // A box without pixels has the code 0.
            std::fill_n(code, dhash.words(), uint64_t{0});
            if (part.height > 0 && part.width > 0) hashes_images({&part, 1}, dhash, code);
            codes.advance(dhash.words());
        }
    });
}

}  // namespace maskmill
