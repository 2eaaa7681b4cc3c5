#include "support/cuda_combine.cuh"

#include <algorithm>

#include "support/cuda_sort.cuh"

namespace maskmill::cuda {
namespace {

// What an event changes. Its place is where a run ends, in the order of pixels of all groups: group g has the places from
// bases[g] on, one more than it has pixels, so that the last one's end is not the first one of the next.
enum Change : uint8_t { kNothing, kFirstOn, kFirstOff, kOtherOn, kOtherOff };

// Number of masks that cover a pixel: first ones in the low half, others in the high half.
MASKMILL_HD uint64_t step_of(uint8_t change) {
    switch (change) {
        case kFirstOn: return 1;
        case kFirstOff: return ~uint64_t{0};
        case kOtherOn: return uint64_t{1} << 32;
        case kOtherOff: return uint64_t{0} - (uint64_t{1} << 32);
        default: return 0;
    }
}

MASKMILL_HD unsigned value_of(Rule rule, uint64_t covers, int64_t masks) {
    const uint64_t first = covers & 0xffffffffu, others = covers >> 32;
    bool is_other = others > 0;
    if (rule.others == Others::all) is_other = static_cast<int64_t>(others) == masks - 1;
    if (rule.others == Others::odd) is_other = others % 2 == 1;
    return rule.table >> ((first > 0 ? 1u : 0u) + (is_other ? 2u : 0u)) & 1u;
}

// Copied into kernels.
struct Groups {
    const int64_t* starts;
    const int64_t* sizes;
    const uint64_t* bases;  // (n + 1), before the 1 that each has in common
    size_t n;

    MASKMILL_HD int64_t first_mask(size_t g) const { return starts == nullptr ? static_cast<int64_t>(g) : starts[g]; }
    MASKMILL_HD size_t of_mask(size_t i) const {
        return starts == nullptr ? i : owner_of(starts, n, static_cast<int64_t>(i));
    }
    MASKMILL_HD bool has_mask(size_t i) const {
        const auto mask = static_cast<int64_t>(i);
        return starts == nullptr || (n > 0 && starts[0] <= mask && mask < starts[n]);
    }
    MASKMILL_HD uint64_t pixels(size_t g) const {
        return static_cast<uint64_t>(sizes[2 * g]) * static_cast<uint64_t>(sizes[2 * g + 1]);
    }
    MASKMILL_HD uint64_t base(size_t g) const { return bases[g] + 1; }
    MASKMILL_HD size_t of_place(uint64_t place) const { return owner_of(bases, n, place - 1); }
};

struct Events {
    uint64_t* places;
    uint8_t* changes;
};

// Notes masks of another size than their group's, or whose runs do not sum to it.
void check_masks(const Rles& masks, const Groups& groups, const uint64_t* ends, const Faults& faults, Queue& queue) {
    const int64_t *const offsets = masks.offsets, *const sizes = masks.sizes;
    FaultWord* const word = faults.word();
    for_each(queue, masks.n, [=] __device__(size_t i) {
        if (*word < fault_code(kSum, 0) || !groups.has_mask(i)) return;
        const size_t g = groups.of_mask(i);
        const bool fits = sizes[2 * i] == groups.sizes[2 * g] && sizes[2 * i + 1] == groups.sizes[2 * g + 1];
        if (!fits || ends[offsets[i + 1]] - ends[offsets[i]] != groups.pixels(g)) note_fault(word, kOther, i);
    });
}

// What is changed by the end of run `run` of a mask, whose runs are those from `first` on, before `last`.
MASKMILL_HD Change change_at(int64_t run, int64_t first, int64_t last, bool is_first) {
    if ((run - first) % 2 == 1) return is_first ? kFirstOff : kOtherOff;
    return run + 1 == last ? kNothing : is_first ? kFirstOn : kOtherOn;
}

// An event for each run. Those of runs of no group are at place 0, where nothing is.
void write_events(const Rles& masks, int64_t total, const Groups& groups, const uint64_t* ends, Events events,
                  const Faults& faults, Queue& queue) {
    const int64_t* const offsets = masks.offsets;
    const Owners owners{offsets, masks.n, faults.word()};
    for_each(queue, static_cast<size_t>(total), [=] __device__(size_t j) {
        events.places[j] = 0;
        events.changes[j] = kNothing;
        const int64_t i = owners.of(j);
        if (i < 0 || !groups.has_mask(static_cast<size_t>(i))) return;
        const size_t g = groups.of_mask(static_cast<size_t>(i));
        events.places[j] = groups.base(g) + ends[j + 1] - ends[offsets[i]];
        events.changes[j] = change_at(static_cast<int64_t>(j), offsets[i], offsets[i + 1], i == groups.first_mask(g));
    });
}

// Masks whose runs are in order, one a group: copied into kernels.
struct Sorted {
    const int64_t* offsets;  // null: none
    const uint64_t* ends;

    MASKMILL_HD int64_t runs_before(size_t g) const { return offsets == nullptr ? 0 : offsets[g] - offsets[0]; }
    // Runs of mask g that end before position `at`, or at it, too.
    MASKMILL_HD int64_t ends_before(size_t g, uint64_t at, bool or_at) const {
        if (offsets == nullptr || (at == 0 && !or_at)) return 0;
        return run_at(ends + 1, offsets[g], offsets[g + 1], ends[offsets[g]] + at - (or_at ? 0 : 1)) - offsets[g];
    }
};

// The events of groups of one mask or two, in order: each knows its place among those of its group without being sorted.
struct Merge {
    Sorted a, b;
    Groups groups;

    // Where a group's events begin: its first place, runs, its last place.
    MASKMILL_HD size_t begin(size_t g) const {
        return static_cast<size_t>(a.runs_before(g) + b.runs_before(g)) + 2 * g;
    }
};

void write_in_order(const Rles& masks, int64_t total, const Merge& merge, bool is_first, Events events,
                    const Faults& faults, Queue& queue) {
    const Owners owners{masks.offsets, masks.n, faults.word()};
    const Merge m = merge;
    for_each(queue, static_cast<size_t>(total), [=] __device__(size_t j) {
        const int64_t owner = owners.of(j);
        if (owner < 0) return;
        const Sorted own = is_first ? m.a : m.b, other = is_first ? m.b : m.a;
        const auto g = static_cast<size_t>(owner);
        const auto run = static_cast<int64_t>(j);
        const uint64_t at = own.ends[j + 1] - own.ends[own.offsets[g]];
        const int64_t before = run - own.offsets[g] + other.ends_before(g, at, !is_first);
        const size_t e = m.begin(g) + 1 + static_cast<size_t>(before);
        events.places[e] = m.groups.base(g) + at;
        events.changes[e] = change_at(run, own.offsets[g], own.offsets[g + 1], is_first);
    });
}

// The first and last places of groups, and behind all, as often as there are runs of no mask, the very last place.
void write_borders(const Merge& merge, size_t all, Events events, const Faults& faults, Queue& queue) {
    const FaultWord* const word = faults.word();
    const Merge m = merge;
    for_each(queue, m.groups.n, [=] __device__(size_t g) {
        if (*word < fault_code(kSum, 0)) return;
        const size_t first = m.begin(g), last = m.begin(g + 1) - 1;
        events.places[first] = m.groups.base(g);
        events.places[last] = m.groups.base(g) + m.groups.pixels(g);
        events.changes[first] = events.changes[last] = kNothing;
    });
    for_each(queue, all, [=] __device__(size_t e) {
        if (*word < fault_code(kSum, 0) || e < m.begin(m.groups.n)) return;
        events.places[e] = m.groups.bases[m.groups.n];
        events.changes[e] = kNothing;
    });
}

// Where results' runs end. before[e] counts those before event e.
struct Finder {
    const uint64_t* places;
    const uint64_t* covers;  // covers[e]: before event e
    Groups groups;
    Rule rule;
    size_t events;

    // Whether a run ends at event e, the last one of its place.
    MASKMILL_HD bool ends_run(size_t e) const {
        const uint64_t place = places[e];
        if (place == 0 || (e + 1 < events && places[e + 1] == place)) return false;
        const size_t g = groups.of_place(place);
        const uint64_t base = groups.base(g);
        if (place - base == groups.pixels(g)) return true;
        const int64_t masks = groups.starts == nullptr ? 1 : groups.starts[g + 1] - groups.starts[g];
        const unsigned before = place == base ? 0 : value_of(rule, covers[first_at(e)], masks);
        return value_of(rule, covers[e + 1], masks) != before;
    }
    // The first event of e's place.
    MASKMILL_HD size_t first_at(size_t e) const {
        if (e == 0 || places[e - 1] != places[e]) return e;
        size_t first = 0, last = e;
        while (first < last) {
            const size_t middle = first + (last - first) / 2;
            if (places[middle] < places[e]) {
                first = middle + 1;
            } else {
                last = middle;
            }
        }
        return first;
    }
};

constexpr uint64_t kEndOfGroup = uint64_t{1} << 63;

// A group's first place is an event, as it may be foreground without any mask's doing, and so is its end.
Events events_of(const Operands& x, const Groups& groups, size_t all, const Faults& faults, Queue& queue) {
    Events events{queue.take<uint64_t>(all), queue.take<uint8_t>(all)};
    const bool pairs = x.b.n > 0;
    const uint64_t* const ends_a = ends_of(x.a, x.a_total, queue);
    const uint64_t* const ends_b = pairs ? ends_of(x.b, x.b_total, queue) : nullptr;
    check_masks(x.a, groups, ends_a, faults, queue);
    if (pairs) check_masks(x.b, groups, ends_b, faults, queue);
    if (x.starts == nullptr) {
        const Merge merge{{x.a.offsets, ends_a}, {pairs ? x.b.offsets : nullptr, ends_b}, groups};
        write_borders(merge, all, events, faults, queue);
        write_in_order(x.a, x.a_total, merge, true, events, faults, queue);
        if (pairs) write_in_order(x.b, x.b_total, merge, false, events, faults, queue);
        return events;
    }
    const auto runs = static_cast<size_t>(x.a_total);
    FaultWord* const word = faults.word();
    for_each(queue, groups.n, [=] __device__(size_t g) {
        events.places[runs + 2 * g] = groups.base(g);
        events.places[runs + 2 * g + 1] = groups.base(g) + groups.pixels(g);
        events.changes[runs + 2 * g] = events.changes[runs + 2 * g + 1] = kNothing;
        const bool is_empty = groups.starts[g] == groups.starts[g + 1];
        if (is_empty && groups.pixels(g) > 0xffffffffu) note_fault(word, kOther, g);
    });
    write_events(x.a, x.a_total, groups, ends_a, events, faults, queue);
    // Runs are shorter than 2^32, and so are groups without masks: that bounds places.
    sort_pairs(queue, all, events.places, events.changes, std::min(64, 33 + bits_of(all)));
    return events;
}

}  // namespace

Combined combine(const Operands& x, Rule rule, Queue& queue) {
    const size_t n = x.groups, all = static_cast<size_t>(x.a_total + x.b_total) + 2 * n;
    const Sums sums(all, queue);
    const Faults& faults = sums.faults;
    FaultWord* const word = faults.word();
    check_offsets(x.a, x.a_total, faults, queue);
    if (x.b.n > 0) check_offsets(x.b, x.b_total, faults, queue);

    uint64_t* const bases = queue.take<uint64_t>(n + 1);
    const int64_t* const sizes = x.sizes;
    scan(queue, n, bases, [=] __device__(size_t g) {
        return static_cast<uint64_t>(sizes[2 * g]) * static_cast<uint64_t>(sizes[2 * g + 1]) + 1;
    });
    const Groups groups{x.starts, sizes, bases, n};
    const Events events = events_of(x, groups, all, faults, queue);

    uint64_t* const covers = queue.take<uint64_t>(all + 1);
    const uint8_t* const changes = events.changes;
    scan(queue, all, covers, [=] __device__(size_t e) { return step_of(changes[e]); });
    int64_t* const before = sums.before;
    const Finder finder{events.places, covers, groups, rule, all};
    scan(queue, all, before, [=] __device__(size_t e) { return *word == ~FaultWord{0} && finder.ends_run(e) ? 1 : 0; });
    // Where the results' runs end.
    uint64_t* const ends = queue.take<uint64_t>(all);
    Runs out{nullptr, 0, queue.take<int64_t>(n + 1)};
    int64_t* const offsets = out.offsets;
    fill_bytes(offsets, 0, sizeof(*offsets), queue);
    for_each(queue, all, [=] __device__(size_t e) {
        const int64_t k = before[e];
        if (before[e + 1] == k) return;
        const uint64_t place = finder.places[e];
        const size_t g = groups.of_place(place);
        const bool is_last = place - groups.base(g) == groups.pixels(g);
        ends[k] = is_last ? place | kEndOfGroup : place;
        if (is_last) offsets[g + 1] = k + 1;
    });
    uint32_t* const counts = queue.take<uint32_t>(all);
    for_each(queue, all, [=] __device__(size_t k) {
        if (static_cast<int64_t>(k) >= before[all]) return;
        const uint64_t last = k == 0 ? kEndOfGroup : ends[k - 1];
        const uint64_t length = (ends[k] & ~kEndOfGroup) - (last & ~kEndOfGroup) - (last >> 63);
        counts[k] = static_cast<uint32_t>(length);
        if (length > 0xffffffffu) note_fault(word, kOther, k);
    });

    const Sums::Found found = sums.found(queue);
    const Fault fault = fault_of(found.fault);
    if (fault.kind != 0) return {out, fault};
    out.total = static_cast<size_t>(found.total);
    out.values = queue.take<uint32_t>(out.total);
    uint32_t* const values = out.values;
    for_each(queue, out.total, [=] __device__(size_t k) { values[k] = counts[k]; });
    return {out, fault};
}

}  // namespace maskmill::cuda
