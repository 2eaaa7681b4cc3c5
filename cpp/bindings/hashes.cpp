#include "kernels/hashes.hpp"

#include "bindings/hash_rules.hpp"
#include "bindings/register.hpp"

namespace maskmill {
namespace {

Array<uint64_t> images(const py::object& arrays, const std::string& kind, int64_t size, const std::string& profile,
                       const std::string& regime, int64_t crop) {
    const HashRule rule = rule_of(kind, profile, regime, size, crop);
    const std::vector<Pixels> list = views(arrays);
    Array<uint64_t> codes({list.size(), rule.words()});
    uint64_t* out = codes.mutable_data();
    without_gil([&] { hashes_images(list, rule, out); });
    return codes;
}

Array<uint64_t> planes(const py::array& volume, int axis, const Array<int64_t>& tiles, const Array<int64_t>& slices,
                       const std::string& kind, int64_t size, const std::string& profile, const std::string& regime,
                       int64_t crop) {
    const HashRule rule = rule_of(kind, profile, regime, size, crop);
    if (!py::isinstance<py::array_t<uint8_t>>(volume)) throw py::type_error("volume must be an array of uint8");
    require(volume.ndim() == 3, "volume must have shape (D, H, W)");
    Voxels voxels;
    voxels.data = static_cast<const uint8_t*>(volume.data());
    for (int i = 0; i < 3; ++i) {
        voxels.shape[i] = volume.shape(i);
        voxels.strides[i] = volume.strides(i);
    }
    check_planes(voxels, axis, tiles, slices);
    const auto n = static_cast<size_t>(tiles.shape(0) * slices.size());
    Array<uint64_t> codes({n, rule.words()});
    uint64_t* out = codes.mutable_data();
    without_gil([&] {
        hashes_planes(voxels, axis, {tiles.data(), static_cast<size_t>(tiles.size())},
                      {slices.data(), static_cast<size_t>(slices.size())}, rule, out);
    });
    return codes;
}

}  // namespace

void register_hashes(py::module_& m) {
    m.def("hashes_images", images, py::arg("images"), py::arg("kind"), py::arg("size"), py::arg("profile"),
          py::arg("regime"), py::arg("crop"));
    m.def("hashes_planes", planes, exact("volume"), py::arg("axis"), exact("tiles"), exact("slices"), py::arg("kind"),
          py::arg("size"), py::arg("profile"), py::arg("regime"), py::arg("crop"));
}

}  // namespace maskmill
