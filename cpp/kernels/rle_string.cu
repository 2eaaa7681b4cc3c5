// COCO's string code on a GPU, a thread a run or a character.
//
// Writing     Runs' codes are measured, the lengths summed up, the codes written behind each other, and sent to the host
//             together with the offsets. Floor: 4 bytes a run in, about 2 out; moved are about 30 (lengths summed 8 + 8,
//             runs read twice). What counts is the way to the host: 50 GB/s at most.
// Reading     A character that says "no more follows" ends a number; numbers are differences to the one before the
//             previous, so counts are sums over every second number of a mask: two scans over all masks at once.
#include "kernels/rle.hpp"
#include "kernels/rle_device.inl"
#include "support/cuda_runs.cuh"

namespace maskmill::cuda {
namespace {

// What run j is written as: the difference to the run before the previous one, where that is not among the first ones.
MASKMILL_HD int64_t coded(const uint32_t* counts, int64_t first, int64_t j) {
    const int64_t before = j > first + 2 ? counts[j - 2] : 0;
    return static_cast<int64_t>(counts[j]) - before;
}

// The numbers of a text, and what each adds to: nothing, counts of odd places, counts of even places.
enum Chain : uint8_t { kAlone, kOdd, kEven };

// Characters on the device, with their offsets.
struct Text {
    const char* chars;
    const int64_t* offsets;
    size_t n;

    MASKMILL_HD unsigned code(int64_t at) const { return static_cast<unsigned char>(chars[at]) - 48u; }
    MASKMILL_HD bool ends_number(int64_t at) const {
        return at >= offsets[0] && at < offsets[n] && (code(at) & 0x20) == 0;
    }
    // The first character of the number that ends at `at`; of no more than 8.
    MASKMILL_HD int64_t start_of_number(int64_t at, int64_t first) const {
        int64_t start = at;
        while (start > first && at - start < kMaxCodeChars && (code(start - 1) & 0x20) != 0) --start;
        return start;
    }
};

}  // namespace

maskmill::Ragged<char> rle_to_string(const Rles& masks, int64_t total, Queue& queue) {
    const size_t n = masks.n, runs = static_cast<size_t>(total);
    const uint32_t* const counts = masks.counts;
    const int64_t* const offsets = masks.offsets;
    const Sums sums(runs, queue);
    FaultWord* const word = sums.faults.word();
    check_offsets(masks, total, sums.faults, queue);
    int64_t* const before = sums.before;
    const Owners owners{masks.offsets, n, word};
    scan(queue, runs, before, [=] __device__(size_t j) -> int64_t {
        const int64_t first = owners.first_of(j);
        return first < 0 ? 0 : code_length(coded(counts, first, static_cast<int64_t>(j)));
    });
    // What travels lies together: number of characters, fault, offsets, characters.
    const size_t head = sizeof(Sums::Found) + (n + 1) * sizeof(int64_t);
    auto* const block = queue.take<uint8_t>(head + kMaxCodeChars * runs);
    auto* const found = reinterpret_cast<Sums::Found*>(block);
    auto* const ends = reinterpret_cast<int64_t*>(block + sizeof(Sums::Found));
    char* const chars = reinterpret_cast<char*>(block + head);
    for_each(queue, n + 1, [=] __device__(size_t i) {
        if (i == 0) *found = {before[runs], *word};
        if (*word == ~FaultWord{0}) ends[i] = before[offsets[i]];
    });
    for_each(queue, runs, [=] __device__(size_t j) {
        const int64_t first = owners.first_of(j);
        if (first >= 0) write_code(coded(counts, first, static_cast<int64_t>(j)), chars + before[j]);
    });

    Buffer<uint8_t> copy(head + std::min(kMaxCodeChars * runs, 3 * runs + 16 * n));
    copy_to_host(copy.data(), block, copy.size(), queue);
    Sums::Found known;
    std::memcpy(&known, copy.data(), sizeof(known));
    if (fault_of(known.fault).kind != 0) raise_offsets();
    maskmill::Ragged<char> out;
    out.values.resize(static_cast<size_t>(known.total));
    out.offsets.append(reinterpret_cast<const int64_t*>(copy.data() + sizeof(known)), n + 1);
    const size_t arrived = std::min(out.values.size(), copy.size() - head);
    if (arrived > 0) std::memcpy(out.values.data(), copy.data() + head, arrived);
    if (arrived < out.values.size()) {
        copy_to_host(out.values.data() + arrived, chars + arrived, out.values.size() - arrived, queue);
    }
    return out;
}

Runs rle_from_string(const char* host_chars, const int64_t* host_offsets, size_t n, Queue& queue) {
    const size_t size = static_cast<size_t>(host_offsets[n]);
    const Text text{on_device(host_chars, size, queue), on_device(host_offsets, n + 1, queue), n};
    const Sums sums(size, queue);
    FaultWord* const word = sums.faults.word();
    for_each(queue, n, [=] __device__(size_t i) {
        const int64_t end = text.offsets[i + 1];
        if (end > text.offsets[i] && (text.code(end - 1) & 0x20) != 0) note_fault(word, kOther, i);
    });
    int64_t* const before = sums.before;  // before[c]: numbers that end before character c
    scan(queue, size, before, [=] __device__(size_t c) { return text.ends_number(static_cast<int64_t>(c)) ? 1 : 0; });

    int64_t* const numbers = queue.take<int64_t>(size);
    uint8_t* const chains = queue.take<uint8_t>(size);
    fill_bytes(chains, kAlone, size, queue);
    for_each(queue, size, [=] __device__(size_t c) {
        const auto at = static_cast<int64_t>(c);
        if (at >= text.offsets[0] && at < text.offsets[n] && text.code(at) > 63) note_fault(word, kOther, c);
        if (!text.ends_number(at)) return;
        const int64_t first = text.offsets[owner_of(text.offsets, n, at)], start = text.start_of_number(at, first);
        if (at - start == kMaxCodeChars) note_fault(word, kOther, c);
        const int64_t number = before[c], place = number - before[first];
        numbers[number] = read_code(text.chars + start, text.chars + at + 1);
        chains[number] = place % 2 == 1 ? kOdd : place > 0 ? kEven : kAlone;
    });
    int64_t* const odd = queue.take<int64_t>(size + 1);
    int64_t* const even = queue.take<int64_t>(size + 1);
    scan(queue, size, odd, [=] __device__(size_t k) -> int64_t { return chains[k] == kOdd ? numbers[k] : 0; });
    scan(queue, size, even, [=] __device__(size_t k) -> int64_t { return chains[k] == kEven ? numbers[k] : 0; });
    uint32_t* const counts = queue.take<uint32_t>(size);
    Runs out{nullptr, 0, queue.take<int64_t>(n + 1)};
    int64_t* const offsets = out.offsets;
    for_each(queue, n + 1, [=] __device__(size_t i) { offsets[i] = before[text.offsets[i]]; });
    for_each(queue, size, [=] __device__(size_t c) {
        const auto at = static_cast<int64_t>(c);
        if (!text.ends_number(at)) return;
        const int64_t k = before[c], first = before[text.offsets[owner_of(text.offsets, n, at)]];
        int64_t count = numbers[k];
        if (chains[k] == kOdd) count = odd[k + 1] - odd[first];
        if (chains[k] == kEven) count = even[k + 1] - even[first];
        counts[k] = static_cast<uint32_t>(count);
        if (count < 0 || count > 0xffffffffLL) note_fault(word, kOther, c);
    });
    const Sums::Found found = sums.found(queue);
    const Fault fault = fault_of(found.fault);
    if (fault.kind != 0) retell(fault, [&] { maskmill::rle_from_string(host_chars, host_offsets, n); });
    out.total = static_cast<size_t>(found.total);
    out.values = queue.take<uint32_t>(out.total);
    uint32_t* const values = out.values;
    for_each(queue, out.total, [=] __device__(size_t k) { values[k] = counts[k]; });
    return out;
}

}  // namespace maskmill::cuda
