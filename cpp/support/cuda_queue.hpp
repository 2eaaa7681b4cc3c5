// Where work for a GPU goes, without a CUDA header: bindings and headers of kernels need no CUDA compiler.
#pragma once

#include <cstddef>
#include <cstdint>

namespace maskmill::cuda {

// Device memory that lives until the call is over, or longer where the caller keeps it. Never null, aligned to 256 bytes.
class Memory {
  public:
    virtual ~Memory() = default;
    virtual void* take(size_t bytes) = 0;
};

// A stream (cudaStream_t) and the memory for what runs on it. Kernels are queued, not awaited: only what says so waits.
struct Queue {
    void* stream;
    Memory& memory;
    bool captured = false;  // into a CUDA graph, to run later

    template <class T>
    T* take(size_t n) {
        return static_cast<T*>(memory.take((n == 0 ? 1 : n) * sizeof(T)));
    }
};

// From the memory of the host, which may be changed as soon as this returns. Does not wait for the stream.
void copy_to_device(void* to, const void* from, size_t bytes, Queue& queue);

// n variable-length items on the device; `total` is known to the host.
template <class T>
struct Ragged {
    T* values;
    size_t total;
    int64_t* offsets;  // (n + 1)
};

using Runs = Ragged<uint32_t>;

}  // namespace maskmill::cuda
