#include "kernels/measures.hpp"

#include "bindings/arrays.hpp"
#include "bindings/register.hpp"

namespace maskmill {
namespace {

py::tuple table(Counts counts, Offsets offsets, Sizes sizes, bool largest, const Array<double>& pixels) {
    const Rles masks = rles(counts, offsets, sizes);
    require(pixels.ndim() == 2 && pixels.shape(1) == 2 && static_cast<size_t>(pixels.shape(0)) == masks.n,
            "pixels must have shape (N, 2), N being the number of masks");
    Measures out = without_gil([&] { return measures_table(masks, largest, pixels.data()); });
    const auto n = static_cast<py::ssize_t>(masks.n);
    return py::make_tuple(to_numpy(std::move(out.counts), {n, measured::kCounts}),
                          to_numpy(std::move(out.lengths), {n, measured::kLengths}));
}

}  // namespace

void register_measures(py::module_& m) {
    m.def("measures_table", table, exact("counts"), exact("offsets"), exact("sizes"), py::arg("largest"),
          exact("pixels"));
}

}  // namespace maskmill
