// Both passes of a resizing; the floor and the design are told in hashes_device.inl.
#include <cstring>

#include "kernels/hashes_device.inl"

namespace maskmill::cuda {
namespace {

// Digits of base 256, each within -128 and 127.
HashDigits digits_of(const int32_t* weights) {
    uint32_t digits[3] = {0, 0, 0};
    for (int j = 0; j < 4; ++j) {
        int32_t rest = weights[j];
        for (uint32_t& digit : digits) {
            const auto low = static_cast<int8_t>(rest & 255);
            digit |= static_cast<uint32_t>(static_cast<uint8_t>(low)) << (8 * j);
            rest = (rest - low) / 256;
        }
    }
    return {digits[0], digits[1], digits[2], 0};
}

// An axis whose length does not change has no pass in Pillow: with the weight 1, a pixel is itself.
Taps taps_of(int64_t inputs, int64_t outputs, Filter filter) {
    if (inputs != outputs) return resample_taps(inputs, outputs, filter);
    Taps taps;
    taps.starts.push(0);
    for (int64_t o = 0; o < outputs; ++o) {
        taps.first.push(o);
        taps.weights.push(1 << 22);
        taps.starts.push(o + 1);
    }
    return taps;
}

HashAxis axis_of(int64_t inputs, int64_t outputs, Filter filter, Queue& queue) {
    const Taps taps = taps_of(inputs, outputs, filter);
    Buffer<HashSpan> spans;
    Buffer<HashDigits> digits;
    for (int64_t o = 0; o < outputs; ++o) {
        const int64_t first = taps.first[o], count = taps.starts[o + 1] - taps.starts[o];
        const int64_t begin = first / 4, end = (first + count + 3) / 4;
        spans.push(
            {static_cast<int32_t>(begin), static_cast<int32_t>(end - begin), static_cast<int64_t>(digits.size())});
        for (int64_t g = begin; g < end; ++g) {
            int32_t weights[4];
            for (int64_t j = 0; j < 4; ++j) {
                const int64_t i = 4 * g + j - first;
                weights[j] = i >= 0 && i < count ? taps.weights[taps.starts[o] + i] : 0;
            }
            digits.push(digits_of(weights));
        }
    }
    return {inputs, outputs, sent(spans.data(), spans.size(), queue), sent(digits.data(), digits.size(), queue)};
}

// Lines of all images, one after the other. Output o of line l of image i goes to out[i * image + o * step + l * line].
struct HashLines {
    HashSource images;
    int64_t count;  // of an image
    bool columns;   // or rows
    uint8_t* out;
    int64_t image, step, line;
};

struct HashLine {
    const uint8_t* data;
    int64_t step;
    uint8_t* to;
};

MASKMILL_HD HashLine line_of(const HashLines& lines, int64_t l) {
    const int64_t i = l / lines.count, k = l - i * lines.count;
    const HashItem item = lines.images.at(i);
    return {item.data + lines.images.taken * item.channel + k * (lines.columns ? item.column : item.row),
            lines.columns ? item.row : item.column, lines.out + i * lines.image + k * lines.line};
}

#ifdef MASKMILL_CUDA_EMULATED
constexpr unsigned kMostWarps = 1;  // a fiber costs more than what it does here
#else
constexpr unsigned kMostWarps = 16;
#endif
constexpr int kLoads = 4;  // lines whose words a thread asks for before it waits for the first
constexpr size_t kShared = 44 << 10;

MASKMILL_HD uint32_t word_at(const uint8_t* p) {
#ifdef __CUDA_ARCH__
    return __ldg(reinterpret_cast<const uint32_t*>(p));
#else
    uint32_t word;
    std::memcpy(&word, p, sizeof word);
    return word;
#endif
}

// The words [first, end) of a line whose pixels lie side by side are an aligned word each, or parts of two; nothing
// beyond the line is read.
struct HashWords {
    const uint8_t* aligned = nullptr;
    int shift = 0, first = 0, end = 0;

    HashWords() = default;
    MASKMILL_HD HashWords(const uint8_t* line, int64_t step, int64_t inputs) {
        shift = static_cast<int>(reinterpret_cast<uintptr_t>(line) & 3);
        aligned = line - shift;
        const auto whole = static_cast<int>(inputs / 4), last = shift == 0 ? whole : whole - 1;
        if (step != 1 || last < 1) return;
        first = shift == 0 ? 0 : 1;
        end = last;
    }
    MASKMILL_HD bool is_aligned() const { return shift == 0 && end > 0; }
    MASKMILL_HD void ask(int w, uint32_t& low, uint32_t& high) const {
        const uint8_t* const p = aligned + 4 * w;
        const bool is_there = w >= first && w < end;
        low = is_there ? word_at(p) : 0;
        high = is_there && shift != 0 ? word_at(p + 4) : 0;
    }
};

// R lines for each lane. `across`: pixels of neighbouring lines lie side by side, not those of one.
template <int R>
__global__ void __launch_bounds__(512)
    pass_kernel(HashLines lines, HashAxis axis, int64_t total, int words, int stride, bool across) {
    constexpr int kLines = 32 * R;
    MASKMILL_DYNAMIC_SHARED(uint32_t, tile);
    __shared__ HashLine line[kLines];
    const int64_t begin = static_cast<int64_t>(blockIdx.x) * kLines;
    const int count = total - begin < kLines ? static_cast<int>(total - begin) : kLines;
    for (int l = static_cast<int>(threadIdx.x); l < count; l += static_cast<int>(blockDim.x)) {
        line[l] = line_of(lines, begin + l);
    }
    __syncthreads();
    const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
    const int warps = static_cast<int>(blockDim.x / 32);
    if (across) {
        for (int w = warp; w < words; w += warps) {
            for (int l = lane; l < count; l += 32) {
                tile[l * stride + w] = four_pixels(line[l].data, line[l].step, axis.inputs, w);
            }
        }
    } else {
        for (int l = warp; l < count; l += kLoads * warps) {
            HashWords from[kLoads];
            int to[kLoads];
            bool is_aligned = true;
            MASKMILL_UNROLL
            for (int k = 0; k < kLoads; ++k) {
                // Beyond the last line, the first of these once more.
                const int other = l + k * warps < count ? l + k * warps : l;
                from[k] = HashWords(line[other].data, line[other].step, axis.inputs);
                to[k] = other * stride;
                is_aligned = is_aligned && from[k].is_aligned();
            }
            if (is_aligned) {
                for (int w = lane; w < from[0].end; w += 32) {
                    uint32_t loaded[kLoads];
                    MASKMILL_UNROLL
                    for (int k = 0; k < kLoads; ++k) loaded[k] = word_at(from[k].aligned + 4 * w);
                    MASKMILL_UNROLL
                    for (int k = 0; k < kLoads; ++k) tile[to[k] + w] = loaded[k];
                }
            } else {
                for (int w = lane; w < words; w += 32) {
                    uint32_t low[kLoads], high[kLoads];
                    MASKMILL_UNROLL
                    for (int k = 0; k < kLoads; ++k) from[k].ask(w, low[k], high[k]);
                    MASKMILL_UNROLL
                    for (int k = 0; k < kLoads; ++k) {
                        const uint64_t both = uint64_t{high[k]} << 32 | low[k];
                        tile[to[k] + w] = static_cast<uint32_t>(both >> (8 * from[k].shift));
                    }
                }
            }
            __syncwarp();
            for (int k = 0; k < kLoads && l + k * warps < count; ++k) {
                const HashLine& own = line[l + k * warps];
                const HashWords& asked = from[k];
                for (int e = lane; e < words - (asked.end - asked.first); e += 32) {
                    const int w = e < asked.first ? e : asked.end + e - asked.first;
                    tile[(l + k * warps) * stride + w] = four_pixels(own.data, own.step, axis.inputs, w);
                }
            }
        }
    }
    __syncthreads();
    for (int o = warp; o < axis.outputs; o += warps) {
        const HashSpan span = axis.spans[o];
        const HashDigits* const digits = axis.digits + span.digits;
        const uint32_t* const mine = tile + lane * stride + span.group;
        HashSum sums[R];
        for (int g = 0; g < span.groups; ++g) {
            const HashDigits d = digits[g];
            MASKMILL_UNROLL
            for (int k = 0; k < R; ++k) sums[k].add(mine[32 * k * stride + g], d);
        }
        MASKMILL_UNROLL
        for (int k = 0; k < R; ++k) {
            if (32 * k + lane < count) line[32 * k + lane].to[o * lines.step] = sums[k].pixel();
        }
    }
}

template <int R>
void pass_tiles(const HashLines& lines, const HashAxis& axis, int64_t total, Queue& queue) {
    const auto words = static_cast<unsigned>((axis.inputs + 3) / 4), stride = words | 1U;
    const HashItem& first = lines.images.first;
    const bool across =
        std::abs(lines.columns ? first.column : first.row) < std::abs(lines.columns ? first.row : first.column);
    // As many warps as outputs, or an equal number of turns for each.
    const auto outputs = static_cast<unsigned>(axis.outputs), turns = (outputs + kMostWarps - 1) / kMostWarps;
    const unsigned warps = std::min(kMostWarps, std::max((outputs + turns - 1) / turns, 4U));
    launch(pass_kernel<R>, dim3(blocks_for(static_cast<size_t>(total), 32 * R)), dim3(32 * warps),
           static_cast<size_t>(32 * R) * stride * sizeof(uint32_t), queue, lines, axis, total, static_cast<int>(words),
           static_cast<int>(stride), across);
}

// A thread for each number: for what is small, and for lines that are too long for shared memory.
void pass_each(const HashLines& lines, const HashAxis& axis, int64_t total, Queue& queue) {
    for_each(queue, static_cast<size_t>(total * axis.outputs), [=] __device__(size_t k) {
        const int64_t o = static_cast<int64_t>(k) / total, l = static_cast<int64_t>(k) - o * total;
        const HashLine line = line_of(lines, l);
        const HashSpan span = axis.spans[o];
        HashSum sum;
        for (int g = 0; g < span.groups; ++g) {
            sum.add(four_pixels(line.data, line.step, axis.inputs, span.group + g), axis.digits[span.digits + g]);
        }
        line.to[o * lines.step] = sum.pixel();
    });
}

void pass(const HashLines& lines, const HashAxis& axis, int64_t total, Queue& queue) {
    const size_t bytes = static_cast<size_t>(((axis.inputs + 3) / 4) | 1) * sizeof(uint32_t) * 32;
    if (total > 64 && 4 * bytes <= kShared) return pass_tiles<4>(lines, axis, total, queue);
    if (total > 32 && 2 * bytes <= kShared) return pass_tiles<2>(lines, axis, total, queue);
    if (bytes <= kShared) return pass_tiles<1>(lines, axis, total, queue);
    pass_each(lines, axis, total, queue);
}

}  // namespace

HashResize::HashResize(int64_t height, int64_t width, int64_t new_height, int64_t new_width, Filter filter,
                       Regime regime, Queue& queue)
    : horizontal_(axis_of(width, new_width, filter, queue)),
      vertical_(axis_of(height, new_height, filter, queue)),
      vertical_first_(vertical_first(height, width, new_height, new_width, regime)) {}

void HashResize::operator()(const HashSource& images, int64_t n, uint8_t* between, uint8_t* out, Queue& queue) const {
    // The first pass leaves the lines of the second one, `padded` bytes apart: output o of image i is line i * outputs + o.
    const int64_t padded = lines_padded(), outputs = first().outputs;
    const HashAxis& second = vertical_first_ ? horizontal_ : vertical_;
    pass({images, lines(), vertical_first_, between, padded * outputs, padded, 1}, first(), n * lines(), queue);
    HashSource rows;
    rows.first = {between, padded, 1, 0, 0};
    rows.step = padded * outputs;
    const int64_t width = horizontal_.outputs;
    pass_each({rows, outputs, false, out, vertical_.outputs * width, vertical_first_ ? 1 : width,
               vertical_first_ ? width : 1},
              second, n * outputs, queue);
}

}  // namespace maskmill::cuda
