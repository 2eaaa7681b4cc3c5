// PDQ's two tent filters on a GPU, as one stream of an image's tiles through the warps of a block.
//
// A filter along an axis has as many steps as there are pixels and `ahead` more: the sum of a step has taken in the
// pixel of that number (0 beyond the end) and given away the one `window` before it (0 before the start), in this
// order; it makes the output of `ahead` steps ago. Sums are rounded at every step, so that none can be skipped.
//
// A tile is 32 steps of 32 lines. Its columns are counted by the steps of the first filter across, its rows by those of
// the first one down; the later filters lag behind by `ahead`, and rows and columns that are none yet, or no more, are
// zeros. Rings of tiles keep what is given away later, with their first tile once more at the end, so that any 32
// columns lie side by side.
#pragma once

#include "kernels/hashes_pdq_device.inl"

namespace maskmill::cuda {

constexpr int kTile = 32;
constexpr int kColumn = kTile + 1;                // floats from column to column of a tile: lanes find other banks
constexpr int kFloats = kTile * kColumn;          // of a tile
constexpr int kLongColumn = 2 * kTile + 1;        // with what is given away above
constexpr int kLongFloats = kTile * kLongColumn;  // of a tile of such
constexpr int kReaders = 4;                       // warps that read pixels
constexpr int kRowsEach = kTile / kReaders;

struct PdqMean {
    float count, inverse;
    MASKMILL_HD float operator()(float sum) const { return pdq_quotient(sum, count, inverse); }
};

struct PdqAxis {
    int side, window, ahead, tiles;

    // Behind the last output, a tile or a part of one has zeros for the next line to give away.
    MASKMILL_HD explicit PdqAxis(int length)
        : side(length),
          window(static_cast<int>(pdq_window(length))),
          ahead(window / 2),
          tiles((length + window + ahead + kTile - 1) / kTile) {}

    // Of a step's sum; 0 where it has no output.
    MASKMILL_HD PdqMean mean(int step) const {
        const int come = step < side ? step + 1 : side, gone = step < window ? 0 : step + 1 - window;
        const auto count = static_cast<float>(come > gone ? come - gone : 1);
        return {count, step >= ahead && step < side + ahead ? 1.0F / count : 0.0F};
    }
    // Whether all steps of a tile have a full window.
    MASKMILL_HD bool is_inside(int first) const { return first >= window - 1 && first + kTile <= side; }
    // The step that makes sample k, if it comes `late` steps late; beyond the last: none.
    MASKMILL_HD int step_of_sample(int k, int late) const {
        return k < kPdqSide ? static_cast<int>(pdq_sampled(k, side)) + ahead + late : 0x7fffffff;
    }
};

// Tiles of a ring, and the tile that is read or written next.
struct PdqRing {
    float* columns;
    int capacity;  // tiles, without the one that is there twice
    int slot = 0;

    static MASKMILL_HD int capacity_for(int window) { return 2 + (window + kTile - 1) / kTile; }
    static MASKMILL_HD int floats_for(int window) { return (capacity_for(window) + 1) * kFloats; }

    MASKMILL_HD float* tile() const { return columns + slot * kFloats; }
    // 32 columns from `by` before the tile on.
    MASKMILL_HD const float* before(int by) const {
        const int first = slot * kTile - by;
        return columns + (first < 0 ? first + capacity * kTile : first) * kColumn;
    }
    MASKMILL_HD void advance() { slot = slot + 1 == capacity ? 0 : slot + 1; }
};

// Memory of a block, on the device.
struct PdqScratch {
    float* sums;   // (width,) of the columns
    float* kept;   // (window, width) what enters them
    float* lower;  // (window, 64) what enters the last filter
    float* taken;  // (64, 64) its sums
    float* rings;  // where shared memory is too small for them
    int width;

    static size_t floats_for(int height, int width, bool rings) {
        const PdqAxis down(height), across(width);
        const auto columns = static_cast<size_t>(across.tiles) * kTile;
        return columns + static_cast<size_t>(down.window) * (columns + 64) + 64 * 64 +
               (rings ? 2 * static_cast<size_t>(PdqRing::floats_for(across.window)) : 0);
    }
    MASKMILL_HD PdqScratch(float* memory, const PdqAxis& down, const PdqAxis& across)
        : sums(memory), width(across.tiles * kTile) {
        kept = sums + width;
        lower = kept + static_cast<int64_t>(down.window) * width;
        taken = lower + down.window * 64;
        rings = taken + 64 * 64;
    }
};

// Where a warp is in the stream.
struct PdqPlace {
    int tile = 0, band = 0;
    MASKMILL_HD void advance(int tiles) {
        if (++tile == tiles) tile = 0, ++band;
    }
};

// Warps that read: pixels are asked for a tile before they are needed.
struct PdqReader {
    PdqImage image;
    PdqLuma luma;
    PdqRing ring;
    int lane, warp;  // of those that read
    PdqPlace place;
    uint32_t pixels[kRowsEach][3];

    __device__ __forceinline__ void ask() {
        const int x = place.tile * kTile + lane, y = place.band * kTile + warp;
        const uint8_t *p = image.data + y * image.row + x * image.column, *q = p + image.channel;
        const int64_t step = kReaders * image.row;
        const bool is_column = x < image.width, has_colors = is_column && !image.is_gray();
        MASKMILL_UNROLL
        for (int k = 0; k < kRowsEach; ++k) {
            const bool is_row = y + k * kReaders < image.height;
            pixels[k][0] = is_row && is_column ? __ldg(p) : 0U;
            pixels[k][1] = is_row && has_colors ? __ldg(q) : 0U;
            pixels[k][2] = is_row && has_colors ? __ldg(q + image.channel) : 0U;
            p += step;
            q += step;
        }
    }
    template <class Luma>
    __device__ __forceinline__ void put_as(Luma&& luma_of) {
        float* const to = ring.tile() + lane * kColumn + warp;
        float values[kRowsEach];
        MASKMILL_UNROLL
        for (int k = 0; k < kRowsEach; ++k) {
            values[k] = luma_of(pixels[k][0], pixels[k][1], pixels[k][2]);
            to[k * kReaders] = values[k];
        }
        if (ring.slot != 0) return;
        MASKMILL_UNROLL
        for (int k = 0; k < kRowsEach; ++k) to[ring.capacity * kFloats + k * kReaders] = values[k];
    }
    __device__ __forceinline__ void put() {
        if (image.is_gray()) {
            put_as([](uint32_t r, uint32_t, uint32_t) { return static_cast<float>(r); });
        } else if (luma == PdqLuma::pdqhash) {
            put_as([](uint32_t r, uint32_t g, uint32_t b) { return pdq_luma(PdqLuma::pdqhash, r, g, b); });
        } else {
            put_as([](uint32_t r, uint32_t g, uint32_t b) { return pdq_luma(PdqLuma::float32, r, g, b); });
        }
        ring.advance();
    }
};

// The 32 steps of a tile: out(j, sum). What comes and goes is `step` floats apart, and asked for before the outputs of
// the steps before are stored.
template <int kAtOnce, class Out>
__device__ __forceinline__ void slide(const float* come, const float* gone, int step, float& sum, Out&& out) {
    float entering[2][kAtOnce], leaving[2][kAtOnce];
    MASKMILL_UNROLL
    for (int first = -kAtOnce; first < kTile; first += kAtOnce) {
        const int now = (first + kAtOnce) / kAtOnce % 2, next = first + kAtOnce;
        MASKMILL_UNROLL
        for (int k = 0; k < kAtOnce && next < kTile; ++k) {
            entering[1 - now][k] = come[(next + k) * step];
            leaving[1 - now][k] = gone[(next + k) * step];
        }
        MASKMILL_UNROLL
        for (int k = 0; k < kAtOnce && first >= 0; ++k) {
            sum = sum + entering[now][k] - leaving[now][k];
            out(first + k, sum);
        }
    }
}

// A lane for each row, to a tile.
struct PdqAcross {
    const PdqAxis axis;
    PdqRing ring;
    PdqPlace place;
    float sum = 0;

    __device__ __forceinline__ void operator()(int lane, float* out) {
        const float *const come = ring.tile() + lane, *const gone = ring.before(axis.window) + lane;
        float* const to = out + kTile + lane;
        const int first = place.tile * kTile;
        if (place.tile == 0) sum = 0;
        if (axis.is_inside(first)) {
            const PdqMean mean = axis.mean(axis.window - 1);
            slide<8>(come, gone, kColumn, sum, [&](int j, float total) { to[j * kLongColumn] = mean(total); });
        } else {
            for (int j = 0; j < kTile; ++j) {
                sum = sum + come[j * kColumn] - gone[j * kColumn];
                to[j * kLongColumn] = axis.mean(first + j)(sum);
            }
        }
        ring.advance();
        place.advance(axis.tiles);
    }
};

// What a column's later bands give away: the last `window` rows, on the device. A lane for each column.
struct PdqKept {
    float* rows;
    int width, window;

    // Before the 32 rows of a band, of which the first is `first`: those that it gives away.
    __device__ __forceinline__ void load(int column, int first, float* band) const {
        const int n = window < kTile ? window : kTile;
        int slot = first % window;
        for (int i = 0; i < n; ++i) {
            band[i - n] = first + i >= window ? rows[static_cast<int64_t>(slot) * width + column] : 0.0F;
            slot = slot + 1 == window ? 0 : slot + 1;
        }
    }
    __device__ __forceinline__ void store(int column, int first, const float* band) const {
        const int n = window < kTile ? window : kTile;
        int slot = (first + kTile - n) % window;
        for (int i = kTile - n; i < kTile; ++i) {
            rows[static_cast<int64_t>(slot) * width + column] = band[i];
            slot = slot + 1 == window ? 0 : slot + 1;
        }
    }
};

// A warp that keeps what left the first filter across, and brings it back beside the tile that is made.
struct PdqMemory {
    const PdqAxis across;
    PdqKept kept;
    PdqPlace keeping, bringing;

    __device__ __forceinline__ void keep(int lane, const float* tile) {
        kept.store(keeping.tile * kTile + lane, keeping.band * kTile, tile + lane * kLongColumn + kTile);
        keeping.advance(across.tiles);
    }
    __device__ __forceinline__ void bring(int lane, float* tile) {
        kept.load(bringing.tile * kTile + lane, bringing.band * kTile, tile + lane * kLongColumn + kTile);
        bringing.advance(across.tiles);
    }
};

// A lane for each column, from a tile to a ring.
struct PdqDown {
    const PdqAxis axis, across;
    float* sums;
    PdqRing ring;
    PdqPlace place;
    float sum = 0;

    __device__ __forceinline__ void operator()(int lane, const float* in) {
        const int first = place.band * kTile, column = place.tile * kTile + lane;
        const bool is_column = column >= across.ahead && column < across.side + across.ahead;
        const float* const come = in + lane * kLongColumn + kTile;
        const float* const gone = come - (axis.window < kTile ? axis.window : kTile);
        float* const to = ring.tile() + lane * kColumn;
        if (axis.is_inside(first)) {
            PdqMean mean = axis.mean(axis.window - 1);
            if (!is_column) mean.inverse = 0;
            slide<8>(come, gone, 1, sum, [&](int i, float total) { to[i] = mean(total); });
        } else {
            for (int i = 0; i < kTile; ++i) {
                sum = sum + come[i] - gone[i];
                PdqMean mean = axis.mean(first + i);
                if (!is_column) mean.inverse = 0;
                to[i] = mean(sum);
            }
        }
        if (ring.slot == 0) {
            MASKMILL_UNROLL
            for (int i = 0; i < kTile; ++i) to[ring.capacity * kFloats + i] = to[i];
        }
        sums[column] = sum;
        ring.advance();
        place.advance(across.tiles);
        sum = place.band == 0 ? 0.0F : sums[place.tile * kTile + lane];
    }
};

// The second filters: across, a lane for each row, of which only samples are kept; at the end of a band, down, a lane
// for two of the 64 columns.
struct PdqSamples {
    const PdqAxis axis, across;
    PdqKept lower;
    PdqRing ring;
    float *narrow, *taken;  // (64 long columns), (64, 64)
    PdqPlace place;
    float sum = 0, sums[2] = {0, 0};
    int next = 0, next_row = 0;  // samples
    int wanted = 0;              // the step of the next one

    __device__ __forceinline__ void run(int lane) {
        const float *const come = ring.tile() + lane, *const gone = ring.before(across.window) + lane;
        int left = wanted - place.tile * kTile;
        slide<4>(come, gone, kColumn, sum, [&](int j, float total) {
            while (left == j) {
                narrow[next * kLongColumn + kTile + lane] = total;
                ++next;
                wanted = across.step_of_sample(next, across.ahead);
                left = wanted - place.tile * kTile;
            }
        });
    }
    // 32 of the 64 columns.
    __device__ __forceinline__ int down(int lane, int half, int first) {
        const int column = half * 32 + lane;
        const PdqMean mean = across.mean(across.step_of_sample(column, 0));
        float* const come = narrow + column * kLongColumn + kTile;
        const float* const gone = come - (axis.window < kTile ? axis.window : kTile);
        lower.load(column, first, come);
        MASKMILL_UNROLL
        for (int i = 0; i < kTile; ++i) come[i] = mean(come[i]);
        int row = next_row, left = axis.step_of_sample(row, axis.ahead) - first;
        float total = sums[half];
        slide<4>(come, gone, 1, total, [&](int i, float sum_there) {
            while (left == i) {
                taken[row * 64 + column] = sum_there;
                ++row;
                left = axis.step_of_sample(row, axis.ahead) - first;
            }
        });
        sums[half] = total;
        lower.store(column, first, come);
        return row;
    }
    __device__ __forceinline__ void operator()(int lane) {
        if (place.tile == 0) {
            sum = 0;
            next = 0;
            wanted = across.step_of_sample(0, across.ahead);
        }
        run(lane);
        if (place.tile + 1 == across.tiles) {
            __syncwarp();
            down(lane, 0, place.band * kTile);
            next_row = down(lane, 1, place.band * kTile);
            __syncwarp();
        }
        ring.advance();
        place.advance(across.tiles);
    }
};

}  // namespace maskmill::cuda
