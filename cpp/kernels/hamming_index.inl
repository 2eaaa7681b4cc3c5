// What the searches of hamming.cpp work on: codes in planes, and codes sorted into buckets by a part of them.
#include <array>
#include <bit>
#include <memory>
#include <span>

namespace maskmill {
namespace {

constexpr size_t kGroup = 32;          // queries per vector of codes that is loaded
constexpr size_t kBlock = 2048;        // words of codes that stay in the L1 cache
constexpr size_t kBuckets = 1u << 16;  // a part of a code is 16 bits
constexpr size_t kNeighbours = 64;     // buckets that are worked on together

// Word w of code i is words[w * stride + i], so that vectors hold the same word of several codes.
struct Planes {
    const uint64_t* words = nullptr;
    size_t stride = 0;
    size_t n = 0;

    const uint64_t* plane(int w) const { return words + static_cast<size_t>(w) * stride; }
    Planes slice(size_t begin, size_t end) const { return {words + begin, stride, end - begin}; }
};

inline bool same_codes(const Planes& a, const Planes& b) { return a.words == b.words && a.n == b.n; }

template <int W>
class PlanarCodes {
  public:
    explicit PlanarCodes(size_t capacity) : capacity_(capacity) { words_.resize(capacity * W); }
    Planes view() const { return {words_.data(), capacity_, n_}; }
    size_t size() const { return n_; }
    uint64_t* plane(int w) { return words_.data() + static_cast<size_t>(w) * capacity_; }
    void push(const Planes& codes, size_t i) { copy(n_++, codes, i); }
    void copy(size_t to, const Planes& codes, size_t i) {
        for (int w = 0; w < W; ++w) plane(w)[to] = codes.plane(w)[i];
    }
    void set_size(size_t n) { n_ = n; }

  private:
    Buffer<uint64_t> words_;
    size_t capacity_ = 0;
    size_t n_ = 0;
};

// The join cuts codes into m = 4 W parts. If two codes differ in at most r = m s + a bits, then in one of the first a + 1
// parts they differ in at most s bits, or in one of the others in at most s - 1.
template <int W>
struct Parts {
    static constexpr int count = 4 * W;

    static int reach(int part, int radius) { return radius / count - (part > radius % count ? 1 : 0); }
    static uint32_t of(const Planes& codes, size_t i, int part) {
        return static_cast<uint32_t>(codes.plane(part / 4)[i] >> (16 * (part % 4)) & 0xffff);
    }
};

// Where bits go so that parts lie side by side. Neighbouring bits of image hashes are alike: a part of consecutive bits
// takes few values, and buckets are uneven. So bit (row, column) goes to part (2 row + column) mod m.
template <int W>
class Shuffle {
  public:
    static const Shuffle& get() {
        static const Shuffle made;
        return made;
    }
    void apply(const uint64_t* code, uint64_t* to) const {
        for (int w = 0; w < W; ++w) to[w] = 0;
        for (int byte = 0; byte < 8 * W; ++byte) {
            const auto& moved = table_[static_cast<size_t>(byte)][code[byte / 8] >> (8 * (byte % 8)) & 0xff];
            for (int w = 0; w < W; ++w) to[w] |= moved[static_cast<size_t>(w)];
        }
    }

  private:
    using Code = std::array<uint64_t, W>;

    Shuffle() : table_(std::make_unique<std::array<Code, 256>[]>(8 * W)) {
        constexpr int parts = Parts<W>::count, columns = W == 1 ? 8 : W == 3 ? 12 : 16;
        std::array<int, parts> used{};
        for (int k = 0; k < 64 * W; ++k) {
            const int part = (2 * (k / columns) + k % columns) % parts;
            const int target = 16 * part + used[static_cast<size_t>(part)]++;
            // Bit k from the first, which is the most significant one of its word.
            const int bit = 64 * (k / 64) + 63 - k % 64;
            for (size_t value = 0; value < 256; ++value) {
                if ((value >> (bit % 8) & 1) == 0) continue;
                auto& word = table_[static_cast<size_t>(bit / 8)][value][static_cast<size_t>(target / 64)];
                word |= uint64_t{1} << (target % 64);
            }
        }
    }

    std::unique_ptr<std::array<Code, 256>[]> table_;
};

template <int W>
PlanarCodes<W> shuffled(const Codes& codes) {
    PlanarCodes<W> out(codes.n);
    out.set_size(codes.n);
    const auto& shuffle = Shuffle<W>::get();
    parallel_for(codes.n, 1 << 14, [&](size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) {
            uint64_t code[W];
            shuffle.apply(codes.words + i * W, code);
            for (int w = 0; w < W; ++w) out.plane(w)[i] = code[w];
        }
    });
    return out;
}

// Codes sorted by one part: those of bucket v are starts[v] .. starts[v + 1), in their order; ids are their numbers.
struct Buckets {
    Planes codes;
    Buffer<uint64_t> words;
    Buffer<uint32_t> starts;
    Buffer<uint32_t> ids;
};

template <int W>
Buckets in_buckets(const Planes& codes, int part) {
    Buckets out;
    out.words.resize(codes.n * W);
    out.ids.resize(codes.n);
    out.starts.resize(kBuckets + 1);
    // Counted two places ahead, so that placing turns the counts of ends into starts.
    Buffer<uint32_t> next(kBuckets + 2);
    std::fill(next.begin(), next.end(), 0u);
    for (size_t i = 0; i < codes.n; ++i) ++next[Parts<W>::of(codes, i, part) + 2];
    for (size_t v = 2; v < kBuckets + 2; ++v) next[v] += next[v - 1];
    std::copy(next.begin() + 1, next.end(), out.starts.begin());
    for (size_t i = 0; i < codes.n; ++i) {
        const uint32_t place = next[Parts<W>::of(codes, i, part) + 1]++;
        out.ids[place] = static_cast<uint32_t>(i);
        for (int w = 0; w < W; ++w) out.words[static_cast<size_t>(w) * codes.n + place] = codes.plane(w)[i];
    }
    out.codes = {out.words.data(), codes.n, codes.n};
    return out;
}

// All values of 16 bits with at most `reach` bits set, rising.
inline Buffer<uint32_t> ball(int reach) {
    Buffer<uint32_t> out;
    for (uint32_t value = 0; value < kBuckets; ++value) {
        if (std::popcount(value) <= reach) out.push(value);
    }
    return out;
}

// Nanoseconds of a thread's time on an AMD EPYC 9005, by least runs with 64, 128 and 256 bits: brute force of 8,192
// random codes against 65,536, and buckets of 200,000 and 600,000 of them against each other. Only their ratios matter.
struct Costs {
    double pair;        // of brute force, per word
    double candidate;   // of the join, per word
    double probe;       // a bucket against another
    double placed = 5;  // a code into its bucket, per word
};

inline Costs costs() {
    switch (simd_level()) {
        case Simd::avx512: return {0.035, 0.13, 4.5};
        case Simd::avx2: return {0.17, 0.25, 5};
        default: return {1.05, 1.25, 12};
    }
}

// Whether to sort codes into buckets first. The share of pairs that meet in buckets depends on how uneven the codes
// are, and is told by a sample.
template <int W>
bool join_pays(const Planes& a, const Planes& b, int radius) {
    constexpr size_t kSample = 256;
    const double pairs = static_cast<double>(a.n) * static_cast<double>(b.n);
    const Costs cost = costs();
    // Among one set, brute force looks at each pair once, the join twice.
    const double brute = pairs * cost.pair * W * (same_codes(a, b) ? 0.5 : 1);
    double join = 0;
    for (int part = 0; part < Parts<W>::count; ++part) {
        const int reach = Parts<W>::reach(part, radius);
        if (reach < 0) break;
        double values = 1, chosen = 1;
        for (int k = 1; k <= reach; ++k) values += chosen = chosen * (17 - k) / k;
        join += values * kBuckets * cost.probe + static_cast<double>(a.n + b.n) * cost.placed * W;
        if (join > brute) return false;
    }
    if (join > brute || a.n < kSample || b.n < kSample) return false;
    size_t met = 0;
    for (size_t i = 0; i < kSample; ++i) {
        for (size_t j = 0; j < kSample; ++j) {
            for (int part = 0; part < Parts<W>::count; ++part) {
                const uint32_t differ = Parts<W>::of(a, i * (a.n / kSample), part) ^
                                        Parts<W>::of(b, j * (b.n / kSample) + (b.n / kSample) / 2, part);
                met += std::popcount(differ) <= Parts<W>::reach(part, radius);
            }
        }
    }
    const double share = static_cast<double>(met) / (kSample * kSample);
    return join + pairs * share * cost.candidate * W < brute;
}

}  // namespace
}  // namespace maskmill
