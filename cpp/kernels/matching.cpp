#include "kernels/matching.hpp"

#include <algorithm>
#include <bit>
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

// Cells with fewer ground truths are compared box by box.
constexpr size_t kFewBoxes = 6;

// The ground truth boxes of one cell, side by side.
class CellBoxes {
  public:
    void load(const CellView& cells, size_t c, const double* boxes, const uint8_t* iscrowd) {
        const size_t n = gt_count(cells, c);
        const int64_t* const rows = cells.gt_order + cells.gt_cells[c];
        if (n < kFewBoxes) {
            for (size_t g = 0; g < n; ++g) {
                std::copy_n(boxes + 4 * rows[g], 4, few_ + 4 * g);
                few_crowd_[g] = iscrowd[rows[g]] != 0;
            }
            numbers_ = std::none_of(few_, few_ + 4 * n, [](double v) { return std::isnan(v); });
            return;
        }
        many_.resize(n);
        for (size_t g = 0; g < n; ++g) many_.set(g, boxes + 4 * rows[g], iscrowd[rows[g]] != 0);
    }
    // The cell's matrix.
    void compare(const CellView& cells, size_t c, const double* dt_boxes, double* out) const {
        const int64_t total = cells.dt_cells[cells.n];
        const size_t n = gt_count(cells, c);
        for (int64_t d = cells.dt_cells[c]; d < cells.dt_cells[c + 1]; ++d, out += n) {
            if (d + kLookAhead < total) prefetch_row(dt_boxes + 4 * cells.dt_order[d + kLookAhead]);
            const double* const dt = dt_boxes + 4 * cells.dt_order[d];
            if (n >= kFewBoxes) {
                many_.iou_with_dt(dt, out);
            } else if (numbers_ && !std::isnan(dt[0] + dt[1] + dt[2] + dt[3])) {
                for (size_t g = 0; g < n; ++g) out[g] = coco_box_iou_of_numbers(dt, few_ + 4 * g, few_crowd_[g]);
            } else {
                for (size_t g = 0; g < n; ++g) out[g] = coco_box_iou(dt, few_ + 4 * g, few_crowd_[g]);
            }
        }
    }

  private:
    double few_[4 * kFewBoxes];
    bool few_crowd_[kFewBoxes];
    bool numbers_ = true;  // no NaN in the few
    BoxColumns many_;
};

// Greedy matching of one cell for one set of ignore flags.
class Matcher {
  public:
    Matcher(const MatchInput& in, bool partners) : in_(in), partners_(partners) {
        for (int64_t t = 0; t < in.threshold_count; ++t) {
            capped_.push_back(std::min(in.thresholds[t], 1 - 1e-10));
        }
        least_ = capped_.empty() ? 1 : *std::min_element(capped_.begin(), capped_.end());
    }

    void cell(size_t c, const Matches& out) {
        gt_ = in_.cells.gt_order + in_.cells.gt_cells[c];
        dt_ = in_.cells.dt_order + in_.cells.dt_cells[c];
        gts_ = gt_count(in_.cells, c);
        dts_ = dt_count(in_.cells, c);
        if (in_.ious != nullptr) {
            ious_ = in_.ious + in_.iou_cells[c];
        } else {
            boxes_.load(in_.cells, c, in_.gt_boxes, in_.gt_crowd);
            own_ious_.resize(gts_ * dts_);
            boxes_.compare(in_.cells, c, in_.dt_boxes, own_ious_.data());
            ious_ = own_ious_.data();
        }
        const size_t dt_total = static_cast<size_t>(in_.cells.dt_cells[in_.cells.n]);
        const size_t gt_total = static_cast<size_t>(in_.cells.gt_cells[in_.cells.n]);
        const auto dt_at = static_cast<size_t>(in_.cells.dt_cells[c]),
                   gt_at = static_cast<size_t>(in_.cells.gt_cells[c]);
        const auto thresholds = static_cast<size_t>(in_.threshold_count);
        have_flags_ = false;
        find_candidates();
        area_.resize(dts_);
        for (size_t d = 0; d < dts_; ++d) {
            if (dt_at + d + kLookAhead < dt_total) prefetch_row(in_.dt_area + dt_[d + kLookAhead]);
            area_[d] = in_.dt_area[dt_[d]];
        }
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
                if (partners_) {
                    partner_.assign(dts_ * thresholds, -1);
                    taker_.assign(gts_ * thresholds, -1);
                }
            }
            const uint32_t all = (1u << thresholds) - 1;
            for (size_t d = 0; d < dts_; ++d) {
                const bool outside = area_[d] < low || area_[d] > high;
                out.matched[a * dt_total + dt_at + d] = static_cast<uint16_t>(matched_[d]);
                out.ignored[a * dt_total + dt_at + d] =
                    static_cast<uint16_t>(ignored_[d] | (outside ? all & ~matched_[d] : 0));
            }
            if (!partners_) continue;
            for (size_t t = 0; t < thresholds; ++t) {
                int32_t* p = out.dt_partner + (a * thresholds + t) * dt_total + dt_at;
                for (size_t d = 0; d < dts_; ++d) p[d] = partner_[d * thresholds + t];
                int32_t* q = out.gt_partner + (a * thresholds + t) * gt_total + gt_at;
                for (size_t g = 0; g < gts_; ++g) q[g] = taker_[t * gts_ + g];
            }
        }
    }

  private:
    // For every detection, as bits, the ground truth that it reaches at some threshold: mostly none, or one.
    void find_candidates() {
        words_ = (gts_ + 63) / 64;
        candidates_.assign(dts_ * words_, 0);
        for (size_t d = 0; d < dts_; ++d) {
            uint64_t* const bits = candidates_.data() + d * words_;
            const double* const iou = ious_ + d * gts_;
            bool nan = false;
            for (size_t g = 0; g < gts_; ++g) {
                const bool reached = !(iou[g] < least_);
                bits[g / 64] |= static_cast<uint64_t>(reached) << (g % 64);
                nan |= reached && std::isnan(iou[g]);
            }
            // Once a NaN is the best so far, nothing is less.
            if (!nan) continue;
            for (size_t g = 0; g < gts_; ++g) bits[g / 64] |= uint64_t{1} << (g % 64);
        }
    }

    // Flags, as bits, of the ground truth that is ignored in one area range; returns how many count.
    int64_t set_flags(double low, double high) {
        flags_.assign(words_, 0);
        int64_t counted = 0;
        for (size_t g = 0; g < gts_; ++g) {
            const int64_t row = gt_[g];
            const double area = in_.gt_area[row];
            const bool ignored = in_.gt_ignore[row] != 0 || area < low || area > high;
            flags_[g / 64] |= static_cast<uint64_t>(ignored) << (g % 64);
            counted += !ignored;
        }
        return counted;
    }
    bool flagged(size_t g) const { return (flags_[g / 64] >> (g % 64) & 1) != 0; }

    void match() {
        const auto thresholds = static_cast<size_t>(in_.threshold_count);
        matched_.assign(dts_, 0);
        ignored_.assign(dts_, 0);
        taken_.assign(gts_, 0);
        if (partners_) {
            partner_.assign(dts_ * thresholds, -1);
            taker_.assign(gts_ * thresholds, -1);
        }
        for (size_t d = 0; d < dts_; ++d) {
            const uint64_t* const bits = candidates_.data() + d * words_;
            size_t found = 0, only = 0;
            for (size_t w = 0; w < words_; ++w) {
                if (bits[w] == 0) continue;
                found += static_cast<size_t>(std::popcount(bits[w]));
                only = w * 64 + static_cast<size_t>(std::countr_zero(bits[w]));
            }
            if (found == 0) continue;
            const double* const iou = ious_ + d * gts_;
            if (found == 1) {  // all thresholds at once
                take(d, only, reached(iou[only]) & ~barred(only));
                continue;
            }
            for (size_t t = 0; t < thresholds; ++t) {
                const int64_t m = best(bits, iou, t);
                if (m >= 0) take(d, static_cast<size_t>(m), 1u << t);
            }
        }
    }

    // Thresholds that an IoU is not below.
    uint32_t reached(double iou) const {
        uint32_t bits = 0;
        for (size_t t = 0; t < capped_.size(); ++t) bits |= static_cast<uint32_t>(!(iou < capped_[t])) << t;
        return bits;
    }
    // Thresholds at which a ground truth can take no more: a crowd always can.
    uint32_t barred(size_t g) const { return in_.gt_crowd[gt_[g]] != 0 ? 0 : taken_[g]; }

    // Detection d takes ground truth g at these thresholds.
    void take(size_t d, size_t g, uint32_t bits) {
        if (bits == 0) return;
        if (in_.dt_named[dt_[d]] != 0) {
            taken_[g] |= bits;
        } else {
            taken_[g] &= ~bits;
        }
        if (in_.gt_named[gt_[g]] != 0) matched_[d] |= bits;
        if (flagged(g)) ignored_[d] |= bits;
        if (!partners_) return;
        for (; bits != 0; bits &= bits - 1) {
            const auto t = static_cast<size_t>(std::countr_zero(bits));
            taker_[t * gts_ + g] = static_cast<int32_t>(d);
            partner_[d * static_cast<size_t>(in_.threshold_count) + t] = static_cast<int32_t>(g);
        }
    }

    // The ground truth that a detection with several candidates takes at threshold t, or -1: the last of the highest
    // IoU, ignored ones only if there is no other.
    int64_t best(const uint64_t* bits, const double* iou, size_t t) const {
        double least = capped_[t];
        int64_t m = -1;
        for (const uint64_t invert : {~uint64_t{0}, uint64_t{0}}) {
            for (size_t w = 0; w < words_; ++w) {
                for (uint64_t rest = bits[w] & (flags_[w] ^ invert); rest != 0; rest &= rest - 1) {
                    const size_t g = w * 64 + static_cast<size_t>(std::countr_zero(rest));
                    if ((barred(g) >> t & 1) != 0 || iou[g] < least) continue;
                    least = iou[g];
                    m = static_cast<int64_t>(g);
                }
            }
            if (m >= 0) break;
        }
        return m;
    }

    const MatchInput& in_;
    const bool partners_;
    CellBoxes boxes_;
    std::vector<double> capped_, area_, own_ious_;
    double least_ = 1;
    bool have_flags_ = false;
    const int64_t *gt_ = nullptr, *dt_ = nullptr;
    size_t gts_ = 0, dts_ = 0;
    const double* ious_ = nullptr;
    size_t words_ = 0;                                       // of 64 ground truths
    std::vector<uint64_t> flags_, last_flags_, candidates_;  // bits of ground truths
    std::vector<uint32_t> taken_, matched_, ignored_;        // bits of thresholds
    std::vector<int32_t> partner_, taker_;                   // (dt, threshold), (threshold, gt)
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
        CellBoxes boxes;
        for (size_t c = begin; c < end; ++c) {
            boxes.load(cells, c, gt_boxes, iscrowd);
            boxes.compare(cells, c, dt_boxes, ious + iou_cells[c]);
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

void matching_oks_means(const CellView& cells, const OksInput& in, const int64_t* iou_cells, const double* exponentials,
                        double* ious) {
    const auto k = static_cast<size_t>(in.k);
    parallel_for(cells.n, kGrainCells / 16, [&](size_t begin, size_t end) {
        std::vector<double> seen(k);
        for (size_t c = begin; c < end; ++c) {
            const auto first = static_cast<size_t>(iou_cells[c]);
            const size_t gts = gt_count(cells, c);
            for (size_t i = first; i < static_cast<size_t>(iou_cells[c + 1]); ++i) {
                const auto row =
                    static_cast<size_t>(cells.gt_order[cells.gt_cells[c] + static_cast<int64_t>((i - first) % gts)]);
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
    if (in.threshold_count > 16) throw std::invalid_argument("at most 16 thresholds at a time");
    parallel_for(in.cells.n, kGrainCells, [&](size_t begin, size_t end) {
        Matcher matcher(in, out.dt_partner != nullptr);
        for (size_t c = begin; c < end; ++c) matcher.cell(c, out);
    });
}

}  // namespace maskmill
