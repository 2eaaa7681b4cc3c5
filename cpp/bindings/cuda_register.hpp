// One function per file of the CUDA module's bindings; cuda.cpp calls them all.
#pragma once

#include <pybind11/pybind11.h>

namespace maskmill::cuda {

void register_device(pybind11::module_& m);
void register_features(pybind11::module_& m);
void register_hamming(pybind11::module_& m);
void register_hashes(pybind11::module_& m);
void register_matching(pybind11::module_& m);
void register_overlap(pybind11::module_& m);
void register_patches(pybind11::module_& m);
void register_polygons(pybind11::module_& m);
void register_rle(pybind11::module_& m);
void register_setops(pybind11::module_& m);

}  // namespace maskmill::cuda
