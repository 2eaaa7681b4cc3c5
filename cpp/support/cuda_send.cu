// Parameters from the host. cudaMemcpyAsync may wait for the stream when memory is not pinned, and a CUDA graph would read
// that memory when it runs, long after it is gone. So what is small travels as a kernel's arguments, which launches and
// graphs keep; what is large goes through pinned memory.
#include <algorithm>
#include <bit>
#include <cstring>
#include <mutex>
#include <vector>

#include "support/cuda.cuh"

namespace maskmill::cuda {
namespace {

constexpr size_t kPacket = 4000;             // kernels take 4096 bytes of arguments
constexpr size_t kMostCaptured = 256 << 10;  // 66 launches
constexpr size_t kMostPinned = size_t{1} << 26;

struct Packet {
    uint8_t bytes[kPacket];
};

void send_as_arguments(uint8_t* to, const uint8_t* from, size_t bytes, Queue& queue) {
    for (size_t sent = 0; sent < bytes; sent += kPacket) {
        const size_t n = std::min(bytes - sent, kPacket);
        Packet packet{};
        std::memcpy(packet.bytes, from + sent, n);
        uint8_t* const part = to + sent;
        for_each(queue, n, [=] __device__(size_t i) { part[i] = packet.bytes[i]; });
    }
}

#ifdef MASKMILL_CUDA_EMULATED

void send_large(void* to, const void* from, size_t bytes, Queue&) {
    const emulated::Open open;
    std::memcpy(to, from, bytes);
}

#else

// Blocks of pinned memory go round: one is free again once what was copied from it has arrived.
class PinnedBlocks {
  public:
    void send(void* to, const void* from, size_t bytes, cudaStream_t stream) {
        const std::lock_guard lock(mutex_);
        const Block& block = free_block(bytes);
        std::memcpy(block.data, from, bytes);
        check(cudaMemcpyAsync(to, block.data, bytes, cudaMemcpyHostToDevice, stream));
        check(cudaEventRecord(block.arrived, stream));
    }

  private:
    struct Block {
        void* data;
        size_t bytes;
        int device;
        cudaEvent_t arrived;
    };

    const Block& free_block(size_t bytes) {
        int device = 0;
        check(cudaGetDevice(&device));
        for (const Block& block : blocks_) {
            if (block.device != device || block.bytes < bytes) continue;
            if (cudaEventQuery(block.arrived) == cudaSuccess) return block;
            cudaGetLastError();  // or the next launch would report that it is not ready
        }
        Block block{nullptr, std::bit_ceil(bytes), device, nullptr};
        check(cudaEventCreateWithFlags(&block.arrived, cudaEventDisableTiming));
        check(cudaMallocHost(&block.data, block.bytes));
        blocks_.push_back(block);
        return blocks_.back();
    }

    std::mutex mutex_;
    std::vector<Block> blocks_;
};

void send_large(void* to, const void* from, size_t bytes, Queue& queue) {
    if (bytes > kMostPinned) {
        note_wait(queue);
        check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_of(queue)));
        return;
    }
    static auto* const blocks = new PinnedBlocks;  // never deleted: the driver may be gone by then
    blocks->send(to, from, bytes, stream_of(queue));
}

#endif

}  // namespace

void copy_to_device(void* to, const void* from, size_t bytes, Queue& queue) {
    if (queue.captured && bytes > kMostCaptured) {
        throw std::runtime_error("this call sends " + std::to_string(bytes) + " bytes to the GPU: a CUDA graph takes " +
                                 "at most " + std::to_string(kMostCaptured) + " at a time");
    }
    if (bytes <= kPacket || queue.captured) {
        send_as_arguments(static_cast<uint8_t*>(to), static_cast<const uint8_t*>(from), bytes, queue);
    } else {
        send_large(to, from, bytes, queue);
    }
}

}  // namespace maskmill::cuda
