#include "bindings/register.hpp"

// No kernel keeps state behind the caller's back, so the module is safe without the GIL.
PYBIND11_MODULE(_core, m, pybind11::mod_gil_not_used()) {
    m.attr("__version__") = MASKMILL_VERSION;
    maskmill::register_support(m);
    maskmill::register_rle(m);
    maskmill::register_setops(m);
    maskmill::register_geometry(m);
    maskmill::register_overlap(m);
    maskmill::register_morphology(m);
    maskmill::register_polygons(m);
    maskmill::register_outlines(m);
    maskmill::register_measures(m);
    maskmill::register_features(m);
    maskmill::register_patches(m);
    maskmill::register_perceptron(m);
    maskmill::register_hamming(m);
    maskmill::register_hashes(m);
    maskmill::register_hashes_further(m);
    maskmill::register_crf(m);
    maskmill::register_matching(m);
    maskmill::register_coco_json(m);
    maskmill::register_coco_rle(m);
    maskmill::register_coco_dicts(m);
    maskmill::register_coco_mask(m);
}
