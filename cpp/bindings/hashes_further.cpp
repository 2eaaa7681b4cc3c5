// The hashes that are no size * size bits of one small picture.
#include "bindings/hash_rules.hpp"
#include "bindings/images.hpp"
#include "bindings/register.hpp"
#include "kernels/hashes.hpp"

namespace maskmill {
namespace {

void check_size(int64_t size) { require(size >= 2 && size <= 256, "hash_size must be within 2 and 256"); }

py::tuple pdq(const py::object& arrays, const std::string& luma, bool dihedral) {
    const auto kind = named<PdqLuma>(luma, "luma", {{"pdqhash", PdqLuma::pdqhash}, {"float32", PdqLuma::float32}});
    const std::vector<Pixels> list = views(arrays);
    std::vector<size_t> shape{list.size(), 4};
    if (dihedral) shape.insert(shape.begin() + 1, 8);
    Array<uint64_t> codes(shape);
    Array<uint8_t> quality(list.size());
    uint64_t* out = codes.mutable_data();
    uint8_t* out_quality = quality.mutable_data();
    without_gil([&] { hashes_pdq(list, kind, dihedral, out, out_quality); });
    return py::make_tuple(codes, quality);
}

Array<uint64_t> dihedral(const py::object& arrays, int64_t size, const std::string& profile, const std::string& regime,
                         int64_t crop) {
    const HashRule rule = dihedral_rule_of(size, profile, regime, crop);
    const std::vector<Pixels> list = views(arrays);
    Array<uint64_t> codes({list.size(), size_t{8}, rule.words()});
    uint64_t* out = codes.mutable_data();
    without_gil([&] { hashes_dihedral(list, rule, out); });
    return codes;
}

Array<uint64_t> colorhash(const py::object& arrays, int bits) {
    require(bits >= 1 && bits <= 16, "binbits must be within 1 and 16");
    const std::vector<Pixels> list = views(arrays);
    Array<uint64_t> codes({list.size(), static_cast<size_t>(14 * bits + 63) / 64});
    uint64_t* out = codes.mutable_data();
    without_gil([&] { hashes_colorhash(list, bits, out); });
    return codes;
}

py::tuple crop_resistant(const py::object& arrays, int64_t size, const std::string& regime, int64_t side,
                         int64_t threshold, int64_t least, int64_t limit) {
    check_size(size);
    require(side >= 1 && side <= 4096, "segmentation_image_size must be within 1 and 4096");
    SegmentRule rule;
    rule.side = side;
    rule.threshold = threshold;
    rule.least = least;
    rule.limit = limit;
    const Regime resizing = regime_of(regime);
    const std::vector<Pixels> list = views(arrays);
    Ragged<uint64_t> found = without_gil([&] { return hashes_crop_resistant(list, rule, size, resizing); });
    const int64_t words = (size * size + 63) / 64;
    for (int64_t& offset : found.offsets) offset /= words;
    const auto rows = static_cast<py::ssize_t>(found.values.size()) / words;
    return py::make_tuple(to_numpy(std::move(found.values), {rows, words}), to_numpy(std::move(found.offsets)));
}

}  // namespace

void register_hashes_further(py::module_& m) {
    m.def("hashes_pdq", pdq, py::arg("images"), py::arg("luma"), py::arg("dihedral"));
    m.def("hashes_dihedral", dihedral, py::arg("images"), py::arg("size"), py::arg("profile"), py::arg("regime"),
          py::arg("crop"));
    m.def("hashes_colorhash", colorhash, py::arg("images"), py::arg("binbits"));
    m.def("hashes_crop_resistant", crop_resistant, py::arg("images"), py::arg("size"), py::arg("regime"),
          py::arg("side"), py::arg("threshold"), py::arg("least"), py::arg("limit"));
}

}  // namespace maskmill
