// Huge pages for large arrays that are read all over: fewer page faults when they are first written, and fewer misses of
// the table of pages afterwards. Only a wish, where the system takes wishes; elsewhere nothing.
#pragma once

#include "support/common.hpp"

namespace maskmill {

// To be called before the memory is written.
void wish_huge_pages(void* memory, size_t bytes);

// Room for so many, in huge pages where they are large.
template <class T>
void resize_huge(Buffer<T>& buffer, size_t size) {
    buffer.resize(size);
    wish_huge_pages(buffer.data(), size * sizeof(T));
}

template <class T>
void resize_huge(Scratch<T>& scratch, size_t size) {
    scratch.resize(size);
    wish_huge_pages(scratch.data(), size * sizeof(T));
}

}  // namespace maskmill
