// CUDA's words as plain C++, to run kernels on a machine without a GPU: for tests, not for speed.
//
// Blocks run one after the other, the threads of a block as fibers in turns: a fiber runs until it waits, for its block
// (__syncthreads) or its warp (shuffles and votes, __syncwarp). Shared memory is one copy per system thread. What this
// cannot show are all races between turns: compute-sanitizer does, on a GPU. Many show when everything is taken in the
// opposite order.
#pragma once

#include <ucontext.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static thread_local
#define __constant__ static const
#define __align__(n) alignas(n)

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
    constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};

namespace maskmill::cuda::emulated {

inline thread_local dim3 thread_index, block_index, block_size, grid_size;

constexpr unsigned kWarp = 32;

inline bool backward = false;  // the last block and thread first

// The turns of n, by order of time.
inline size_t turn(size_t i, size_t n) { return backward ? n - 1 - i : i; }
constexpr size_t kStack = 128 << 10;

enum class State { ready, at_block, at_warp, done };

struct Fiber {
    ucontext_t context;
    std::unique_ptr<char[]> stack{new char[kStack]};
    State state = State::ready;
    uint64_t slot = 0;  // what this lane shows to its warp
    dim3 index;
};

// The threads of one block, and whoever runs them.
struct Block {
    std::vector<Fiber> fibers;
    ucontext_t scheduler;
    size_t running = 0, size = 0;
    std::function<void()> body;
    std::vector<char> shared;
};

inline thread_local Block block;

inline void wait_as(State state) {
    Fiber& fiber = block.fibers[block.running];
    fiber.state = state;
    swapcontext(&fiber.context, &block.scheduler);
}

inline void fiber_main() {
    block.body();
    wait_as(State::done);
}

// Lets those go on that wait for each other and are all there. False if nobody was waiting.
inline bool release() {
    bool any = false;
    for (size_t warp = 0; warp < block.size; warp += kWarp) {
        const size_t end = std::min(block.size, warp + kWarp);
        bool all = true, some = false;
        for (size_t i = warp; i < end; ++i) {
            some |= block.fibers[i].state == State::at_warp;
            all &= block.fibers[i].state == State::at_warp || block.fibers[i].state == State::done;
        }
        if (!some) continue;
        if (!all) continue;
        any = true;
        for (size_t i = warp; i < end; ++i) {
            if (block.fibers[i].state == State::at_warp) block.fibers[i].state = State::ready;
        }
    }
    if (any) return true;
    bool all = true, some = false;
    for (size_t i = 0; i < block.size; ++i) {
        some |= block.fibers[i].state == State::at_block;
        all &= block.fibers[i].state == State::at_block || block.fibers[i].state == State::done;
    }
    if (some && !all) throw std::logic_error("threads of a block wait for each other at different places");
    for (size_t i = 0; some && i < block.size; ++i) {
        if (block.fibers[i].state == State::at_block) block.fibers[i].state = State::ready;
    }
    return some;
}

inline void run_block() {
    for (size_t i = 0; i < block.size; ++i) {
        Fiber& fiber = block.fibers[i];
        fiber.state = State::ready;
        fiber.index =
            dim3(static_cast<unsigned>(i) % block_size.x, static_cast<unsigned>(i) / block_size.x % block_size.y,
                 static_cast<unsigned>(i) / (block_size.x * block_size.y));
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.get();
        fiber.context.uc_stack.ss_size = kStack;
        fiber.context.uc_link = nullptr;
        makecontext(&fiber.context, fiber_main, 0);
    }
    do {
        for (size_t i = 0; i < block.size; ++i) {
            block.running = turn(i, block.size);
            Fiber& fiber = block.fibers[block.running];
            if (fiber.state != State::ready) continue;
            thread_index = fiber.index;
            swapcontext(&block.scheduler, &fiber.context);
        }
    } while (release());
}

template <class Body>
void run(dim3 blocks, dim3 threads, size_t shared, Body&& body) {
    grid_size = blocks;
    block_size = threads;
    block.size = static_cast<size_t>(threads.x) * threads.y * threads.z;
    if (block.fibers.size() < block.size) block.fibers.resize(block.size);
    block.shared.resize(shared + 256);
    block.body = body;
    const size_t row = blocks.x, plane = row * blocks.y, all = plane * blocks.z;
    for (size_t i = 0; i < all; ++i) {
        const size_t at = turn(i, all);
        block_index = dim3(static_cast<unsigned>(at % row), static_cast<unsigned>(at % plane / row),
                           static_cast<unsigned>(at / plane));
        run_block();
    }
}

inline void* dynamic_shared() {
    const auto address = reinterpret_cast<uintptr_t>(block.shared.data());
    return reinterpret_cast<void*>((address + 255) / 256 * 256);
}

inline size_t first_of_warp() { return block.running / kWarp * kWarp; }

// Shows a value to the warp and lets `take` look at what all lanes have shown.
template <class T, class Take>
auto exchange(T value, Take&& take) {
    static_assert(sizeof(T) <= 8);
    std::memcpy(&block.fibers[block.running].slot, &value, sizeof(T));
    wait_as(State::at_warp);
    const auto found = take([](size_t lane) {
        T other;
        std::memcpy(&other, &block.fibers[first_of_warp() + lane].slot, sizeof(T));
        return other;
    });
    wait_as(State::at_warp);
    return found;
}

inline unsigned lane() { return static_cast<unsigned>(block.running % kWarp); }
inline bool is_alive(size_t lane) {
    const size_t i = first_of_warp() + lane;
    return i < block.size && block.fibers[i].state != State::done;
}

}  // namespace maskmill::cuda::emulated

#define threadIdx (maskmill::cuda::emulated::thread_index)
#define blockIdx (maskmill::cuda::emulated::block_index)
#define blockDim (maskmill::cuda::emulated::block_size)
#define gridDim (maskmill::cuda::emulated::grid_size)

inline void __syncthreads() { maskmill::cuda::emulated::wait_as(maskmill::cuda::emulated::State::at_block); }
inline void __syncwarp(unsigned = ~0u) { maskmill::cuda::emulated::wait_as(maskmill::cuda::emulated::State::at_warp); }
inline int __syncthreads_count(int predicate) {
    auto& block = maskmill::cuda::emulated::block;
    block.fibers[block.running].slot = predicate != 0 ? 1 : 0;
    __syncthreads();
    int count = 0;
    for (size_t i = 0; i < block.size; ++i) count += static_cast<int>(block.fibers[i].slot);
    __syncthreads();
    return count;
}
inline void __threadfence() {}

template <class T>
T __shfl_sync(unsigned, T value, int from, int width = 32) {
    const int base = static_cast<int>(maskmill::cuda::emulated::lane()) / width * width;
    return maskmill::cuda::emulated::exchange(
        value, [&](auto at) { return at(static_cast<size_t>(base + (from & (width - 1)))); });
}
template <class T>
T __shfl_up_sync(unsigned, T value, unsigned by, int width = 32) {
    const unsigned lane = maskmill::cuda::emulated::lane(),
                   base = lane / static_cast<unsigned>(width) * static_cast<unsigned>(width);
    return maskmill::cuda::emulated::exchange(value, [&](auto at) { return at(lane < base + by ? lane : lane - by); });
}
template <class T>
T __shfl_down_sync(unsigned, T value, unsigned by, int width = 32) {
    const unsigned lane = maskmill::cuda::emulated::lane(),
                   base = lane / static_cast<unsigned>(width) * static_cast<unsigned>(width);
    return maskmill::cuda::emulated::exchange(
        value, [&](auto at) { return at(lane + by >= base + static_cast<unsigned>(width) ? lane : lane + by); });
}
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask, int = 32) {
    const unsigned lane = maskmill::cuda::emulated::lane();
    return maskmill::cuda::emulated::exchange(value, [&](auto at) { return at(lane ^ static_cast<unsigned>(mask)); });
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
    return maskmill::cuda::emulated::exchange(predicate, [&](auto at) {
        unsigned found = 0;
        for (unsigned lane = 0; lane < 32; ++lane) {
            if ((mask >> lane & 1) && maskmill::cuda::emulated::is_alive(lane) && at(lane)) found |= 1u << lane;
        }
        return found;
    });
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, !predicate) == 0; }

inline int __popc(unsigned x) { return std::popcount(x); }
inline int __popcll(unsigned long long x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
inline int __clzll(long long x) { return std::countl_zero(static_cast<unsigned long long>(x)); }
inline int __ffs(int x) { return x == 0 ? 0 : std::countr_zero(static_cast<unsigned>(x)) + 1; }
inline int __ffsll(long long x) { return x == 0 ? 0 : std::countr_zero(static_cast<unsigned long long>(x)) + 1; }
// Bytes of a (0 to 3) and b (4 to 7), as four hexadecimal digits name them.
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned digits) {
    const uint64_t both = uint64_t{b} << 32 | a;
    unsigned out = 0;
    for (unsigned k = 0; k < 4; ++k)
        out |= static_cast<unsigned>(both >> (digits >> (4 * k) & 7) * 8 & 0xff) << (8 * k);
    return out;
}
template <class T>
T __ldg(const T* p) {
    return *p;
}

template <class T>
T atomicAdd(T* p, T value) {
    const T old = *p;
    *p = static_cast<T>(old + value);
    return old;
}
template <class T>
T atomicMin(T* p, T value) {
    const T old = *p;
    *p = std::min(old, value);
    return old;
}
template <class T>
T atomicMax(T* p, T value) {
    const T old = *p;
    *p = std::max(old, value);
    return old;
}
template <class T>
T atomicOr(T* p, T value) {
    const T old = *p;
    *p = old | value;
    return old;
}
template <class T>
T atomicXor(T* p, T value) {
    const T old = *p;
    *p = old ^ value;
    return old;
}
template <class T>
T atomicAnd(T* p, T value) {
    const T old = *p;
    *p = old & value;
    return old;
}
template <class T>
T atomicExch(T* p, T value) {
    const T old = *p;
    *p = value;
    return old;
}
template <class T>
T atomicCAS(T* p, T expected, T value) {
    const T old = *p;
    if (old == expected) *p = value;
    return old;
}
