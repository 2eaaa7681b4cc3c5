#include "support/cuda_device.hpp"

#include "support/cuda.cuh"

namespace maskmill::cuda {

#ifdef MASKMILL_CUDA_EMULATED

std::vector<Device> devices() { return {{"emulated on the host", 0, 0, 0}}; }
int runtime_version() { return 0; }
uint64_t waits() { return emulated::waits; }
void set_backward(bool backward) { emulated::backward = backward; }
int driver_version() { return 0; }

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

#endif

void copy_to_device_memory(void* to, const void* from, size_t bytes, Queue& queue) {
    if (bytes > 0) copy_to_device(to, from, bytes, queue);
}

void copy_sizes(int64_t* to, const int64_t* from, size_t n, Queue& queue) {
    if (n > 0) copy_to_device(to, from, 2 * n * sizeof(int64_t), queue);
}

}  // namespace maskmill::cuda
