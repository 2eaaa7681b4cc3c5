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
        ious_ = in_.ious + in_.iou_cells[c];
        const size_t dt_total = static_cast<size_t>(in_.cells.dt_cells[in_.cells.n]);
        const size_t gt_total = static_cast<size_t>(in_.cells.gt_cells[in_.cells.n]);
        const auto dt_at = static_cast<size_t>(in_.cells.dt_cells[c]), gt_at = static_cast<size_t>(in_.cells.gt_cells[c]);
        const auto thresholds = static_cast<size_t>(in_.threshold_count);
        have_flags_ = false;
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
            const uint32_t all = thresholds == 32 ? ~0u : (1u << thresholds) - 1;
            for (size_t d = 0; d < dts_; ++d) {
                const bool outside = area_[d] < low || area_[d] > high;
                out.matched[a * dt_total + dt_at + d] = matched_[d];
                out.ignored[a * dt_total + dt_at + d] = ignored_[d] | (outside ? all & ~matched_[d] : 0);
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
        taken_.assign(gts_, 0);
        if (partners_) {
            partner_.assign(dts_ * thresholds, -1);
            taker_.assign(gts_ * thresholds, -1);
        }
        for (size_t d = 0; d < dts_; ++d) {
            const double* const iou = ious_ + d * gts_;
            candidates_.clear();  // most detections reach no threshold anywhere
            for (const uint32_t g : order_) {
                if (!(iou[g] < least_)) candidates_.push_back(g);
            }
            if (candidates_.size() == 1) {  // mostly: all thresholds at once
                const uint32_t g = candidates_[0];
                take(d, g, reached(iou[g]) & ~barred(g));
            } else if (!candidates_.empty()) {
                for (size_t t = 0; t < thresholds; ++t) {
                    const int64_t m = best(iou, t);
                    if (m >= 0) take(d, static_cast<uint32_t>(m), 1u << t);
                }
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
    uint32_t barred(uint32_t g) const { return in_.gt_crowd[gt_[g]] != 0 ? 0 : taken_[g]; }

    // Detection d takes ground truth g at these thresholds.
    void take(size_t d, uint32_t g, uint32_t bits) {
        if (bits == 0) return;
        if (in_.dt_named[dt_[d]] != 0) {
            taken_[g] |= bits;
        } else {
            taken_[g] &= ~bits;
        }
        if (in_.gt_named[gt_[g]] != 0) matched_[d] |= bits;
        if (flags_[g] != 0) ignored_[d] |= bits;
        if (!partners_) return;
        for (; bits != 0; bits &= bits - 1) {
            const auto t = static_cast<size_t>(std::countr_zero(bits));
            taker_[t * gts_ + g] = static_cast<int32_t>(d);
            partner_[d * static_cast<size_t>(in_.threshold_count) + t] = static_cast<int32_t>(g);
        }
    }

    // The ground truth that a detection with several candidates takes at threshold t, or -1.
    int64_t best(const double* iou, size_t t) const {
        double least = capped_[t];
        int64_t m = -1;
        for (const uint32_t g : candidates_) {
            if ((barred(g) >> t & 1) != 0) continue;
            if (m >= 0 && flags_[static_cast<size_t>(m)] == 0 && flags_[g] != 0) break;  // ignored ones come last
            if (iou[g] < least) continue;
            least = iou[g];
            m = g;
        }
        return m;
    }

    const MatchInput& in_;
    const bool partners_;
    std::vector<double> capped_, area_;
    double least_ = 1;
    bool have_flags_ = false;
    const int64_t *gt_ = nullptr, *dt_ = nullptr;
    size_t gts_ = 0, dts_ = 0;
    const double* ious_ = nullptr;
    std::vector<uint8_t> flags_, last_flags_;
    std::vector<uint32_t> order_, candidates_;
    std::vector<uint32_t> taken_, matched_, ignored_;  // bits of thresholds
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
    const int64_t dt_total = cells.dt_cells[cells.n];
    parallel_for(cells.n, kGrainCells, [&](size_t begin, size_t end) {
        std::vector<double> gts;
        std::vector<uint8_t> crowd;
        for (size_t c = begin; c < end; ++c) {
            gts.clear();
            crowd.clear();
            for (int64_t g = cells.gt_cells[c]; g < cells.gt_cells[c + 1]; ++g) {
                const int64_t row = cells.gt_order[g];
                gts.insert(gts.end(), gt_boxes + 4 * row, gt_boxes + 4 * row + 4);
                crowd.push_back(iscrowd[row]);
            }
            double* out = ious + iou_cells[c];
            for (int64_t d = cells.dt_cells[c]; d < cells.dt_cells[c + 1]; ++d) {
                if (d + kLookAhead < dt_total) prefetch_row(dt_boxes + 4 * cells.dt_order[d + kLookAhead]);
                const double* const dt = dt_boxes + 4 * cells.dt_order[d];
                for (size_t g = 0; g < crowd.size(); ++g) *out++ = coco_box_iou(dt, gts.data() + 4 * g, crowd[g] != 0);
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
        Matcher matcher(in, out.dt_partner != nullptr);
        for (size_t c = begin; c < end; ++c) matcher.cell(c, out);
    });
}

}  // namespace maskmill
