#include "support/cuda_device.hpp"

#include <memory>

#include "support/cuda.cuh"

namespace maskmill::cuda {

uint64_t waits() { return waited; }

#ifdef MASKMILL_CUDA_EMULATED

namespace {
bool captured = false;
}

std::vector<Device> devices() { return {{"emulated on the host", 0, 0, 0}}; }
int runtime_version() { return 0; }
void set_strict(bool strict) { emulated::backward = emulated::apart = strict; }
void stray(Queue& queue) {
    auto number = std::make_unique<int>(1);
    int* const there = number.get();
    for_each(queue, 1, [=](size_t) { *there = 2; });
}
int driver_version() { return 0; }
void use_device(int) {}
bool is_captured(void*) { return captured; }
void pretend_capture(bool to) { captured = to; }

#else

std::vector<Device> devices() {
    int n = 0;
    const cudaError_t status = cudaGetDeviceCount(&n);
    if (status == cudaErrorNoDevice || status == cudaErrorInsufficientDriver) {
        cudaGetLastError();  // or the next call would report it again
        return {};
    }
    check(status);
    std::vector<Device> found;
    for (int i = 0; i < n; ++i) {
        cudaDeviceProp about;
        check(cudaGetDeviceProperties(&about, i));
        found.push_back({about.name, about.major, about.minor, about.totalGlobalMem});
    }
    return found;
}

int runtime_version() {
    int version = 0;
    check(cudaRuntimeGetVersion(&version));
    return version;
}

int driver_version() {
    int version = 0;
    check(cudaDriverGetVersion(&version));
    return version;
}

void use_device(int device) { check(cudaSetDevice(device)); }

bool is_captured(void* stream) {
    cudaStreamCaptureStatus status;
    check(cudaStreamIsCapturing(static_cast<cudaStream_t>(stream), &status));
    return status != cudaStreamCaptureStatusNone;
}

#endif

void copy_sizes(int64_t* to, const int64_t* from, size_t n, Queue& queue) {
    copy_to_device(to, from, 2 * n * sizeof(int64_t), queue);
}

}  // namespace maskmill::cuda
