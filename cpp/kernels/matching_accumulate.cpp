#include <algorithm>
#include <bit>
#include <limits>
#include <vector>

#include "kernels/matching.hpp"
#include "support/parallel.hpp"
#include "support/scores.hpp"

namespace maskmill {
namespace {

constexpr double kSpacing = std::numeric_limits<double>::epsilon();  // np.spacing(1)

// Precision and recall of one category, area range and detection limit. Only true positives matter: between them the
// recall stands still and the precision falls.
class Curve {
  public:
    explicit Curve(size_t thresholds) : hits_(thresholds) {}

    void start() {
        for (auto& list : hits_) list.clear();
        skipped_.assign(hits_.size(), 0);
        skipped_by_all_ = 0;
        position_ = 0;
    }

    void add(uint32_t matched, uint32_t ignored) {
        const uint32_t all = (1u << hits_.size()) - 1;
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

    // Writes threshold t: precision[r * step] and scores[r * step] for every recall, and the recall reached.
    // needed: true positives for each recall; scores_of: score of the detection at each position.
    void write(size_t t, int64_t counted, const std::vector<size_t>& needed, const std::vector<double>& scores_of,
               double* precision, double* scores, size_t step, double& recall) {
        auto& hits = hits_[t];
        recall = position_ > 0 ? static_cast<double>(hits.size()) / static_cast<double>(counted) : 0;
        for (size_t i = hits.size(); i-- > 1;) {
            hits[i - 1].precision = std::max(hits[i - 1].precision, hits[i].precision);
        }
        bool beyond = position_ == 0;
        for (size_t r = 0; r < needed.size(); ++r) {
            double& p = precision[r * step];
            double& s = scores[r * step];
            p = s = 0;
            beyond |= needed[r] > hits.size();
            if (beyond) continue;  // pycocotools stops at the first recall that is not reached
            if (needed[r] == 0) {  // reached by the first detection, whatever it is
                p = hits.empty() ? 0 : hits[0].precision;
                s = scores_of[0];
            } else {
                p = hits[needed[r] - 1].precision;
                s = scores_of[static_cast<size_t>(hits[needed[r] - 1].position)];
            }
        }
    }

  private:
    struct Hit {
        double precision;
        int64_t position;
    };
    static size_t lowest(uint32_t bits) { return static_cast<size_t>(std::countr_zero(bits)); }

    std::vector<std::vector<Hit>> hits_;
    std::vector<int64_t> skipped_;
    int64_t skipped_by_all_ = 0, position_ = 0;
};

// The least number of true positives tp with tp / counted >= wanted: where numpy's searchsorted, side "left", would
// insert into the recalls.
size_t hits_needed(double wanted, int64_t counted) {
    if (wanted <= 0) return 0;
    const auto n = static_cast<double>(counted);
    const auto reaches = [&](size_t tp) { return static_cast<double>(tp) / n >= wanted; };
    // More than 1 can be reached: a detection whose id is 0 or less leaves its ground truth to others.
    if (!(wanted * n < 9e15)) return std::numeric_limits<size_t>::max();  // NaN, too
    auto tp = static_cast<size_t>(wanted * n);
    while (tp > 1 && reaches(tp - 1)) --tp;
    while (tp < 1 || !reaches(tp)) ++tp;
    return tp;
}

// Detections of one category in the order of their scores.
struct Ranking {
    Buffer<Ranked> order, spare;
    std::vector<uint32_t> rank;  // within the cell, by place
    struct Shown {               // those within a detection limit
        std::vector<uint32_t> place;
        std::vector<double> score;
    };
    std::vector<Shown> shown;  // by limit
    std::vector<size_t> needed;
    std::vector<double> precision, scores, recall;  // (T, R, A, M), (T, A, M): one category's share of the results
};

// The cells of one category: [first, last).
void accumulate_category(const AccumulateInput& in, size_t first, size_t last, Ranking& w, double* precision,
                         double* recall, double* scores) {
    const int64_t begin = in.dt_cells[first], total = in.dt_cells[in.cell_count];
    w.order.clear();
    w.rank.clear();
    for (size_t c = first; c < last; ++c) {
        for (int64_t d = in.dt_cells[c]; d < in.dt_cells[c + 1]; ++d) {
            w.order.push({falling_key(in.score[d]), static_cast<uint64_t>(d - begin)});
            w.rank.push_back(static_cast<uint32_t>(d - in.dt_cells[c]));
        }
    }
    sort_by_key(w.order, w.spare);
    const auto T = static_cast<size_t>(in.threshold_count), R = static_cast<size_t>(in.recall_count);
    const auto A = static_cast<size_t>(in.area_count), M = static_cast<size_t>(in.max_det_count);
    w.precision.assign(T * R * A * M, -1.0);
    w.scores.assign(T * R * A * M, -1.0);
    w.recall.assign(T * A * M, -1.0);
    Curve curve(T);
    w.shown.resize(M);
    for (size_t m = 0; m < M; ++m) {
        Ranking::Shown& shown = w.shown[m];
        shown.place.clear();
        shown.score.clear();
        for (const Ranked& r : w.order) {
            if (static_cast<int64_t>(w.rank[r.place]) >= in.max_dets[m]) continue;
            shown.place.push_back(static_cast<uint32_t>(r.place));
            shown.score.push_back(in.score[begin + static_cast<int64_t>(r.place)]);
        }
    }
    for (size_t a = 0; a < A; ++a) {
        int64_t counted = 0;
        for (size_t c = first; c < last; ++c) counted += in.counted[a * in.cell_count + c];
        if (counted == 0) continue;
        w.needed.resize(R);
        for (size_t r = 0; r < R; ++r) w.needed[r] = hits_needed(in.recalls[r], counted);
        const uint16_t* matched = in.matched + static_cast<int64_t>(a) * total + begin;
        const uint16_t* ignored = in.ignored + static_cast<int64_t>(a) * total + begin;
        for (size_t m = 0; m < M; ++m) {
            curve.start();
            for (const uint32_t place : w.shown[m].place) curve.add(matched[place], ignored[place]);
            for (size_t t = 0; t < T; ++t) {
                const size_t at = t * R * A * M + a * M + m;
                curve.write(t, counted, w.needed, w.shown[m].score, w.precision.data() + at, w.scores.data() + at,
                            A * M, w.recall[(t * A + a) * M + m]);
            }
        }
    }
    // All of a category's results for one threshold and recall lie side by side.
    const auto K = static_cast<size_t>(in.category_count), k = static_cast<size_t>(in.category[first]);
    for (size_t tr = 0; tr < T * R; ++tr) {
        std::copy_n(w.precision.data() + tr * A * M, A * M, precision + (tr * K + k) * A * M);
        std::copy_n(w.scores.data() + tr * A * M, A * M, scores + (tr * K + k) * A * M);
    }
    for (size_t t = 0; t < T; ++t) std::copy_n(w.recall.data() + t * A * M, A * M, recall + (t * K + k) * A * M);
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
        Ranking workspace;
        for (size_t k = begin; k < end; ++k) {
            accumulate_category(in, starts[k], starts[k + 1], workspace, precision, recall, scores);
        }
    });
}

}  // namespace maskmill
