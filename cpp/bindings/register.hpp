// One function per file of bindings; module.cpp calls them all.
#pragma once

#include <pybind11/pybind11.h>

namespace maskmill {

void register_support(pybind11::module_& m);
void register_rle(pybind11::module_& m);
void register_setops(pybind11::module_& m);
void register_geometry(pybind11::module_& m);
void register_overlap(pybind11::module_& m);
void register_morphology(pybind11::module_& m);
void register_polygons(pybind11::module_& m);
void register_outlines(pybind11::module_& m);
void register_measures(pybind11::module_& m);
void register_features(pybind11::module_& m);
void register_patches(pybind11::module_& m);
void register_perceptron(pybind11::module_& m);
void register_hamming(pybind11::module_& m);
void register_hashes(pybind11::module_& m);
void register_hashes_further(pybind11::module_& m);
void register_crf(pybind11::module_& m);
void register_matching(pybind11::module_& m);
void register_coco_json(pybind11::module_& m);
void register_coco_rle(pybind11::module_& m);
void register_coco_dicts(pybind11::module_& m);
void register_coco_mask(pybind11::module_& m);

}  // namespace maskmill
