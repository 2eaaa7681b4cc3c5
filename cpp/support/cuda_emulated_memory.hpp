// What keeps host and device apart where kernels are emulated in one memory: a pointer that a GPU could not follow is
// found by tests on the host. Only while `apart` is set.
//
// Arrays and memory given to a call are registered as the device's. What is given to a kernel is looked through, word by
// word, for addresses of anything else; and but for kernels and copies nobody may touch pages of the device.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

namespace maskmill::cuda::emulated {

inline bool apart = false;

constexpr uintptr_t kPage = 4096;

struct DeviceRange {
    uintptr_t begin, end;
    bool own_pages;  // of nobody else

    void protect(int how) const {
        if (!own_pages || begin == end) return;
        const uintptr_t first = begin / kPage * kPage;
        mprotect(reinterpret_cast<void*>(first), (end - first + kPage - 1) / kPage * kPage, how);
    }
};

struct DeviceMemory {
    std::vector<DeviceRange> ranges;
    int closed = 0;  // > 0 within a call
    int open = 0;    // > 0 within a kernel or a copy

    void protect() const {
        for (const DeviceRange& range : ranges) range.protect(PROT_READ | PROT_WRITE);
        if (closed == 0 || open > 0) return;
        for (const DeviceRange& range : ranges) range.protect(PROT_NONE);
    }
    bool has(uintptr_t address) const {
        for (const DeviceRange& range : ranges) {
            // The end, too, is an address of it, and the beginning of the 16 bytes that its first is one of.
            if (address >= range.begin / 16 * 16 && address <= range.end) return true;
        }
        return false;
    }
};

inline thread_local DeviceMemory device_memory;

inline void register_device_memory(const void* from, size_t bytes, bool own_pages) {
    if (!apart) return;
    const auto begin = reinterpret_cast<uintptr_t>(from);
    device_memory.ranges.push_back({begin, begin + bytes, own_pages});
    if (device_memory.closed > 0 && device_memory.open == 0) device_memory.ranges.back().protect(PROT_NONE);
}

inline void forget_device_memory() { device_memory.ranges.clear(); }

// While one of these lives, the host cannot touch the device's memory.
struct Closed {
    Closed() { ++device_memory.closed, device_memory.protect(); }
    ~Closed() { --device_memory.closed, device_memory.protect(); }
    Closed(const Closed&) = delete;
};

// While one of these lives, the device computes or copies.
struct Open {
    Open() { ++device_memory.open, device_memory.protect(); }
    ~Open() { --device_memory.open, device_memory.protect(); }
    Open(const Open&) = delete;
};

inline bool is_mapped(uintptr_t address) {
    unsigned char there = 0;
    return mincore(reinterpret_cast<void*>(address / kPage * kPage), 1, &there) == 0;
}

// Throws if what a kernel is given has an address that is not the device's.
template <class Argument>
void check_argument(const Argument& argument) {
#ifdef __SANITIZE_ADDRESS__
    return;  // its own memory is so large that two small numbers side by side are an address in it
#endif
    if (!apart) return;
    Argument copy = argument;
#if __has_builtin(__builtin_clear_padding)
    __builtin_clear_padding(&copy);  // there may be old addresses in it
#endif
    for (size_t at = 0; at + sizeof(uintptr_t) <= sizeof(Argument); at += sizeof(uintptr_t)) {
        uintptr_t word = 0;
        std::memcpy(&word, reinterpret_cast<const char*>(&copy) + at, sizeof(word));
        if (word < (uintptr_t{1} << 32) || word >= (uintptr_t{1} << 47)) continue;  // a number
        if (!device_memory.has(word) && is_mapped(word)) {
            throw std::logic_error("a kernel is given the address of memory of the host, in word " +
                                   std::to_string(at / sizeof(uintptr_t)) + ": " + __PRETTY_FUNCTION__);
        }
    }
}

}  // namespace maskmill::cuda::emulated
