#include "kernels/hamming.hpp"

#include "bindings/arrays.hpp"
#include "bindings/register.hpp"

namespace maskmill {
namespace {

using Words = const Array<uint64_t>&;

Codes codes_of(Words words, const char* name) {
    require(words.ndim() == 2 && words.shape(1) >= 1 && words.shape(1) <= kMostCodeWords,
            (std::string(name) + " must have shape (N, words) with 1 to 4 words").c_str());
    require(words.shape(0) < 0xffffffff, (std::string(name) + " must be fewer than 4294967295").c_str());
    return {words.data(), static_cast<size_t>(words.shape(0)), static_cast<int>(words.shape(1))};
}

void check_widths(const Codes& a, const Codes& b) {
    require(a.width == b.width, "codes that are compared must have the same number of words");
}

py::tuple to_python(HammingPairs&& found) {
    return py::make_tuple(to_numpy(std::move(found.i)), to_numpy(std::move(found.j)),
                          to_numpy(std::move(found.distance)));
}

void check_radius(int radius) {
    require(radius >= 0 && radius <= 64 * kMostCodeWords, "radius must be within 0 and 256");
}

py::tuple pairs(Words words, Words other_words, int radius, int64_t limit) {
    const Codes codes = codes_of(words, "codes"), other = codes_of(other_words, "other");
    check_widths(codes, other);
    check_radius(radius);
    return to_python(without_gil([&] { return hamming_pairs(codes, other, radius, limit); }));
}

py::tuple self_pairs(Words words, int radius, int64_t limit) {
    const Codes codes = codes_of(words, "codes");
    check_radius(radius);
    return to_python(without_gil([&] { return hamming_self_pairs(codes, radius, limit); }));
}

py::tuple nearest(Words query_words, Words exemplar_words, int radius) {
    const Codes queries = codes_of(query_words, "queries"), exemplars = codes_of(exemplar_words, "exemplars");
    check_widths(queries, exemplars);
    check_radius(radius);
    Array<int64_t> index(query_words.shape(0)), distance(query_words.shape(0));
    int64_t *i = index.mutable_data(), *d = distance.mutable_data();
    without_gil([&] { hamming_nearest(queries, exemplars, radius, i, d); });
    return py::make_tuple(index, distance);
}

py::tuple greedy(Words words, Words exemplar_words, int radius) {
    const Codes codes = codes_of(words, "codes"), exemplars = codes_of(exemplar_words, "exemplars");
    check_widths(codes, exemplars);
    check_radius(radius);
    Array<int64_t> leader(words.shape(0)), distance(words.shape(0));
    int64_t *l = leader.mutable_data(), *d = distance.mutable_data();
    Buffer<int64_t> kept = without_gil([&] { return hamming_greedy(codes, exemplars, radius, l, d); });
    return py::make_tuple(to_numpy(std::move(kept)), leader, distance);
}

}  // namespace

void register_hamming(py::module_& m) {
    m.def("hamming_pairs", pairs, exact("codes"), exact("other"), py::arg("radius"), py::arg("limit"));
    m.def("hamming_self_pairs", self_pairs, exact("codes"), py::arg("radius"), py::arg("limit"));
    m.def("hamming_nearest", nearest, exact("queries"), exact("exemplars"), py::arg("radius"));
    m.def("hamming_greedy", greedy, exact("codes"), exact("exemplars"), py::arg("radius"));
}

}  // namespace maskmill
