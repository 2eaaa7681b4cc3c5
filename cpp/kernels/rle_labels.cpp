#include <algorithm>
#include <bit>
#include <memory>

#include "kernels/rle.hpp"
#include "support/parallel.hpp"
#include "support/runs.hpp"

#define MASKMILL_SIMD_FILE "kernels/rle_labels.inl"
#include "support/simd_foreach.hpp"

namespace maskmill {
namespace {

// A stretch of one value within one column.
struct Stretch {
    int64_t label;
    uint64_t begin;
    uint64_t length;
};

template <class T>
int64_t label_at(const uint8_t* p) {
    T item;
    std::memcpy(&item, p, sizeof(T));
    if constexpr (sizeof(T) == 8 && !std::is_signed_v<T>) {
        if (item > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
            throw std::invalid_argument("label " + std::to_string(item) + " is larger than 2^63 - 1");
        }
    }
    return static_cast<int64_t>(item);
}

// All stretches of columns [x0, x1) but those of label 0, in column order.
template <class T>
void find_stretches(const ImageStack& s, int64_t x0, int64_t x1, Buffer<Stretch>& out) {
    const int64_t h = s.height;
    const auto emit = [&](int64_t x, const uint32_t* rows, uint32_t found) {
        const uint8_t* column = s.data + x * s.step_x;
        for (uint32_t k = 0; k < found; ++k) {
            const int64_t label = label_at<T>(column + rows[k] * s.step_y);
            if (label == 0) continue;
            const uint64_t end = k + 1 < found ? rows[k + 1] : static_cast<uint64_t>(h);
            out.push({label, static_cast<uint64_t>(x * h) + rows[k], end - rows[k]});
        }
    };
    if (s.step_x == static_cast<int64_t>(sizeof(T)) && h > 1) {
        Buffer<uint32_t> rows(static_cast<size_t>(64 * h));
        uint32_t found[64];
        for (int64_t x = x0; x < x1; x += 64) {
            const int columns = static_cast<int>(std::min<int64_t>(64, x1 - x));
            MASKMILL_DISPATCH(find_changes<T>, s.data + x * s.step_x, s.step_y, h, columns, rows.data(), found);
            for (int c = 0; c < columns; ++c) emit(x + c, rows.data() + c * h, found[c]);
        }
        return;
    }
    Buffer<uint32_t> rows(static_cast<size_t>(h));
    Buffer<T> copy(s.step_y == static_cast<int64_t>(sizeof(T)) ? 0 : static_cast<size_t>(h));
    for (int64_t x = x0; x < x1; ++x) {
        const uint8_t* column = s.data + x * s.step_x;
        if (copy.size() > 0) {
            for (int64_t y = 0; y < h; ++y)
                std::memcpy(&copy[static_cast<size_t>(y)], column + y * s.step_y, sizeof(T));
            column = reinterpret_cast<const uint8_t*>(copy.data());
        }
        emit(x, rows.data(), MASKMILL_DISPATCH(find_column_changes<T>, column, h, rows.data()));
    }
}

Buffer<Stretch> stretches_of(const ImageStack& s, bool is_signed) {
    const int64_t blocks = (s.width + 63) / 64;
    const int64_t most = std::max<int64_t>(1, s.height * s.width >> 17);
    const int64_t pieces = std::min<int64_t>({blocks, most, thread_count() == 1 ? 1 : 4 * thread_count()});
    const auto parts = std::make_unique<Buffer<Stretch>[]>(static_cast<size_t>(pieces));
    parallel_run(static_cast<size_t>(pieces), [&](size_t p) {
        const int64_t i = static_cast<int64_t>(p);
        const int64_t x0 = blocks * i / pieces * 64, x1 = std::min(s.width, blocks * (i + 1) / pieces * 64);
        switch (s.itemsize) {
            case 1:
                return is_signed ? find_stretches<int8_t>(s, x0, x1, parts[p])
                                 : find_stretches<uint8_t>(s, x0, x1, parts[p]);
            case 2:
                return is_signed ? find_stretches<int16_t>(s, x0, x1, parts[p])
                                 : find_stretches<uint16_t>(s, x0, x1, parts[p]);
            case 4:
                return is_signed ? find_stretches<int32_t>(s, x0, x1, parts[p])
                                 : find_stretches<uint32_t>(s, x0, x1, parts[p]);
            default:
                return is_signed ? find_stretches<int64_t>(s, x0, x1, parts[p])
                                 : find_stretches<uint64_t>(s, x0, x1, parts[p]);
        }
    });
    Buffer<Stretch> all = std::move(parts[0]);
    for (int64_t p = 1; p < pieces; ++p)
        all.append(parts[static_cast<size_t>(p)].data(), parts[static_cast<size_t>(p)].size());
    return all;
}

// Replaces labels by their rank; returns the labels in rising order.
Buffer<int64_t> rank_labels(Buffer<Stretch>& stretches) {
    Buffer<int64_t> values;
    if (stretches.size() == 0) return values;
    int64_t low = stretches[0].label, high = low;
    for (const Stretch& s : stretches) {
        low = std::min(low, s.label);
        high = std::max(high, s.label);
    }
    const uint64_t range = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
    if (range < 16 * stretches.size() + 65536) {
        Buffer<int64_t> rank(static_cast<size_t>(range) + 1);
        std::fill(rank.begin(), rank.end(), -1);
        for (const Stretch& s : stretches) rank[static_cast<size_t>(s.label - low)] = 0;
        for (uint64_t k = 0; k <= range; ++k) {
            if (rank[k] < 0) continue;
            rank[k] = static_cast<int64_t>(values.size());
            values.push(low + static_cast<int64_t>(k));
        }
        for (Stretch& s : stretches) s.label = rank[static_cast<size_t>(s.label - low)];
        return values;
    }
    for (const Stretch& s : stretches) values.push(s.label);
    std::sort(values.begin(), values.end());
    values.resize(static_cast<size_t>(std::unique(values.begin(), values.end()) - values.begin()));
    for (Stretch& s : stretches) s.label = std::lower_bound(values.begin(), values.end(), s.label) - values.begin();
    return values;
}

template <class T>
void paint(const Rles& masks, const int64_t* values, const OutputStack& out) {
    for (size_t i = 0; i < masks.n; ++i) {
        const T value = static_cast<T>(values[i]);
        for_each_segment(masks.runs(i), static_cast<uint64_t>(out.height), [&](uint64_t x, uint64_t y0, uint64_t y1) {
            uint8_t* column = out.data + static_cast<int64_t>(x) * out.step_x;
            for (uint64_t y = y0; y < y1; ++y) {
                std::memcpy(column + static_cast<int64_t>(y) * out.step_y, &value, sizeof(T));
            }
        });
    }
}

}  // namespace

LabelMasks rle_from_labels(const ImageStack& labels, bool is_signed) {
    LabelMasks out;
    const uint64_t pixels = static_cast<uint64_t>(labels.height) * static_cast<uint64_t>(labels.width);
    Buffer<Stretch> stretches;
    if (pixels > 0) stretches = stretches_of(labels, is_signed);
    out.values = rank_labels(stretches);
    const size_t n = out.values.size();

    // Count, scan, fill. A stretch that starts where its label ended continues across a column border.
    Buffer<uint64_t> end(n);
    Buffer<int64_t> cursor(n);
    std::fill(end.begin(), end.end(), ~uint64_t{0});
    std::fill(cursor.begin(), cursor.end(), 0);
    for (const Stretch& s : stretches) {
        const auto i = static_cast<size_t>(s.label);
        if (s.begin != end[i]) cursor[i] += 2;
        end[i] = s.begin + s.length;
    }
    out.runs.offsets.resize(n + 1);
    int64_t total = 0;
    for (size_t i = 0; i < n; ++i) {
        out.runs.offsets[i] = total;
        total += cursor[i] + (end[i] < pixels ? 1 : 0);
        cursor[i] = out.runs.offsets[i];
        end[i] = 0;
    }
    out.runs.offsets[n] = total;
    out.runs.values.resize(static_cast<size_t>(total));
    uint32_t* counts = out.runs.values.data();
    for (const Stretch& s : stretches) {
        const auto i = static_cast<size_t>(s.label);
        int64_t& at = cursor[i];
        if (s.begin == end[i] && at > out.runs.offsets[i]) {
            counts[at - 1] = checked_run(counts[at - 1] + s.length);
        } else {
            counts[at++] = checked_run(s.begin - end[i]);
            counts[at++] = checked_run(s.length);
        }
        end[i] = s.begin + s.length;
    }
    for (size_t i = 0; i < n; ++i) {
        if (end[i] < pixels) counts[cursor[i]] = checked_run(pixels - end[i]);
    }
    return out;
}

void rle_to_labels(const Rles& masks, const int64_t* values, const OutputStack& out) {
    for (size_t i = 0; i < masks.n; ++i) {
        if (masks.height(i) != out.height || masks.width(i) != out.width) {
            fail_mask(i, "size " + size_text(masks.height(i), masks.width(i)) + " differs from the output's " +
                             size_text(out.height, out.width));
        }
        check_sum(i, masks.runs(i), masks.pixels(i));
    }
    switch (out.itemsize) {
        case 1: return paint<uint8_t>(masks, values, out);
        case 2: return paint<uint16_t>(masks, values, out);
        case 4: return paint<uint32_t>(masks, values, out);
        default: return paint<uint64_t>(masks, values, out);
    }
}

}  // namespace maskmill
