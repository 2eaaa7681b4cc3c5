#include "bindings/cuda_arrays.hpp"
#include "bindings/cuda_register.hpp"
#include "bindings/hash_rules.hpp"

namespace maskmill::cuda {
namespace {

// One image (H, W) or (H, W, C), from dimension `first` on.
Pixels pixels_of(const View& view, size_t first) {
    if (view.kind != 'u' || view.itemsize != 1) throw py::type_error("images must be arrays of uint8");
    require(view.shape.size() == first + 2 || view.shape.size() == first + 3,
            "images must have shape (H, W) or (H, W, C)");
    Pixels p;
    p.data = view.data;
    p.height = view.shape[first];
    p.width = view.shape[first + 1];
    p.row = view.strides[first];
    p.column = view.strides[first + 1];
    if (view.shape.size() == first + 3) {
        p.channels = static_cast<int>(view.shape[first + 2]);
        p.channel = view.strides[first + 2];
    }
    return p;
}

void check_image(const Pixels& p) {
    require(p.height > 0 && p.width > 0, "images must have pixels");
    require(p.height <= 0x7fffffff && p.width <= 0x7fffffff, "image sides must be at most 2147483647");
    require(p.channels == 1 || p.channels == 3 || p.channels == 4, "images must have 3 or 4 channels");
}

py::object codes_of(Arrays& arrays, const uint64_t* codes, size_t n, const HashRule& rule) {
    return arrays.array(codes, {static_cast<int64_t>(n), static_cast<int64_t>(rule.words())});
}

// An array (N, H, W[, C]), as one image and the step to the next, or a list of arrays (H, W[, C]) of any sizes.
struct Images {
    explicit Images(const py::object& images) : is_list(PyList_Check(images.ptr()) || PyTuple_Check(images.ptr())) {
        if (is_list) {
            for (const py::handle image : py::reinterpret_borrow<py::sequence>(images)) {
                list.push_back(pixels_of(view_of(image, "images"), 0));
                check_image(list.back());
            }
            n = list.size();
        } else {
            const View view = view_of(images, "images");
            list.push_back(pixels_of(view, 1));
            n = static_cast<size_t>(view.shape[0]);
            step = view.strides[0];
            if (n > 0) check_image(list[0]);
        }
    }

    bool is_list;
    std::vector<Pixels> list;
    size_t n = 0;
    ptrdiff_t step = 0;
};

py::object images(const py::object& arrays, const std::string& kind, int64_t size, const std::string& profile,
                  const std::string& regime, int64_t crop) {
    const HashRule rule = rule_of(kind, profile, regime, size, crop);
    const Images images(arrays);
    Arrays memory;
    const uint64_t* codes = launched_or_captured(memory, [&](Queue& queue) {
        uint64_t* const out = queue.take<uint64_t>(images.n * rule.words());
        if (images.is_list) {
            hashes_images(images.list, rule, out, queue);
        } else {
            hashes_images(images.list[0], images.step, images.n, rule, out, queue);
        }
        return out;
    });
    return codes_of(memory, codes, images.n, rule);
}

py::tuple pdq(const py::object& arrays, const std::string& luma, bool dihedral) {
    const auto kind = named<PdqLuma>(luma, "luma", {{"pdqhash", PdqLuma::pdqhash}, {"float32", PdqLuma::float32}});
    const Images images(arrays);
    const auto n = static_cast<int64_t>(images.n);
    Arrays memory;
    const auto [codes, quality] = launched_or_captured(memory, [&](Queue& queue) {
        uint64_t* const out = queue.take<uint64_t>(images.n * (dihedral ? 32 : 4));
        uint8_t* const out_quality = queue.take<uint8_t>(images.n);
        if (images.is_list) {
            hashes_pdq(images.list, kind, dihedral, out, out_quality, queue);
        } else {
            hashes_pdq(images.list[0], images.step, images.n, kind, dihedral, out, out_quality, queue);
        }
        return std::pair(out, out_quality);
    });
    const std::vector<int64_t> shape = dihedral ? std::vector<int64_t>{n, 8, 4} : std::vector<int64_t>{n, 4};
    return py::make_tuple(memory.array(codes, shape), memory.array(quality, {n}));
}

py::object dihedral(const py::object& arrays, int64_t size, const std::string& profile, const std::string& regime,
                    int64_t crop) {
    const HashRule rule = dihedral_rule_of(size, profile, regime, crop);
    const Images images(arrays);
    Arrays memory;
    const uint64_t* codes = launched_or_captured(memory, [&](Queue& queue) {
        uint64_t* const out = queue.take<uint64_t>(images.n * 8 * rule.words());
        if (images.is_list) {
            hashes_dihedral(images.list, rule, out, queue);
        } else {
            hashes_dihedral(images.list[0], images.step, images.n, rule, out, queue);
        }
        return out;
    });
    return memory.array(codes, {static_cast<int64_t>(images.n), 8, static_cast<int64_t>(rule.words())});
}

py::object colorhash(const py::object& arrays, int bits) {
    require(bits >= 1 && bits <= 16, "binbits must be within 1 and 16");
    const Images images(arrays);
    const int64_t words = (14 * bits + 63) / 64;
    Arrays memory;
    const uint64_t* codes = launched_or_captured(memory, [&](Queue& queue) {
        uint64_t* const out = queue.take<uint64_t>(images.n * static_cast<size_t>(words));
        if (images.is_list) {
            hashes_colorhash(images.list, bits, out, queue);
        } else {
            hashes_colorhash(images.list[0], images.step, images.n, bits, out, queue);
        }
        return out;
    });
    return memory.array(codes, {static_cast<int64_t>(images.n), words});
}

py::object planes(const py::object& volume, int axis, const Array<int64_t>& tiles, const Array<int64_t>& slices,
                  const std::string& kind, int64_t size, const std::string& profile, const std::string& regime,
                  int64_t crop) {
    const HashRule rule = rule_of(kind, profile, regime, size, crop);
    const View view = view_of(volume, "volume");
    if (view.kind != 'u' || view.itemsize != 1) throw py::type_error("volume must be an array of uint8");
    require(view.shape.size() == 3, "volume must have shape (D, H, W)");
    Voxels voxels;
    voxels.data = view.data;
    std::copy_n(view.shape.begin(), 3, voxels.shape);
    std::copy_n(view.strides.begin(), 3, voxels.strides);
    check_planes(voxels, axis, tiles, slices);
    const auto n = static_cast<size_t>(tiles.shape(0) * slices.size());
    Arrays arrays;
    const uint64_t* codes = launched_or_captured(arrays, [&](Queue& queue) {
        uint64_t* const out = queue.take<uint64_t>(n * rule.words());
        hashes_planes(voxels, axis, {tiles.data(), static_cast<size_t>(tiles.size())},
                      {slices.data(), static_cast<size_t>(slices.size())}, rule, out, queue);
        return out;
    });
    return codes_of(arrays, codes, n, rule);
}

}  // namespace

void register_hashes(py::module_& m) {
    m.def("hashes_images", images, py::arg("images"), py::arg("kind"), py::arg("size"), py::arg("profile"),
          py::arg("regime"), py::arg("crop"));
    m.def("hashes_dihedral", dihedral, py::arg("images"), py::arg("size"), py::arg("profile"), py::arg("regime"),
          py::arg("crop"));
    m.def("hashes_colorhash", colorhash, py::arg("images"), py::arg("binbits"));
    m.def("hashes_pdq", pdq, py::arg("images"), py::arg("luma"), py::arg("dihedral"));
    m.def("hashes_planes", planes, py::arg("volume"), py::arg("axis"), py::arg("tiles").noconvert(),
          py::arg("slices").noconvert(), py::arg("kind"), py::arg("size"), py::arg("profile"), py::arg("regime"),
          py::arg("crop"));
}

}  // namespace maskmill::cuda
