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

    template <class T>
    T* take(size_t n) {
        return static_cast<T*>(memory.take((n == 0 ? 1 : n) * sizeof(T)));
    }
};

// n variable-length items on the device; `total` is known to the host.
template <class T>
struct Ragged {
    T* values;
    size_t total;
    int64_t* offsets;  // (n + 1)
};

using Runs = Ragged<uint32_t>;

}  // namespace maskmill::cuda
