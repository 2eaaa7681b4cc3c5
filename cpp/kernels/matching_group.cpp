#include <algorithm>
#include <bit>
#include <vector>

#include "kernels/matching.hpp"
#include "support/parallel.hpp"
#include "support/scores.hpp"

namespace maskmill {
namespace {

// Position of each id in a list; -1 for the others. A hash table with linear probing, at most half full.
class Lookup {
  public:
    Lookup(const int64_t* ids, size_t n) {
        size_t size = 16;
        while (size < 2 * n) size *= 2;
        shift_ = 64 - std::countr_zero(size);
        slots_.resize(size);
        std::fill(slots_.begin(), slots_.end(), Slot{0, -1});
        for (size_t i = 0; i < n; ++i) {
            size_t at = hash(ids[i]);
            while (slots_[at].position >= 0) at = (at + 1) & (size - 1);
            slots_[at] = {ids[i], static_cast<int64_t>(i)};
        }
    }
    int64_t operator()(int64_t id) const {
        size_t at = hash(id);
        while (slots_[at].position >= 0 && slots_[at].id != id) at = (at + 1) & (slots_.size() - 1);
        return slots_[at].position;
    }

  private:
    struct Slot {
        int64_t id, position;
    };
    size_t hash(int64_t id) const {  // Fibonacci hashing: the high bits of a product with 2^64 / golden ratio
        return static_cast<size_t>(static_cast<uint64_t>(id) * 0x9e3779b97f4a7c15ULL >> shift_);
    }
    Buffer<Slot> slots_;
    int shift_;
};

// Rows with their category and image as positions, sorted by category (stable), categories being at starts.
struct Rows {
    Buffer<uint32_t> row, image;
    Buffer<int64_t> starts;
};

Rows sort_by_category(const int64_t* image, const int64_t* category, size_t n, const Lookup& image_at,
                      const Lookup& category_at, size_t categories) {
    if (n > 0xffffffffu) throw std::invalid_argument("there are more than 2^32 - 1 rows");
    Buffer<uint32_t> k(n), i(n);
    constexpr uint32_t none = 0xffffffffu;
    parallel_for(n, 1 << 15, [&](size_t begin, size_t end) {
        for (size_t r = begin; r < end; ++r) {
            const int64_t kk = category_at(category[r]), ii = kk < 0 ? -1 : image_at(image[r]);
            k[r] = ii < 0 ? none : static_cast<uint32_t>(kk);
            i[r] = static_cast<uint32_t>(ii);
        }
    });
    Rows out;
    out.starts.resize(categories + 1);
    std::fill(out.starts.begin(), out.starts.end(), 0);
    for (size_t r = 0; r < n; ++r) {
        if (k[r] != none) ++out.starts[k[r] + 1];
    }
    for (size_t c = 0; c < categories; ++c) out.starts[c + 1] += out.starts[c];
    const auto total = static_cast<size_t>(out.starts[categories]);
    out.row.resize(total);
    out.image.resize(total);
    Buffer<int64_t> cursor(categories);
    std::copy_n(out.starts.begin(), categories, cursor.begin());
    for (size_t r = 0; r < n; ++r) {
        if (k[r] == none) continue;
        const auto at = static_cast<size_t>(cursor[k[r]]++);
        out.row[at] = static_cast<uint32_t>(r);
        out.image[at] = i[r];
    }
    return out;
}

// One category's rows sorted by image (stable): a counting sort, or a comparison sort where images are many and rows few.
void sort_by_image(const Rows& rows, size_t begin, size_t end, size_t images, Buffer<uint64_t>& keys) {
    keys.resize(end - begin);
    if (images <= 16 * (end - begin)) {
        Buffer<uint32_t> start(images + 1);
        std::fill(start.begin(), start.end(), 0u);
        for (size_t p = begin; p < end; ++p) ++start[rows.image[p] + 1];
        for (size_t i = 0; i < images; ++i) start[i + 1] += start[i];
        for (size_t p = begin; p < end; ++p) {
            keys[start[rows.image[p]]++] = static_cast<uint64_t>(rows.image[p]) << 32 | static_cast<uint64_t>(p - begin);
        }
        return;
    }
    for (size_t p = begin; p < end; ++p) {
        keys[p - begin] = static_cast<uint64_t>(rows.image[p]) << 32 | static_cast<uint64_t>(p - begin);
    }
    std::sort(keys.begin(), keys.end());
}

// What one group (a category, or all) contributes.
struct Part {
    Buffer<int64_t> image, gt_ends, gt_order, dt_ends, dt_order;
    Buffer<double> dt_score;
};

void group_one(const Rows& gt, size_t gt_begin, size_t gt_end, const Rows& dt, size_t dt_begin, size_t dt_end,
               size_t images, const double* score, int64_t max_det, Part& out) {
    Buffer<uint64_t> gt_keys, dt_keys;
    sort_by_image(gt, gt_begin, gt_end, images, gt_keys);
    sort_by_image(dt, dt_begin, dt_end, images, dt_keys);
    struct Ranked {
        uint64_t key;
        uint64_t place;  // in the order given: ties keep it
        int64_t row;
        double score;
        bool operator<(const Ranked& o) const { return key != o.key ? key < o.key : place < o.place; }
    };
    std::vector<Ranked> ranked;
    const auto most = static_cast<size_t>(std::max<int64_t>(0, max_det));
    size_t g = 0, d = 0;
    while (g < gt_keys.size() || d < dt_keys.size()) {
        uint64_t image = ~uint64_t{0};
        if (g < gt_keys.size()) image = gt_keys[g] >> 32;
        if (d < dt_keys.size()) image = std::min(image, dt_keys[d] >> 32);
        for (; g < gt_keys.size() && gt_keys[g] >> 32 == image; ++g) {
            out.gt_order.push(gt.row[gt_begin + static_cast<size_t>(gt_keys[g] & 0xffffffffu)]);
        }
        ranked.clear();
        for (; d < dt_keys.size() && dt_keys[d] >> 32 == image; ++d) {
            const uint32_t row = dt.row[dt_begin + static_cast<size_t>(dt_keys[d] & 0xffffffffu)];
            ranked.push_back({falling_key(score[row]), d, row, score[row]});
        }
        std::sort(ranked.begin(), ranked.end());
        for (size_t k = 0; k < std::min(most, ranked.size()); ++k) {
            out.dt_order.push(ranked[k].row);
            out.dt_score.push(ranked[k].score);
        }
        out.image.push(static_cast<int64_t>(image));
        out.gt_ends.push(static_cast<int64_t>(out.gt_order.size()));
        out.dt_ends.push(static_cast<int64_t>(out.dt_order.size()));
    }
}

}  // namespace

Cells matching_group(const GroupInput& in, bool use_categories, int64_t max_det) {
    const Lookup image_at(in.image_ids, in.image_count), category_at(in.category_ids, in.category_count);
    const Rows gt =
        sort_by_category(in.gt_image, in.gt_category, in.gt_count, image_at, category_at, in.category_count);
    const Rows dt =
        sort_by_category(in.dt_image, in.dt_category, in.dt_count, image_at, category_at, in.category_count);
    const size_t groups = use_categories ? in.category_count : 1;
    const auto parts = std::make_unique<Part[]>(groups);
    const auto start = [&](const Rows& rows, size_t k) {
        return static_cast<size_t>(use_categories ? rows.starts[k] : k == 0 ? 0 : rows.starts[in.category_count]);
    };
    parallel_for(groups, 1, [&](size_t begin, size_t end) {
        for (size_t k = begin; k < end; ++k) {
            group_one(gt, start(gt, k), start(gt, k + 1), dt, start(dt, k), start(dt, k + 1), in.image_count,
                      in.dt_score, max_det, parts[k]);
        }
    });
    Cells out;
    out.gt_cells.push(0);
    out.dt_cells.push(0);
    for (size_t k = 0; k < groups; ++k) {
        const Part& part = parts[k];
        const auto gt_shift = static_cast<int64_t>(out.gt_order.size());
        const auto dt_shift = static_cast<int64_t>(out.dt_order.size());
        for (size_t c = 0; c < part.image.size(); ++c) {
            out.category.push(static_cast<int64_t>(k));
            out.gt_cells.push(gt_shift + part.gt_ends[c]);
            out.dt_cells.push(dt_shift + part.dt_ends[c]);
        }
        out.image.append(part.image.data(), part.image.size());
        out.gt_order.append(part.gt_order.data(), part.gt_order.size());
        out.dt_order.append(part.dt_order.data(), part.dt_order.size());
        out.dt_score.append(part.dt_score.data(), part.dt_score.size());
    }
    return out;
}

}  // namespace maskmill
