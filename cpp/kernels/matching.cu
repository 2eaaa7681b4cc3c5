// IoU of boxes, cell by cell of COCO's evaluation. One thread each IoU, so that cells may be of any size; neighbours write
// neighbouring doubles and read the same boxes. The floor are 8 bytes written for each IoU: 2 ps at 4.3 TB/s. Boxes and
// cells are small beside them and stay in the caches. An IoU is about 130 instructions, 4 to 5 ps: its cell is looked up
// (40), its row and column divided (25), a division and 12 other operations in double (50).
#include "kernels/matching.hpp"
#include "support/boxes.hpp"
#include "support/cuda.cuh"
#include "support/cuda_divide.cuh"
#include "support/cuda_search.cuh"

namespace maskmill::cuda {
namespace {

enum FaultKind : unsigned { kCells = 1, kRows = 2 };

void check_offsets(const int64_t* offsets, size_t n, int64_t total, const Faults& faults, Queue& queue) {
    FaultWord* const word = faults.word();
    for_each(queue, n + 1, [=] __device__(size_t i) {
        if (offsets[i] < 0 || offsets[i] > total || (i < n && offsets[i] > offsets[i + 1])) note_fault(word, kCells, i);
    });
}

void check_order(const int64_t* order, int64_t n, int64_t rows, const Faults& faults, Queue& queue) {
    FaultWord* const word = faults.word();
    for_each(queue, static_cast<size_t>(n), [=] __device__(size_t i) {
        if (order[i] < 0 || order[i] >= rows) note_fault(word, kRows, i);
    });
}

struct Found {
    int64_t total;
    FaultWord fault;
};

// Waits for the stream.
size_t checked_total(const int64_t* total, const Faults& faults, Queue& queue) {
    Found* const found = queue.take<Found>(1);
    const FaultWord* const word = faults.word();
    for_each(queue, 1, [=] __device__(size_t) {
        found->total = *total;
        found->fault = *word;
    });
    const Found known = read(found, queue);
    if (known.fault == ~FaultWord{0}) return static_cast<size_t>(known.total);
    throw std::invalid_argument(known.fault < fault_code(kRows, 0)
                                    ? "offsets must rise from 0 or more to the number of values or less"
                                    : "an order names a row that does not exist");
}

}  // namespace

DeviceIous matching_box_iou(const CellView& cells, const BoxTables& boxes, Queue& queue) {
    const Faults faults(queue);
    check_offsets(cells.gt_cells, cells.n, boxes.gt_places, faults, queue);
    check_offsets(cells.dt_cells, cells.n, boxes.dt_places, faults, queue);
    check_order(cells.gt_order, boxes.gt_places, boxes.gt_rows, faults, queue);
    check_order(cells.dt_order, boxes.dt_places, boxes.dt_rows, faults, queue);
    int64_t* const starts = queue.take<int64_t>(cells.n + 1);
    const CellView c = cells;
    scan(queue, cells.n, starts, [=] __device__(size_t i) {
        return (c.gt_cells[i + 1] - c.gt_cells[i]) * (c.dt_cells[i + 1] - c.dt_cells[i]);
    });
    DeviceIous out{nullptr, starts, checked_total(starts + cells.n, faults, queue)};
    out.ious = queue.take<double>(out.total);
    double* const ious = out.ious;
    const BoxTables b = boxes;
    const OwnerTable owners = owner_table(starts, c.n, out.total, queue);
    for_each(queue, out.total, [=] __device__(size_t j) {
        const int64_t cell = owners.of(static_cast<int64_t>(j));
        const int64_t inside = static_cast<int64_t>(j) - starts[cell], gts = c.gt_cells[cell + 1] - c.gt_cells[cell];
        const int64_t row = quotient(inside, gts), column = inside - row * gts;
        const int64_t dt = c.dt_order[c.dt_cells[cell] + row], gt = c.gt_order[c.gt_cells[cell] + column];
        ious[j] = coco_box_iou(b.dt_boxes + 4 * dt, b.gt_boxes + 4 * gt, b.iscrowd[gt] != 0);
    });
    return out;
}

}  // namespace maskmill::cuda
