// What both bindings of hashes understand alike: rules by their names, tiles and slices of a volume.
#pragma once

#include "bindings/images.hpp"
#include "kernels/hashes.hpp"

namespace maskmill {

inline HashRule rule_of(const std::string& kind, const std::string& profile, const std::string& regime, int64_t size,
                        int64_t crop) {
    using Kind = HashKind;
    using Profile = HashProfile;
    HashRule rule;
    rule.kind = named<Kind>(kind, "hash",
                            {{"ahash", Kind::ahash},
                             {"dhash", Kind::dhash},
                             {"dhash_v", Kind::dhash_v},
                             {"phash", Kind::phash},
                             {"phash_simple", Kind::phash_simple},
                             {"whash", Kind::whash}});
    rule.profile = named<Profile>(profile, "profile",
                                  {{"imagehash", Profile::imagehash},
                                   {"imagededup", Profile::imagededup},
                                   {"cem", Profile::cem},
                                   {"opencv", Profile::opencv}});
    const bool known = rule.kind == Kind::ahash || rule.kind == Kind::phash;
    require(rule.profile != Profile::opencv || (known && size == 8), "profile opencv has ahash and phash of size 8");
    rule.regime = regime_of(regime);
    require(size >= 2 && size <= 256, "hash_size must be within 2 and 256");
    require(crop >= 1 && crop <= 1 << 16, "crop must be within 1 and 65536");
    rule.size = size;
    rule.crop = crop;
    return rule;
}

// Of dhashes of turned images.
inline HashRule dihedral_rule_of(int64_t size, const std::string& profile, const std::string& regime, int64_t crop) {
    require(size >= 2 && size <= 256, "hash_size must be within 2 and 256");
    require(crop >= 1 && crop <= 1 << 16, "crop must be within 1 and 65536");
    HashRule rule;
    rule.profile =
        named<HashProfile>(profile, "profile", {{"imagehash", HashProfile::imagehash}, {"cem", HashProfile::cem}});
    rule.regime = regime_of(regime);
    rule.size = size;
    rule.crop = crop;
    return rule;
}

inline void check_planes(const Voxels& voxels, int axis, const Array<int64_t>& tiles, const Array<int64_t>& slices) {
    require(axis >= 0 && axis <= 2, "axis must be 0, 1 or 2");
    require(tiles.ndim() == 2 && tiles.shape(1) == 4, "tiles must have shape (T, 4)");
    require(slices.ndim() == 1, "slices must be a vector");
    const int64_t height = voxels.shape[axis == 0 ? 1 : 0], width = voxels.shape[axis == 2 ? 1 : 2];
    const int64_t* t = tiles.data();
    for (py::ssize_t i = 0; i < tiles.shape(0); ++i, t += 4) {
        if (t[0] < 0 || t[0] >= t[1] || t[1] > height || t[2] < 0 || t[2] >= t[3] || t[3] > width) {
            throw py::value_error("tile " + std::to_string(i) + " must have pixels and be within " +
                                  size_text(height, width));
        }
    }
    for (py::ssize_t i = 0; i < slices.size(); ++i) {
        if (slices.data()[i] < 0 || slices.data()[i] >= voxels.shape[axis]) {
            throw py::value_error("slice " + std::to_string(i) + " must be within 0 and " +
                                  std::to_string(voxels.shape[axis] - 1) + ", not " + std::to_string(slices.data()[i]));
        }
    }
}

}  // namespace maskmill
