// NumPy's tables to the plans of filter banks, alike for both bindings.
#pragma once

#include "bindings/arrays.hpp"
#include "kernels/features.hpp"

namespace maskmill {

using Table = const Array<int64_t>&;

inline size_t table_rows(Table table, py::ssize_t columns, const char* message) {
    require(table.ndim() == 2 && table.shape(1) == columns, message);
    return static_cast<size_t>(table.shape(0));
}

inline FeaturePlan plan_of(const FeatureImage& image, const Array<double>& weights, Offsets starts, Table parity,
                           Table first, Table second, Table maps, const Array<double>& rows,
                           const Array<double>& columns, int border, bool precise) {
    FeaturePlan plan;
    plan.n_kernels = checked_items(starts, weights.size());
    require(parity.ndim() == 1 && static_cast<size_t>(parity.size()) == plan.n_kernels,
            "parity must have an element for each kernel");
    plan.weights = weights.data();
    plan.starts = starts.data();
    plan.parity = parity.data();
    plan.n_first = table_rows(first, 3, "first must have shape (Q, 3)");
    plan.n_second = table_rows(second, 2, "second must have shape (P, 2)");
    plan.n_maps = table_rows(maps, 4, "maps must have shape (M, 4)");
    plan.first = first.data();
    plan.second = second.data();
    plan.maps = maps.data();
    require(rows.ndim() == 2 && columns.ndim() == 2 && rows.shape(0) == columns.shape(0) &&
                rows.shape(1) == image.height && columns.shape(1) == image.width,
            "rows and columns must have shapes (S, H) and (S, W)");
    plan.n_locations = static_cast<size_t>(rows.shape(0));
    plan.rows = rows.data();
    plan.columns = columns.data();
    require(border >= 0 && border <= 2, "border must be 0, 1 or 2");
    plan.border = static_cast<FeatureBorder>(border);
    plan.precise = precise;
    return plan;
}

// `at` must outlive the output.
inline void request(const py::object& at, FeatureOutput& out) {
    const auto requested = exact_array<int64_t>(at, "at");
    require(requested.ndim() == 2 && requested.shape(1) == 2, "at must have shape (K, 2)");
    static const int64_t none[2] = {0, 0};
    out.n_at = static_cast<size_t>(requested.shape(0));
    out.at = out.n_at == 0 ? none : requested.data();
}

}  // namespace maskmill
