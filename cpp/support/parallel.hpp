// Threads for kernels: a pool that survives fork.
//
// The calling thread always works too, so a call never waits for a pool that is busy, nested calls cannot
// deadlock, and any number of Python threads may call at once. After a fork the child finds no pool and makes
// its own when it first needs one; the parent's threads, locks and queue, which do not exist there, are never
// touched. Waking a sleeping thread costs 5-50 us: callers set `grain` so that a chunk is worth that.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>

#include "support/common.hpp"

namespace maskmill {

// Threads used by one call, the caller included. 0 in set_thread_count means: one per CPU this process may use.
int thread_count();
void set_thread_count(int n);

// Calls task(0) .. task(tasks - 1), each once, from several threads. If tasks throw, the exception of the
// lowest one is rethrown, whatever the number of threads.
void parallel_run(size_t tasks, const std::function<void(size_t)>& task);

// body(begin, end) over consecutive pieces of [0, n), each of at least `grain` items.
template <class Body>
void parallel_for(size_t n, size_t grain, Body&& body) {
    grain = std::max<size_t>(grain, 1);
    const size_t threads = static_cast<size_t>(thread_count());
    if (n <= grain || threads == 1) {
        if (n > 0) body(size_t{0}, n);
        return;
    }
    // Four pieces a thread even out uneven items.
    const size_t pieces = std::min(n / grain + (n % grain != 0), threads * 4);
    parallel_run(pieces, [&](size_t i) { body(n * i / pieces, n * (i + 1) / pieces); });
}

// Where one piece of a ragged output goes: append to `values`, then close the item.
template <class T>
struct RaggedPiece {
    Buffer<T>& values;
    int64_t* ends;  // relative to the piece

    void close() { *ends++ = static_cast<int64_t>(values.size()); }
};

// Ragged output of n items: body(begin, end, piece) appends and closes items begin .. end - 1, and may keep scratch
// memory from item to item. Pieces are made in parallel and joined in order; a single piece is not copied.
template <class T, class Body>
Ragged<T> parallel_pieces(size_t n, size_t grain, Body&& body) {
    Ragged<T> out;
    out.offsets.resize(n + 1);
    out.offsets[0] = 0;
    const size_t threads = static_cast<size_t>(thread_count());
    const size_t pieces = threads == 1 ? 1 : std::clamp<size_t>(n / std::max<size_t>(grain, 1), 1, threads * 4);
    if (pieces == 1) {
        RaggedPiece<T> piece{out.values, out.offsets.data() + 1};
        if (n > 0) body(size_t{0}, n, piece);
        return out;
    }
    const auto parts = std::make_unique<Buffer<T>[]>(pieces);
    const auto start = [&](size_t p) { return n * p / pieces; };
    parallel_run(pieces, [&](size_t p) {
        RaggedPiece<T> piece{parts[p], out.offsets.data() + start(p) + 1};
        body(start(p), start(p + 1), piece);
    });
    const auto shift = std::make_unique<size_t[]>(pieces + 1);
    for (size_t p = 0; p < pieces; ++p) shift[p + 1] = shift[p] + parts[p].size();
    out.values.resize(shift[pieces]);
    parallel_run(pieces, [&](size_t p) {
        if (parts[p].size() > 0) {
            std::memcpy(out.values.data() + shift[p], parts[p].data(), parts[p].size() * sizeof(T));
        }
        for (size_t i = start(p); i < start(p + 1); ++i) out.offsets[i + 1] += static_cast<int64_t>(shift[p]);
    });
    return out;
}

// The same, body(i, values) appending item i.
template <class T, class Body>
Ragged<T> parallel_ragged(size_t n, size_t grain, Body&& body) {
    return parallel_pieces<T>(n, grain, [&](size_t begin, size_t end, RaggedPiece<T>& piece) {
        for (size_t i = begin; i < end; ++i) {
            body(i, piece.values);
            piece.close();
        }
    });
}

}  // namespace maskmill
