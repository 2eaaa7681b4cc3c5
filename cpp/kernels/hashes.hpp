// Perceptual hashes of 8-bit images: average, difference, perceptual (DCT) and wavelet hash.
//
// Layout      A code has size * size bits, row by row, the first one the most significant bit of the first word; unused
//             bits at the end of the last word are zero. Codes are (N, words). Images are borrowed views of any strides.
// Invariants  Bits are those of the reference, at every level, for any number of threads.
// Reference   ImageHash 4.3 and imagededup 0.3 on Pillow, by the regime of its resizing; SciPy's DCT and PyWavelets'
//             Haar transform in the order of their operations; OpenCV's img_hash. "cem": volume-em/cem-dataset, which
//             first resizes to crop x crop (bilinear), then does as ImageHash. Of "opencv", ahash and phash of 64 bits.
// Cost        One read of the image, and the resizing (support/resample.hpp).
#pragma once

#include <compare>
#include <memory>
#include <optional>
#include <span>

#include "support/cuda_queue.hpp"
#include "support/host_device.hpp"
#include "support/resample.hpp"

namespace maskmill {

enum class HashKind { ahash, dhash, dhash_v, phash, phash_simple, whash };
enum class HashProfile { imagehash, imagededup, cem, opencv };

struct HashRule {
    HashKind kind = HashKind::dhash;
    HashProfile profile = HashProfile::imagehash;
    Regime regime = Regime::pillow_13;
    int64_t size = 8;
    int64_t crop = 224;  // of profile cem

    int64_t bits() const { return size * size; }
    size_t words() const { return static_cast<size_t>((bits() + 63) / 64); }
};

// codes: (images, words). Images have one channel, or three or more, of which the first are red, green and blue.
void hashes_images(std::span<const Pixels> images, const HashRule& rule, uint64_t* codes);

// A borrowed 8-bit volume (depth, height, width) of any strides, in bytes.
struct Voxels {
    const uint8_t* data = nullptr;
    int64_t shape[3] = {0, 0, 0};
    ptrdiff_t strides[3] = {0, 0, 0};
};

// Patches of slices across `axis`, in place: rows and columns of a slice are the other two axes, in order.
// tiles: (T, 4) as row, end row, column, end column of a slice; codes: (T, slices, words).
void hashes_planes(const Voxels& volume, int axis, std::span<const int64_t> tiles, std::span<const int64_t> slices,
                   const HashRule& rule, uint64_t* codes);

// Pillow's gray (H, W), C-contiguous: (19595 R + 38470 G + 7471 B + 32768) >> 16.
void hashes_gray(const Pixels& image, uint8_t* out);

// PDQ. codes: (images, 4), or (images, 8, 4) if dihedral, of the image, turned by 90, 180 and 270 degrees against the
// clock, upside down, left to right, transposed, and transposed over the other diagonal. The first bit of the first word
// is bit 255, the last of the hexadecimal digits bit 0. quality: (images,) 0 .. 100. Images with a side below 5 have the
// code 0. Luma of colours as pdqhash has it (in double) or as the C++ reference (in float); gray values are taken as
// they are. Reference: facebook/ThreatExchange, pdq; bits equal pdqhash 0.2.8.
enum class PdqLuma { pdqhash, float32 };
void hashes_pdq(std::span<const Pixels> images, PdqLuma luma, bool dihedral, uint64_t* codes, uint8_t* quality);

// The 8 dhashes of an image turned and mirrored, in the order of hashes_pdq, from one picture that is a column wider
// than high and one that is a row higher than wide. codes: (images, 8, words) of `rule`, whose kind is dhash.
void hashes_dihedral(std::span<const Pixels> images, const HashRule& rule, uint64_t* codes);

// ImageHash's colorhash: 14 numbers of `bits` (1 .. 16) bits each. codes: (images, words).
void hashes_colorhash(std::span<const Pixels> images, int bits, uint64_t* codes);

// ImageHash's crop_resistant_hash: a dhash for each segment of each image, segment after segment.
struct SegmentRule {
    int64_t side = 300;       // of the picture that is segmented
    int64_t threshold = 128;  // brighter pixels are hills, the others valleys
    int64_t least = 500;      // segments have more pixels
    int64_t limit = 0;        // keep so many, the biggest first; 0: all
};
Ragged<uint64_t> hashes_crop_resistant(std::span<const Pixels> images, const SegmentRule& rule, int64_t hash_size,
                                       Regime regime);

// Parts, for the other files of this kernel.

struct HashMemory {
    Resize::Memory resize;
    Buffer<uint8_t> gray, crop, grid;
    Buffer<uint8_t> bits;  // size * size, what the functions below write
    Scratch<double> values, more;
    Buffer<double> sorted;
};

struct ImageSize {
    int64_t height, width;
    auto operator<=>(const ImageSize&) const = default;
};

// phash and phash_simple of grids (4 size, 4 size); may be used by many threads at once.
class Dct;
class DctBits {
  public:
    explicit DctBits(const HashRule& rule);
    ~DctBits();
    void operator()(const uint8_t* grid, HashMemory& memory) const;

  private:
    HashRule rule_;
    std::unique_ptr<const Dct> dct_;
};

// The small picture whose pixels decide the bits.
ImageSize hashes_grid_size(const HashRule& rule, ImageSize image);

// ahash's bits are those of the pixels p with p * bits >= this; sum: of all pixels.
MASKMILL_HD int64_t ahash_limit(HashProfile profile, int64_t bits, int64_t sum) {
    if (profile == HashProfile::imagededup) return sum;
    if (profile != HashProfile::opencv) return sum + 1;
    const int64_t mean = sum / bits, twice = 2 * (sum % bits);  // above the mean, rounded half to even
    const bool up = twice > bits || (twice == bits && mean % 2 == 1);
    return (mean + (up ? 1 : 0) + 1) * bits;
}

// Of profile opencv: output o lies between the inputs first and second; the second one weighs `weight` 256ths.
struct LinearTap {
    int64_t first, second;
    uint32_t weight;
};
LinearTap hashes_opencv_tap(int64_t inputs, int64_t outputs, int64_t o);

// Of lines above and below, whose pixels are `step` apart.
MASKMILL_HD uint32_t linear_pixel(const uint8_t* above, const uint8_t* below, ptrdiff_t step, const LinearTap& row,
                                  const LinearTap& column) {
    const int64_t a = column.first * step, b = column.second * step;
    const uint32_t first = (256 - column.weight) * above[a] + column.weight * above[b];
    const uint32_t second = (256 - column.weight) * below[a] + column.weight * below[b];
    return ((256 - row.weight) * first + row.weight * second + (1U << 15)) >> 16;
}
MASKMILL_HD uint8_t opencv_gray(const uint32_t* rgb) {
    return static_cast<uint8_t>((9798 * rgb[0] + 19235 * rgb[1] + 3735 * rgb[2] + (1U << 14)) >> 15);
}

// The grid (side, side) of profile opencv.
void hashes_opencv_grid(const Pixels& image, int64_t side, uint8_t* grid);

// whash of a grid (side, side), side a power of two times size.
void hashes_whash_bits(const uint8_t* grid, int64_t side, const HashRule& rule, HashMemory& memory);

// Hashes images of one size; may be used by many threads at once.
class Hasher {
  public:
    Hasher(const HashRule& rule, ImageSize image);

    void operator()(Pixels image, uint64_t* code, HashMemory& memory) const;

    ImageSize image() const { return image_; }
    // The small picture whose pixels decide the bits; how a gray image is brought to it, if that is one resizing by Pillow.
    ImageSize grid() const { return grid_; }
    const Resize* direct() const { return crop_ || !resize_ ? nullptr : &*resize_; }
    void from_grid(const uint8_t* grid, uint64_t* code, HashMemory& memory) const;

  private:
    HashRule rule_;
    ImageSize image_, grid_;
    std::optional<Resize> crop_, resize_;
    std::optional<DctBits> dct_;
};

// The twins on a GPU: images, volume and codes are the device's; tiles and slices, which say what to do, the host's, and
// checked. None waits for the stream. A batch is one image and those that follow it, `step` bytes apart.
namespace cuda {

void hashes_images(const Pixels& first, ptrdiff_t step, size_t n, const HashRule& rule, uint64_t* codes, Queue& queue);
void hashes_images(std::span<const Pixels> images, const HashRule& rule, uint64_t* codes, Queue& queue);
void hashes_planes(const Voxels& volume, int axis, std::span<const int64_t> tiles, std::span<const int64_t> slices,
                   const HashRule& rule, uint64_t* codes, Queue& queue);

// Images of sides up to 2^30.
void hashes_pdq(const Pixels& first, ptrdiff_t step, size_t n, PdqLuma luma, bool dihedral, uint64_t* codes,
                uint8_t* quality, Queue& queue);
void hashes_pdq(std::span<const Pixels> images, PdqLuma luma, bool dihedral, uint64_t* codes, uint8_t* quality,
                Queue& queue);

void hashes_dihedral(const Pixels& first, ptrdiff_t step, size_t n, const HashRule& rule, uint64_t* codes,
                     Queue& queue);
void hashes_dihedral(std::span<const Pixels> images, const HashRule& rule, uint64_t* codes, Queue& queue);
void hashes_colorhash(const Pixels& first, ptrdiff_t step, size_t n, int bits, uint64_t* codes, Queue& queue);
void hashes_colorhash(std::span<const Pixels> images, int bits, uint64_t* codes, Queue& queue);

}  // namespace cuda

}  // namespace maskmill
