#include "bindings/cuda_register.hpp"

// The module imports without a driver: who wants to compute asks device_count() first.
#ifdef MASKMILL_CUDA_EMULATED
PYBIND11_MODULE(_cuda_emulated, m, pybind11::mod_gil_not_used()) {
#else
PYBIND11_MODULE(_cuda, m, pybind11::mod_gil_not_used()) {
#endif
    m.attr("__version__") = MASKMILL_VERSION;
    maskmill::cuda::register_device(m);
    maskmill::cuda::register_features(m);
    maskmill::cuda::register_hamming(m);
    maskmill::cuda::register_hashes(m);
    maskmill::cuda::register_matching(m);
    maskmill::cuda::register_overlap(m);
    maskmill::cuda::register_patches(m);
    maskmill::cuda::register_polygons(m);
    maskmill::cuda::register_rle(m);
    maskmill::cuda::register_setops(m);
}
