#include "bindings/register.hpp"

// No kernel keeps state behind the caller's back, so the module is safe without the GIL.
PYBIND11_MODULE(_core, m, pybind11::mod_gil_not_used()) {
    m.attr("__version__") = MASKMILL_VERSION;
    maskmill::register_support(m);
    maskmill::register_rle(m);
}
