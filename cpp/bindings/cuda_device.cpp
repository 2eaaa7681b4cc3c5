#include "support/cuda_device.hpp"

#include <pybind11/stl.h>

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
    m.def("runtime_version", runtime_version);
    m.def("driver_version", driver_version);
}

}  // namespace maskmill::cuda
