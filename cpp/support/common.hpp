// Types that every kernel shares. Nothing here knows of Python.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

namespace maskmill {

// Memory without constructors: a std::vector would write zeros over every output first, which costs as much
// as the kernel itself. Grows by realloc (which moves pages, not bytes, when big); freed with std::free, so
// that a binding can hand the pointer to NumPy.
template <class T>
class Buffer {
    static_assert(std::is_trivially_copyable_v<T>);

  public:
    Buffer() = default;
    explicit Buffer(size_t size) { resize(size); }
    Buffer(Buffer&& other) noexcept { swap(other); }
    Buffer& operator=(Buffer&& other) noexcept {
        swap(other);
        return *this;
    }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() { std::free(data_); }

    T* data() { return data_; }
    const T* data() const { return data_; }
    size_t size() const { return size_; }
    T& operator[](size_t i) { return data_[i]; }
    const T& operator[](size_t i) const { return data_[i]; }
    T* begin() { return data_; }
    T* end() { return data_ + size_; }
    const T* begin() const { return data_; }
    const T* end() const { return data_ + size_; }

    void clear() { size_ = 0; }
    // Empty, but ready for small data: memory that was needed for big data once is given back.
    void recycle(size_t most = 4096) {
        size_ = 0;
        if (capacity_ > most) Buffer().swap(*this);
    }
    void resize(size_t size) {
        reserve(size);
        size_ = size;
    }
    // Gives back what is beyond `size`.
    void shrink(size_t size) {
        size_ = size;
        if (size < capacity_) reallocate(std::max<size_t>(size, 1));
    }
    void push(T value) {
        if (size_ == capacity_) grow(size_ + 1);
        data_[size_++] = value;
    }
    void append(const T* values, size_t n) {
        if (n == 0) return;
        std::memcpy(room(n), values, n * sizeof(T));
        size_ += n;
    }
    // Room for n more values behind the last one; commit with `resize` or `advance`.
    T* room(size_t n) {
        if (capacity_ - size_ < n) grow(size_ + n);
        return data_ + size_;
    }
    void advance(size_t n) { size_ += n; }
    void reserve(size_t capacity) {
        if (capacity > capacity_) reallocate(capacity);
    }
    T* release() {
        size_ = capacity_ = 0;
        return std::exchange(data_, nullptr);
    }

  private:
    void swap(Buffer& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        std::swap(capacity_, other.capacity_);
    }
    void grow(size_t needed) {
        const size_t doubled = capacity_ + capacity_ / 2 + 16;
        reallocate(needed > doubled ? needed : doubled);
    }
    void reallocate(size_t capacity) {
        if (capacity > std::numeric_limits<size_t>::max() / sizeof(T)) throw std::bad_alloc();
        void* p = std::realloc(static_cast<void*>(data_), capacity * sizeof(T));
        if (p == nullptr) throw std::bad_alloc();
        data_ = static_cast<T*>(p);
        capacity_ = capacity;
    }

    T* data_ = nullptr;
    size_t size_ = 0;
    size_t capacity_ = 0;
};

// Scratch memory on a cache line border, so that no 64-byte load is split.
template <class T>
class Scratch {
  public:
    void resize(size_t size) {
        buffer_.resize(size + 64 / sizeof(T));
        const auto address = reinterpret_cast<uintptr_t>(buffer_.data());
        data_ = reinterpret_cast<T*>((address + 63) / 64 * 64);
        size_ = size;
    }
    T* data() { return data_; }
    const T* data() const { return data_; }
    T* begin() { return data_; }
    T* end() { return data_ + size_; }

  private:
    Buffer<T> buffer_;
    T* data_ = nullptr;
    size_t size_ = 0;
};

// Rows that are visited in a random order are asked for this many visits ahead.
constexpr int64_t kLookAhead = 16;

inline void prefetch_row([[maybe_unused]] const void* p) {
#if defined(__GNUC__) || defined(__clang__)
    __builtin_prefetch(p);
#endif
}

// n variable-length items: item i is values[offsets[i] .. offsets[i + 1]).
template <class T>
struct Ragged {
    Buffer<T> values;
    Buffer<int64_t> offsets;
};

// Borrowed view of n run-length masks (the invariants are those of kernels/rle.hpp).
struct Rles {
    const uint32_t* counts = nullptr;
    const int64_t* offsets = nullptr;
    const int64_t* sizes = nullptr;  // (n, 2): height, width
    size_t n = 0;

    std::span<const uint32_t> runs(size_t i) const {
        return {counts + offsets[i], static_cast<size_t>(offsets[i + 1] - offsets[i])};
    }
    size_t run_count(size_t i) const { return static_cast<size_t>(offsets[i + 1] - offsets[i]); }
    size_t total_runs() const { return n == 0 ? 0 : static_cast<size_t>(offsets[n] - offsets[0]); }
    int64_t height(size_t i) const { return sizes[2 * i]; }
    int64_t width(size_t i) const { return sizes[2 * i + 1]; }
    uint64_t pixels(size_t i) const { return static_cast<uint64_t>(height(i)) * static_cast<uint64_t>(width(i)); }
};

using Runs = Ragged<uint32_t>;

// "(480, 640)", as Python prints the size.
std::string size_text(int64_t h, int64_t w);
// As Python's f"{value:g}".
std::string number_text(double value);

}  // namespace maskmill
