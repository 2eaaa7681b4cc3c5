#include "bindings/cuda_arrays.hpp"
#include "bindings/cuda_register.hpp"
#include "kernels/hamming.hpp"

namespace maskmill::cuda {
namespace {

Codes codes_of(const py::object& words, const char* name) {
    const View view = exact_view<uint64_t>(words, name);
    require(view.shape.size() == 2 && view.shape[1] >= 1 && view.shape[1] <= kMostCodeWords,
            std::string(name) + " must have shape (N, words) with 1 to 4 words");
    require(view.shape[0] < 0xffffffff, std::string(name) + " must be fewer than 4294967295");
    return {reinterpret_cast<const uint64_t*>(view.data), static_cast<size_t>(view.shape[0]),
            static_cast<int>(view.shape[1])};
}

void check_widths(const Codes& a, const Codes& b) {
    require(a.width == b.width, "codes that are compared must have the same number of words");
}

void check_radius(int radius) {
    require(radius >= 0 && radius <= 64 * kMostCodeWords, "radius must be within 0 and 256");
}

py::tuple to_python(Arrays& arrays, const DevicePairs& found) {
    const auto n = static_cast<int64_t>(found.n);
    return py::make_tuple(arrays.array(found.i, {n}), arrays.array(found.j, {n}), arrays.array(found.distance, {n}));
}

py::tuple pairs(const py::object& words, const py::object& other_words, int radius, int64_t limit) {
    const Codes codes = codes_of(words, "codes"), other = codes_of(other_words, "other");
    check_widths(codes, other);
    check_radius(radius);
    Arrays arrays;
    return to_python(arrays,
                     launched(arrays, [&](Queue& queue) { return hamming_pairs(codes, other, radius, limit, queue); }));
}

py::tuple self_pairs(const py::object& words, int radius, int64_t limit) {
    const Codes codes = codes_of(words, "codes");
    check_radius(radius);
    Arrays arrays;
    return to_python(arrays,
                     launched(arrays, [&](Queue& queue) { return hamming_self_pairs(codes, radius, limit, queue); }));
}

py::tuple nearest(const py::object& query_words, const py::object& exemplar_words, int radius) {
    const Codes queries = codes_of(query_words, "queries"), exemplars = codes_of(exemplar_words, "exemplars");
    check_widths(queries, exemplars);
    check_radius(radius);
    Arrays arrays;
    const auto [index, distance] = launched_or_captured(arrays, [&](Queue& queue) {
        const std::pair out(queue.take<int64_t>(queries.n), queue.take<int64_t>(queries.n));
        hamming_nearest(queries, exemplars, radius, out.first, out.second, queue);
        return out;
    });
    const auto n = static_cast<int64_t>(queries.n);
    return py::make_tuple(arrays.array(index, {n}), arrays.array(distance, {n}));
}

py::tuple greedy(const py::object& words, const py::object& exemplar_words, int radius) {
    const Codes codes = codes_of(words, "codes"), exemplars = codes_of(exemplar_words, "exemplars");
    check_widths(codes, exemplars);
    check_radius(radius);
    Arrays arrays;
    int64_t *leader = nullptr, *distance = nullptr;
    const DeviceItems kept = launched(arrays, [&](Queue& queue) {
        leader = queue.take<int64_t>(codes.n);
        distance = queue.take<int64_t>(codes.n);
        return hamming_greedy(codes, exemplars, radius, leader, distance, queue);
    });
    const auto n = static_cast<int64_t>(codes.n);
    return py::make_tuple(arrays.array(kept.items, {static_cast<int64_t>(kept.n)}), arrays.array(leader, {n}),
                          arrays.array(distance, {n}));
}

}  // namespace

void register_hamming(py::module_& m) {
    m.def("hamming_pairs", pairs, py::arg("codes"), py::arg("other"), py::arg("radius"), py::arg("limit"));
    m.def("hamming_self_pairs", self_pairs, py::arg("codes"), py::arg("radius"), py::arg("limit"));
    m.def("hamming_nearest", nearest, py::arg("queries"), py::arg("exemplars"), py::arg("radius"));
    m.def("hamming_greedy", greedy, py::arg("codes"), py::arg("exemplars"), py::arg("radius"));
}

}  // namespace maskmill::cuda
