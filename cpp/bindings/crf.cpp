#include "kernels/crf.hpp"

#include "bindings/arrays.hpp"
#include "bindings/register.hpp"

namespace maskmill {
namespace {

using Floats = Array<float>;
using Doubles = Array<double>;

py::tuple lattice(const Floats& features) {
    require(features.ndim() == 2, "features must have shape (N, d)");
    const auto n = static_cast<size_t>(features.shape(0));
    const py::ssize_t d = features.shape(1);
    require(d >= 1 && d <= 63, "features must have 1 to 63 columns");
    require(n * static_cast<size_t>(d + 1) < ~uint32_t{0}, "features must have fewer than 2^32 / (d + 1) rows");
    const float* from = features.data();
    CrfLattice out = without_gil([&] { return crf_lattice(from, n, static_cast<int>(d)); });
    const auto m = static_cast<py::ssize_t>(out.vertex_count), rows = features.shape(0);
    return py::make_tuple(to_numpy(std::move(out.vertices), {rows, d + 1}),
                          to_numpy(std::move(out.weights), {rows, d + 1}),
                          to_numpy(std::move(out.neighbours), {d + 1, m, 2}));
}

bool all_below(const Array<uint32_t>& ids, size_t limit) {
    uint32_t most = 0;
    for (py::ssize_t i = 0; i < ids.size(); ++i) most = std::max(most, ids.data()[i]);
    return ids.size() == 0 || most < limit;
}

// Holds the arrays of a lattice, whose numbers are checked: the kernel goes where they point.
struct HeldLattice {
    explicit HeldLattice(const py::tuple& parts) {
        require(parts.size() == 3, "a lattice must be (vertices, weights, neighbours)");
        vertices = exact_array<uint32_t>(parts[0], "vertices");
        weights = exact_array<float>(parts[1], "weights");
        neighbours = exact_array<uint32_t>(parts[2], "neighbours");
        require(vertices.ndim() == 2 && vertices.shape(1) >= 2 && vertices.shape(1) <= 64,
                "vertices must have shape (N, d + 1)");
        require(weights.ndim() == 2 && weights.shape(0) == vertices.shape(0) && weights.shape(1) == vertices.shape(1),
                "weights must have the shape of vertices");
        require(neighbours.ndim() == 3 && neighbours.shape(0) == vertices.shape(1) && neighbours.shape(2) == 2,
                "neighbours must have shape (d + 1, M, 2)");
        view.m = static_cast<size_t>(neighbours.shape(1));
        view.n = static_cast<size_t>(vertices.shape(0));
        view.d = static_cast<int>(vertices.shape(1) - 1);
        require(all_below(vertices, view.m) && all_below(neighbours, view.m + 1),
                "vertices and neighbours must be numbers within the lattice");
        view.vertices = vertices.data();
        view.weights = weights.data();
        view.neighbours = neighbours.data();
    }

    Array<uint32_t> vertices;
    Floats weights;
    Array<uint32_t> neighbours;
    CrfLatticeView view;
};

float* writable(Floats& out, const Floats& like) {
    require(out.writeable() && out.ndim() == 2 && out.shape(0) == like.shape(0) && out.shape(1) == like.shape(1),
            "out must be writeable and of the input's shape");
    return out.mutable_data();
}

void filter(const py::tuple& parts, const Floats& values, Floats out) {
    const HeldLattice held(parts);
    require(values.ndim() == 2 && static_cast<size_t>(values.shape(1)) == held.view.n, "values must have shape (L, N)");
    float* to = writable(out, values);
    const float* from = values.data();
    without_gil([&] { crf_filter(held.view, from, static_cast<size_t>(values.shape(0)), to); });
}

// Null where there is none.
const float* vector_of(const py::handle& object, size_t size, const char* name, std::vector<Floats>& held) {
    if (object.is_none()) return nullptr;
    held.push_back(exact_array<float>(object, name));
    require(static_cast<size_t>(held.back().size()) == size, "factors of a term must be one for each point");
    return held.back().data();
}

void mean_field(const Floats& unary, const std::vector<py::tuple>& terms, int iterations, Floats out) {
    require(unary.ndim() == 2 && unary.shape(0) >= 1, "unary must have shape (L, N)");
    require(iterations >= 0, "iterations must be 0 or more");
    const auto labels = static_cast<size_t>(unary.shape(0)), n = static_cast<size_t>(unary.shape(1));
    std::vector<HeldLattice> lattices;
    std::vector<Floats> held;
    lattices.reserve(terms.size());
    std::vector<CrfTerm> found;
    for (const py::tuple& parts : terms) {
        require(parts.size() == 5, "a term must be (lattice, before, after, weight, compatibility)");
        lattices.emplace_back(parts[0].cast<py::tuple>());
        require(lattices.back().view.n == n, "a lattice must have as many points as unary");
        CrfTerm term;
        term.lattice = lattices.back().view;
        term.before = vector_of(parts[1], n, "before", held);
        term.after = vector_of(parts[2], n, "after", held);
        term.weight = parts[3].cast<float>();
        term.compatibility = vector_of(parts[4], labels * labels, "compatibility", held);
        found.push_back(term);
    }
    float* to = writable(out, unary);
    const float* from = unary.data();
    without_gil([&] { crf_mean_field(from, labels, n, found, iterations, to); });
}

double* output_of(Doubles& out, const Doubles& values) {
    require(out.writeable() && out.size() == values.size(), "out must be writeable and of the values' size");
    return out.mutable_data();
}

void windows(const Doubles& values, const Floats& guide, double sigma, int64_t radius, Doubles out) {
    require(values.ndim() == 3, "values must have shape (L, H, W)");
    require(guide.ndim() == 3 && guide.shape(0) == values.shape(1) && guide.shape(1) == values.shape(2),
            "guide must have shape (H, W, C)");
    require(sigma > 0 && radius >= 0 && radius <= 0x7fffffff, "sigma must be positive, radius 0 or more");
    CrfWindow window;
    window.guide = guide.data();
    window.height = static_cast<size_t>(values.shape(1));
    window.width = static_cast<size_t>(values.shape(2));
    window.channels = static_cast<size_t>(guide.shape(2));
    window.sigma = sigma;
    window.radius = std::min(static_cast<size_t>(radius), std::max(window.height, window.width));
    double* to = output_of(out, values);
    const double* from = values.data();
    without_gil([&] { crf_windows(window, from, static_cast<size_t>(values.shape(0)), to); });
}

void pairs(const Doubles& values, const Floats& features, Doubles out) {
    require(values.ndim() == 2 && features.ndim() == 2 && features.shape(0) == values.shape(1),
            "values must have shape (L, N), features (N, d)");
    double* to = output_of(out, values);
    const double* from = values.data();
    const float* at = features.data();
    const auto n = static_cast<size_t>(features.shape(0));
    without_gil(
        [&] { crf_pairs(at, n, static_cast<int>(features.shape(1)), from, static_cast<size_t>(values.shape(0)), to); });
}

}  // namespace

void register_crf(py::module_& m) {
    m.def("crf_lattice", lattice, exact("features"));
    m.def("crf_filter", filter, py::arg("lattice"), exact("values"), exact("out"));
    m.def("crf_mean_field", mean_field, exact("unary"), py::arg("terms"), py::arg("iterations"), exact("out"));
    m.def("crf_windows", windows, exact("values"), exact("guide"), py::arg("sigma"), py::arg("radius"), exact("out"));
    m.def("crf_pairs", pairs, exact("values"), exact("features"), exact("out"));
}

}  // namespace maskmill
