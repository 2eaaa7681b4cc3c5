// Arrays on a GPU <-> the kernels' views. Arrays are CuPy's, on its current device; others' are made CuPy's before they
// come here, which also lets CuPy's current stream wait for theirs. Results come from CuPy's pool, on that stream. In the
// emulated module (support/cuda_emulated.hpp) all are NumPy's.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "support/common.hpp"
#include "support/cuda_device.hpp"
#include "support/cuda_queue.hpp"
#ifdef MASKMILL_CUDA_EMULATED
#include "support/cuda_emulated_memory.hpp"
#endif

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace maskmill::cuda {

namespace py = pybind11;

#ifdef MASKMILL_CUDA_EMULATED
constexpr const char* kInterface = "__array_interface__";
#else
constexpr const char* kInterface = "__cuda_array_interface__";
#endif

// Whose arrays all are: of CuPy, or for tests of the emulated module of another that has as much of it as is used here.
inline std::string& library_name() {
#ifdef MASKMILL_CUDA_EMULATED
    static std::string name = "numpy";
#else
    static std::string name = "cupy";
#endif
    return name;
}

inline void require(bool condition, const std::string& message) {
    if (!condition) throw py::value_error(message);
}

// What an array says of itself.
struct View {
    uint8_t* data;
    char kind;  // 'b', 'u', 'i', 'f'
    int itemsize;
    bool read_only;
    std::vector<int64_t> shape, strides;  // strides in bytes

    std::string dtype_name() const {
        const std::string type(1, kind);
        return py::cast<std::string>(py::str(py::dtype(type + std::to_string(itemsize))));
    }
    int64_t size() const {
        int64_t n = 1;
        for (const int64_t side : shape) n *= side;
        return n;
    }
    // From its lowest byte to behind its highest.
    std::pair<uint8_t*, size_t> extent() const {
        if (size() == 0) return {data, 0};
        int64_t lowest = 0, highest = itemsize;
        for (size_t d = 0; d < shape.size(); ++d) {
            (strides[d] < 0 ? lowest : highest) += strides[d] * (shape[d] - 1);
        }
        return {data + lowest, static_cast<size_t>(highest - lowest)};
    }
    bool is_contiguous() const {
        int64_t step = itemsize;
        for (size_t d = shape.size(); d-- > 0;) {
            if (shape[d] != 1 && strides[d] != step) return size() == 0;
            step *= shape[d];
        }
        return true;
    }
};

inline py::module_ library() { return py::module_::import(library_name().c_str()); }

inline bool is_on_device(const py::handle& object) { return py::isinstance(object, library().attr("ndarray")); }

// The device that CuPy's arrays are made on. NumPy's, which the emulated kernels take, are on none.
inline int current_device() {
    if (library_name() == "numpy") return 0;
    return py::cast<int>(library().attr("cuda").attr("runtime").attr("getDevice")());
}

inline void check_device(const py::handle& array, const char* name) {
    if (library_name() == "numpy") return;
    const int device = py::cast<int>(array.attr("device").attr("id")), current = current_device();
    require(device == current, std::string(name) + " must be on the current GPU, " + std::to_string(current) +
                                   ", not on GPU " + std::to_string(device) + "; call it within `with array.device:`");
}

inline View view_of(const py::handle& object, const char* name) {
    if (!is_on_device(object)) {
        throw py::type_error(std::string(name) + " must be an array on the GPU, not " +
                             py::cast<std::string>(py::str(py::type::of(object).attr("__name__"))));
    }
    check_device(object, name);
    const bool cuda = py::hasattr(object, "__cuda_array_interface__");
    const py::dict about = object.attr(cuda ? "__cuda_array_interface__" : kInterface);
    const auto type = py::cast<std::string>(about["typestr"]);
    const auto [address, read_only] = py::cast<std::pair<uintptr_t, bool>>(about["data"]);
    View view{reinterpret_cast<uint8_t*>(address), type[1], std::stoi(type.substr(2)), read_only, {}, {}};
    if (type[0] == '>') throw py::type_error(std::string(name) + " must be in native byte order");
    view.shape = py::cast<std::vector<int64_t>>(about["shape"]);
    const py::object strides = about.contains("strides") ? py::object(about["strides"]) : py::none();
    if (!strides.is_none()) {
        view.strides = py::cast<std::vector<int64_t>>(strides);
    } else {
        view.strides.resize(view.shape.size());
        int64_t step = view.itemsize;
        for (size_t d = view.shape.size(); d-- > 0; step *= view.shape[d]) view.strides[d] = step;
    }
#ifdef MASKMILL_CUDA_EMULATED
    const auto [first, bytes] = view.extent();
    emulated::register_device_memory(first, bytes, library_name() != "numpy");
#endif
    return view;
}

// A C-contiguous array of T.
template <class T>
View exact_view(const py::handle& object, const char* name) {
    const View view = view_of(object, name);
    const char kind = std::is_floating_point_v<T> ? 'f' : std::is_signed_v<T> ? 'i' : 'u';
    if (view.kind != kind || view.itemsize != static_cast<int>(sizeof(T)) || !view.is_contiguous()) {
        throw py::type_error(std::string(name) + " must be a C-contiguous array of " +
                             py::cast<std::string>(py::str(py::dtype::of<T>())));
    }
    return view;
}

// What lies behind memory that was taken: under AddressSanitizer, nobody may touch it.
class Slack {
  public:
    Slack([[maybe_unused]] uint8_t* from, [[maybe_unused]] size_t bytes) {
#ifdef __SANITIZE_ADDRESS__
        ASAN_POISON_MEMORY_REGION(from_ = from, bytes_ = bytes);
#endif
    }
#ifdef __SANITIZE_ADDRESS__
    Slack(Slack&& other) noexcept : from_(other.from_), bytes_(std::exchange(other.bytes_, 0)) {}
    ~Slack() { ASAN_UNPOISON_MEMORY_REGION(from_, bytes_); }

  private:
    uint8_t* from_;
    size_t bytes_;
#endif
};

// Memory of the library's pool, and the arrays that it becomes.
class Arrays : public Memory {
  public:
    Arrays() : library_(library()) {}
#ifdef MASKMILL_CUDA_EMULATED
    ~Arrays() override { emulated::forget_device_memory(); }
#endif

    void* take(size_t bytes) override {
        const py::gil_scoped_acquire gil;
        py::object array = library_.attr("empty")(py::make_tuple(bytes + 256), "uint8");
        const View view = view_of(array, "memory");
        void* const aligned = reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(view.data) + 255) / 256 * 256);
        uint8_t* const behind = static_cast<uint8_t*>(aligned) + bytes;
        slack_.emplace_back(behind, static_cast<size_t>(view.data + bytes + 256 - behind));
        kept_.emplace(aligned, std::move(array));
        return aligned;
    }

    // What was taken, as an array.
    template <class T>
    py::object array(const T* data, const std::vector<int64_t>& shape) {
        const auto found = kept_.find(const_cast<T*>(data));
        const View view = view_of(found->second, "memory");
        const auto skip = reinterpret_cast<const uint8_t*>(data) - view.data;
        size_t n = sizeof(T);
        for (const int64_t side : shape) n *= static_cast<size_t>(side);
        const py::slice part(skip, skip + static_cast<py::ssize_t>(n), 1);
        return found->second[part].attr("view")(py::dtype::of<T>()).attr("reshape")(py::cast(shape));
    }
    template <class T>
    py::tuple arrays(const Ragged<T>& ragged, size_t n) {
        return py::make_tuple(array(ragged.values, {static_cast<int64_t>(ragged.total)}),
                              array(ragged.offsets, {static_cast<int64_t>(n) + 1}));
    }

    void* stream() const {
#ifdef MASKMILL_CUDA_EMULATED
        return nullptr;
#else
        const py::object current = library_.attr("cuda").attr("get_current_stream")();
        return reinterpret_cast<void*>(py::cast<uintptr_t>(current.attr("ptr")));
#endif
    }

    // A graph uses what its calls have taken whenever it runs. Of the pool that all share it would be others' by then.
    void require_own_pool() const {
#ifndef MASKMILL_CUDA_EMULATED
        const py::object shared = library_.attr("get_default_memory_pool")().attr("malloc");
        if (library_.attr("cuda").attr("get_allocator")().equal(shared)) {
            throw std::runtime_error(
                "a CUDA graph needs memory of its own: capture within `with cupy.cuda.using_allocator(pool.malloc):`, "
                "pool being a cupy.cuda.MemoryPool() that is kept as long as the graph");
        }
#endif
    }

  private:
    py::module_ library_;
    std::map<const void*, py::object> kept_;
    std::vector<Slack> slack_;
};

// What kernel(queue) returns; without the GIL while it launches. For kernels that wait for no stream: CUDA graphs can
// capture them.
template <class Kernel>
auto launched_or_captured(Arrays& arrays, Kernel&& kernel) {
    use_device(current_device());  // of this module's runtime, which is not CuPy's
    Queue queue{arrays.stream(), arrays};
    queue.captured = is_captured(queue.stream);
    if (queue.captured) arrays.require_own_pool();
    const py::gil_scoped_release nogil;
#ifdef MASKMILL_CUDA_EMULATED
    const emulated::Closed closed;
#endif
    return kernel(queue);
}

// The same for kernels that read a count or a fault.
template <class Kernel>
auto launched(Arrays& arrays, Kernel&& kernel) {
    if (is_captured(arrays.stream())) {
        throw std::runtime_error("this call reads a count or a fault from the GPU: a CUDA graph cannot capture it");
    }
    return launched_or_captured(arrays, kernel);
}

// One number for each of something: on the device, or on the host, from where it is sent.
template <class T>
class DeviceVector {
  public:
    DeviceVector(const py::handle& object, const char* name) {
        if (py::isinstance<py::array>(object) && !is_on_device(object)) {
            if (!py::isinstance<py::array_t<T, py::array::c_style>>(object)) {
                throw py::type_error(std::string(name) + " must be a C-contiguous array of " +
                                     py::cast<std::string>(py::str(py::dtype::of<T>())));
            }
            const auto array = py::reinterpret_borrow<py::array_t<T, py::array::c_style>>(object);
            host_ = array.data();
            n = static_cast<size_t>(array.size());
        } else {
            const View view = exact_view<T>(object, name);
            device_ = reinterpret_cast<const T*>(view.data);
            n = static_cast<size_t>(view.size());
        }
    }
    const T* on_device(Queue& queue) const {
        if (host_ == nullptr || n == 0) return device_;
        T* const sent = queue.take<T>(n);
        copy_to_device(sent, host_, n * sizeof(T), queue);
        return sent;
    }

    size_t n = 0;

  private:
    const T* device_ = nullptr;
    const T* host_ = nullptr;
};

using HostSizes = const py::array_t<int64_t, py::array::c_style>&;

// Sizes of n masks, which are on the host, as shapes are.
inline const int64_t* checked_sizes(HostSizes sizes, size_t n) {
    require(sizes.ndim() == 2 && sizes.shape(1) == 2 && static_cast<size_t>(sizes.shape(0)) == n,
            "sizes must have shape (N, 2), N being the number of masks");
    const int64_t* const found = sizes.data();
    for (size_t i = 0; i < 2 * n; ++i) {
        if (found[i] < 0 || found[i] > 0x7fffffff) {
            throw py::value_error("mask " + std::to_string(i / 2) + ": size " +
                                  size_text(found[i / 2 * 2], found[i / 2 * 2 + 1]) +
                                  " must be within 0 and 2147483647");
        }
    }
    return found;
}

// Masks whose counts and offsets are on the device and whose sizes are on the host.
class DeviceMasks {
  public:
    DeviceMasks(const py::handle& counts, const py::handle& offsets) {
        const View values = exact_view<uint32_t>(counts, "counts"), ends = exact_view<int64_t>(offsets, "offsets");
        require(values.shape.size() == 1, "counts must be a vector");
        require(ends.shape.size() == 1 && ends.shape[0] >= 1, "offsets must be a vector of at least one element");
        total = values.shape[0];
        rles.counts = reinterpret_cast<const uint32_t*>(values.data);
        rles.offsets = reinterpret_cast<const int64_t*>(ends.data);
        rles.n = static_cast<size_t>(ends.shape[0] - 1);
    }
    DeviceMasks(const py::handle& counts, const py::handle& offsets, HostSizes sizes) : DeviceMasks(counts, offsets) {
        host_sizes = checked_sizes(sizes, rles.n);
    }
    // Sends the sizes to the device; call it within `launched`.
    const Rles& on_device(Queue& queue) {
        int64_t* const sizes = queue.take<int64_t>(2 * rles.n);
        copy_sizes(sizes, host_sizes, rles.n, queue);
        rles.sizes = sizes;
        return rles;
    }

    Rles rles;
    int64_t total = 0;
    const int64_t* host_sizes = nullptr;
};

}  // namespace maskmill::cuda
