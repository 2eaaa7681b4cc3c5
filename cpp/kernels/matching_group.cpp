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
            while (slots_[at].position >= 0 && slots_[at].id != ids[i]) at = (at + 1) & (size - 1);
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
            keys[start[rows.image[p]]++] =
                static_cast<uint64_t>(rows.image[p]) << 32 | static_cast<uint64_t>(p - begin);
        }
        return;
    }
    for (size_t p = begin; p < end; ++p) {
        keys[p - begin] = static_cast<uint64_t>(rows.image[p]) << 32 | static_cast<uint64_t>(p - begin);
    }
    std::sort(keys.begin(), keys.end());
}

// What one group (a category, or all) contributes: its cells, and its share of the orders, written where the group's
// rows begin.
struct Part {
    Buffer<int64_t> image, gt_ends, dt_ends;  // ends within the group
};

void group_one(const Rows& gt, size_t gt_begin, size_t gt_end, const Rows& dt, size_t dt_begin, size_t dt_end,
               size_t images, const double* score, size_t max_det, int64_t* gt_order, int64_t* dt_order,
               double* dt_score, Part& out) {
    Buffer<uint64_t> gt_keys, dt_keys;
    sort_by_image(gt, gt_begin, gt_end, images, gt_keys);
    sort_by_image(dt, dt_begin, dt_end, images, dt_keys);
    const auto row_of = [](const Rows& rows, size_t begin, uint64_t key) {
        return rows.row[begin + static_cast<size_t>(key & 0xffffffffu)];
    };
    struct Candidate {
        uint64_t key;
        uint32_t place;  // in the order given: ties keep it
        uint32_t row;
        bool operator<(const Candidate& o) const { return key != o.key ? key < o.key : place < o.place; }
    };
    std::vector<Candidate> ranked;
    size_t g = 0, d = 0;
    int64_t gts = 0, dts = 0;
    while (g < gt_keys.size() || d < dt_keys.size()) {
        uint64_t image = ~uint64_t{0};
        if (g < gt_keys.size()) image = gt_keys[g] >> 32;
        if (d < dt_keys.size()) image = std::min(image, dt_keys[d] >> 32);
        for (; g < gt_keys.size() && gt_keys[g] >> 32 == image; ++g) gt_order[gts++] = row_of(gt, gt_begin, gt_keys[g]);
        ranked.clear();
        for (; d < dt_keys.size() && dt_keys[d] >> 32 == image; ++d) {
            if (d + kLookAhead < dt_keys.size()) prefetch_row(score + row_of(dt, dt_begin, dt_keys[d + kLookAhead]));
            const uint32_t row = row_of(dt, dt_begin, dt_keys[d]);
            ranked.push_back({falling_key(score[row]), static_cast<uint32_t>(d), row});
        }
        std::sort(ranked.begin(), ranked.end());
        for (size_t k = 0; k < std::min(max_det, ranked.size()); ++k) {
            dt_order[dts] = ranked[k].row;
            dt_score[dts++] = score[ranked[k].row];
        }
        out.image.push(static_cast<int64_t>(image));
        out.gt_ends.push(gts);
        out.dt_ends.push(dts);
    }
}

}  // namespace

bool matching_all_known(const int64_t* values, size_t n, const int64_t* ids, size_t id_count) {
    const Lookup at(ids, id_count);
    return std::all_of(values, values + n, [&](int64_t value) { return at(value) >= 0; });
}

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
    Cells out;
    out.gt_order.resize(gt.row.size());
    out.dt_order.resize(dt.row.size());
    out.dt_score.resize(dt.row.size());
    const auto most = static_cast<size_t>(std::max<int64_t>(0, max_det));
    parallel_for(groups, 1, [&](size_t begin, size_t end) {
        for (size_t k = begin; k < end; ++k) {
            const size_t g = start(gt, k), d = start(dt, k);
            group_one(gt, g, start(gt, k + 1), dt, d, start(dt, k + 1), in.image_count, in.dt_score, most,
                      out.gt_order.data() + g, out.dt_order.data() + d, out.dt_score.data() + d, parts[k]);
        }
    });
    out.gt_cells.push(0);
    out.dt_cells.push(0);
    int64_t gts = 0, dts = 0;
    for (size_t k = 0; k < groups; ++k) {
        const Part& part = parts[k];
        for (size_t c = 0; c < part.image.size(); ++c) {
            out.category.push(static_cast<int64_t>(k));
            out.gt_cells.push(gts + part.gt_ends[c]);
            out.dt_cells.push(dts + part.dt_ends[c]);
        }
        out.image.append(part.image.data(), part.image.size());
        if (part.image.size() == 0) continue;
        // The limit may have left some out: the groups behind move up.
        const auto own_dts = static_cast<size_t>(part.dt_ends[part.dt_ends.size() - 1]);
        const size_t d = start(dt, k);
        if (static_cast<size_t>(dts) != d) {
            std::memmove(out.dt_order.data() + dts, out.dt_order.data() + d, own_dts * sizeof(int64_t));
            std::memmove(out.dt_score.data() + dts, out.dt_score.data() + d, own_dts * sizeof(double));
        }
        gts += part.gt_ends[part.gt_ends.size() - 1];
        dts += static_cast<int64_t>(own_dts);
    }
    out.dt_order.resize(static_cast<size_t>(dts));
    out.dt_score.resize(static_cast<size_t>(dts));
    return out;
}

}  // namespace maskmill
