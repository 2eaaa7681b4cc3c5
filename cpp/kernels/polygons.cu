// Polygons to runs, by crossings and not by masks: masks differ too much in size to be given to blocks or warps.
//
// 1. For each edge, how many columns of pixels it may cross; for each ring (rule coco) or mask (others), its columns.
// 2. For each crossing, found by a search among the edges: its key and its column, whose counter gives it a place.
// 3. Columns are put in order, one thread each. Rule coco then has the crossings of each ring in order, in which they
//    enter it and leave it; those of masks of several rings are put in order once more, by columns of the mask.
// 4. A run ends where crossings in one place change what is inside; they are counted, and their differences written.
//
// Floor       A crossing moves about 100 bytes (key, column and place 20 written and read; key 8 written, sorted in
//             place 16; ends 1 written, 9 read, their count 8; end 8, run 4): 23 ps at 4.3 TB/s, where a CPU core takes 5 ns.
//             To be 50 times as fast as two cores, 50 ps are allowed, or 0.35 ms for 36,000 outlines of 100 pixels;
//             launches and the two waits are about 0.1 ms of it. Instructions are the bound: about 500 a crossing (250
//             for the row, in double; 130 for its place in memory, 120 for its run), 18 ps where 4 start a clock, 35
//             where it is half of them. Owners of crossings are looked up, as searches among all edges and masks would
//             be 400 more. Reckoned, not measured.
// Registers   (sm_90) 48 where crossings are computed, which leaves 1,280 threads a multiprocessor; 32 or fewer
//             elsewhere. No shared memory but that of the scans; nothing spilled but 12 bytes in that of turns.
#include "kernels/polygons.hpp"
#include "kernels/polygons_device.inl"
#include "support/runs.hpp"

namespace maskmill::cuda {
namespace {

enum FaultKind : unsigned { kOffsets = 1, kPoint = 2, kLength = 3 };

// Columns of each of n groups (rings or masks), each column a bucket: group g has base[g] to base[g + 1] - 1.
struct Buckets {
    int* first;
    int* end;
    int64_t* base;
    size_t n;

    MASKMILL_HD int64_t of(int64_t group, int64_t column) const { return base[group] + column - first[group]; }
};

Buckets empty_buckets(size_t n, Queue& queue) {
    const Buckets found{queue.take<int>(n), queue.take<int>(n), queue.take<int64_t>(n + 1), n};
    for_each(queue, n, [=] __device__(size_t g) {
        found.first[g] = 0x7fffffff;
        found.end[g] = 0;
    });
    return found;
}

void number_buckets(const Buckets& buckets, Queue& queue) {
    const int *const first = buckets.first, *const end = buckets.end;
    scan(queue, buckets.n, buckets.base,
         [=] __device__(size_t g) { return end[g] > first[g] ? int64_t{end[g]} - first[g] : int64_t{0}; });
}

__device__ __forceinline__ void widen(const Buckets& buckets, int64_t group, int64_t first, int64_t end) {
    if (first >= end) return;
    atomicMin(buckets.first + group, static_cast<int>(first));
    atomicMax(buckets.end + group, static_cast<int>(end));
}

// From each point to the next of its ring: places[k] is where its crossings begin among those of all edges.
struct Edges {
    int64_t* ring;  // of a point that is in none: -1
    int64_t* mask;
    int* first;  // column
    int64_t* places;
};

// What the host has to know before it can go on.
struct Totals {
    int64_t crossings, buckets, shared_buckets;
    FaultWord fault;
};

// One call of polygons_rasterize. All is public: nvcc wants that of functions in which there is work for the device.
struct Rasterizer {
    Rasterizer(const DevicePolygons& polygons, FillRule rule, Queue& queue)
        : p_(polygons), rule_(rule), queue_(queue), faults_(queue) {}

    Runs run() {
        check_offsets();
        const bool coco = rule_ == FillRule::coco;
        const Buckets buckets = empty_buckets(coco ? p_.ring_count : p_.n, queue_);
        const Edges edges = find_edges(buckets);
        number_buckets(buckets, queue_);
        const Buckets shared = coco ? buckets_of_masks(buckets) : Buckets{};
        const Totals totals = read_totals(edges, buckets, shared);
        if (totals.fault != ~FaultWord{0}) raise(totals.fault, edges);
        const auto n = static_cast<size_t>(totals.crossings);
        const int64_t* starts = nullptr;
        const uint64_t* keys = sort(edges, buckets, n, static_cast<size_t>(totals.buckets), starts);
        const int64_t* const firsts = firsts_of_masks(buckets, starts);
        const OwnerTable owners = owner_table(firsts, p_.n, n, queue_);
        const bool turns = rule_ == FillRule::non_zero || totals.shared_buckets > 0;
        if (totals.shared_buckets > 0) {
            keys = unite(keys, n, buckets, starts, shared, static_cast<size_t>(totals.shared_buckets), firsts, owners);
        }
        return write(keys, turns ? sums_of(keys, n, firsts) : nullptr, n, firsts, owners);
    }

    void check_offsets() {
        FaultWord* const word = faults_.word();
        const int64_t *const rings = p_.rings, *const masks = p_.masks;
        const auto ring_count = static_cast<int64_t>(p_.ring_count), points = static_cast<int64_t>(p_.point_count);
        for_each(queue_, p_.ring_count, [=] __device__(size_t r) {
            if (rings[r] < 0 || rings[r] > rings[r + 1] || rings[r + 1] > points) note_fault(word, kOffsets, r);
        });
        for_each(queue_, p_.n, [=] __device__(size_t i) {
            if (masks[i] < 0 || masks[i] > masks[i + 1] || masks[i + 1] > ring_count) note_fault(word, kOffsets, i);
        });
    }

    Edges find_edges(const Buckets& buckets) {
        const size_t n = p_.point_count;
        const Edges e{queue_.take<int64_t>(n), queue_.take<int64_t>(n), queue_.take<int>(n),
                      queue_.take<int64_t>(n + 1)};
        int* const counts = queue_.take<int>(n);
        FaultWord* const word = faults_.word();
        const DevicePolygons p = p_;
        const bool coco = rule_ == FillRule::coco;
        const OwnerTable rings = owner_table(p.rings, p.ring_count, n, queue_);
        const OwnerTable masks = owner_table(p.masks, p.n, p.ring_count, queue_);
        for_each(queue_, n, [=] __device__(size_t i) {
            const auto k = static_cast<int64_t>(i);
            counts[i] = 0;
            e.ring[i] = -1;
            if (*word < fault_code(kPoint, 0)) return;
            const int64_t first_ring = p.n == 0 ? 0 : p.masks[0], end_ring = p.n == 0 ? 0 : p.masks[p.n];
            if (first_ring == end_ring || k < p.rings[first_ring] || k >= p.rings[end_ring]) return;
            const int64_t ring = rings.of(k), mask = masks.of(ring);
            e.ring[i] = ring;
            e.mask[i] = mask;
            const double* const a = p.points + 2 * k;
            const double* const b = p.points + 2 * next_of(p, ring, k);
            if (!is_good_point(a)) note_fault(word, kPoint, i);
            if (!is_good_point(a) || !is_good_point(b)) return;
            const int64_t width = p.sizes[2 * mask + 1];
            const Columns columns = coco ? coco_columns(a, b, width) : centre_columns(a, b, width);
            if (columns.first >= columns.end) return;
            e.first[i] = static_cast<int>(columns.first);
            counts[i] = static_cast<int>(columns.end - columns.first);
            widen(buckets, coco ? ring : mask, columns.first, columns.end);
        });
        scan(queue_, n, e.places, [=] __device__(size_t i) { return int64_t{counts[i]}; });
        return e;
    }

    static MASKMILL_HD int64_t next_of(const DevicePolygons& p, int64_t ring, int64_t point) {
        return point + 1 == p.rings[ring + 1] ? p.rings[ring] : point + 1;
    }

    // Of masks with more than one ring.
    Buckets buckets_of_masks(const Buckets& rings) {
        const Buckets found = empty_buckets(p_.n, queue_);
        const FaultWord* const word = faults_.word();
        const int64_t* const masks = p_.masks;
        const auto n = static_cast<int64_t>(p_.n);
        for_each(queue_, p_.ring_count, [=] __device__(size_t r) {
            if (*word < fault_code(kPoint, 0) || rings.first[r] >= rings.end[r]) return;
            const int64_t mask = owner_of(masks, n, static_cast<int64_t>(r));
            if (masks[mask + 1] - masks[mask] > 1) widen(found, mask, rings.first[r], rings.end[r]);
        });
        number_buckets(found, queue_);
        return found;
    }

    // Waits for the stream.
    Totals read_totals(const Edges& edges, const Buckets& buckets, const Buckets& shared) {
        Totals* const totals = queue_.take<Totals>(1);
        const FaultWord* const word = faults_.word();
        const int64_t* const crossings = edges.places + p_.point_count;
        const int64_t* const count = buckets.base + buckets.n;
        const int64_t* const shared_count = shared.base == nullptr ? nullptr : shared.base + shared.n;
        for_each(queue_, 1, [=] __device__(size_t) {
            *totals = {*crossings, *count, shared_count == nullptr ? 0 : *shared_count, *word};
        });
        return read(totals, queue_);
    }

    [[noreturn]] void raise(FaultWord code, const Edges& edges) {
        if (code < fault_code(kPoint, 0)) {
            throw std::invalid_argument("offsets must rise from 0 or more to the number of values or less");
        }
        const FaultWord k = code - fault_code(kPoint, 0);
        const int64_t ring = read(edges.ring + k, queue_);
        double point[2];
        copy_to_host(point, p_.points + 2 * k, sizeof(point), queue_);
        fail_point(static_cast<size_t>(read(edges.mask + k, queue_)), point,
                   static_cast<int64_t>(k) - read(p_.rings + ring, queue_));
    }

    // Keys in the order of buckets, and in order within them; bucket b has those from starts[b] on.
    const uint64_t* sort(const Edges& e, const Buckets& buckets, size_t n, size_t bucket_count,
                         const int64_t*& starts) {
        uint64_t* const keys = queue_.take<uint64_t>(n);
        int64_t* const bucket = queue_.take<int64_t>(n);
        uint32_t* const place = queue_.take<uint32_t>(n);
        uint32_t* const counts = queue_.take<uint32_t>(bucket_count);
        fill_bytes(counts, 0, bucket_count * sizeof(uint32_t), queue_);
        const DevicePolygons p = p_;
        const bool coco = rule_ == FillRule::coco;
        const OwnerTable edges = owner_table(e.places, p.point_count, n, queue_);
        for_each(queue_, n, [=] __device__(size_t i) {
            const auto j = static_cast<int64_t>(i);
            const int64_t k = edges.of(j);
            const int64_t ring = e.ring[k], mask = e.mask[k], x = e.first[k] + (j - e.places[k]);
            const double* const a = p.points + 2 * k;
            const double* const b = p.points + 2 * next_of(p, ring, k);
            const int64_t height = p.sizes[2 * mask];
            const EdgeCrossing found =
                coco ? EdgeCrossing{coco_row(a, b, x, height), false} : centre_crossing(a, b, x, height);
            bucket[i] = found.row < 0 ? -1 : buckets.of(coco ? ring : mask, x);
            if (found.row < 0) return;
            keys[i] = key_of(x, found.row, found.rising);
            place[i] = atomicAdd(counts + bucket[i], 1u);
        });
        uint64_t* const sorted = queue_.take<uint64_t>(n);
        int64_t* const begins = starts_of(counts, bucket_count);
        for_each(queue_, n, [=] __device__(size_t i) {
            if (bucket[i] >= 0) sorted[begins[bucket[i]] + place[i]] = keys[i];
        });
        sort_buckets(sorted, begins, bucket_count);
        starts = begins;
        return sorted;
    }

    int64_t* starts_of(const uint32_t* counts, size_t n) {
        int64_t* const starts = queue_.take<int64_t>(n + 1);
        scan(queue_, n, starts, [=] __device__(size_t b) { return int64_t{counts[b]}; });
        return starts;
    }
    void sort_buckets(uint64_t* keys, const int64_t* starts, size_t n) {
        for_each(queue_, n, [=] __device__(size_t b) { sort_column(keys + starts[b], starts[b + 1] - starts[b]); });
    }

    // Mask i has the keys from firsts[i] on.
    const int64_t* firsts_of_masks(const Buckets& buckets, const int64_t* starts) {
        int64_t* const firsts = queue_.take<int64_t>(p_.n + 1);
        const int64_t *const masks = p_.masks, *const base = buckets.base;
        const bool coco = rule_ == FillRule::coco;
        for_each(queue_, p_.n + 1,
                 [=] __device__(size_t i) { firsts[i] = starts[base[coco ? masks[i] : static_cast<int64_t>(i)]]; });
        return firsts;
    }

    // The keys of masks in order, each saying whether its ring is entered or left there.
    const uint64_t* unite(const uint64_t* keys, size_t n, const Buckets& rings, const int64_t* starts,
                          const Buckets& shared, size_t bucket_count, const int64_t* firsts,
                          const OwnerTable& of_masks) {
        const OwnerTable owners = of_masks;
        uint64_t* const turned = queue_.take<uint64_t>(n);
        uint32_t* const place = queue_.take<uint32_t>(n);
        uint32_t* const counts = queue_.take<uint32_t>(bucket_count);
        fill_bytes(counts, 0, bucket_count * sizeof(uint32_t), queue_);
        const DevicePolygons p = p_;
        const auto masks = static_cast<int64_t>(p.n);
        for_each(queue_, n, [=] __device__(size_t i) {
            const auto j = static_cast<int64_t>(i);
            if (j >= firsts[masks]) return;
            const int64_t mask = owners.of(j);
            // The ring, among those of its mask: its keys begin with its first bucket.
            int64_t low = p.masks[mask], high = p.masks[mask + 1];
            const bool several = high - low > 1;
            while (high - low > 1) {
                const int64_t middle = low + (high - low) / 2;
                (starts[rings.base[middle]] <= j ? low : high) = middle;
            }
            turned[i] = keys[i] | ((j - starts[rings.base[low]]) % 2 == 0 ? 1 : 0);
            if (several) place[i] = atomicAdd(counts + shared.of(mask, column_of(keys[i])), 1u);
        });
        int64_t* const begins = starts_of(counts, bucket_count);
        uint64_t* const united = queue_.take<uint64_t>(n);
        for_each(queue_, n, [=] __device__(size_t i) {
            const auto j = static_cast<int64_t>(i);
            if (j >= firsts[masks]) return;
            const int64_t mask = owners.of(j);
            int64_t to = j;
            if (p.masks[mask + 1] - p.masks[mask] > 1) {
                to = firsts[mask] + (begins[shared.of(mask, column_of(turned[i]))] - begins[shared.base[mask]]) +
                     place[i];
            }
            united[to] = turned[i];
        });
        for_each(queue_, bucket_count, [=] __device__(size_t b) {
            const int64_t mask = owner_of(shared.base, masks, static_cast<int64_t>(b));
            sort_column(united + firsts[mask] + (begins[b] - begins[shared.base[mask]]), begins[b + 1] - begins[b]);
        });
        return united;
    }

    // Of turns before each key.
    const int64_t* sums_of(const uint64_t* keys, size_t n, const int64_t* firsts) {
        int64_t* const sums = queue_.take<int64_t>(n + 1);
        const int64_t* const last = firsts + p_.n;
        scan(queue_, n, sums,
             [=] __device__(size_t j) { return static_cast<int64_t>(j) < *last ? turn_of(keys[j]) : 0; });
        return sums;
    }

    Runs write(const uint64_t* keys, const int64_t* sums, size_t n, const int64_t* firsts, const OwnerTable& of_masks) {
        const OwnerTable owners = of_masks;
        const size_t masks = p_.n;
        const int64_t* const sizes = p_.sizes;
        // Not within the scan, whose registers are few.
        uint8_t* const is_end = queue_.take<uint8_t>(n);
        for_each(queue_, n, [=] __device__(size_t i) {
            const auto j = static_cast<int64_t>(i);
            is_end[i] = 0;
            if (j >= firsts[masks]) return;
            const int64_t mask = owners.of(j);
            const auto height = static_cast<uint64_t>(sizes[2 * mask]),
                       width = static_cast<uint64_t>(sizes[2 * mask + 1]);
            const MaskCrossings crossings{keys, sums, firsts[mask], firsts[mask + 1], height, height * width};
            is_end[i] = crossings.is_end(j) ? 1 : 0;
        });
        int64_t* const before = queue_.take<int64_t>(n + 1);  // ends of runs before each key
        scan(queue_, n, before, [=] __device__(size_t i) { return int64_t{is_end[i]}; });
        Runs out{nullptr, static_cast<size_t>(read(before + n, queue_)) + masks, queue_.take<int64_t>(masks + 1)};
        out.values = queue_.take<uint32_t>(out.total);
        int64_t* const offsets = out.offsets;
        for_each(queue_, masks + 1,
                 [=] __device__(size_t i) { offsets[i] = before[firsts[i]] + static_cast<int64_t>(i); });
        // Where runs end, counted from the first pixel of the first mask: then no run has to know its mask. That sum
        // may go beyond 64 bits, differences do not.
        uint64_t* const pixels = queue_.take<uint64_t>(masks + 1);
        scan(queue_, masks, pixels, [=] __device__(size_t i) {
            return static_cast<uint64_t>(sizes[2 * i]) * static_cast<uint64_t>(sizes[2 * i + 1]);
        });
        uint64_t* const ends = queue_.take<uint64_t>(out.total);
        for_each(queue_, masks, [=] __device__(size_t i) { ends[offsets[i + 1] - 1] = pixels[i + 1]; });
        for_each(queue_, n, [=] __device__(size_t i) {
            if (is_end[i] == 0) return;
            const int64_t mask = owners.of(static_cast<int64_t>(i));
            ends[before[i] + mask] = pixels[mask] + position_of(keys[i], static_cast<uint64_t>(sizes[2 * mask]));
        });
        write_lengths(ends, out);
        return out;
    }

    void write_lengths(const uint64_t* ends, const Runs& out) {
        uint32_t* const counts = out.values;
        FaultWord* const word = faults_.word();
        for_each(queue_, out.total, [=] __device__(size_t j) {
            const uint64_t length = ends[j] - (j == 0 ? 0 : ends[j - 1]);
            counts[j] = static_cast<uint32_t>(length);
            if (length > 0xffffffffu) note_fault(word, kLength, j);
        });
        if (p_.most_pixels > 0xffffffffu && faults_.lowest(queue_).kind != 0) {
            throw std::invalid_argument("a run is longer than 2^32 - 1 pixels");
        }
    }

    const DevicePolygons p_;
    const FillRule rule_;
    Queue& queue_;
    const Faults faults_;
};

}  // namespace

Runs polygons_rasterize(const DevicePolygons& polygons, FillRule rule, Queue& queue) {
    return Rasterizer(polygons, rule, queue).run();
}

}  // namespace maskmill::cuda
