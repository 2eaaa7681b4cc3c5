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

#ifdef MASKMILL_CUDA_EMULATED
// How often the host has waited for the device.
uint64_t waits();
// Whether blocks and threads take turns from the last to the first.
void set_backward(bool backward);
#endif

void copy_to_device_memory(void* to, const void* from, size_t bytes, Queue& queue);
void copy_sizes(int64_t* to, const int64_t* from, size_t n, Queue& queue);

}  // namespace maskmill::cuda
