#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/matching.hpp"
#include "support/parallel.hpp"

namespace maskmill {
namespace {

constexpr double kSpacing = std::numeric_limits<double>::epsilon();  // np.spacing(1)

// Doubles as integers that rise as the scores fall, NaN last.
uint64_t falling_key(double score) {
    if (std::isnan(score)) return ~uint64_t{0};
    score += 0.0;  // -0 is 0
    uint64_t bits;
    std::memcpy(&bits, &score, sizeof(bits));
    return bits >> 63 ? bits : ~(bits | uint64_t{1} << 63);
}

// Precision and recall of one category, area range and detection limit. Only true positives matter: between them the
// recall stands still and the precision falls.
class Curve {
  public:
    explicit Curve(const AccumulateInput& in) : in_(in), hits_(static_cast<size_t>(in.threshold_count)) {}

    void start() {
        for (auto& list : hits_) list.clear();
        skipped_.assign(hits_.size(), 0);
        skipped_by_all_ = 0;
        position_ = 0;
    }

    void add(uint32_t matched, uint32_t ignored) {
        const uint32_t all = hits_.size() == 32 ? ~0u : (1u << hits_.size()) - 1;
        if (ignored == all) {
            ++skipped_by_all_;
        } else {
            for (uint32_t rest = ignored; rest != 0; rest &= rest - 1) ++skipped_[lowest(rest)];
            for (uint32_t rest = matched & ~ignored; rest != 0; rest &= rest - 1) {
                const size_t t = lowest(rest);
                // fp + tp at this detection: all so far that count.
                const int64_t counted = position_ + 1 - skipped_by_all_ - skipped_[t];
                const double tp = static_cast<double>(hits_[t].size() + 1);
                const double fp = static_cast<double>(counted) - tp;
                hits_[t].push_back({tp / (fp + tp + kSpacing), position_});
            }
        }
        ++position_;
    }

    // score_at(position): score of the detection there.
    template <class ScoreAt>
    void write(size_t t, int64_t counted, ScoreAt&& score_at, double* precision, double* scores, int64_t step,
               double& recall) {
        auto& hits = hits_[t];
        const double n = static_cast<double>(counted);
        recall = position_ > 0 ? static_cast<double>(hits.size()) / n : 0;
        for (size_t i = hits.size(); i-- > 1;) {
            hits[i - 1].precision = std::max(hits[i - 1].precision, hits[i].precision);
        }
        const auto recalls = static_cast<size_t>(in_.recall_count);
        bool beyond = position_ == 0;
        for (size_t r = 0; r < recalls; ++r) {
            double& p = precision[static_cast<int64_t>(r) * step];
            double& s = scores[static_cast<int64_t>(r) * step];
            p = s = 0;
            if (beyond) continue;  // pycocotools stops at the first recall that is not reached
            const double wanted = in_.recalls[r];
            if (wanted <= 0) {  // any recall is that high, be it 0
                p = hits.empty() ? 0 : hits[0].precision;
                s = score_at(0);
                continue;
            }
            const size_t k = first_reaching(hits.size(), wanted, n);
            if (k == hits.size()) {
                beyond = true;
                continue;
            }
            p = hits[k].precision;
            s = score_at(hits[k].position);
        }
    }

  private:
    struct Hit {
        double precision;
        int64_t position;
    };
    static size_t lowest(uint32_t bits) { return static_cast<size_t>(std::countr_zero(bits)); }

    // The first hit k with (k + 1) / n >= wanted: where numpy's searchsorted, side "left", would insert.
    static size_t first_reaching(size_t hits, double wanted, double n) {
        size_t low = 0, high = hits;
        while (low < high) {
            const size_t middle = (low + high) / 2;
            if (static_cast<double>(middle + 1) / n < wanted) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        return low;
    }

    const AccumulateInput& in_;
    std::vector<std::vector<Hit>> hits_;
    std::vector<int64_t> skipped_;
    int64_t skipped_by_all_ = 0, position_ = 0;
};

// The cells of one category: [first, last).
void accumulate_category(const AccumulateInput& in, size_t first, size_t last, double* precision, double* recall,
                         double* scores) {
    const auto category = static_cast<int64_t>(in.category[first]);
    const int64_t begin = in.dt_cells[first], end = in.dt_cells[last];
    struct Ranked {
        uint64_t key;
        uint32_t place;  // in the category
        uint32_t rank;   // in the cell
        bool operator<(const Ranked& o) const { return key != o.key ? key < o.key : place < o.place; }
    };
    std::vector<Ranked> order;
    order.reserve(static_cast<size_t>(end - begin));
    for (size_t c = first; c < last; ++c) {
        for (int64_t d = in.dt_cells[c]; d < in.dt_cells[c + 1]; ++d) {
            order.push_back({falling_key(in.score[d]), static_cast<uint32_t>(d - begin),
                             static_cast<uint32_t>(d - in.dt_cells[c])});
        }
    }
    std::sort(order.begin(), order.end());
    const int64_t total = in.dt_cells[in.cell_count];
    const int64_t T = in.threshold_count, K = in.category_count, A = in.area_count, M = in.max_det_count,
                  R = in.recall_count;
    Curve curve(in);
    std::vector<uint32_t> shown;  // order's entries within the detection limit
    for (int64_t m = 0; m < M; ++m) {
        shown.clear();
        for (size_t i = 0; i < order.size(); ++i) {
            if (static_cast<int64_t>(order[i].rank) < in.max_dets[m]) shown.push_back(static_cast<uint32_t>(i));
        }
        for (int64_t a = 0; a < A; ++a) {
            int64_t counted = 0;
            for (size_t c = first; c < last; ++c) counted += in.counted[a * static_cast<int64_t>(in.cell_count) + static_cast<int64_t>(c)];
            if (counted == 0) continue;
            curve.start();
            const uint32_t* matched = in.matched + a * total + begin;
            const uint32_t* ignored = in.ignored + a * total + begin;
            for (const uint32_t i : shown) curve.add(matched[order[i].place], ignored[order[i].place]);
            const auto score_at = [&](int64_t p) { return in.score[begin + order[shown[static_cast<size_t>(p)]].place]; };
            const int64_t step = K * A * M;
            for (int64_t t = 0; t < T; ++t) {
                const int64_t at = ((t * R) * K + category) * A * M + a * M + m;
                curve.write(static_cast<size_t>(t), counted, score_at, precision + at, scores + at, step,
                            recall[(t * K + category) * A * M + a * M + m]);
            }
        }
    }
}

}  // namespace

void matching_accumulate(const AccumulateInput& in, double* precision, double* recall, double* scores) {
    const auto cells = static_cast<size_t>(in.threshold_count * in.category_count * in.area_count * in.max_det_count);
    std::fill_n(precision, cells * static_cast<size_t>(in.recall_count), -1.0);
    std::fill_n(scores, cells * static_cast<size_t>(in.recall_count), -1.0);
    std::fill_n(recall, cells, -1.0);
    std::vector<size_t> starts;
    for (size_t c = 0; c < in.cell_count; ++c) {
        if (c == 0 || in.category[c] != in.category[c - 1]) starts.push_back(c);
    }
    starts.push_back(in.cell_count);
    parallel_for(starts.size() - 1, 1, [&](size_t begin, size_t end) {
        for (size_t k = begin; k < end; ++k) {
            accumulate_category(in, starts[k], starts[k + 1], precision, recall, scores);
        }
    });
}

}  // namespace maskmill
