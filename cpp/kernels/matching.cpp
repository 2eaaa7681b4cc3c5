#include "kernels/matching.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "support/boxes.hpp"
#include "support/parallel.hpp"

namespace maskmill {
namespace {

constexpr size_t kGrainCells = 256;
constexpr double kSpacing = std::numeric_limits<double>::epsilon();  // np.spacing(1)

size_t gt_count(const CellView& c, size_t i) { return static_cast<size_t>(c.gt_cells[i + 1] - c.gt_cells[i]); }
size_t dt_count(const CellView& c, size_t i) { return static_cast<size_t>(c.dt_cells[i + 1] - c.dt_cells[i]); }

// numpy's pairwise summation of a contiguous array.
double pairwise_sum(const double* a, size_t n) {
    if (n < 8) {
        double sum = n > 0 ? a[0] : 0;
        for (size_t i = 1; i < n; ++i) sum += a[i];
        return sum;
    }
    if (n <= 128) {
        double r[8];
        std::copy_n(a, 8, r);
        size_t i = 8;
        for (; i + 8 <= n; i += 8) {
            for (size_t k = 0; k < 8; ++k) r[k] += a[i + k];
        }
        double sum = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
        for (; i < n; ++i) sum += a[i];
        return sum;
    }
    const size_t half = n / 2 / 8 * 8;
    return pairwise_sum(a, half) + pairwise_sum(a + half, n - half);
}

// Greedy matching of one cell for one set of ignore flags.
class Matcher {
  public:
    explicit Matcher(const MatchInput& in) : in_(in) {
        for (int64_t t = 0; t < in.threshold_count; ++t) {
            capped_.push_back(std::min(in.thresholds[t], 1 - 1e-10));
        }
        rising_ = std::is_sorted(capped_.begin(), capped_.end());
    }

    void cell(size_t c, const Matches& out) {
        gt_ = in_.cells.gt_order + in_.cells.gt_cells[c];
        dt_ = in_.cells.dt_order + in_.cells.dt_cells[c];
        gts_ = gt_count(in_.cells, c);
        dts_ = dt_count(in_.cells, c);
        ious_ = in_.ious + in_.iou_cells[c];
        const size_t dt_total = static_cast<size_t>(in_.cells.dt_cells[in_.cells.n]);
        const size_t gt_total = static_cast<size_t>(in_.cells.gt_cells[in_.cells.n]);
        const auto dt_at = static_cast<size_t>(in_.cells.dt_cells[c]), gt_at = static_cast<size_t>(in_.cells.gt_cells[c]);
        const auto thresholds = static_cast<size_t>(in_.threshold_count);
        if (gts_ > 0) find_row_maxima();
        have_flags_ = false;
        for (size_t a = 0; a < static_cast<size_t>(in_.area_count); ++a) {
            const double low = in_.area_ranges[2 * a], high = in_.area_ranges[2 * a + 1];
            out.counted[a * in_.cells.n + c] = set_flags(low, high);
            if (gts_ > 0 && dts_ > 0) {
                if (!have_flags_ || flags_ != last_flags_) match();
                last_flags_ = flags_;
                have_flags_ = true;
            } else {
                matched_.assign(dts_, 0);
                ignored_.assign(dts_, 0);
                partner_.assign(dts_ * thresholds, -1);
                taker_.assign(gts_ * thresholds, -1);
            }
            const uint32_t all = thresholds == 32 ? ~0u : (1u << thresholds) - 1;
            for (size_t d = 0; d < dts_; ++d) {
                const double area = in_.dt_area[dt_[d]];
                const bool outside = area < low || area > high;
                out.matched[a * dt_total + dt_at + d] = matched_[d];
                out.ignored[a * dt_total + dt_at + d] = ignored_[d] | (outside ? all & ~matched_[d] : 0);
            }
            if (out.dt_partner == nullptr) continue;
            for (size_t t = 0; t < thresholds; ++t) {
                int32_t* p = out.dt_partner + (a * thresholds + t) * dt_total + dt_at;
                for (size_t d = 0; d < dts_; ++d) p[d] = partner_[d * thresholds + t];
                int32_t* q = out.gt_partner + (a * thresholds + t) * gt_total + gt_at;
                for (size_t g = 0; g < gts_; ++g) q[g] = taker_[t * gts_ + g];
            }
        }
    }

  private:
    // Highest IoU of each detection; infinity where one is NaN, which is below no threshold.
    void find_row_maxima() {
        row_max_.resize(dts_);
        for (size_t d = 0; d < dts_; ++d) {
            double most = -1;
            for (size_t g = 0; g < gts_; ++g) {
                const double v = ious_[d * gts_ + g];
                if (!(v <= most)) most = std::isnan(v) ? std::numeric_limits<double>::infinity() : v;
            }
            row_max_[d] = most;
        }
    }

    // Flags and order of the ground truth for one area range; returns how many count.
    int64_t set_flags(double low, double high) {
        flags_.resize(gts_);
        int64_t counted = 0;
        for (size_t g = 0; g < gts_; ++g) {
            const int64_t row = gt_[g];
            const double area = in_.gt_area[row];
            flags_[g] = in_.gt_ignore[row] != 0 || area < low || area > high;
            counted += flags_[g] == 0;
        }
        order_.clear();
        for (const uint8_t wanted : {0, 1}) {  // a stable sort of two values
            for (size_t g = 0; g < gts_; ++g) {
                if (flags_[g] == wanted) order_.push_back(static_cast<uint32_t>(g));
            }
        }
        return counted;
    }

    void match() {
        const auto thresholds = static_cast<size_t>(in_.threshold_count);
        matched_.assign(dts_, 0);
        ignored_.assign(dts_, 0);
        partner_.assign(dts_ * thresholds, -1);
        taken_.assign(gts_ * thresholds, 0);
        taker_.assign(gts_ * thresholds, -1);
        for (size_t d = 0; d < dts_; ++d) {
            const double* const iou = ious_ + d * gts_;
            for (size_t t = 0; t < thresholds; ++t) {
                if (row_max_[d] < capped_[t]) {
                    if (rising_) break;
                    continue;
                }
                const int64_t m = best(iou, capped_[t], taken_.data() + t * gts_);
                if (m < 0) continue;
                const auto g = static_cast<size_t>(m);
                taken_[t * gts_ + g] = in_.dt_named[dt_[d]];
                taker_[t * gts_ + g] = static_cast<int32_t>(d);
                partner_[d * thresholds + t] = static_cast<int32_t>(g);
                if (in_.gt_named[gt_[g]] != 0) matched_[d] |= 1u << t;
                if (flags_[g] != 0) ignored_[d] |= 1u << t;
            }
        }
    }

    // The ground truth that one detection takes, or -1.
    int64_t best(const double* iou, double least, const uint8_t* taken) const {
        int64_t m = -1;
        for (const uint32_t g : order_) {
            if (taken[g] != 0 && in_.gt_crowd[gt_[g]] == 0) continue;
            if (m >= 0 && flags_[static_cast<size_t>(m)] == 0 && flags_[g] != 0) break;  // ignored ones come last
            if (iou[g] < least) continue;
            least = iou[g];
            m = g;
        }
        return m;
    }

    const MatchInput& in_;
    std::vector<double> capped_, row_max_;
    bool rising_ = true, have_flags_ = false;
    const int64_t *gt_ = nullptr, *dt_ = nullptr;
    size_t gts_ = 0, dts_ = 0;
    const double* ious_ = nullptr;
    std::vector<uint8_t> flags_, last_flags_, taken_;
    std::vector<uint32_t> order_, matched_, ignored_;
    std::vector<int32_t> partner_, taker_;  // (dt, threshold), (threshold, gt)
};

}  // namespace

int64_t matching_iou_cells(const CellView& cells, int64_t* iou_cells) {
    int64_t total = 0;
    for (size_t c = 0; c < cells.n; ++c) {
        iou_cells[c] = total;
        total += static_cast<int64_t>(gt_count(cells, c) * dt_count(cells, c));
    }
    iou_cells[cells.n] = total;
    return total;
}

void matching_box_iou(const CellView& cells, const double* gt_boxes, const double* dt_boxes, const uint8_t* iscrowd,
                      const int64_t* iou_cells, double* ious) {
    parallel_for(cells.n, kGrainCells, [&](size_t begin, size_t end) {
        for (size_t c = begin; c < end; ++c) {
            double* out = ious + iou_cells[c];
            for (int64_t d = cells.dt_cells[c]; d < cells.dt_cells[c + 1]; ++d) {
                const double* const dt = dt_boxes + 4 * cells.dt_order[d];
                for (int64_t g = cells.gt_cells[c]; g < cells.gt_cells[c + 1]; ++g) {
                    const int64_t row = cells.gt_order[g];
                    *out++ = coco_box_iou(dt, gt_boxes + 4 * row, iscrowd[row] != 0);
                }
            }
        }
    });
}

void matching_oks_exponents(const CellView& cells, const OksInput& in, const int64_t* iou_cells, double* exponents) {
    const auto k = static_cast<size_t>(in.k);
    parallel_for(cells.n, kGrainCells / 16, [&](size_t begin, size_t end) {
        for (size_t c = begin; c < end; ++c) {
            double* e = exponents + static_cast<size_t>(iou_cells[c]) * k;
            for (int64_t d = cells.dt_cells[c]; d < cells.dt_cells[c + 1]; ++d) {
                const double* const dt = in.dt_points + static_cast<size_t>(cells.dt_order[d]) * 3 * k;
                for (int64_t g = cells.gt_cells[c]; g < cells.gt_cells[c + 1]; ++g, e += k) {
                    const auto row = static_cast<size_t>(cells.gt_order[g]);
                    const double* const gt = in.gt_points + row * 3 * k;
                    const double* const box = in.gt_boxes + 4 * row;
                    bool any = false;
                    for (size_t p = 0; p < k; ++p) any |= gt[3 * p + 2] > 0;
                    const double x0 = box[0] - box[2], x1 = box[0] + box[2] * 2;
                    const double y0 = box[1] - box[3], y1 = box[1] + box[3] * 2;
                    for (size_t p = 0; p < k; ++p) {
                        const double x = dt[3 * p], y = dt[3 * p + 1];
                        // Nothing visible: the distance to twice the box instead.
                        const double dx = any ? x - gt[3 * p] : numpy_max(0, x0 - x) + numpy_max(0, x - x1);
                        const double dy = any ? y - gt[3 * p + 1] : numpy_max(0, y0 - y) + numpy_max(0, y - y1);
                        e[p] = (dx * dx + dy * dy) / in.variances[p] / (in.gt_area[row] + kSpacing) / 2;
                    }
                }
            }
        }
    });
}

void matching_oks_means(const CellView& cells, const OksInput& in, const int64_t* iou_cells,
                        const double* exponentials, double* ious) {
    const auto k = static_cast<size_t>(in.k);
    parallel_for(cells.n, kGrainCells / 16, [&](size_t begin, size_t end) {
        std::vector<double> seen(k);
        for (size_t c = begin; c < end; ++c) {
            const auto first = static_cast<size_t>(iou_cells[c]);
            const size_t gts = gt_count(cells, c);
            for (size_t i = first; i < static_cast<size_t>(iou_cells[c + 1]); ++i) {
                const auto row = static_cast<size_t>(cells.gt_order[cells.gt_cells[c] + static_cast<int64_t>((i - first) % gts)]);
                const double* const gt = in.gt_points + row * 3 * k;
                size_t n = 0;
                for (size_t p = 0; p < k; ++p) {
                    if (gt[3 * p + 2] > 0) seen[n++] = exponentials[i * k + p];
                }
                ious[i] = n > 0 ? pairwise_sum(seen.data(), n) / static_cast<double>(n)
                                : pairwise_sum(exponentials + i * k, k) / static_cast<double>(k);
            }
        }
    });
}

void matching_match(const MatchInput& in, const Matches& out) {
    if (in.threshold_count > 32) throw std::invalid_argument("at most 32 thresholds at a time");
    parallel_for(in.cells.n, kGrainCells, [&](size_t begin, size_t end) {
        Matcher matcher(in);
        for (size_t c = begin; c < end; ++c) matcher.cell(c, out);
    });
}

}  // namespace maskmill
