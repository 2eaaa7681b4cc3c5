// What there is to compute on.
#pragma once

#include <string>
#include <vector>

#include "support/cuda_queue.hpp"

namespace maskmill::cuda {

struct Device {
    std::string name;
    int major, minor;  // compute capability
    size_t bytes;      // of memory
};

// Throws std::runtime_error with the reason if the driver cannot say.
std::vector<Device> devices();

// Version of the runtime that was compiled in, and of the driver's (0 without one), as 13000 for 13.0.
int runtime_version();
int driver_version();

// How often this thread has waited for a GPU.
uint64_t waits();

// Makes a device the one that this thread works on.
void use_device(int device);

// Whether a CUDA graph captures what is queued on a stream.
bool is_captured(void* stream);
#ifdef MASKMILL_CUDA_EMULATED
// Lets calls believe that their stream is captured; they run all the same.
void pretend_capture(bool captured);
// Whether blocks and threads take turns from the last to the first, and the memories of host and device are kept apart.
void set_strict(bool strict);
// Gives a kernel the address of a number on the host, which no GPU could follow: what strictness is there to find.
void stray(Queue& queue);
#endif

void copy_sizes(int64_t* to, const int64_t* from, size_t n, Queue& queue);

}  // namespace maskmill::cuda
