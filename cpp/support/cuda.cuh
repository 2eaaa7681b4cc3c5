// What kernels for GPUs share: launches, scans, reading back, faults. Compiled by nvcc, or, with MASKMILL_CUDA_EMULATED,
// as plain C++ that runs on the host (support/cuda_emulated.hpp), so that tests need no GPU.
//
// Everything is queued on the stream of the Queue. Only `read` waits for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "support/common.hpp"
#include "support/cuda_queue.hpp"
#include "support/host_device.hpp"

#ifdef MASKMILL_CUDA_EMULATED
#include "support/cuda_emulated.hpp"
#include "support/cuda_emulated_memory.hpp"
#else
#include <cuda_runtime.h>

#include <cub/device/device_scan.cuh>
#include <thrust/iterator/counting_iterator.h>
#include <thrust/iterator/transform_iterator.h>
#endif

// Before loops in functions that the host's compiler sees, too: it does not know CUDA's pragma.
#ifdef __CUDA_ARCH__
#define MASKMILL_PRAGMA(text) _Pragma(#text)
#define MASKMILL_UNROLL MASKMILL_PRAGMA(unroll)
#define MASKMILL_UNROLL_BY(n) MASKMILL_PRAGMA(unroll n)
#else
#define MASKMILL_UNROLL
#define MASKMILL_UNROLL_BY(n)
#endif

namespace maskmill::cuda {

constexpr unsigned kThreads = 256;

// How often this thread has waited for a stream.
inline thread_local uint64_t waited = 0;

inline void note_wait(const Queue& queue) {
    if (queue.captured) throw std::logic_error("what a CUDA graph captures must not wait for the stream");
    ++waited;
}

inline unsigned blocks_for(size_t n, size_t per_block) {
    const size_t blocks = (n + per_block - 1) / per_block;
    if (blocks > 0x7fffffff) throw std::runtime_error("more blocks than a GPU takes");
    return static_cast<unsigned>(blocks);
}

#ifdef MASKMILL_CUDA_EMULATED

inline void copy_to_host(void* to, const void* from, size_t bytes, Queue& queue) {
    note_wait(queue);
    const emulated::Open open;
    std::memcpy(to, from, bytes);
}
inline void fill_bytes(void* to, int value, size_t bytes, Queue&) {
    const emulated::Open open;
    std::memset(to, value, bytes);
}

template <class Kernel, class... Args>
void launch(Kernel kernel, dim3 blocks, dim3 threads, size_t shared, Queue&, Args... args) {
    if (blocks.x == 0 || blocks.y == 0 || blocks.z == 0) return;
    (emulated::check_argument(args), ...);
    const emulated::Open open;
    emulated::run(blocks, threads, shared, [=] { kernel(args...); });
}

// Lets a kernel be launched with more dynamic shared memory than 48 KB.
template <class Kernel>
void allow_shared(Kernel, size_t) {}
inline size_t most_shared() { return size_t{227} << 10; }

// body(i) for i in [0, n), in any order and at once.
template <class Body>
void for_each(Queue&, size_t n, Body body) {
    emulated::check_argument(body);
    const emulated::Open open;
    for (size_t i = 0; i < n; ++i) body(emulated::turn(i, n));
}

// out[0] = 0, out[i + 1] = out[i] + of(i).
template <class T, class Of>
void scan(Queue&, size_t n, T* out, Of of) {
    emulated::check_argument(of);
    const emulated::Open open;
    T sum = 0;
    for (size_t i = 0; i < n; ++i) {
        const T next = static_cast<T>(of(i));
        out[i] = sum;
        sum = static_cast<T>(sum + next);
    }
    out[n] = sum;
}

// The sum over all lanes of a warp, to each of them.
template <class T>
T warp_sum(T value) {
    return emulated::exchange(value, [](auto at) {
        T sum = 0;
        for (size_t lane = 0; lane < emulated::kWarp; ++lane) sum = static_cast<T>(sum + at(lane));
        return sum;
    });
}

#define MASKMILL_DYNAMIC_SHARED(T, name) T* const name = static_cast<T*>(maskmill::cuda::emulated::dynamic_shared())

#else

inline void check(cudaError_t status) {
    if (status != cudaSuccess) {
        throw std::runtime_error(std::string("CUDA: ") + cudaGetErrorString(status));
    }
}

inline cudaStream_t stream_of(const Queue& queue) { return static_cast<cudaStream_t>(queue.stream); }

// Waits for the stream.
inline void copy_to_host(void* to, const void* from, size_t bytes, Queue& queue) {
    note_wait(queue);
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_of(queue)));
    check(cudaStreamSynchronize(stream_of(queue)));
}
inline void fill_bytes(void* to, int value, size_t bytes, Queue& queue) {
    check(cudaMemsetAsync(to, value, bytes, stream_of(queue)));
}

template <class Kernel, class... Args>
void launch(Kernel kernel, dim3 blocks, dim3 threads, size_t shared, Queue& queue, Args... args) {
    if (blocks.x == 0 || blocks.y == 0 || blocks.z == 0) return;
    // clang-format off
    kernel<<<blocks, threads, shared, stream_of(queue)>>>(args...);
    // clang-format on
    check(cudaGetLastError());
}

// Lets a kernel be launched with more dynamic shared memory than 48 KB.
template <class Kernel>
void allow_shared(Kernel kernel, size_t bytes) {
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)));
}
// Bytes that a block of the current device may have so.
inline size_t most_shared() {
    int device = 0, bytes = 0;
    check(cudaGetDevice(&device));
    check(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
    return static_cast<size_t>(bytes);
}

template <class Body>
__global__ void __launch_bounds__(kThreads) for_each_kernel(size_t n, Body body) {
    const size_t step = static_cast<size_t>(gridDim.x) * blockDim.x;
    for (size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += step) body(i);
}

// body(i) for i in [0, n), in any order and at once.
template <class Body>
void for_each(Queue& queue, size_t n, Body body) {
    const size_t blocks = (n + kThreads - 1) / kThreads;
    launch(for_each_kernel<Body>, dim3(static_cast<unsigned>(blocks < (1u << 20) ? blocks : 1u << 20)), dim3(kThreads),
           0, queue, n, body);
}

// What CUB is called for: once to ask how much memory it wants, then with that.
template <class Call>
void with_scratch(Queue& queue, Call call) {
    size_t bytes = 0;
    check(call(nullptr, bytes));
    void* const scratch = queue.memory.take(bytes + 1);
    check(call(scratch, bytes));
}

template <class T, class Of>
struct Term {
    Of of;
    __device__ __forceinline__ T operator()(size_t i) const { return static_cast<T>(of(i)); }
};

// out[0] = 0, out[i + 1] = out[i] + of(i).
template <class T, class Of>
void scan(Queue& queue, size_t n, T* out, Of of) {
    fill_bytes(out, 0, sizeof(T), queue);
    if (n == 0) return;
    const auto terms = thrust::make_transform_iterator(thrust::counting_iterator<size_t>(0), Term<T, Of>{of});
    with_scratch(queue, [&](void* scratch, size_t& bytes) {
        return cub::DeviceScan::InclusiveSum(scratch, bytes, terms, out + 1, static_cast<int64_t>(n), stream_of(queue));
    });
}

// The sum over all lanes of a warp, to each of them.
template <class T>
__device__ __forceinline__ T warp_sum(T value) {
    for (int by = 16; by > 0; by /= 2) value += __shfl_xor_sync(~0u, value, by);
    return value;
}

#define MASKMILL_DYNAMIC_SHARED(T, name)                           \
    extern __shared__ __align__(256) unsigned char name##_bytes[]; \
    T* const name = reinterpret_cast<T*>(name##_bytes)

#endif

// One value from the device. Waits for the stream.
template <class T>
T read(const T* from, Queue& queue) {
    T value;
    copy_to_host(&value, from, sizeof(T), queue);
    return value;
}

// What kernels find fault with: the lowest code, and the host asks once, when it waits anyway. A code is a kind (1 to 255,
// the gravest lowest) above an item. Kernels that would be led astray by a fault look at the word first.
using FaultWord = unsigned long long;

constexpr FaultWord fault_code(unsigned kind, FaultWord item) { return FaultWord{kind} << 56 | item; }

__device__ __forceinline__ void note_fault(FaultWord* word, unsigned kind, FaultWord item) {
    atomicMin(word, fault_code(kind, item));
}

struct Fault {
    unsigned kind;  // 0: none
    uint64_t item;
};

inline Fault fault_of(FaultWord code) {
    if (code == ~FaultWord{0}) return {0, 0};
    return {static_cast<unsigned>(code >> 56), code & ((FaultWord{1} << 56) - 1)};
}

class Faults {
  public:
    explicit Faults(Queue& queue) : Faults(queue.take<FaultWord>(1), queue) {}
    // The word is behind a number that the host reads, too.
    Faults(FaultWord* word, Queue& queue) : word_(word) { fill_bytes(word_, 0xff, sizeof(*word_), queue); }
    FaultWord* word() const { return word_; }
    // Waits for the stream.
    Fault lowest(Queue& queue) const { return fault_of(read(word_, queue)); }

  private:
    FaultWord* word_;
};

// The sums of a scan of n, whose last is how many there are, and behind it a fault word: the host reads both at once.
struct Sums {
    Sums(size_t n, Queue& queue)
        : before(queue.take<int64_t>(n + 2)), faults(reinterpret_cast<FaultWord*>(before + n + 1), queue), n_(n) {}

    struct Found {
        int64_t total;
        FaultWord fault;
    };
    // Waits for the stream.
    Found found(Queue& queue) const { return read(reinterpret_cast<const Found*>(before + n_), queue); }

    int64_t* before;
    Faults faults;

  private:
    size_t n_;
};

}  // namespace maskmill::cuda
