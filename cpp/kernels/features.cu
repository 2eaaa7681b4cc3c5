// Filter banks on a GPU: strips of rows, whose planes are all smoothed before maps are made of them.
//
// Floor     The output, F floats a pixel, is written once; a plane is written and read once or twice besides. Sums are in
//           double, three operations a pair of the kernel, 2 (r0 + r1) pairs a pixel and plane: of a Gaussian of sigma 16
//           384 operations, 0.2 ms for 16 million pixels where a GPU does 30 T/s; its five maps are 0.08 ms to write.
// Design    A thread of a pass makes four neighbouring sums along the kernel. Its two windows move inwards by a pixel a
//           step: 2 loads, from the first cache, for 12 operations; lanes read side by side in the first pass, and 16
//           bytes apart in the second. Away from the border addresses are additions and four steps are one loop: 12
//           loads under way, 88 instructions, 48 of them in double, of which a scheduler starts one every second clock,
//           so that they are the bound. Only pixels within a kernel's radius of the border ask what is beyond, at five
//           times the cost. Maps: a thread for each pixel, whose columns wait in shared memory, 32 at a time, until a
//           warp writes them side by side.
// Compiled  For sm_90 72 to 76 registers for a pass and 80 for maps (96 in double), 18 KB of shared memory, no spills.
#include "kernels/features_device.inl"

#include <algorithm>
#include <vector>

namespace maskmill::cuda {
namespace {

constexpr size_t kMemory = size_t{512} << 20;  // bytes of a strip's planes
constexpr int64_t kHalo = 2;                   // rows of planes that differences of differences reach

template <class T>
const T* sent(const T* values, size_t n, Queue& queue) {
    T* const out = queue.take<T>(n);
    if (n > 0) copy_to_device(out, values, n * sizeof(T), queue);
    return out;
}

struct Weights {
    const double* half;
    int64_t radius;
    bool odd;
};

Weights weights_of(const FeaturePlan& plan, const double* there, int64_t kernel) {
    return {there + plan.starts[kernel], plan.radius(kernel), plan.parity[kernel] < 0};
}

// Down the columns: rows top .. end - 1 of a band.
template <class S>
void first_pass(const float* band, int64_t height, int64_t width, FeatureBorder border, bool square,
                const Weights& weights, int64_t top, int64_t end, S* out, Queue& queue) {
    const Weights w = weights;
    const int64_t groups = (end - top + kAtOnce - 1) / kAtOnce;
    for_each(queue, static_cast<size_t>(groups * width), [=] __device__(size_t k) {
        const int64_t group = quotient(static_cast<int64_t>(k), width), x = static_cast<int64_t>(k) - group * width;
        const int64_t y = top + group * kAtOnce;
        const FeatureLine<float> line{band + x, width, height, border, square};
        double sums[kAtOnce];
        correlate_four(line, y, w.half, w.radius, w.odd, sums);
        for (int i = 0; i < kAtOnce; ++i) {
            if (y + i < end) out[(y + i - top) * width + x] = static_cast<S>(sums[i]);
        }
    });
}

// Along the rows.
template <class S>
void second_pass(const S* passed, int64_t rows, int64_t width, FeatureBorder border, const Weights& weights, S* out,
                 Queue& queue) {
    const Weights w = weights;
    const int64_t groups = (width + kAtOnce - 1) / kAtOnce;
    for_each(queue, static_cast<size_t>(rows * groups), [=] __device__(size_t k) {
        const int64_t y = quotient(static_cast<int64_t>(k), groups),
                      x = (static_cast<int64_t>(k) - y * groups) * kAtOnce;
        const FeatureLine<S> line{passed + y * width, 1, width, border, false};
        double sums[kAtOnce];
        correlate_four(line, x, w.half, w.radius, w.odd, sums);
        for (int i = 0; i < kAtOnce; ++i) {
            if (x + i < width) out[y * width + x + i] = static_cast<S>(sums[i]);
        }
    });
}

#ifdef MASKMILL_CUDA_EMULATED
constexpr unsigned kMapThreads = 32;  // a fiber costs more than what it does here
#else
constexpr unsigned kMapThreads = 128;
#endif
constexpr int kStage = 32;  // columns that are put together before they are written

struct Maps {
    const int64_t* table;  // (n, 4)
    int n, columns;
    const double *rows, *along;
};

// Pixel i of the strip: (top + i / width, i % width), or the one that is requested i-th, to row `order` of the output.
struct Requests {
    const int64_t* pixels;  // (n, 3) row, column, row of the output; null: all
    int64_t top, n;
};

template <class S, class Out>
__global__ void __launch_bounds__(kMapThreads)
    maps_kernel(Maps maps, FeaturePlanes<S> planes, Requests requests, Out* out, int64_t step) {
    __shared__ Out stage[kMapThreads * (kStage + 1)];
    __shared__ int64_t places[kMapThreads];
    const int64_t i = static_cast<int64_t>(blockIdx.x) * kMapThreads + threadIdx.x;
    const bool some = i < requests.n;
    int64_t y = 0, x = 0;
    if (some && requests.pixels != nullptr) {
        y = requests.pixels[3 * i];
        x = requests.pixels[3 * i + 1];
        places[threadIdx.x] = requests.pixels[3 * i + 2];
    } else if (some) {
        const int64_t row = quotient(i, planes.width);
        y = requests.top + row;
        x = i - row * planes.width;
        places[threadIdx.x] = y * planes.width + x;
    }
    const int64_t rest = requests.n - static_cast<int64_t>(blockIdx.x) * kMapThreads;
    const int pixels = rest < kMapThreads ? static_cast<int>(rest) : static_cast<int>(kMapThreads);
    int first = 0;
    for (int m = 0; m < maps.n;) {
        int filled = 0;
        for (; m < maps.n && filled + 2 <= kStage; ++m) {
            const int64_t* const map = maps.table + 4 * m;
            if (some) map_pixel(map, planes, maps.rows, maps.along, y, x, stage + threadIdx.x * (kStage + 1) + filled);
            filled += has_two_columns(map[0]) ? 2 : 1;
        }
        __syncthreads();
        for (int k = static_cast<int>(threadIdx.x); k < pixels * kStage; k += static_cast<int>(kMapThreads)) {
            const int pixel = k / kStage, column = k % kStage;
            if (column < filled) {
                out[places[pixel] * step + first + column] = stage[pixel * (kStage + 1) + column];
            }
        }
        __syncthreads();
        first += filled;
    }
}

template <class S>
class Strips {
  public:
    Strips(const FeatureImage& image, const FeaturePlan& plan, const FeatureOutput& out, Queue& queue)
        : image_(image), plan_(plan), out_(out), queue_(queue) {
        weights_ = sent(plan.weights, static_cast<size_t>(plan.starts[plan.n_kernels]), queue);
        maps_ = {sent(plan.maps, 4 * plan.n_maps, queue), static_cast<int>(plan.n_maps),
                 static_cast<int>(features_columns(plan)),
                 sent(plan.rows, plan.n_locations * static_cast<size_t>(image.height), queue),
                 sent(plan.columns, plan.n_locations * static_cast<size_t>(image.width), queue)};
        const size_t row = static_cast<size_t>(image.width) * sizeof(S) * (plan.n_second + 1);
        rows_ = std::clamp<int64_t>(static_cast<int64_t>(kMemory / row) - 2 * kHalo, 1, image.height);
        step_ = (rows_ + 2 * kHalo) * image.width;
        passed_ = queue.take<S>(static_cast<size_t>(step_));
        planes_ = queue.take<S>(static_cast<size_t>(step_) * plan.n_second);
    }

    void run() {
        if (out_.at != nullptr) sort_requests();
        for (int64_t top = 0; top < image_.height; top += rows_) {
            const int64_t end = std::min(top + rows_, image_.height);
            Requests requests{nullptr, top, (end - top) * image_.width};
            if (out_.at != nullptr) {
                const auto before = [](const Request& r, int64_t y) { return r.y < y; };
                const auto from = std::lower_bound(order_.begin(), order_.end(), top, before);
                const auto to = std::lower_bound(from, order_.end(), end, before);
                requests = {requested_ + 3 * (from - order_.begin()), top, to - from};
            }
            if (requests.n == 0) continue;
            const int64_t first = std::max<int64_t>(top - kHalo, 0), last = std::min(end + kHalo, image_.height);
            smooth(first, last);
            const FeaturePlanes<S> planes{planes_, step_, first, image_.height, image_.width};
            if (out_.floats != nullptr) {
                make_maps(planes, requests, out_.floats);
            } else {
                make_maps(planes, requests, out_.doubles);
            }
        }
    }

  private:
    struct Request {
        int64_t y, x, place;
    };

    void sort_requests() {
        for (size_t k = 0; k < out_.n_at; ++k) {
            order_.push_back({out_.at[2 * k], out_.at[2 * k + 1], static_cast<int64_t>(k)});
        }
        std::stable_sort(order_.begin(), order_.end(), [](const Request& a, const Request& b) { return a.y < b.y; });
        static_assert(sizeof(Request) == 3 * sizeof(int64_t));
        requested_ = reinterpret_cast<const int64_t*>(sent(order_.data(), order_.size(), queue_));
    }

    void smooth(int64_t first, int64_t last) {
        for (size_t q = 0; q < plan_.n_first; ++q) {
            const int64_t* const row = plan_.first + 3 * q;
            first_pass(image_.data + row[0] * image_.height * image_.width, image_.height, image_.width, plan_.border,
                       row[1] == 2, weights_of(plan_, weights_, row[2]), first, last, passed_, queue_);
            for (size_t p = 0; p < plan_.n_second; ++p) {
                if (plan_.second[2 * p] != static_cast<int64_t>(q)) continue;
                second_pass(passed_, last - first, image_.width, plan_.border,
                            weights_of(plan_, weights_, plan_.second[2 * p + 1]),
                            planes_ + static_cast<int64_t>(p) * step_, queue_);
            }
        }
    }

    template <class Out>
    void make_maps(const FeaturePlanes<S>& planes, const Requests& requests, Out* out) {
        launch(maps_kernel<S, Out>, dim3(blocks_for(static_cast<size_t>(requests.n), kMapThreads)), dim3(kMapThreads),
               0, queue_, maps_, planes, requests, out, out_.step);
    }

    const FeatureImage& image_;
    const FeaturePlan& plan_;
    const FeatureOutput& out_;
    Queue& queue_;
    const double* weights_;
    Maps maps_;
    int64_t rows_, step_;
    S *passed_, *planes_;
    std::vector<Request> order_;
    const int64_t* requested_ = nullptr;
};

}  // namespace

void features_bank(const FeatureImage& image, const FeaturePlan& plan, const FeatureOutput& out, Queue& queue) {
    features_check(image, plan, out);
    if (image.height == 0 || image.width == 0 || features_columns(plan) == 0) return;
    if (plan.precise) {
        Strips<double>(image, plan, out, queue).run();
    } else {
        Strips<float>(image, plan, out, queue).run();
    }
}

}  // namespace maskmill::cuda
