// How eight dhashes are read from two small pictures, on the host and on a GPU.
#pragma once

#include <cstddef>
#include <cstdint>

#include "support/host_device.hpp"

namespace maskmill {

// A turned picture starts at a corner of the one that is wider than high, (n, n + 1), or of the high one, (n + 1, n): at
// `first`, its rows `down` and its columns `right` pixels apart.
struct DihedralPath {
    bool high;
    ptrdiff_t first, down, right;
};

// In the order of hashes_pdq.
MASKMILL_HD DihedralPath dihedral_path(int k, ptrdiff_t n) {
    const ptrdiff_t down = (n - 1) * (n + 1), right = n, below = n * n, beside = n - 1;
    switch (k) {
        case 0: return {false, 0, n + 1, 1};
        case 1: return {true, beside, -1, n};
        case 2: return {false, down + right, -(n + 1), -1};
        case 3: return {true, below, 1, -n};
        case 4: return {false, down, -(n + 1), 1};
        case 5: return {false, right, n + 1, -1};
        case 6: return {true, 0, 1, n};
        default: return {true, below + beside, -1, -n};
    }
}

}  // namespace maskmill
