// Erosion, dilation and boundary, on bits inside the mask's box.
#include "kernels/morphology.hpp"

#include <algorithm>
#include <cmath>

#include "support/bitplane.hpp"
#include "support/parallel.hpp"
#include "support/runs.hpp"

namespace maskmill {
namespace {

constexpr size_t kGrainRuns = 1 << 11;

size_t grain_of(const Rles& masks) { return masks.n * kGrainRuns / (masks.total_runs() + 1) + 1; }

double checked_radius(double radius) {
    if (!(radius >= 0)) {
        throw std::invalid_argument("radius must be 0 or more, not " + number_text(radius));
    }
    return radius;
}

// The largest n with n * n <= radius * radius - dx * dx.
int64_t half_length(double radius, int64_t dx) {
    const double square = radius * radius;
    const auto inside = [&](int64_t n) {
        return static_cast<double>(dx) * static_cast<double>(dx) + static_cast<double>(n) * static_cast<double>(n) <=
               square;
    };
    auto n = static_cast<int64_t>(std::sqrt(std::max(0.0, square - static_cast<double>(dx) * static_cast<double>(dx))));
    while (!inside(n)) --n;
    while (inside(n + 1)) ++n;
    return n;
}

// to |= from moved down by k rows (up if negative). The planes have one shape.
void or_rows(BitPlane& to, BitPlane& from, int64_t k) {
    const int64_t n = to.words(), columns = to.columns();
    const int64_t words = (k < 0 ? -k : k) / 64;
    const int bits = static_cast<int>((k < 0 ? -k : k) % 64);
    for (int64_t w = 0; w < n; ++w) {
        const int64_t near = k >= 0 ? w - words : w + words, far = k >= 0 ? near - 1 : near + 1;
        uint64_t* out = to.word(w);
        if (near >= 0 && near < n) {
            const uint64_t* in = from.word(near);
            if (k >= 0) {
                for (int64_t x = 0; x < columns; ++x) out[x] |= in[x] << bits;
            } else {
                for (int64_t x = 0; x < columns; ++x) out[x] |= in[x] >> bits;
            }
        }
        if (bits != 0 && far >= 0 && far < n) {
            const uint64_t* in = from.word(far);
            if (k >= 0) {
                for (int64_t x = 0; x < columns; ++x) out[x] |= in[x] >> (64 - bits);
            } else {
                for (int64_t x = 0; x < columns; ++x) out[x] |= in[x] << (64 - bits);
            }
        }
    }
    if (n > 0 && columns > 0) {
        uint64_t* last = to.word(n - 1);
        for (int64_t x = 0; x < columns; ++x) last[x] &= to.last_valid();
    }
}

// to |= from moved right by k columns (left if negative).
void or_columns(BitPlane& to, BitPlane& from, int64_t k) {
    const int64_t columns = to.columns();
    const int64_t begin = std::max<int64_t>(0, k), end = std::min(columns, columns + k);
    for (int64_t w = 0; w < to.words(); ++w) {
        uint64_t* out = to.word(w);
        const uint64_t* in = from.word(w);
        for (int64_t x = begin; x < end; ++x) out[x] |= in[x - k];
    }
}

void copy(BitPlane& to, BitPlane& from) {
    to.reset(from.rows(), from.columns());
    for (int64_t w = 0; w < from.words(); ++w) std::copy_n(from.word(w), from.columns(), to.word(w));
}

// Dilates by [-reach, reach] along one axis: windows double in length until they are long enough, first one way, then
// the other.
void spread(BitPlane& plane, BitPlane& copied, int64_t reach, void (*or_moved)(BitPlane&, BitPlane&, int64_t)) {
    for (const int64_t sign : {1, -1}) {
        for (int64_t done = 0; done < reach;) {
            const int64_t step = std::min(done + 1, reach - done);
            copy(copied, plane);
            or_moved(plane, copied, sign * step);
            done += step;
        }
    }
}

struct Planes {
    BitPlane image, copied, result;
};

// image = image dilated.
void dilate(Planes& p, double radius, int64_t reach, bool disc) {
    if (!disc) {
        spread(p.image, p.copied, reach, or_rows);
        spread(p.image, p.copied, reach, or_columns);
        return;
    }
    // From the outermost columns of the disc, whose vertical reach is least, inwards.
    p.result.reset(p.image.rows(), p.image.columns());
    int64_t done = 0;
    for (int64_t dx = reach; dx >= 0; --dx) {
        const int64_t half = std::min(half_length(radius, dx), reach);
        spread(p.image, p.copied, half - done, or_rows);
        done = half;
        or_columns(p.result, p.image, dx);
        if (dx > 0) or_columns(p.result, p.image, -dx);
    }
    std::swap(p.image, p.result);
}

struct Box {
    int64_t x0, x1, y0, y1;
    bool empty() const { return x0 >= x1; }
};

Box box_of(std::span<const uint32_t> runs, int64_t height) {
    Box box{std::numeric_limits<int64_t>::max(), 0, std::numeric_limits<int64_t>::max(), 0};
    for_each_segment(runs, static_cast<uint64_t>(height), [&](uint64_t x, uint64_t y0, uint64_t y1) {
        box.x0 = std::min(box.x0, static_cast<int64_t>(x));
        box.x1 = static_cast<int64_t>(x) + 1;
        box.y0 = std::min(box.y0, static_cast<int64_t>(y0));
        box.y1 = std::max(box.y1, static_cast<int64_t>(y1));
    });
    return box;
}

void load(BitPlane& plane, std::span<const uint32_t> runs, int64_t height, int64_t x0, int64_t y0) {
    for_each_segment(runs, static_cast<uint64_t>(height), [&](uint64_t x, uint64_t top, uint64_t bottom) {
        plane.set(static_cast<int64_t>(x) - x0, static_cast<int64_t>(top) - y0, static_cast<int64_t>(bottom) - y0);
    });
}

void store(BitPlane& plane, int64_t height, int64_t width, int64_t x0, int64_t y0, Buffer<uint32_t>& out) {
    RunWriter writer(out);
    plane.for_each_segment([&](int64_t x, int64_t top, int64_t bottom) {
        const int64_t column = (x + x0) * height + y0;
        writer.add(static_cast<uint64_t>(column + top), static_cast<uint64_t>(column + bottom));
    });
    writer.finish(static_cast<uint64_t>(height * width));
}

// No distance within an image is larger: keeps the work bounded whatever the radius.
double bounded(double radius, int64_t height, int64_t width) {
    return std::min(radius, static_cast<double>(height + width));
}

void dilate_mask(const Rles& masks, size_t i, double radius, bool disc, Planes& p, Buffer<uint32_t>& out) {
    const int64_t h = masks.height(i), w = masks.width(i);
    const Box box = box_of(masks.runs(i), h);
    if (box.empty()) {
        RunWriter(out).finish(masks.pixels(i));
        return;
    }
    radius = bounded(radius, h, w);
    const auto reach = static_cast<int64_t>(radius);
    const int64_t x0 = std::max<int64_t>(0, box.x0 - reach), x1 = std::min(w, box.x1 + reach);
    const int64_t y0 = std::max<int64_t>(0, box.y0 - reach), y1 = std::min(h, box.y1 + reach);
    p.image.reset(y1 - y0, x1 - x0);
    load(p.image, masks.runs(i), h, x0, y0);
    dilate(p, radius, reach, disc);
    store(p.image, h, w, x0, y0, out);
}

// The eroded mask in p.image, whose pixel (0, 0) is (box.y0, box.x0). A pixel goes when background is near: the
// background around the box is dilated. Outside of the image there is background only if `border`.
void erode_mask(std::span<const uint32_t> runs, int64_t h, int64_t w, const Box& box, double radius, bool disc,
                bool border, Planes& p) {
    radius = bounded(radius, h, w);
    // One ring of background around the box stands for all that is farther out, except where the box touches the
    // border of an image without background outside.
    const int64_t left = box.x0 > 0 || border, right = box.x1 < w || border;
    const int64_t top = box.y0 > 0 || border, bottom = box.y1 < h || border;
    const int64_t rows = top + (box.y1 - box.y0) + bottom, columns = left + (box.x1 - box.x0) + right;
    p.image.reset(rows, columns);
    load(p.image, runs, h, box.x0 - left, box.y0 - top);
    p.image.invert();
    dilate(p, radius, static_cast<int64_t>(radius), disc);
    p.image.invert();
    // Cut off the ring: it is background after all.
    BitPlane& cut = p.result;
    cut.reset(box.y1 - box.y0, box.x1 - box.x0);
    p.image.for_each_segment([&](int64_t x, int64_t y0, int64_t y1) { cut.set(x - left, y0 - top, y1 - top); });
    std::swap(p.image, p.result);
}

template <class Body>
Runs each_mask(const Rles& masks, Body&& body) {
    return parallel_pieces<uint32_t>(masks.n, grain_of(masks), [&](size_t begin, size_t end, auto& piece) {
        Planes planes;
        for (size_t i = begin; i < end; ++i) {
            check_sum(i, masks.runs(i), masks.pixels(i));
            body(i, planes, piece.values);
            piece.close();
        }
    });
}

}  // namespace

Runs morphology_dilate(const Rles& masks, double radius, bool disc) {
    checked_radius(radius);
    return each_mask(masks, [&](size_t i, Planes& planes, Buffer<uint32_t>& out) {
        dilate_mask(masks, i, radius, disc, planes, out);
    });
}

Runs morphology_erode(const Rles& masks, double radius, bool disc, bool border) {
    checked_radius(radius);
    return each_mask(masks, [&](size_t i, Planes& planes, Buffer<uint32_t>& out) {
        const int64_t h = masks.height(i), w = masks.width(i);
        const Box box = box_of(masks.runs(i), h);
        if (box.empty()) {
            RunWriter(out).finish(masks.pixels(i));
            return;
        }
        erode_mask(masks.runs(i), h, w, box, radius, disc, border, planes);
        store(planes.image, h, w, box.x0, box.y0, out);
    });
}

Runs morphology_boundary(const Rles& masks, const int64_t* radius) {
    for (size_t i = 0; i < masks.n; ++i) {
        if (radius[i] < 0) fail_mask(i, "radius must be 0 or more, not " + std::to_string(radius[i]));
    }
    return each_mask(masks, [&](size_t i, Planes& planes, Buffer<uint32_t>& out) {
        const int64_t h = masks.height(i), w = masks.width(i);
        const Box box = box_of(masks.runs(i), h);
        if (box.empty()) {
            RunWriter(out).finish(masks.pixels(i));
            return;
        }
        erode_mask(masks.runs(i), h, w, box, static_cast<double>(radius[i]), false, true, planes);
        BitPlane& whole = planes.result;
        whole.reset(box.y1 - box.y0, box.x1 - box.x0);
        load(whole, masks.runs(i), h, box.x0, box.y0);
        for (int64_t k = 0; k < whole.words(); ++k) {
            for (int64_t x = 0; x < whole.columns(); ++x) whole.word(k)[x] &= ~planes.image.word(k)[x];
        }
        store(whole, h, w, box.x0, box.y0, out);
    });
}

}  // namespace maskmill
