#include "support/cuda_device.hpp"

#include "bindings/cuda_arrays.hpp"
#include "bindings/cuda_register.hpp"

namespace py = pybind11;

namespace maskmill::cuda {

void register_device(py::module_& m) {
    m.def("device_count", [] { return devices().size(); });
    m.def("devices", [] {
        py::list found;
        for (const Device& device : devices()) {
            found.append(py::make_tuple(device.name, py::make_tuple(device.major, device.minor), device.bytes));
        }
        return found;
    });
#ifdef MASKMILL_CUDA_ARCHITECTURES
    m.attr("architectures") = MASKMILL_CUDA_ARCHITECTURES;  // as CMake names them: 90-real is without PTX
#endif
    m.def("waits", waits);
#ifdef MASKMILL_CUDA_EMULATED
    m.def("pretend_capture", pretend_capture, py::arg("captured"));
    m.def("set_strict", set_strict, py::arg("strict"));
    m.def("stray", [] {
        Arrays arrays;
        launched(arrays, [](Queue& queue) { stray(queue); });
    });
    m.def("set_library", [](const std::string& name) { library_name() = name; }, py::arg("name"));
#endif
    m.def("runtime_version", runtime_version);
    m.def("driver_version", driver_version);
}

}  // namespace maskmill::cuda
