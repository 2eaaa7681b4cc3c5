// One function per file of bindings; module.cpp calls them all.
#pragma once

#include <pybind11/pybind11.h>

namespace maskmill {

void register_support(pybind11::module_& m);
void register_rle(pybind11::module_& m);

}  // namespace maskmill
