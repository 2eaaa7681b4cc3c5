#include "bindings/register.hpp"
#include "support/parallel.hpp"
#include "support/simd.hpp"

namespace py = pybind11;

namespace maskmill {
namespace {

const char* name_of(Simd level) {
    switch (level) {
        case Simd::avx512: return "avx512";
        case Simd::avx2: return "avx2";
        default: return "baseline";
    }
}

void set_level(const std::string& name) {
    for (const Simd level : {Simd::baseline, Simd::avx2, Simd::avx512}) {
        if (name != name_of(level)) continue;
        if (level > best_simd_level()) throw py::value_error("this CPU has no " + name);
        set_simd_level(level);
        return;
    }
    throw py::value_error("level must be 'baseline', 'avx2' or 'avx512', not '" + name + "'");
}

}  // namespace

void register_support(py::module_& m) {
    m.def("thread_count", thread_count);
    m.def("set_thread_count", set_thread_count, py::arg("n"));
    m.def("simd_level", [] { return name_of(simd_level()); });
    m.def("best_simd_level", [] { return name_of(best_simd_level()); });
    m.def("set_simd_level", set_level, py::arg("level"));
}

}  // namespace maskmill
